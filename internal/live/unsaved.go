package live

import (
	"time"

	"github.com/exeunt/exeunt"
)

// How the store learns of activity. The activity of a session in use is written about once in each quantum, not with
// every save, and each session has another moment in its quantum for that. Activity after a pause of a quantum or more
// is due at once. So activity is in the store at most a quantum and a save's interval after it was recorded, and a
// crash can lose no more than that. The store also takes no session for idle that this node knows to be in use, except
// by activity since the last save: when the store takes a session for idle, its last written activity is idle/10 or
// more in the past, which is many quanta, so any later activity was either written or came after a pause and is due.

// quantum is how long activity of a session with this idle timeout, in milliseconds, may stay unwritten: a hundredth of
// it, but from 5 s to a minute, and at most a tenth.
func quantum(idle int64) int64 {
	return max(1, min(idle/10, max(idle/100, 5_000), 60_000))
}

// urgentWithin is how long before a session would be idle its activity is saved at once, so that other nodes learn of
// it. Saves are at most 5 s or a tenth of the shortest idle timeout apart.
func urgentWithin(idle int64) int64 { return min(idle/5, 10_000) }

// Urgent tells, with SharedActivity, that some activity must be saved now: another node may soon take the session for
// idle.
func (x *Index) Urgent() <-chan struct{} { return x.urgent }

// Unsaved is activity that the store does not know yet.
type Unsaved struct {
	exeunt.Activity
	epoch   int64
	ref     ref
	state   uint64
	quantum int64
}

func unsavedOf(a *Answer, s *standing) Unsaved {
	seen := time.UnixMilli(int64(s.own & seenMask))
	activity := exeunt.Activity{Account: a.Account, Session: a.Session, App: a.App, Seen: seen}
	return Unsaved{activity, a.epoch, a.ref, a.state, quantum(a.idle)}
}

// Unsaved returns all activity that the store does not know yet.
func (x *Index) Unsaved() []Unsaved { return x.unsaved(all) }

// Due returns the activity to be saved at now. Only one caller at a time may call Due, MarkSaved and SavedAt in turn;
// MarkSaved alone may be called at any time.
func (x *Index) Due(now time.Time) []Unsaved {
	last, ms := x.saved.Load(), now.UnixMilli()
	return x.unsaved(func(c *core, r ref, e *entry, m *marks) bool {
		// Beyond the limit all of it is saved, because unsaved activity prevents eviction.
		return m.due.has(uint32(r&localMask)%pageLen) || c.momentCame(r, e, last, ms) ||
			x.opt.Limit > 0 && c.count > x.opt.Limit
	})
}

// momentCame reports whether the entry's moment in its quantum has come since last.
func (c *core) momentCame(r ref, e *entry, last, now int64) bool {
	moment := int64(uint32(r) * 2654435761) // spreads neighbours, after Fibonacci
	if e.state.Load()&flagApp != 0 {
		if e = c.entry(ref(e.owner.Load())); e == nil {
			return true
		}
	}
	q, list := int64(1), *c.limits.Load()
	if n := int(e.number()); n < len(list) {
		q = quantum(list[n].Idle)
	}
	return (now+moment)/q != (last+moment)/q
}

// UnsavedOf returns the last activity of a session if it is unsaved.
func (x *Index) UnsavedOf(id exeunt.SessionID) []Unsaved {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	r, e := c.byID(wordsOf(id.Raw()))
	if e == nil {
		return nil
	}
	var a Answer
	var s standing
	if _, m := c.at(r); !m.dirty.has(uint32(r&localMask)%pageLen) || !c.answer(r, e, &a, &s) {
		return nil
	}
	return []Unsaved{unsavedOf(&a, &s)}
}

func (x *Index) unsaved(pick func(*core, ref, *entry, *marks) bool) []Unsaved {
	var out []Unsaved
	x.marked(func(m *marks) *bitmap { return &m.dirty }, pick, func(a Answer, s standing) {
		if s.own&flagEnded == 0 {
			out = append(out, unsavedOf(&a, &s))
		}
	})
	return out
}

// MarkSaved records that the store has committed these.
func (x *Index) MarkSaved(done []Unsaved) {
	for _, a := range done {
		x.markSaved(a)
	}
}

// SavedAt records that the store has committed all that was due at now.
func (x *Index) SavedAt(now time.Time) { x.saved.Store(now.UnixMilli()) }

func (x *Index) markSaved(a Unsaved) {
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
	// Activity between clean and the read of the state below sets the marks itself.
	i := uint32(a.ref&localMask) % pageLen
	m.clean(i)
	since := int64(e.state.Load()&seenMask) - int64(a.state&seenMask)
	if since >= a.quantum {
		m.due.set(i)
	}
	if since > 0 {
		m.dirty.set(i)
	}
}
