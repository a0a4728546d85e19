package exeunt

import (
	"net/netip"
	"time"
)

// Notice tells an account's owner of a sign-in from a browser or place that the account was not used from before, and
// asks whether it was they (OWASP ASVS 5.0, 6.3.5).
type Notice struct {
	ID       NoticeID
	Account  AccountID
	Session  SessionID // that was started
	At       time.Time
	Label    string     // that session's
	Address  netip.Addr // from which the person signed in
	Place    string     // about where that is; "" when it is unknown
	State    NoticeState
	Answered time.Time // zero while it is open
}

// NoticeState is how a notice was answered.
type NoticeState string

const (
	// NoticeOpen: nobody has answered it.
	NoticeOpen NoticeState = "open"
	// NoticeMe: it was the account's owner.
	NoticeMe NoticeState = "me"
	// NoticeNotMe: it was somebody else, and everything was ended.
	NoticeNotMe NoticeState = "not_me"
)

// NoticeLife is for how long a notice asks, and its link works. A browser or app that nobody has disowned until then is
// one of the owner's.
const NoticeLife = 7 * 24 * time.Hour

// MaxNotices and MaxDevices are how many notices, and how many browsers and apps, are stored of an account. Beyond it
// those go that are missed least.
const (
	MaxNotices = 50
	MaxDevices = 50
)

// Asks reports whether the notice still asks.
func (n *Notice) Asks(now time.Time) bool { return n.State == NoticeOpen && now.Sub(n.At) < NoticeLife }

// CoarseNetwork is the smallest network that a provider usually gives to one place, or a few neighbours.
func CoarseNetwork(a netip.Addr) netip.Prefix {
	if a = a.Unmap().WithZone(""); !a.IsValid() {
		return netip.Prefix{}
	}
	return network(a)
}
