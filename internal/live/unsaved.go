package live

import (
	"time"

	"github.com/exeunt/exeunt"
)

// How the store learns of activity. A session in use is written about once in
// its quantum, not with every save, and each at another moment of it. What comes
// after a pause of a quantum or more is due at once. So activity is in the store
// a quantum and a save's interval after it was noted, at the latest, and that is
// what a crash can lose of it. And the store takes no session for idle that is
// known here to be in use, but for what was noted since the last save: when it
// does, the session's last written activity is idle/10 or more in the past, many
// quanta, so whatever came after it has either been written or came after a
// pause, and is due.

// quantum is how long activity may go unwritten in a session that may stay
// unused for idle milliseconds: a hundredth of it, from 5 s to a minute, and a
// tenth when that is less.
func quantum(idle int64) int64 {
	return max(1, min(idle/10, max(idle/100, 5_000), 60_000))
}

// hurry is how close to its idle end a session may be used without the store,
// and by it another node, learning of that at once. A save comes every 5 s at
// least, or every tenth of the shortest idle timeout.
func hurry(idle int64) int64 { return min(idle/5, 10_000) }

// Urgent says, where activity is shared, that some of it must not wait for the
// next save: another node may soon take the session to be idle.
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
	return Unsaved{exeunt.Activity{Account: a.Account, Session: a.Session, App: a.App, Seen: seen}, a.epoch, a.ref, a.state, quantum(a.idle)}
}

// Unsaved returns all activity that the store does not know yet.
func (x *Index) Unsaved() []Unsaved { return x.unsaved(all) }

// Due returns the activity to be saved at now. Only one caller at a time may go
// from Due by MarkSaved to SavedAt; MarkSaved by itself anybody may call.
func (x *Index) Due(now time.Time) []Unsaved {
	last, ms := x.saved.Load(), now.UnixMilli()
	return x.unsaved(func(c *core, r ref, e *entry, m *marks) bool {
		// Beyond the limit all of it is saved: what is owed cannot be evicted.
		return m.due.has(uint32(r&localMask)%pageLen) || c.hasTurn(r, e, last, ms) || x.opt.Limit > 0 && c.count > x.opt.Limit
	})
}

// hasTurn reports whether the moment in its quantum at which the entry is
// written has come since last.
func (c *core) hasTurn(r ref, e *entry, last, now int64) bool {
	moment := int64(uint32(r) * 2654435761) // spreads neighbours, after Fibonacci
	if e.state.Load()&flagApp != 0 {
		if e = c.entry(ref(e.place.Load())); e == nil {
			return true
		}
	}
	q, list := int64(1), *c.limits.Load()
	if n := int(e.number()); n < len(list) {
		q = quantum(list[n].Idle)
	}
	return (now+moment)/q != (last+moment)/q
}

// UnsavedOf returns the last activity of a session if the store does not know
// it yet.
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
	// Activity that comes between the two sets the marks itself.
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
