package exeunt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// EventKind says what an entry of the log tells. A reader that does not know a
// kind forgets what it holds of the event's account, or everything when the event
// names none, and asks the authority again: a newer program may have ended what
// the reader still believes in.
type EventKind string

const (
	// EventEnded: sessions have ended, those that the target names.
	EventEnded EventKind = "ended"
	// EventProfileChanged: the account's name, address or display is another.
	// Checks tell of these, so every node must learn of it. No session ended.
	EventProfileChanged EventKind = "profile_changed"
	// EventClientChanged: the target's client was registered, changed or removed. It
	// is about no account, and no session ended.
	EventClientChanged EventKind = "client_changed"
)

// Event is an entry of the numbered log.
type Event struct {
	Seq  int64 // dense, from 1
	At   time.Time
	Kind EventKind
	Target
	Reason Reason // with EventEnded
	By     Actor
	// Generation is what the account's generation became with ScopeOthers and
	// ScopeAccount; 0 otherwise.
	Generation int64
	// Version is what the profile's version became with EventProfileChanged.
	Version int64
	// Row identifies the row that the event was read from, in a log that several
	// programs share. A row with the same content that was put back from a copy has
	// another one. It is 0 where that was not looked at.
	Row int64
}

// Covers reports whether the event ended a session of that account, identity
// and generation. Whoever holds a copy of a session older than the event must
// ask this before using it.
func (e *Event) Covers(account AccountID, session SessionID, generation int64) bool {
	switch {
	case e.Account != account && !e.Account.IsZero():
		return false
	case e.Kind == EventProfileChanged, e.Kind == EventClientChanged:
		return false
	case e.Kind != EventEnded:
		return true // of a newer program: refuse rather than guess
	}
	switch e.Scope {
	case ScopeSession:
		return e.AppSession.IsZero() && e.Session == session
	case ScopeOthers:
		return e.Session != session && generation < e.Generation
	case ScopeAccount:
		return generation < e.Generation
	}
	return true // of a newer program: refuse rather than guess
}

// CoversApp reports whether the event ended that app session by itself. What
// it does to the parent, Covers tells.
func (e *Event) CoversApp(app AppSessionID) bool {
	return e.Kind == EventEnded && e.Scope == ScopeSession && !e.AppSession.IsZero() && e.AppSession == app
}

// Keeps reports whether the event ended all sessions of the account but that one,
// which has the event's generation from then on.
func (e *Event) Keeps(account AccountID, session SessionID) bool {
	return e.Kind == EventEnded && e.Scope == ScopeOthers && e.Account == account && e.Session == session
}

// Same reports whether two entries of the log with the same number are one and
// the same event.
func (e *Event) Same(o *Event) bool {
	a, b := *e, *o
	if a.Row == 0 || b.Row == 0 {
		a.Row, b.Row = 0, 0
	}
	return a.Digest() == b.Digest()
}

// Digest is the same for the same event only. Two histories of a log agree up to
// an event if they have the same one under its number: all that comes before it
// was there when it was recorded. Who did it is left out, since readers of the log
// are not told.
func (e *Event) Digest() string {
	b := make([]byte, 0, 192)
	for _, n := range [...]int64{e.Seq, e.At.UnixMilli(), e.Generation, e.Version, e.Row} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(append(append(b, e.Account.raw[:]...), e.Session.raw[:]...), e.AppSession.raw[:]...)
	for _, text := range [...]string{string(e.Kind), string(e.Scope), string(e.Reason), string(e.Client)} {
		b = append(append(b, text...), 0)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:digestLen])
}

// digestLen is how many bytes of the hash are told.
const digestLen = 16
