package ui

import (
	"time"

	"github.com/exeunt/exeunt"
)

// Clients gives the apps by which sessions are named. An app session whose
// client is missing here is shown by its ID.
type Clients map[exeunt.ClientID]exeunt.Client

// HomeView is "/": this browser, and the other places.
//
// Its forms: POST /sessions/{id}/end with session, key, from=home.
type HomeView struct {
	Frame
	This    exeunt.Session
	Others  []exeunt.Session // live, in any order
	Just    []exeunt.Session // as in SessionsView
	Clients Clients
}

// SessionsView is "/sessions".
//
// Its forms: POST /sessions/{id}/end with session, key.
type SessionsView struct {
	Frame
	This   exeunt.Session
	Others []exeunt.Session // live, in any order
	// Just is what the reader has just ended from this page: it stays in its
	// place, with who ended it, instead of vanishing under their eyes.
	Just       []exeunt.Session
	Done       *SessionsEnded // they have just ended many
	EndedCount int            // of the other tab
	Clients    Clients
}

// SessionsEnded tells what "Sign out everywhere else" did.
type SessionsEnded struct{ Ended int }

// EndedSessionsView is "/sessions/ended".
type EndedSessionsView struct {
	Frame
	Ended     []exeunt.Session // newest end first; each has End
	LiveCount int              // of the other tab, this browser included
	KeptFor   time.Duration    // how long ended ones stay listed
	Clients   Clients
}

// SignInView is "/signin".
//
// Its form: identifier, password, kind (kept or shared), return. When somebody
// is signed in here already, the page says that signing in ends that, and the
// form carries session as well.
type SignInView struct {
	Frame
	Identifier string
	Shared     bool // the choice, also by ?shared=1: then the browser is asked to save nothing
	Return     string
	Err        error          // of the last attempt; shown by its code
	Client     *exeunt.Client // the app that sent the person here, if one did
	Policy     exeunt.Policy
	SignUpOpen bool
	Reset      bool // a new password has just been set by a one-time link
}

// SignUpView is "/signup" and, for the first account or an invitation, the
// page of a one-time link. The form posts to its own address, so that the
// link's secret never stands in the page.
//
// Its form: handle, email, name, password, kind (kept or shared), return.
type SignUpView struct {
	Frame
	Setup               bool // a one-time link
	Handle, Email, Name string
	Fixed               map[string]bool // fields by name that the link decides
	Shared              bool
	Return              string
	Err                 error
	Policy              exeunt.Policy
}

// ResetView is the page of a one-time link that sets a new password. The form
// posts to its own address, so that the link's secret never stands in the page.
//
// Its form: password.
type ResetView struct {
	Frame
	Handle string
	Err    error
}

// SignOutView is "/signout": what will end, before it does. The script shows
// the same in a dialog.
//
// Its form: POST /signout (POST /sessions/end for ScopeOthers) with session,
// key, scope, and client when an app sent the person here.
type SignOutView struct {
	Frame
	Scope   exeunt.Scope
	This    exeunt.Session
	Others  []exeunt.Session // live ones besides this
	Clients Clients
	Client  *exeunt.Client // the app whose "Sign out" was pressed, if one was
	Cancel  string         // where Cancel goes; "" is "/sessions"
}

// SignedOutView is "/signed-out". Nobody is signed in, and it names nobody.
type SignedOutView struct {
	Frame
	Done   *SignOutDone   // nil when nothing tells what was done: then it says only that nobody is signed in
	Client *exeunt.Client // the app that asked for it, for the way back
}

// SignOutDone is a sign-out that has been durably recorded.
type SignOutDone struct {
	At    time.Time
	Scope exeunt.Scope // session or account
	Ended int          // how many sessions, this one included
	Apps  int          // how many app sessions ended with this browser's
	// Shared: it was a shared computer, where closing the window matters.
	Shared bool
}

// EndedView is "/ended": why a credential is no good any more. Whoever holds
// it may be a thief or the next user of the computer, so it is shown a reason
// and a time and nothing else; BySession and ByLabel are never read.
type EndedView struct {
	Frame
	Ended *exeunt.Ended // nil when the credential was no sign-in we know
	// Damaged: the cookies were no credential at all (cut, changed, foreign).
	Damaged bool
	// Nobody: the browser held nothing at all, so nothing is claimed to have ended.
	Nobody bool
	Return string
}

// MenuView is "/menu": the drawer as a page, for a phone without script.
type MenuView struct {
	Frame
	Return string // where Close goes; "" is "/"
}

// SettingsView is "/settings".
//
// Its forms: POST /settings/profile with session, name, email and, when the
// address becomes another, current; POST /settings/display with session, display
// (system, light or dark).
type SettingsView struct {
	Frame
	Name, Email    string
	EmailConfirmed bool
	Err            error // of saving the profile
	Saved          bool
	Policy         exeunt.Policy
	This           exeunt.Session
}

func (v *SettingsView) emailNote() string {
	switch {
	case v.Email == "":
		return ""
	case v.EmailConfirmed:
		return "settings.email_confirmed"
	}
	return "settings.email_note"
}

// SecurityView is "/security".
//
// Its form: POST /security/password with session, key, current, password.
type SecurityView struct {
	Frame
	PasswordSet time.Time
	Others      int // sessions that a new password ends
	Err         error
	Changed     *PasswordChanged // just done
}

// PasswordChanged tells what changing the password did.
type PasswordChanged struct{ Ended int }

// HelpView is "/help", also for people who are not signed in.
type HelpView struct {
	Frame
	Policy exeunt.Policy
	Shared bool // this session is on a shared computer
}

// AuthorizeView is "/authorize": an app asks for a session of its own.
//
// Its form: POST /authorize with session, the hidden fields given, and
// decision (continue or cancel).
type AuthorizeView struct {
	Frame
	Client exeunt.Client
	Hidden []Hidden // the app's request, carried along
	Shared bool
}

// Hidden is a hidden field of a form.
type Hidden struct{ Name, Value string }

// ErrorView is any page that says something went wrong.
type ErrorView struct {
	Frame
	Status int   // HTTP status
	Err    error // shown by its code if it is one for people; anything else only by Status
	// Retry is where trying again leads (a GET); "" offers none.
	Retry string
}

// OtherAccountView is the 409 of a form that was rendered for another sign-in
// than the one active now. Account in the frame is the active one.
type OtherAccountView struct{ Frame }

func (*HomeView) page() string          { return "home" }
func (*SessionsView) page() string      { return "sessions" }
func (*EndedSessionsView) page() string { return "sessions_ended" }
func (*SignInView) page() string        { return "sign_in" }
func (*SignUpView) page() string        { return "sign_up" }
func (*ResetView) page() string         { return "reset" }
func (*SignOutView) page() string       { return "sign_out" }
func (*SignedOutView) page() string     { return "signed_out" }
func (*EndedView) page() string         { return "ended" }
func (*MenuView) page() string          { return "menu" }
func (*SettingsView) page() string      { return "settings" }
func (*SecurityView) page() string      { return "security" }
func (*HelpView) page() string          { return "help" }
func (*AuthorizeView) page() string     { return "authorize" }
func (*ErrorView) page() string         { return "error" }
func (*OtherAccountView) page() string  { return "other_account" }
