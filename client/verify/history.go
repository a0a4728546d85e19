package verify

import (
	"errors"

	"github.com/exeunt/exeunt/client"
)

// history is the verifier's place in the event log, with the recent events, by which
// it judges answers that were made earlier. It is guarded by the verifier's lock.
type history struct {
	epoch          string // "" until the stream has said where it begins
	first, applied int64  // numbers of the event before the first one, and of the last one applied
	ring           []client.LogEvent
	pending        []pendingWindow
}

// pendingWindow is a window that opens when the events up to a place are applied.
type pendingWindow struct {
	client.Place
	window *window
}

const (
	// recentEvents are kept; the one numbered n is at n % recentEvents.
	recentEvents = 1 << 12
	// maxPending windows; four begin in a window's length.
	maxPending = 8
)

// errDiverged: the events belong to another history than the cached answers, which
// can therefore not be judged by them.
var errDiverged = errors.New("the event log is not the one that was followed")

// at returns a recent event, nil for any other.
func (h *history) at(seq int64) *client.LogEvent {
	if seq < h.first || seq > h.applied || seq <= h.applied-recentEvents {
		return nil
	}
	return &h.ring[seq%recentEvents]
}

// has reports whether a place is certainly in this history. Two histories with the
// same event agree on all events before it.
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

// covers reports whether the event ended that session, or may have changed the
// gate's answer about it.
func covers(e *client.LogEvent, p *client.Person, generation int64) bool {
	switch {
	case e.Account != p.Account && e.Account != "":
		return false
	case e.Kind == client.EventAppsEnded:
		return e.Client == p.Client
	case e.Kind == client.EventRenewed:
		return e.Session == p.Session // its app sessions may have ended
	case e.Kind != client.EventEnded:
		return true // ask the gate what has changed
	}
	switch e.Scope {
	case "session":
		return e.Session == p.Session && (e.AppSession == "" || e.AppSession == p.AppSession)
	case "others":
		return e.Session != p.Session && generation < e.Generation
	case "account":
		return generation < e.Generation
	}
	return true // an unknown scope of a newer authority
}

// survives reports whether the event ended all other sessions of the account, which
// gives that session the new generation.
func survives(e *client.LogEvent, p *client.Person) bool {
	return e.Kind == client.EventEnded && e.Scope == "others" && e.Account == p.Account && e.Session == p.Session
}

// reset forgets everything and continues from a place in another history; with the
// zero Place it waits for the stream to name one. It is called with mu held.
func (v *Verifier) reset(p client.Place) {
	v.window.Store(nil)
	v.table.clear()
	v.history = history{epoch: p.Epoch, first: p.Seq, applied: p.Seq, ring: v.history.ring}
	v.history.ring[p.Seq%recentEvents] = client.LogEvent{Digest: p.Digest}
}

// apply applies the next event. It is called with mu held.
func (v *Verifier) apply(e client.LogEvent) error {
	h := &v.history
	if e.Seq != h.applied+1 {
		return errDiverged
	}
	v.table.each(e.Account, func(k *entry) {
		switch {
		case covers(&e, &k.who, k.generation):
			v.table.drop(k)
		case survives(&e, &k.who):
			k.generation = max(k.generation, e.Generation)
		}
	})
	v.tell(&e)
	h.ring[e.Seq%recentEvents] = e
	h.applied = e.Seq
	return v.openWindows()
}

// openWindows opens the windows whose events have been applied. It returns
// errDiverged for a place of another history. It is called with mu held.
func (v *Verifier) openWindows() error {
	h := &v.history
	for len(h.pending) > 0 && h.pending[0].Seq <= h.applied {
		t := h.pending[0]
		h.pending = h.pending[1:]
		switch {
		case h.has(t.Place):
			v.window.Store(t.window)
		case h.at(t.Seq) != nil:
			return errDiverged
		} // Nobody can tell about an event that is not recent: it opens no window.
	}
	return nil
}

// store puts the gate's answer into the table. It returns false if an event after the
// answer's place covers the session: ask the gate again. It does not store, but
// accepts, answers that later events cannot be compared with: one of another history,
// and one from a node that is ahead of the stream.
func (v *Verifier) store(hash tokenHash, a *client.Checked, asked instant) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := &v.history
	switch {
	case a.Epoch != h.epoch || h.epoch == "" || a.Seq > h.applied:
		return true
	case h.at(a.Seq) == nil:
		return false // there have been too many events since
	case !h.has(a.Place):
		return true
	}
	k := &entry{
		hash: hash, who: a.Person, idle: a.Idle.Milliseconds(), expires: a.ExpiresAt.UnixMilli(),
		asked: asked.steady, generation: a.Generation,
	}
	for seq := a.Seq + 1; seq <= h.applied; seq++ {
		e := h.at(seq)
		if covers(e, &k.who, k.generation) {
			return false
		}
		if survives(e, &k.who) {
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
