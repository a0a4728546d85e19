package live

import (
	"slices"
	"sync/atomic"

	"github.com/exeunt/exeunt"
)

// Forget drops entries that can never be usable again; the store then answers for their tokens. It looks for sessions
// that ended together only when they are more than one in staleShare of all, because it must scan all entries for them,
// and for app sessions that dropApps has left.
func (x *Index) Forget() {
	for x.forgetEnded() {
	}
	if !x.manyStale() {
		return
	}
	for shard := range uint32(shardCount) {
		x.forgetStale(shard)
	}
}

// forgetStep is how many entries Forget drops at a time, so that other writers do not wait long.
const forgetStep = 512

func (x *Index) forgetEnded() (more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	step := c.ended[max(0, len(c.ended)-forgetStep):]
	for _, r := range step {
		// An app session may have been dropped with its session.
		if state := c.entry(r).state.Load(); state&flagFree == 0 && state&flagEnded != 0 {
			c.drop(r)
		}
	}
	c.ended = c.ended[:len(c.ended)-len(step)]
	if len(c.ended) == 0 {
		c.ended = nil
	}
	return len(c.ended) > 0
}

// One in staleShare entries may be of sessions that ended together.
const staleShare = 32

func (x *Index) manyStale() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	dropped := c.dropped
	c.dropped = false // whatever is dropped from now on, the next scan finds
	return dropped || c.stale*staleShare > c.count
}

// noClient stands in the place of a client whose app sessions were dropped.
const noClient exeunt.ClientID = ""

// dropApps has the store asked about every app session of a client. It takes the number that they have from the client,
// however many they are; Forget drops the entries later.
func (c *core) dropApps(id exeunt.ClientID) {
	list := slices.Clone(*c.clients.Load())
	if i := slices.Index(list, id); i >= 0 && id != noClient {
		list[i], c.dropped = noClient, true
		c.clients.Store(&list)
	}
}

// isDropped reports whether an entry is an app session that dropApps has left.
func (c *core) isDropped(e *entry) bool {
	return e.state.Load()&flagApp != 0 && (*c.clients.Load())[e.number()] == noClient
}

func (x *Index) forgetStale(shard uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	c.each(shard, func(r ref, e *entry, m *marks) {
		if e.state.Load()&flagApp != 0 {
			if c.isDropped(e) {
				x.drop(c, r)
			}
			return
		}
		// An ended session is recorded as ended in every snapshot; one of a
		// superseded cohort may have been kept.
		switch mark := c.cohort(uint32(e.owner.Load())).mark.Load(); {
		case mark&cohortEnded != 0:
			c.drop(r)
		case mark&cohortSuperseded != 0 && !c.hasUnsaved(r, m):
			x.drop(c, r)
		}
	})
}

// hasUnsaved reports whether a session or one of its app sessions has unsaved activity.
func (c *core) hasUnsaved(r ref, m *marks) bool {
	if m.dirty.has(uint32(r&localMask) % pageLen) {
		return true
	}
	for child := c.youngest[r]; child != 0; child = c.siblings[child].older {
		if _, m := c.at(child); m.dirty.has(uint32(child&localMask) % pageLen) {
			return true
		}
	}
	return false
}

// evictTries is how many entries an insertion tries to evict. When none of them can be, the table exceeds its limit.
const evictTries = 1024

// makeRoom evicts entries that were not used since the last round, so that a session and an app session fit under the
// limit. It evicts nothing with unsaved activity, and not the two that are to be inserted.
func (x *Index) makeRoom(c *core, session, app words) {
	if x.opt.Limit <= 0 {
		return
	}
	for range evictTries {
		if c.count+2 <= x.opt.Limit {
			return
		}
		c.advance()
		e, m := c.at(c.hand)
		if e == nil || e.state.Load()&flagFree != 0 {
			continue
		}
		if c.evictable(c.hand, e, m) && !e.has(session) && !e.has(app) {
			x.drop(c, c.hand)
		}
	}
}

// drops are the recently dropped sessions and app sessions that may be loaded again. A snapshot that was read from the
// store before a drop may hold older activity than memory did; if it were inserted, a session in use would seem idle.
// In the table, activity only moves forward, so memory could lose activity in no other way.
type drops struct {
	count atomic.Int64
	ring  [recentDrops]words
}

// recentDrops is how many drops are remembered to check late snapshots against, see ringSize.
const recentDrops = 1 << 12

// Dropped counts the drops so far. It must be read before the store is, for the snapshot, as with Epoch.
func (x *Index) Dropped() int64 { return x.drops.count.Load() }

// drop drops a session or app session that may be loaded again.
func (x *Index) drop(c *core, r ref) {
	d := &x.drops
	n := d.count.Load()
	d.ring[n%recentDrops] = c.entry(r).id()
	d.count.Store(n + 1)
	c.drop(r)
}

// droppedSince reports whether the snapshot's session or app session was, or may have been, dropped after the store was
// read.
func (x *Index) droppedSince(s *Snapshot) bool {
	count := x.drops.count.Load()
	if count-s.Dropped > recentDrops {
		return true
	}
	session, app := s.ids()
	for n := s.Dropped; n < count; n++ {
		if id := x.drops.ring[n%recentDrops]; id == session || id == app {
			return true
		}
	}
	return false
}

// advance moves the hand to the next entry.
func (c *core) advance() {
	c.hand++
	for range shardCount {
		if uint32(c.hand&localMask) <= c.shards[c.hand>>localBits%shardCount].count {
			return
		}
		c.hand = (c.hand>>localBits + 1) % shardCount << localBits
		c.hand++
	}
}

func (c *core) evictable(r ref, e *entry, m *marks) bool {
	i, state := uint32(r&localMask)%pageLen, e.state.Load()
	switch {
	case state&flagEnded != 0:
		return true
	case state&flagLate != 0: // it must stay refused until the store has decided
		return false
	case m.used.has(i):
		m.used.clear(i)
		return false
	}
	return !c.hasUnsaved(r, m)
}
