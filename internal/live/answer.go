package live

import (
	"time"

	"github.com/exeunt/exeunt"
)

// State is the verdict on a token.
type State uint8

const (
	// Absent: not in memory; the store must be asked.
	Absent State = iota
	// Usable: signed in.
	Usable
	// Ended: ended, whatever the cause.
	Ended
	// TimedOut: past its idle or absolute timeout; the end is being recorded.
	TimedOut
	// SeemsIdle: past its idle timeout as far as this node knows; the store must
	// be asked, because it may know of later activity on another node.
	SeemsIdle
	// NoSuch: the store has no such token.
	NoSuch
	// WrongUse: this kind of token is not valid for what it was presented for.
	WrongUse
	// Incomplete: half of a browser's credential. It may not be acted on; the
	// answer says whose session it is.
	Incomplete
	// Renewed: the session goes on with another token, since a moment ago. This one is
	// refused, and must not be called signed out: its holder may be a tab whose request
	// was under way.
	Renewed
	// Expired: the token of an app session expired. Its client can ask for another one while the session lives.
	Expired
	// Indeterminate: neither memory nor the store could tell, or an ending is in
	// doubt. The token is refused, but must not be called signed out.
	Indeterminate
)

func (s State) String() string {
	return [...]string{
		"absent", "usable", "ended", "timed out", "seems idle", "no such", "wrong use", "incomplete", "renewed",
		"expired", "indeterminate",
	}[s]
}

// Answer is what a check returns: a verdict and, when the token is in memory, its session.
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

	// For Touch: where the entry is, and its state when it was read.
	epoch int64
	ref   ref
	state uint64
}

func (a Answer) Usable() bool { return a.State == Usable }

// AskedAt is the moment that the answer is about.
func (a Answer) AskedAt() time.Time { return time.UnixMilli(a.asked) }

// IssuedAt is when the credential was handed out.
func (a Answer) IssuedAt() time.Time { return time.UnixMilli(a.issued) }

// EndingAt returns the answer with an end that comes no later than at.
func (a Answer) EndingAt(at time.Time) Answer {
	a.expires = min(a.expires, at.UnixMilli())
	return a
}

// ExpiresAt is when the session ends in any case.
func (a Answer) ExpiresAt() time.Time { return time.UnixMilli(a.expires) }

// SeenAt is when the token itself was last used, as far as this node knows.
func (a Answer) SeenAt() time.Time { return time.UnixMilli(int64(a.state & seenMask)) }

// IdleAt is when the session ends if it stays unused.
func (a Answer) IdleAt() time.Time { return time.UnixMilli(a.idleAt) }

// ProfileVersion is the version of the account's profile, which rises with each change. It is 0 when the token is not
// in memory.
func (a Answer) ProfileVersion() int64 { return a.profile }

// Generation is the account's generation that the session started in or was moved to.
func (a Answer) Generation() int64 { return a.generation }

// Idle is how long the session may stay unused.
func (a Answer) Idle() time.Duration { return time.Duration(a.idle) * time.Millisecond }
