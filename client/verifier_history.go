package client

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// history is how far a verifier has come in the event log, and what it needs
// of it to judge answers that were made earlier.
type history struct {
	epoch   string     // "" until the first hello
	base    int64      // number of the last event before the ring began
	applied int64      // number of the last event applied
	ring    []EndEvent // the event numbered n is at n % recentEvents
	waiting []told
}

func newHistory() history { return history{ring: make([]EndEvent, recentEvents)} }

// told is a position that the authority has named, and the window that it opens
// once the events up to it are applied.
type told struct {
	seq    int64
	window *window
}

const (
	// recentEvents are remembered. An answer that is overtaken by more than
	// these is simply asked for again.
	recentEvents = 1 << 12
	// maxWaiting positions: there are four to a window's length.
	maxWaiting = 8
)

// errDiverged: the stream tells of another history than the one known so far.
// Nothing that was kept can be judged by it.
var errDiverged = errors.New("the event log is not the one that was followed")

// endEvent reads an entry of the log. Whatever is not exactly as it must be is
// errMalformed: guessing could mean to miss an end.
func endEvent(m message) (e EndEvent, err error) {
	if err := json.Unmarshal([]byte(m.data), &e); err != nil {
		return e, errMalformed // the decoder's error would quote the stream
	}
	whole := e.Seq > 0 && e.Seq <= maxCount && m.id == strconv.FormatInt(e.Seq, 10) && strings.HasPrefix(e.Account, "acc_") && e.Scope != ""
	switch e.Scope {
	case "session":
		whole = whole && strings.HasPrefix(e.Session, "ses_") && (e.AppSession == "" || strings.HasPrefix(e.AppSession, "app_"))
	case "others":
		whole = whole && strings.HasPrefix(e.Session, "ses_") && e.Generation > 0
	case "account":
		whole = whole && e.Generation > 0
	}
	if !whole {
		return e, errMalformed
	}
	return e, nil
}

func position(m message) (p Position, err error) {
	if json.Unmarshal([]byte(m.data), &p) != nil || !p.sound() {
		return p, errMalformed
	}
	return p, nil
}

// Numbers beyond these mean nothing, and could overflow what is reckoned with
// them: a window would be open for good.
const (
	maxCount  = 1 << 53 // what JSON numbers are exact to (RFC 8259 section 6)
	maxMillis = 1 << 43 // the year 2248; nanoseconds still fit in an int64
	maxAge    = int64(24 * time.Hour / time.Millisecond)
)

func (p Position) sound() bool {
	return p.Epoch != "" && p.Seq >= 0 && p.Seq <= maxCount && p.Age >= 0 && p.Age <= maxAge && p.Now >= 0 && p.Now <= maxMillis
}

// covers reports whether the event ended that session.
func (e *EndEvent) covers(account, session, app string, generation int64) bool {
	if e.Account != account {
		return false
	}
	switch e.Scope {
	case "session":
		return e.Session == session && (e.AppSession == "" || e.AppSession == app)
	case "others":
		return e.Session != session && generation < e.Generation
	case "account":
		return generation < e.Generation
	}
	return true // from a newer authority: refuse rather than guess
}

// keeps reports whether the event left that session as the only one, which
// gives it the new generation.
func (e *EndEvent) keeps(account, session string) bool {
	return e.Scope == "others" && e.Account == account && e.Session == session
}

// apply applies the event that must come next. It is called with mu held.
func (v *Verifier) apply(e EndEvent) error {
	h := &v.history
	if e.Seq != h.applied+1 {
		return errDiverged
	}
	v.table.each(e.Account, func(k *kept) {
		p := &k.facts.Load().person
		switch {
		case e.covers(e.Account, p.Session, p.AppSession, k.generation):
			v.table.drop(k)
		case e.keeps(e.Account, p.Session):
			k.generation = max(k.generation, e.Generation)
		}
	})
	h.ring[e.Seq%recentEvents] = e
	h.applied = e.Seq
	v.settle()
	return nil
}

// settle opens the windows whose events have been applied. It is called with
// mu held.
func (v *Verifier) settle() {
	h := &v.history
	for len(h.waiting) > 0 && h.waiting[0].seq <= h.applied {
		v.window.Store(h.waiting[0].window)
		h.waiting = h.waiting[1:]
	}
}

// startOver forgets everything and goes on after seq of another history; "" is
// none yet. It is called with mu held.
func (v *Verifier) startOver(epoch string, seq int64) {
	v.window.Store(nil)
	v.table.clear()
	v.history = history{epoch: epoch, base: seq, applied: seq, ring: v.history.ring}
}

// keep puts what the gate said into the table, unless an event after its
// position has ended the session: then it returns false, and the gate is to be
// asked again. What is not to be kept is simply passed on.
func (v *Verifier) keep(hash tokenHash, p Person, s snapshot, asked instant) bool {
	if s.epoch == "" || p.AppSession == "" {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	h := &v.history
	if s.epoch != h.epoch {
		return true // of another history: good as an answer, but not to be judged later
	}
	if s.seq < max(h.base, h.applied-recentEvents) {
		return false
	}
	for seq := s.seq + 1; seq <= h.applied; seq++ {
		e := &h.ring[seq%recentEvents]
		if e.covers(p.Account, p.Session, p.AppSession, s.generation) {
			return false
		}
		if e.keeps(p.Account, p.Session) {
			s.generation = max(s.generation, e.Generation)
		}
	}
	v.remember(hash, p, s, asked)
	return true
}

// remember is called with mu held.
func (v *Verifier) remember(hash tokenHash, p Person, s snapshot, asked instant) {
	k, _ := v.table.find(&hash)
	there := k != nil
	if !there {
		k = &kept{hash: hash}
	}
	f := &facts{of: k, person: p, asked: asked.steady, idle: s.idle, warning: p.IdleAt.Sub(p.WarnAt).Milliseconds(), expires: s.expires}
	k.generation = max(k.generation, s.generation)
	atLeast(&k.idleAt, p.IdleAt.UnixMilli())
	if there {
		v.table.replace(k, f)
		return
	}
	k.facts.Store(f)
	v.table.put(p.Account, k)
}
