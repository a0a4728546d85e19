package verify

import (
	"errors"

	"github.com/exeunt/exeunt/client"
)

// history is how far a verifier has come in the event log, and what it needs of
// it to judge answers that were made earlier. It is guarded by the verifier's lock.
type history struct {
	epoch          string // "" until the stream has said where it begins
	first, applied int64  // numbers of the event that it began after, and of the last one applied
	ring           []client.LogEvent
	waiting        []told
}

// told is a position that the authority has named, and the window that it opens
// once the events up to it are applied.
type told struct {
	client.Place
	window *window
}

const (
	// recentEvents are remembered; the one numbered n is at n % recentEvents.
	recentEvents = 1 << 12
	// maxWaiting positions: there are four to a window's length.
	maxWaiting = 8
)

// errDiverged: another history is told than the one known so far. Nothing that
// was kept can be judged by it.
var errDiverged = errors.New("the event log is not the one that was followed")

// at returns a remembered event, nil for any other.
func (h *history) at(seq int64) *client.LogEvent {
	if seq < h.first || seq > h.applied || seq <= h.applied-recentEvents {
		return nil
	}
	return &h.ring[seq%recentEvents]
}

// has reports whether a place is surely one of this history. Two histories with
// the same event agree on all that came before it.
func (h *history) has(p client.Place) bool {
	e := h.at(p.Seq)
	return p.Epoch == h.epoch && e != nil && e.Digest == p.Digest
}

// place is after the last event applied; the zero Place before any is known.
func (h *history) place() client.Place {
	if h.epoch == "" {
		return client.Place{}
	}
	return client.Place{Epoch: h.epoch, Seq: h.applied, Digest: h.at(h.applied).Digest}
}

// covers reports whether the event ended that session, or may have changed what
// the gate would say of it.
func covers(e *client.LogEvent, p *client.Person, generation int64) bool {
	switch {
	case e.Account != p.Account && e.Account != "":
		return false
	case e.Kind != client.EventEnded:
		return true // whatever has changed, the gate knows
	}
	switch e.Scope {
	case "session":
		return e.Session == p.Session && (e.AppSession == "" || e.AppSession == p.AppSession)
	case "others":
		return e.Session != p.Session && generation < e.Generation
	case "account":
		return generation < e.Generation
	}
	return true // from a newer authority: refuse rather than guess
}

// keeps reports whether the event left that session as the only one, which
// gives it the new generation.
func keeps(e *client.LogEvent, p *client.Person) bool {
	return e.Kind == client.EventEnded && e.Scope == "others" && e.Account == p.Account && e.Session == p.Session
}

// startOver forgets everything and goes on from a place in another history; the
// zero Place is none yet. It is called with mu held.
func (v *Verifier) startOver(p client.Place) {
	v.window.Store(nil)
	v.table.clear()
	v.history = history{epoch: p.Epoch, first: p.Seq, applied: p.Seq, ring: v.history.ring}
	v.history.ring[p.Seq%recentEvents] = client.LogEvent{Digest: p.Digest}
}

// apply applies the event that must come next. It is called with mu held.
func (v *Verifier) apply(e client.LogEvent) error {
	h := &v.history
	if e.Seq != h.applied+1 {
		return errDiverged
	}
	v.table.each(e.Account, func(k *kept) {
		switch {
		case covers(&e, &k.who, k.generation):
			v.table.drop(k)
		case keeps(&e, &k.who):
			k.generation = max(k.generation, e.Generation)
		}
	})
	h.ring[e.Seq%recentEvents] = e
	h.applied = e.Seq
	return v.openWindows()
}

// openWindows opens the windows whose events have been applied, and is errDiverged
// at a place that is none of this history. It is called with mu held.
func (v *Verifier) openWindows() error {
	h := &v.history
	for len(h.waiting) > 0 && h.waiting[0].Seq <= h.applied {
		t := h.waiting[0]
		h.waiting = h.waiting[1:]
		switch {
		case h.has(t.Place):
			v.window.Store(t.window)
		case h.at(t.Seq) != nil:
			return errDiverged
		} // of an event that is not remembered nobody can say: it opens no window
	}
	return nil
}

// keep puts what the gate said into the table, unless an event after its place
// covers the session: then it returns false, and the gate is to be asked again.
// What cannot be judged by later events is passed on and not kept: an answer of
// another history, and one from a node that is ahead of the stream.
func (v *Verifier) keep(hash tokenHash, a *client.Checked, asked instant) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := &v.history
	switch {
	case a.Epoch != h.epoch || h.epoch == "" || a.Seq > h.applied:
		return true
	case h.at(a.Seq) == nil:
		return false // too many events have overtaken it
	case !h.has(a.Place):
		return true
	}
	k := &kept{
		hash: hash, who: a.Person, idle: a.Idle.Milliseconds(), expires: a.ExpiresAt.UnixMilli(), asked: asked.steady,
		generation: a.Generation,
	}
	for seq := a.Seq + 1; seq <= h.applied; seq++ {
		e := h.at(seq)
		if covers(e, &k.who, k.generation) {
			return false
		}
		if keeps(e, &k.who) {
			k.generation = max(k.generation, e.Generation)
		}
	}
	k.idleAt.Store(a.IdleAt.UnixMilli())
	if old := v.table.find(&hash); old != nil {
		k.generation = max(k.generation, old.generation)
		atLeast(&k.idleAt, old.idleAt.Load())
		k.seen.Store(old.seen.Load())
	}
	v.table.put(k)
	return true
}
