package live

import (
	"math/bits"
	"time"

	"github.com/exeunt/exeunt"
)

// Overdue names a session whose time has run out, to be declared ended.
type Overdue struct {
	Account exeunt.AccountID
	Session exeunt.SessionID
	Reason  exeunt.Reason
}

// Overdue delivers sessions whose time a check found to have run out. When
// nobody reads, notices are dropped: the sweep finds the session, see Late.
func (x *Index) Overdue() <-chan Overdue { return x.overdue }

// markLate refuses a session from now on until the store has ruled: activity
// that arrives afterwards must not revive it.
func (x *Index) markLate(c *core, r ref, state uint64, o Overdue) {
	e, m := c.at(r)
	if !e.change(state, flagLate, 0) {
		return
	}
	m.late.set(uint32(r&localMask) % pageLen)
	select {
	case x.overdue <- o:
	default:
	}
}

// Late returns the sessions that checks found to have run out and that the
// store has not ruled on yet.
func (x *Index) Late(now time.Time) []Overdue {
	var out []Overdue
	x.marked(func(m *marks) *bitmap { return &m.late }, func(a Answer, s standing) {
		if s.state&flagLate == 0 || s.state&flagEnded != 0 || s.mark&(cohortEnded|cohortPassed) != 0 {
			return
		}
		reason := exeunt.ReasonIdle
		if now.UnixMilli() >= a.expires {
			reason = exeunt.ReasonAbsolute
		}
		out = append(out, Overdue{a.Account, a.Session, reason})
	})
	return out
}

// marked calls f for the entries with a mark. It takes the lock for a shard at
// a time, and looks at 64 entries at once.
func (x *Index) marked(which func(*marks) *bitmap, f func(Answer, standing)) {
	for shard := range uint32(shardCount) {
		x.markedIn(shard, which, f)
	}
}

func (x *Index) markedIn(shard uint32, which func(*marks) *bitmap, f func(Answer, standing)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	for n, m := range c.shards[shard].view.Load().marks {
		for w := range which(m) {
			for word := which(m)[w].Load(); word != 0; word &= word - 1 {
				local := uint32(n*pageLen + w*64 + bits.TrailingZeros64(word))
				r := ref(shard<<localBits | local)
				e := c.entry(r)
				if e.state.Load()&flagFree != 0 {
					continue
				}
				var a Answer
				var s standing
				if c.answer(r, e, &a, &s) {
					f(a, s)
				}
			}
		}
	}
}

// StillGood lifts the mark of a session that the store found not to have run
// out after all, because it knew of later activity.
func (x *Index) StillGood(id exeunt.SessionID, seen time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	r, e := c.byID(wordsOf(id.Raw()))
	if e == nil {
		return
	}
	state := e.state.Load()
	e.raise(state, seen.UnixMilli())
	e.change(state, 0, flagLate|flagUnsure)
	_, m := c.at(r)
	m.late.clear(uint32(r&localMask) % pageLen)
}

// Touch notes activity at now on the session of the answer, and on its app
// session. It is a store into memory; the store learns of it in batches.
func (x *Index) Touch(a Answer, now time.Time) {
	c := x.core.Load()
	if a.ref == 0 || a.State != Usable || a.epoch != c.epoch {
		return
	}
	ms := now.UnixMilli()
	e := c.entry(a.ref)
	place := e.place.Load()
	if !c.touch(a.ref, a.state, ms) && e.state.Load()>>turnShift != a.state>>turnShift {
		return // the slot has gone to another
	}
	if a.state&flagApp == 0 {
		return
	}
	parent := ref(place)
	p := c.entry(parent)
	if p == nil {
		return
	}
	if state := p.state.Load(); p.has(wordsOf(a.Session.Raw())) {
		c.touch(parent, state, ms)
	}
}

func (c *core) touch(r ref, state uint64, ms int64) bool {
	e, m := c.at(r)
	if !e.raise(state, ms) {
		return false
	}
	// After the store into the entry: Flushed looks at them the other way round.
	if i := uint32(r&localMask) % pageLen; !m.dirty.has(i) {
		m.dirty.set(i)
	}
	return true
}

// SeenAt returns the last activity known here of a session, if it is known.
func (x *Index) SeenAt(id exeunt.SessionID) (time.Time, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, e := x.core.Load().byID(wordsOf(id.Raw()))
	if e == nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(e.state.Load() & seenMask)), true
}

// Activity is the last use of a session or app session, owed to the store.
type Activity struct {
	Account exeunt.AccountID
	Session exeunt.SessionID
	App     exeunt.AppSessionID
	Seen    time.Time
	epoch   int64
	ref     ref
	state   uint64
}

// Unflushed returns the activity the store does not know yet. Only one caller
// at a time may go through Unflushed and Flushed.
func (x *Index) Unflushed() []Activity {
	var out []Activity
	x.marked(func(m *marks) *bitmap { return &m.dirty }, func(a Answer, s standing) {
		if s.own&flagEnded == 0 {
			out = append(out, Activity{a.Account, a.Session, a.App, time.UnixMilli(int64(s.own & seenMask)), a.epoch, a.ref, a.state})
		}
	})
	return out
}

// Flushed records that the store has committed these.
func (x *Index) Flushed(done []Activity) {
	for _, a := range done {
		x.flushed(a)
	}
}

func (x *Index) flushed(a Activity) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	if a.epoch != c.epoch {
		return
	}
	e, m := c.at(a.ref)
	if e.state.Load()>>turnShift != a.state>>turnShift {
		return
	}
	// Activity that comes between the two sets the mark itself.
	i := uint32(a.ref&localMask) % pageLen
	m.dirty.clear(i)
	if e.state.Load()&seenMask > a.state&seenMask {
		m.dirty.set(i)
	}
}
