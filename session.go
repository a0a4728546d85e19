package exeunt

import (
	"net/netip"
	"time"
)

// SessionKind says on what a session lives, which decides its limits.
type SessionKind string

const (
	// KindKept: a browser, "keep me signed in on this device".
	KindKept SessionKind = "kept"
	// KindShared: a browser, "this is a shared or public computer".
	KindShared SessionKind = "shared"
	// KindApp: an app that holds a bearer token.
	KindApp SessionKind = "app"
)

// Browser reports whether the session's credential is a pair of cookies. A
// browser's token is worthless as a bearer token, and the other way round.
func (k SessionKind) Browser() bool { return k != KindApp }

// Session is one sign-in on one browser or app.
type Session struct {
	ID         SessionID
	Account    AccountID
	Handle     string // the account's, when the session was read from the store
	Kind       SessionKind
	Label      string // "Firefox on Linux", or what the app called itself
	UserAgent  string // as sent, cut to 400 bytes
	Address    netip.Addr
	Methods    Methods   // by which its person proved who they are
	Proved     time.Time // when they did
	Started    time.Time
	Seen       time.Time     // last activity known to the answer's maker
	Idle       time.Duration // may stay unused this long
	ExpiresAt  time.Time     // ends then in any case
	Generation int64         // the account's generation it was born in or re-stamped with
	End        *Ended        // nil while it has not ended
	Apps       []AppSession  // its children, ended ones included
}

// AppSession is the child of a session on one client. It is usable only while
// its parent is.
type AppSession struct {
	ID      AppSessionID
	Session SessionID
	Account AccountID
	Client  ClientID
	Started time.Time
	Seen    time.Time
	End     *Ended // nil unless this child was ended by itself
}

// IdleAt is when the session ends if it stays unused.
func (s *Session) IdleAt() time.Time { return s.Seen.Add(s.Idle) }

// Live reports whether the session may be used at now, in an account whose
// generation is as given.
func (s *Session) Live(now time.Time, generation int64) bool {
	return s.End == nil && s.Generation >= generation && s.Overdue(now) == ""
}

// Overdue returns the reason for which time has ended the session at now, or
// "". A session ends at the very instant of its limit, not after it; when both
// limits have passed, by the one that came first.
func (s *Session) Overdue(now time.Time) Reason {
	switch {
	case !now.Before(s.IdleAt()) && s.IdleAt().Before(s.ExpiresAt):
		return ReasonIdle
	case !now.Before(s.ExpiresAt):
		return ReasonAbsolute
	}
	return ""
}

// Ended says when, why and by what a session ended.
type Ended struct {
	At     time.Time
	Reason Reason
	By     ActorKind
	// BySession is the session it was ended from: the ended one itself when
	// the person signed out there, zero when no session did it.
	BySession SessionID
	ByLabel   string // that session's label at the time
}
