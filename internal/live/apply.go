package live

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/exeunt/exeunt"
)

// Apply applies committed events. They must follow what was applied before without a gap: a gap may hide an ending that
// this node would never learn of, so Apply returns an error and stops there. It also does so when an event differs from
// the one that ApplyOwn was given with that number: this node's commit was lost, so memory is wrong.
func (x *Index) Apply(events []exeunt.Event) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range events {
		e := &events[i]
		if e.Seq <= x.applied {
			continue // applying twice changes nothing
		}
		if e.Seq != x.applied+1 {
			return fmt.Errorf("event %d follows %d: the log has a gap", e.Seq, x.applied)
		}
		own := slices.IndexFunc(x.own, func(p pastEvent) bool { return p.seq == e.Seq })
		if own >= 0 && x.own[own] != pastEventOf(e) {
			return fmt.Errorf("event %d is not the one that this node committed", e.Seq)
		}
		x.apply(e)
		x.applied = e.Seq
		x.ring[e.Seq%ringSize] = pastEventOf(e)
	}
	x.own = slices.DeleteFunc(x.own, func(p pastEvent) bool { return p.seq <= x.applied })
	return nil
}

// Replay applies the log range since a loaded file, up to seq. ended holds the IDs of sessions and app sessions that
// ended one by one, 16 bytes each, and events holds all other events. Their order does not matter, see ApplyOwn.
// Snapshots older than seq are refused from then on.
func (x *Index) Replay(seq int64, ended []byte, events []exeunt.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	var mu sync.Mutex
	var wg sync.WaitGroup
	const idLen = 16
	share := (len(ended)/idLen/runtime.GOMAXPROCS(0) + 1) * idLen
	for part := range slices.Chunk(ended, share) {
		wg.Go(func() {
			var refs []ref
			for id := range slices.Chunk(part, idLen) {
				if r := c.markEnded(wordsOf([idLen]byte(id))); r != 0 {
					refs = append(refs, r)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			c.ended = append(c.ended, refs...)
		})
	}
	wg.Wait()
	for i := range events {
		x.apply(&events[i])
	}
	x.changes += int64(len(ended) / idLen)
	x.base, x.applied = seq, seq
}

// ApplyOwn applies events that this node committed itself, perhaps before it has read earlier ones. That is safe
// because an event only ends sessions, or moves the session that it keeps to a later generation, or has a session
// loaded again: the outcome is the same in any order and any number of times. Apply applies them again.
func (x *Index) ApplyOwn(events []exeunt.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range events {
		e := &events[i]
		if e.Seq <= x.applied {
			continue
		}
		x.apply(e)
		if len(x.own) == ringSize {
			// The log has not been read for long. Snapshots older than the event forgotten here are refused.
			x.ownLost = max(x.ownLost, x.own[0].seq)
			x.own = slices.Delete(x.own, 0, 1)
		}
		x.own = append(x.own, pastEventOf(e))
	}
}

// pastEvent is the part of an event that late snapshots are checked against.
type pastEvent struct {
	seq, generation int64
	kind            exeunt.EventKind
	target          exeunt.Target
}

func pastEventOf(e *exeunt.Event) pastEvent {
	return pastEvent{e.Seq, e.Generation, e.Kind, e.Target}
}

func (p *pastEvent) event() exeunt.Event {
	return exeunt.Event{Seq: p.seq, Kind: p.kind, Target: p.target, Generation: p.generation}
}

func (x *Index) apply(e *exeunt.Event) {
	x.changes++
	c := x.core.Load()
	account := wordsOf(e.Account.Raw())
	switch {
	case e.Kind == exeunt.EventProfileChanged, e.Kind == exeunt.EventGroupsChanged:
		// Copies of an older version are no longer used.
		if n := c.current(account); n != 0 {
			c.cohort(n).setProfile(e.Version)
		}
	case e.Kind == exeunt.EventClientChanged:
		// The table holds nothing of clients.
	case e.Kind == exeunt.EventAppsEnded:
		c.dropApps(e.Client)
	case e.Kind == exeunt.EventRenewed:
		// Its app sessions go too: what is left of them is loaded again with it.
		if r, _ := c.byID(wordsOf(e.Session.Raw())); r != 0 {
			x.drop(c, r)
		}
	case e.Kind != exeunt.EventEnded && e.Account.IsZero():
		x.forgetAll() // a kind that only a newer program knows
	case e.Kind != exeunt.EventEnded:
		x.supersedeAccount(c, account)
	case e.Scope == exeunt.ScopeSession:
		target := wordsOf(e.Session.Raw())
		if !e.AppSession.IsZero() {
			target = wordsOf(e.AppSession.Raw())
		}
		if r := c.markEnded(target); r != 0 {
			c.ended = append(c.ended, r)
		}
	case e.Scope == exeunt.ScopeOthers:
		c.endMany(account, e.Generation, wordsOf(e.Session.Raw()))
	case e.Scope == exeunt.ScopeAccount:
		c.endMany(account, e.Generation, words{})
	default:
		x.supersedeAccount(c, account)
	}
	x.resolveBy(e)
}

// supersedeAccount makes checks ask the store about every session of the account, because only the store can tell what
// a newer program ended by an event that this one does not know.
func (x *Index) supersedeAccount(c *core, account words) {
	if n := c.current(account); n != 0 {
		c.endCohort(n, cohortSuperseded)
	}
}

// markEnded returns the entry that it ended, or 0.
func (c *core) markEnded(id words) ref {
	if r, e := c.byID(id); e != nil && e.change(e.state.Load(), flagEnded, 0) {
		return r
	}
	return 0
}

// endMany ends the account's sessions born before the generation, except the kept one. It writes one flag, however many
// they are.
func (c *core) endMany(account words, generation int64, keep words) {
	n := c.current(account)
	if n == 0 || c.cohort(n).generation() >= generation {
		// They have ended already, but this event may tell which session is kept.
		c.keep(keep, n, generation)
		return
	}
	if r, e := c.byID(keep); e != nil && uint32(e.owner.Load()) == n {
		next := c.newCohort(account, generation, c.cohort(n).mark.Load()&cohortInDoubt)
		c.join(next)
		c.move(r, next)
		if c.cohort(n).mark.Load()&cohortFree == 0 {
			c.finish(n, cohortEnded)
		}
		return
	}
	c.endCohort(n, cohortEnded)
}

// keep moves a kept session from a superseded cohort to that of its new generation.
func (c *core) keep(id words, current uint32, generation int64) {
	r, e := c.byID(id)
	if e == nil || current == 0 || c.cohort(current).generation() != generation {
		return
	}
	old := c.cohort(uint32(e.owner.Load()))
	sameAccount := old.account() == c.cohort(current).account()
	if old.mark.Load()&cohortSuperseded != 0 && sameAccount && old.generation() < generation {
		c.join(current)
		c.move(r, current)
	}
}

// move puts a session into another cohort that it has already joined.
func (c *core) move(r ref, to uint32) {
	e := c.entry(r)
	owner := e.owner.Load()
	e.owner.Store(owner&^lowHalf | uint64(to))
	c.leave(uint32(owner))
}

// Applied returns the number of the last event applied in order.
func (x *Index) Applied() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.applied
}
