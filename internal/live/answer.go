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
	// NoSuch: the store has no such token.
	NoSuch
	// CannotKnow: neither memory nor the store could tell, or an ending is in
	// doubt. Refuse, and say that this is not the same as being signed out.
	CannotKnow
)

// String names the state for logs and tests.
func (s State) String() string {
	return [...]string{"absent", "usable", "ended", "timed out", "no such", "cannot know"}[s]
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
	Label   string // the session's device or app name

	issued, expires, idleAt int64
	profile                 *Profile
	entry                   *entry
}

// Usable reports whether the token may be acted on.
func (a Answer) Usable() bool { return a.State == Usable }

// IssuedAt is when the credential was handed out.
func (a Answer) IssuedAt() time.Time { return time.UnixMilli(a.issued) }

// ExpiresAt is when the session ends in any case.
func (a Answer) ExpiresAt() time.Time { return time.UnixMilli(a.expires) }

// IdleAt is when the session ends if it stays unused.
func (a Answer) IdleAt() time.Time { return time.UnixMilli(a.idleAt) }

// Profile is the account's public face. It is nil when the token is unknown.
// Its contents must not be changed.
func (a Answer) Profile() *Profile { return a.profile }

// Profile is what a check tells about the account.
type Profile struct {
	Version int64 // rises with every change; the newer one stays
	Handle  string
	Name    string
	Email   string // only when confirmed
	Display exeunt.Display
}
