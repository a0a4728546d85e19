package client

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// history is how far a verifier has come in the event log, and what it needs
// of it to judge answers that were made earlier.
type history struct {
	epoch   string     // "" until the first hello
	base    place      // after the last event before the ring began
	applied int64      // number of the last event applied
	ring    []LogEvent // the event numbered n is at n % recentEvents
	waiting []told
	aside   []answer
}

func newHistory() history { return history{ring: make([]LogEvent, recentEvents)} }

// place is a place in the log: after the event with that number and digest. The
// digest is "" before the first event, and where the authority did not tell it:
// then the epoch alone says which history that is.
type place struct {
	seq    int64
	digest string
}

// told is a position that the authority has named, and the window that it opens
// once the events up to it are applied.
type told struct {
	place
	window *window
}

// answer is what the gate said, at a place in the log that has not been reached.
type answer struct {
	hash  tokenHash
	p     Person
	s     snapshot
	asked instant
}

const (
	// recentEvents are remembered. An answer that is overtaken by more than
	// these is simply asked for again.
	recentEvents = 1 << 12
	// maxWaiting positions: there are four to a window's length.
	maxWaiting = 8
	// maxAside answers are held until the stream has come to their place.
	maxAside = 256
)

var (
	// errDiverged: the stream tells of another history than the one known so far.
	// Nothing that was kept can be judged by it.
	errDiverged = errors.New("the event log is not the one that was followed")
	// errBehind: it may well be the same, but nobody can tell.
	errBehind = errors.New("what is told is further behind than events are remembered")
)

// floor is the lowest number whose event is remembered.
func (h *history) floor() int64 { return max(h.base.seq, h.applied-recentEvents+1) }

// digest is that of a remembered event.
func (h *history) digest(seq int64) string {
	if seq == h.base.seq {
		return h.base.digest
	}
	return h.ring[seq%recentEvents].Digest
}

// query asks for what follows.
func (h *history) query() url.Values {
	q := url.Values{}
	if h.epoch == "" {
		return q
	}
	q.Set("after", strconv.FormatInt(h.applied, 10))
	if digest := h.digest(h.applied); digest != "" {
		q.Set("digest", digest)
	}
	return q
}

// has says whether a place that has been reached is one of this history: nil,
// errDiverged or errBehind.
func (h *history) has(p place) error {
	switch {
	case p.digest == "":
		return nil // from an authority that tells none: the epoch has to do
	case p.seq < h.floor():
		return errBehind
	}
	if mine := h.digest(p.seq); mine != "" && mine != p.digest {
		return errDiverged
	}
	return nil
}

// endEvent reads an entry of the log. Whatever is not exactly as it must be is
// errMalformed: guessing could mean to miss an end.
func logEvent(m message) (e LogEvent, err error) {
	if err := json.Unmarshal([]byte(m.data), &e); err != nil {
		return e, errMalformed // the decoder's error would quote the stream
	}
	whole := e.Seq > 0 && e.Seq <= maxCount && m.id == strconv.FormatInt(e.Seq, 10) && soundDigest(e.Digest) && e.Kind != ""
	if e.Account != "" || e.Kind == EventEnded {
		whole = whole && strings.HasPrefix(e.Account, "acc_")
	}
	if e.Kind == EventEnded {
		whole = whole && e.Scope != ""
	}
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
	return p.Epoch != "" && soundDigest(p.Digest) && p.Seq >= 0 && p.Seq <= maxCount && p.Age >= 0 && p.Age <= maxAge && p.Now >= 0 && p.Now <= maxMillis
}

func (p Position) place() place { return place{p.Seq, p.Digest} }

// soundDigest reports whether a text may be a digest. What it is made from is
// the authority's business; it goes back there in an address.
func soundDigest(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}

// covers reports whether the event ended that session.
func (e *LogEvent) covers(account, session, app string, generation int64) bool {
	switch {
	case e.Account != account && e.Account != "":
		return false
	case e.Kind != EventEnded:
		return true // whatever has changed, the gate knows
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
func (e *LogEvent) keeps(account, session string) bool {
	return e.Kind == EventEnded && e.Scope == "others" && e.Account == account && e.Session == session
}

// apply applies the event that must come next. It is called with mu held.
func (v *Verifier) apply(e LogEvent) error {
	h := &v.history
	if e.Seq != h.applied+1 {
		return errDiverged
	}
	v.table.each(e.Account, func(k *kept) {
		var p Person
		k.facts.Load().tell(&p, 0, 0)
		switch {
		case e.covers(e.Account, p.Session, p.AppSession, k.generation):
			v.table.drop(k)
		case e.keeps(e.Account, p.Session):
			k.generation = max(k.generation, e.Generation)
		}
	})
	h.ring[e.Seq%recentEvents] = e
	h.applied = e.Seq
	if len(h.aside) > 0 {
		v.takeAside()
	}
	return v.settle()
}

// settle opens the windows whose events have been applied, and is errDiverged
// at a place that is none of this history. It is called with mu held.
func (v *Verifier) settle() error {
	h := &v.history
	for len(h.waiting) > 0 && h.waiting[0].seq <= h.applied {
		t := h.waiting[0]
		h.waiting = h.waiting[1:]
		switch h.has(t.place) {
		case nil:
			v.window.Store(t.window)
		case errDiverged:
			return errDiverged
		}
	}
	return nil
}

// takeAside keeps the answers whose place has been reached, and is one of this
// history. It is called with mu held.
func (v *Verifier) takeAside() {
	h := &v.history
	h.aside = slices.DeleteFunc(h.aside, func(a answer) bool {
		if a.s.seq > h.applied {
			return false
		}
		if h.has(a.s.place) == nil {
			v.remember(a.hash, a.p, a.s, a.asked)
		}
		return true
	})
}

// startOver forgets everything and goes on from a position in another history;
// the zero Position is none yet. It is called with mu held.
func (v *Verifier) startOver(p Position) {
	v.window.Store(nil)
	v.table.clear()
	v.history = history{epoch: p.Epoch, base: p.place(), applied: p.Seq, ring: v.history.ring}
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
	switch {
	case s.epoch != h.epoch:
		return true // of another history: good as an answer, but not to be judged later
	case s.seq < h.floor():
		return false
	case s.seq > h.applied && s.digest != "":
		// Whether it is of this history shows when the stream comes there.
		if len(h.aside) < maxAside {
			h.aside = append(h.aside, answer{hash, p, s, asked})
		}
		return true
	case h.has(s.place) != nil:
		return true // of another history, too
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
	if k != nil && k.facts.Load().account() != p.Account {
		v.table.drop(k) // it is in the list of another account's
		k = nil
	}
	there := k != nil
	if !there {
		k = &kept{hash: hash}
	}
	f := newFacts(k, &p, asked.steady, s.idle, s.expires)
	if f == nil {
		if there {
			v.table.drop(k)
		}
		return
	}
	k.generation = max(k.generation, s.generation)
	atLeast(&k.idleAt, p.IdleAt.UnixMilli())
	if there {
		v.table.replace(k, f)
		return
	}
	k.facts.Store(f)
	v.table.put(p.Account, k)
}
