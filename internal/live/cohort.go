package live

import "sync/atomic"

// cohort is the sessions of one account that share a generation. One flag ends them all. A kept session moves to the
// account's next cohort before that flag is set.
type cohort struct {
	id0, id1 atomic.Uint64 // the account
	// The upper half is the generation, the lower half the number of sessions, or
	// in a free cohort the next free one.
	birth atomic.Uint64
	mark  atomic.Uint64 // the upper half is the profile's version, the lower half flags
}

const (
	cohortEnded uint64 = 1 << iota
	// The account has a newer generation. Only the store can tell which sessions of this cohort were kept.
	cohortSuperseded
	// A revocation of this account is in doubt, see PutInDoubt.
	cohortInDoubt
	cohortFree
)

const (
	lowHalf    uint64 = 1<<32 - 1
	cohortPage        = 1024
	cohortBits        = 30
)

func (c *cohort) account() words { return words{c.id0.Load(), c.id1.Load()} }

func (c *cohort) generation() int64 { return int64(c.birth.Load() >> 32) }

func (c *cohort) profile() int64 { return int64(c.mark.Load() >> 32) }

// flag and all functions below are called with Index.mu held.
func (c *cohort) flag(set, clear uint64) { c.mark.Store(c.mark.Load()&^clear | set) }

func (c *cohort) setProfile(version int64) {
	if v := uint64(min(max(version, 0), int64(lowHalf))); v > c.mark.Load()>>32 {
		c.mark.Store(c.mark.Load()&lowHalf | v<<32)
	}
}

// cohort returns nil for a number that was never used: a reader may get one from an entry that is being reused, and
// notices that later.
func (c *core) cohort(n uint32) *cohort {
	pages := *c.cohorts.Load()
	if n == 0 || int(n/cohortPage) >= len(pages) {
		return nil
	}
	return &pages[n/cohortPage][n%cohortPage]
}

// current returns the number of the account's cohort that has not ended, or 0.
func (c *core) current(account words) uint32 {
	return c.accounts[account.segment()].find(account.home(), account.tag(), func(n uint32) bool {
		return c.cohort(n).account() == account
	})
}

// newCohort makes the account's next cohort its current one. The caller ends the old one, if there is one.
func (c *core) newCohort(account words, generation int64, flags uint64) uint32 {
	version := int64(0)
	if old := c.current(account); old != 0 {
		version = c.cohort(old).profile()
		c.retire(old)
	}
	n := c.freeCohort
	if n != 0 {
		c.reused.Add(1)
		c.freeCohort = uint32(c.cohort(n).birth.Load())
	} else {
		c.cohortCount++
		n = c.cohortCount
		if pages := *c.cohorts.Load(); int(n/cohortPage) >= len(pages) {
			pages = append(pages[:len(pages):len(pages)], new([cohortPage]cohort))
			c.cohorts.Store(&pages)
		}
	}
	co := c.cohort(n)
	co.id0.Store(account.a)
	co.id1.Store(account.b)
	co.birth.Store(uint64(generation) << 32)
	co.mark.Store(flags)
	co.setProfile(version)
	c.nameCohort(n, account)
	return n
}

func (c *core) nameCohort(n uint32, account words) {
	t := c.accounts[account.segment()]
	if t.crowded() {
		t = t.rebuilt(func(n uint32) uint32 { return c.cohort(n).account().home() })
		c.accounts[account.segment()] = t
	}
	t.add(account.home(), t.slotOf(account, n))
}

// retire removes a cohort from the table of current ones.
func (c *core) retire(n uint32) {
	account := c.cohort(n).account()
	c.accounts[account.segment()].remove(account.home(), n)
}

// endCohort ends a current cohort with all its sessions.
func (c *core) endCohort(n uint32, how uint64) {
	c.retire(n)
	c.finish(n, how)
}

// finish ends a cohort that is no longer current.
func (c *core) finish(n uint32, how uint64) {
	co := c.cohort(n)
	co.flag(how, 0)
	c.stale += int(co.birth.Load() & lowHalf)
}

// join and leave count the sessions of a cohort; it is freed when the last one leaves.
func (c *core) join(n uint32) { c.cohort(n).birth.Add(1) }

func (c *core) leave(n uint32) {
	co := c.cohort(n)
	if over := co.mark.Load()&(cohortEnded|cohortSuperseded) != 0; over {
		c.stale--
	}
	if co.birth.Add(^uint64(0))&lowHalf > 0 {
		return
	}
	if c.current(co.account()) == n {
		c.retire(n)
	}
	c.release(n)
}

// release frees a cohort. While the table is being saved it waits, because entries already written may refer to it.
func (c *core) release(n uint32) {
	co := c.cohort(n)
	co.mark.Store(cohortFree)
	if c.saving {
		c.released = append(c.released, n)
		return
	}
	co.birth.Store(uint64(c.freeCohort))
	c.freeCohort = n
}
