package exeunt

import (
	"net/netip"
	"strings"
	"time"
)

// SessionKind says where a session lives, which decides its limits.
type SessionKind string

const (
	// KindKept: a browser, "keep me signed in on this device".
	KindKept SessionKind = "kept"
	// KindShared: a browser, "this is a shared or public computer".
	KindShared SessionKind = "shared"
	// KindApp: an app that holds a bearer token.
	KindApp SessionKind = "app"
)

// Browser reports whether the session's credential is a pair of cookies. A browser's token is not accepted as a
// bearer token, and a bearer token is not accepted in cookies.
func (k SessionKind) Browser() bool { return k != KindApp }

// Session is one sign-in on one browser or app.
type Session struct {
	ID        SessionID
	Account   AccountID
	Handle    string // the account's, when the session was read from the store
	Kind      SessionKind
	Label     string     // "Firefox on Linux", or what the app called itself
	UserAgent string     // as sent, cut to 400 bytes
	Address   netip.Addr // from which the person signed in
	// LastAddress is the one of the last activity for which an address was seen, as far as memory or store has it.
	LastAddress netip.Addr
	Methods     Methods   // how the person proved their identity
	Proved      time.Time // when the person did so
	Started     time.Time
	Seen        time.Time     // last activity, as far as memory or store has it
	Idle        time.Duration // idle timeout
	ExpiresAt   time.Time     // absolute timeout
	Generation  int64         // the account's when it started, or when the others were ended
	End         *Ended        // nil while it has not ended
	Apps        []AppSession  // some of its children, those that were ended by themselves not included
	AppCount    int64         // how many of those there are
}

// AppSession is the child of a session on one client. It is usable only while its parent is.
type AppSession struct {
	ID      AppSessionID
	Session SessionID
	Account AccountID
	Client  ClientID
	Started time.Time
	Seen    time.Time
	End     *Ended // nil unless this child was ended by itself
	Scopes  Scopes
	// TokenExpires is when its token expires; zero: with the session. Refreshes counts how often the client has asked
	// for another one, at Refreshed the last time.
	TokenExpires time.Time
	Refreshes    int64
	Refreshed    time.Time
}

// Moved reports whether the session was last used from another network than it was started from. Addresses of
// different families cannot be compared: one browser uses either, as it pleases.
func (s *Session) Moved() bool {
	first, last := s.Address.Unmap(), s.LastAddress.Unmap()
	return first.IsValid() && last.IsValid() && first.Is4() == last.Is4() && network(first) != network(last)
}

// Elsewhere reports whether the session was last used from another network than another session. It is not known of
// addresses of different families.
func (s *Session) Elsewhere(than *Session) bool {
	a, b := s.LastAddress.Unmap(), than.LastAddress.Unmap()
	return a.IsValid() && b.IsValid() && a.Is4() == b.Is4() && network(a) != network(b)
}

// network is CoarseNetwork of a plain address.
func network(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p
}

// Matches reports whether the label or an address has the text, whatever the case of its letters.
func (s *Session) Matches(text string) bool {
	text = strings.ToLower(text)
	for _, of := range []string{s.Label, addressText(s.Address), addressText(s.LastAddress)} {
		if strings.Contains(strings.ToLower(of), text) {
			return true
		}
	}
	return false
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// ClosingGrace is how long a session on a shared computer lives after its last page was closed. Any use lifts that, for
// a page is also closed when another one is opened in its place.
const ClosingGrace = time.Minute

// Closing is a session on a shared computer whose last page was closed, as that page said, and not used since.
type Closing struct {
	Account AccountID
	Session SessionID
	At      time.Time
}

// IdleAt is when the session ends if nobody uses it.
func (s *Session) IdleAt() time.Time { return s.Seen.Add(s.Idle) }

// Live reports whether the session may be used at now, in an account whose generation is as given.
func (s *Session) Live(now time.Time, generation int64) bool {
	return s.End == nil && s.Generation >= generation && s.Overdue(now) == ""
}

// Overdue returns why the session has timed out at now, or "". A session ends at the very instant of its limit, not
// after it; when both limits have passed, by the one that came first.
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
	// BySession is the session it was ended from: the ended one itself when the person signed out there, zero when
	// it was not ended from a session.
	BySession SessionID
	ByLabel   string // that session's label at the time
	// Seq and Recorded are the number and time of the event that ended it, where they were read: in the account's list
	// of ended sessions. A timeout is recorded some time after At.
	Seq      int64
	Recorded time.Time
}
