package live

import (
	"time"

	"github.com/exeunt/exeunt"
)

// State is the verdict on a token.
type State uint8

const (
	// Absent: not known here; only the store can tell.
	Absent State = iota
	// Usable: signed in.
	Usable
	// Ended: was ended, by whatever cause.
	Ended
	// TimedOut: its time has run out; the end is being recorded.
	TimedOut
	// SeemsIdle: unused for too long as far as is known here, but the store may
	// have heard of later activity from elsewhere: it must be asked.
	SeemsIdle
	// NoSuch: the store has no such token.
	NoSuch
	// WrongUse: the token is no credential for what it was presented for.
	WrongUse
	// Incomplete: half of a browser's credential. It may not be acted on; whose
	// session it is the answer says.
	Incomplete
	// Indeterminate: neither memory nor the store could tell, or an ending is in
	// doubt. Refuse, and say that this is not the same as being signed out.
	Indeterminate
)

// String names the state for logs and tests.
func (s State) String() string {
	return [...]string{"absent", "usable", "ended", "timed out", "seems idle", "no such", "wrong use", "incomplete", "indeterminate"}[s]
}

// Answer is what a check returns: a verdict and, when the token is known, what
// it stands for.
type Answer struct {
	State   State
	Account exeunt.AccountID
	Session exeunt.SessionID
	App     exeunt.AppSessionID // zero unless the token is an app session's
	Client  exeunt.ClientID     // of the app session
	Kind    exeunt.SessionKind

	asked                   int64
	issued, expires, idleAt int64
	generation, idle        int64
	profile                 int64

	// Where it was found, for Touch.
	epoch int64
	ref   ref
	state uint64
}

// Usable reports whether the token may be acted on.
func (a Answer) Usable() bool { return a.State == Usable }

// AskedAt is the moment that the answer is about.
func (a Answer) AskedAt() time.Time { return time.UnixMilli(a.asked) }

// IssuedAt is when the credential was handed out.
func (a Answer) IssuedAt() time.Time { return time.UnixMilli(a.issued) }

// ExpiresAt is when the session ends in any case.
func (a Answer) ExpiresAt() time.Time { return time.UnixMilli(a.expires) }

// IdleAt is when the session ends if it stays unused.
func (a Answer) IdleAt() time.Time { return time.UnixMilli(a.idleAt) }

// ProfileVersion is the version of the account's profile, which rises when it
// is changed. 0 when the token is unknown.
func (a Answer) ProfileVersion() int64 { return a.profile }

// Generation is the account's generation that the session was born in or
// re-stamped with.
func (a Answer) Generation() int64 { return a.generation }

// Idle is how long the session may stay unused.
func (a Answer) Idle() time.Duration { return time.Duration(a.idle) * time.Millisecond }
