package live

import (
	"math/bits"
	"time"

	"github.com/exeunt/exeunt"
)

// Overdue delivers sessions that a check found to have timed out. When nobody reads, they are dropped: maintenance
// finds them by Late.
func (x *Index) Overdue() <-chan exeunt.Overdue { return x.overdue }

// markLate refuses a session until the store has decided: activity that arrives afterwards must not revive it.
func (x *Index) markLate(c *core, r ref, state uint64, a *Answer, reason exeunt.Reason) {
	e, m := c.at(r)
	if !e.change(state, flagLate, 0) {
		return
	}
	m.late.set(uint32(r&localMask) % pageLen)
	select {
	case x.overdue <- exeunt.Overdue{Account: a.Account, Session: a.Session, Reason: reason}:
	default:
	}
}

// Late returns the sessions that checks found to have timed out and that the store has not decided on yet.
func (x *Index) Late(now time.Time) []exeunt.Overdue {
	var out []exeunt.Overdue
	x.marked(func(m *marks) *bitmap { return &m.late }, all, func(a Answer, s standing) {
		if s.state&flagLate == 0 || s.state&flagEnded != 0 || s.mark&(cohortEnded|cohortSuperseded) != 0 {
			return
		}
		reason := exeunt.ReasonIdle
		if now.UnixMilli() >= a.expires {
			reason = exeunt.ReasonAbsolute
		}
		out = append(out, exeunt.Overdue{Account: a.Account, Session: a.Session, Reason: reason})
	})
	return out
}

// picker chooses entries.
type picker func(*core, ref, *entry, *marks) bool

// marked calls f for the marked entries that pick chooses. It takes the lock for one shard at a time, and looks at 64
// entries at once.
func (x *Index) marked(which func(*marks) *bitmap, pick picker, f func(Answer, standing)) {
	for shard := range uint32(shardCount) {
		x.markedIn(shard, which, pick, f)
	}
}

func (x *Index) markedIn(shard uint32, which func(*marks) *bitmap, pick picker, f func(Answer, standing)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	for n, m := range c.shards[shard].view.Load().marks {
		for w := range which(m) {
			for word := which(m)[w].Load(); word != 0; word &= word - 1 {
				local := uint32(n*pageLen + w*64 + bits.TrailingZeros64(word))
				r := ref(shard<<localBits | local)
				e := c.entry(r)
				if e.state.Load()&flagFree != 0 || !pick(c, r, e, m) {
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

func all(*core, ref, *entry, *marks) bool { return true }

// StillGood clears the late mark of a session that has not timed out, because the store knew of later activity.
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

// Touch records activity at now on the session of the answer, and on its app session. It only writes to memory; the
// store learns of it in batches, see Due.
func (x *Index) Touch(a Answer, now time.Time) {
	c := x.core.Load()
	if a.ref == 0 || a.State != Usable || a.epoch != c.epoch {
		return
	}
	ms := now.UnixMilli()
	e := c.entry(a.ref)
	owner := e.owner.Load()
	if !x.touch(c, a.ref, a.state, ms, a.idle) && e.state.Load()>>turnShift != a.state>>turnShift {
		return // the slot was reused for another session
	}
	if a.state&flagApp == 0 {
		return
	}
	parent := ref(owner)
	p := c.entry(parent)
	if p == nil {
		return
	}
	if state := p.state.Load(); p.has(wordsOf(a.Session.Raw())) {
		x.touch(c, parent, state, ms, a.idle)
	}
}

func (x *Index) touch(c *core, r ref, state uint64, ms, idle int64) bool {
	e, m := c.at(r)
	before, ok := e.raise(state, ms)
	if !ok {
		return false
	}
	// The marks are set after the entry; MarkSaved reads in the opposite order, so that no activity is missed.
	i, q := uint32(r&localMask)%pageLen, quantum(idle)
	if (ms-before >= q || ms < x.saved.Load()-q) && !m.due.has(i) {
		m.due.set(i)
	}
	if !m.dirty.has(i) {
		m.dirty.set(i)
	}
	if x.opt.SharedActivity && before+idle-ms < urgentWithin(idle) {
		select {
		case x.urgent <- struct{}{}:
		default:
		}
	}
	return true
}

// SeenAt returns the last activity of a session, if the session is in memory.
func (x *Index) SeenAt(id exeunt.SessionID) (time.Time, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, e := x.core.Load().byID(wordsOf(id.Raw()))
	if e == nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(e.state.Load() & seenMask)), true
}
