package live

// Forget drops entries that can never be usable again. Their tokens are
// afterwards answered from the store. Sessions that ended together are looked
// for only when they have become a good part of the whole, as all entries must
// be looked at for that. During a save nothing is dropped.
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
	if c.saving {
		return false
	}
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
	return !c.saving && c.stale*staleShare > c.count
}

func (x *Index) sweep(shard uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	if c.saving {
		return
	}
	c.each(shard, func(r ref, e *entry, m *marks) {
		if e.state.Load()&flagApp == 0 && c.over(r, e, m) {
			c.drop(r)
		}
	})
}

// over reports whether a session is of no use any more where it is. One whose
// cohort was passed may be the one that was kept, and is only dropped when no
// activity goes with it.
func (c *core) over(r ref, e *entry, m *marks) bool {
	mark := c.cohort(uint32(e.place.Load())).mark.Load()
	return mark&cohortEnded != 0 || mark&cohortPassed != 0 && !c.owes(r, m)
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
// evict; when all of them are needed, or while the table is saved, the limit is
// passed for now.
const evictPatience = 1024

// makeRoom evicts entries that nobody has asked for since it last came by, so
// that a session and an app session fit under the limit. Evicting one forgets
// nothing that the store does not know.
func (c *core) makeRoom(limit int) {
	if limit <= 0 || c.saving {
		return
	}
	for range evictPatience {
		if c.count+2 <= limit {
			return
		}
		c.advance()
		e, m := c.at(c.hand)
		if e == nil || e.state.Load()&flagFree != 0 {
			continue
		}
		if c.evictable(c.hand, e, m) {
			c.drop(c.hand)
		}
	}
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
