package live

import "sync/atomic"

// Forget drops entries that can never be usable again. Their tokens are
// afterwards answered from the store. Sessions that ended together are looked
// for only when they have become a good part of the whole, as all entries must
// be looked at for that.
func (x *Index) Forget() {
	for x.forgetEnded() {
	}
	if !x.worthSweeping() {
		return
	}
	for shard := range uint32(shardCount) {
		x.sweep(shard)
	}
}

// forgetStep bounds how long a writer waits for Forget.
const forgetStep = 512

func (x *Index) forgetEnded() (more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	step := c.ended[max(0, len(c.ended)-forgetStep):]
	for _, r := range step {
		// Its session may have taken it along already.
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

// staleShare is which part of the entries may be of sessions that ended
// together.
const staleShare = 32

func (x *Index) worthSweeping() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	return c.stale*staleShare > c.count
}

func (x *Index) sweep(shard uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	c.each(shard, func(r ref, e *entry, m *marks) {
		if e.state.Load()&flagApp != 0 {
			return
		}
		// Of those that have ended, every snapshot tells; a session whose cohort
		// was passed may be the one that was kept.
		switch mark := c.cohort(uint32(e.place.Load())).mark.Load(); {
		case mark&cohortEnded != 0:
			c.drop(r)
		case mark&cohortPassed != 0 && !c.owes(r, m):
			x.drop(c, r)
		}
	})
}

// owes reports whether the store is owed activity of a session or of one of
// its app sessions.
func (c *core) owes(r ref, m *marks) bool {
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

// evictPatience is how many entries one insertion looks at to find one to
// evict; when all of them are needed, the limit is passed for now.
const evictPatience = 1024

// makeRoom evicts entries that nobody has asked for since it last came by, so
// that a session and an app session fit under the limit. Evicting one forgets
// nothing that the store does not know. What is about to come stays if it is
// there already.
func (x *Index) makeRoom(c *core, session, app words) {
	if x.opt.Limit <= 0 {
		return
	}
	for range evictPatience {
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

// drops are what was dropped that may come back from the store. There it is as
// memory knew it. But whoever asked the store before, and comes to insert what
// it said then, would bring back older activity, and a session in use would
// seem idle. While an entry is there its activity only grows, so this is the one
// way in which memory could lose any.
type drops struct {
	count atomic.Int64
	ring  [dropsKept]words
}

// dropsKept is how many recent drops are remembered to judge late snapshots by;
// see ringSize.
const dropsKept = 1 << 12

// Dropped is how much has been dropped so far. A snapshot carries the number
// from before it was read, as with Epoch.
func (x *Index) Dropped() int64 { return x.drops.count.Load() }

// drop drops a session or app session that may come back.
func (x *Index) drop(c *core, r ref) {
	d := &x.drops
	n := d.count.Load()
	d.ring[n%dropsKept] = c.entry(r).id()
	d.count.Store(n + 1)
	c.drop(r)
}

// outlived reports whether what the snapshot shows was in memory after the store
// was asked, and is there no more: or whether that cannot be told.
func (x *Index) outlived(s *Snapshot) bool {
	count := x.drops.count.Load()
	if count-s.Dropped > dropsKept {
		return true
	}
	session, app := s.ids()
	for n := s.Dropped; n < count; n++ {
		if id := x.drops.ring[n%dropsKept]; id == session || id == app {
			return true
		}
	}
	return false
}

// advance moves the hand to the next entry there is.
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
	case state&flagLate != 0: // it must stay refused until the store has ruled
		return false
	case m.used.has(i):
		m.used.clear(i)
		return false
	}
	return !c.owes(r, m)
}
