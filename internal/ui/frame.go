package ui

import (
	"time"

	"github.com/exeunt/exeunt"
)

// Frame is what surrounds a page's content. Each view embeds one.
type Frame struct {
	Now     time.Time
	Lang    string         // language wanted: a tag, or an Accept-Language header; "" is English
	Display exeunt.Display // light, dark or as the device says

	// Account and Session say who is signed in; nil and zero if nobody is. The forms of a signed-in
	// page have Session, so that a tab left from another sign-in changes nothing.
	Account *AccountChip
	Session exeunt.SessionID
	// OtherAccounts are the other ones that are signed in in this browser. MayAdd: there is room for another.
	OtherAccounts []AccountChip
	MayAdd        bool
	// Ticket is the session's sign-out ticket, with which the browser can be signed out without network; "" when that is
	// not offered.
	Ticket string
	// OnShared: the session is one on a shared computer. Nothing of it is left in the browser, and each page has the strip.
	OnShared bool
	// Kiosk: the computer is one that is always shared. Nobody is asked, and signing out is the largest thing on the page.
	Kiosk bool

	// WarnIn and IdleIn are the times from Now until the idle warning and until the idle
	// timeout, for the strip and for browsers without script; zero omits the banner.
	WarnIn, IdleIn time.Duration

	// ReviewDue: the reader should look through their sessions and apps. Reviewed is when they did last, on pages that
	// say so.
	ReviewDue bool
	Securing  bool // the reader has begun to secure the account
	Reviewed  time.Time

	Current   Nav    // the entry of the navigation this page belongs to
	Path      string // this page's own path and query, for "come back here"
	RequestID string // shown on error pages
	Place     Place  // nil: places are unknown
}

// AccountChip is the account as the panel shows it.
type AccountChip struct {
	Session exeunt.SessionID
	Name    string
	Handle  string // without "@"
	// Picture is the address of the account's picture; "" shows its initials.
	Picture string
	// Asked: its pages ask about an unfamiliar sign-in. Known of the other accounts of the browser.
	Asked bool
}

// Nav names an entry of the navigation.
type Nav string

// The entries of the navigation. A page under none of them has "".
const (
	NavHome     Nav = "home"
	NavSessions Nav = "sessions"
	NavSecurity Nav = "security"
	NavApps     Nav = "apps"
	NavActivity Nav = "activity"
	NavHelp     Nav = "help"
	NavSettings Nav = "settings"
)

// View is what Render takes: one of the views of this package.
type View interface {
	frame() *Frame
	page() string // the template's file name without its ending
}

func (f *Frame) frame() *Frame { return f }

// SignedIn reports whether the page is shown to somebody signed in.
func (f *Frame) SignedIn() bool { return f.Account != nil }

// Several reports whether several accounts are signed in in this browser, so that pages say which one they show.
func (f *Frame) Several() bool { return f.SignedIn() && len(f.OtherAccounts) > 0 }

// Accounts is how many accounts are signed in in this browser.
func (f *Frame) Accounts() int { return len(f.OtherAccounts) + 1 }

// IdleWarnSeconds and IdleEndSeconds are the frame's idle times for the
// stylesheet that works without script.
func (f *Frame) IdleWarnSeconds() int { return int(f.WarnIn / time.Second) }

// IdleEndSeconds rounds down: blanking a page a moment early is harmless.
func (f *Frame) IdleEndSeconds() int { return int(f.IdleIn / time.Second) }

// MinutesLeft rounds down: the strip must not promise more time than there is.
func (f *Frame) MinutesLeft() int { return int(f.IdleIn / time.Minute) }
