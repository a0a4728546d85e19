package ui

import (
	"time"

	"github.com/exeunt/exeunt"
)

// Frame is what every page has around its content. Each view embeds one.
type Frame struct {
	Now     time.Time
	Lang    string         // language tag wanted, as in Accept-Language; "" is English
	Display exeunt.Display // light, dark or as the device says

	// Account and Session say who is signed in; nil and zero when nobody is.
	// Forms of a signed-in page carry Session, so that a tab left from another
	// sign-in changes nothing.
	Account *AccountChip
	Session exeunt.SessionID

	// WarnIn and IdleIn are how long from Now, without any activity, until the
	// idle warning is due and until the session ends. They matter only to
	// browsers without script; zero leaves the banner out.
	WarnIn, IdleIn time.Duration

	Current   Nav    // the entry of the navigation this page belongs to
	Path      string // this page's own path and query, for "come back here"
	RequestID string // shown on error pages
}

// AccountChip is the account as the panel shows it.
type AccountChip struct {
	Slot   int // its place among the accounts of this browser; 0 is the only one
	Name   string
	Handle string // without "@"
}

// Nav names an entry of the navigation.
type Nav string

// The entries of the navigation. A page under none of them has "".
const (
	NavHome     Nav = "home"
	NavSessions Nav = "sessions"
	NavSecurity Nav = "security"
	NavHelp     Nav = "help"
	NavSettings Nav = "settings"
)

// View is what Render draws. Only the views of this package are.
type View interface {
	frame() *Frame
	page() string // the template's file name without its ending
}

func (f *Frame) frame() *Frame { return f }

// SignedIn reports whether the page is shown to somebody signed in.
func (f *Frame) SignedIn() bool { return f.Account != nil }

// IdleWarnSeconds and IdleEndSeconds are the frame's idle times for the
// stylesheet that works without script.
func (f *Frame) IdleWarnSeconds() int { return int(f.WarnIn / time.Second) }

// IdleEndSeconds rounds down: a page that blanks a moment early is harmless.
func (f *Frame) IdleEndSeconds() int { return int(f.IdleIn / time.Second) }
