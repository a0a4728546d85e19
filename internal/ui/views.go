package ui

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// Clients are the apps by ID. An app session whose client is missing is shown by its ID.
type Clients map[exeunt.ClientID]exeunt.Client

// HomeView is "/": this browser's session, and the other ones.
//
// Its forms: POST /sessions/{id}/end with session, key, return; POST /security/passkeys/decline with session.
type HomeView struct {
	Frame
	Asking
	OfferPasskey bool // until the person has one, or does not want it
	This         exeunt.Session
	Others       []exeunt.Session // live, in any order; the latest sign-ins if there are many
	Live         int              // how many sessions are live, This included; at least those here
	Just         []exeunt.Session // as in SessionsView
	Clients      Clients
}

// SessionsView is "/sessions".
//
// Its forms: POST /sessions/{id}/end with session, key, return; GET /sessions with q.
type SessionsView struct {
	Frame
	Part
	Asking
	This   exeunt.Session
	Others []exeunt.Session // live, in any order
	Live   int              // how many sessions are live, This included; at least those here
	// Just are the sessions that the reader has just ended on this page. They stay in the
	// list until it is reloaded, with the reason.
	Just       []exeunt.Session
	Done       *SessionsEnded // the reader has just ended many
	EndedCount int            // for the other tab
	Clients    Clients
}

// SessionsEnded tells what "Sign out everywhere else" did.
type SessionsEnded struct{ Ended int }

// Part says which part of a list a page shows. The zero Part is the whole list.
type Part struct {
	List   string // the list's address
	Search string // what is searched for
	Kind   string // which kind of entry the list has; "" has all
	After  string // where the part begins; "" at the list's beginning
	Next   string // where the next one begins; "" at the end
}

// EndedSessionsView is "/sessions/ended".
//
// Its form: GET /sessions/ended with q.
type EndedSessionsView struct {
	Frame
	Part
	Count     int              // how many have ended; at least those here
	Ended     []exeunt.Session // newest end first; each has End
	LiveCount int              // for the other tab, with this browser's session
	KeptFor   time.Duration    // how long ended sessions stay listed
	Clients   Clients
	// Proof returns where the receipt of an end is, "" if it has none; nil on a shared computer.
	Proof func(*exeunt.Ended) string
}

// SignInView is "/signin".
//
// Its form: key, identifier and password, or passkey; kind (kept or shared), return. If somebody is signed in already,
// the page says that somebody else's sign-in ends that session, and the form has session too.
type SignInView struct {
	Frame
	// Unfamiliar: nobody has been kept signed in in this browser, so a shared computer is proposed.
	Unfamiliar bool
	Identifier string
	Kind       exeunt.SessionKind // what the choice of device begins with; "" chooses nothing
	Return     string
	Err        error          // of the last attempt; shown by its code
	Client     *exeunt.Client // the app that sent the person here, if one did
	Policy     exeunt.Policy
	SignUpOpen bool
	Mails      bool // a link for a new password can be sent
	Reset      bool // a new password has just been set by a one-time link
	Passkeys   bool // the site can have them
	// Unknown is what the browser is told of a passkey that is not registered here, as JSON; "" if none was used.
	Unknown string
}

// SignUpView is "/signup" and, for the first account or an invitation, the page of a one-time link.
// The form posts to its own address, so that the page never contains the link's secret.
//
// Its form: key, handle, email, name, password, kind (kept or shared), return; session, if somebody is signed in already.
type SignUpView struct {
	Frame
	Setup               bool // a one-time link
	Handle, Email, Name string
	Fixed               map[string]bool    // names of the fields that the link decides
	Kind                exeunt.SessionKind // as in SignInView
	Return              string
	Client              *exeunt.Client // the app that asked, if any
	Err                 error
	Policy              exeunt.Policy
}

// Shared reports that the form asks the browser to save nothing.
func (v *SignInView) Shared() bool { return v.Kind == exeunt.KindShared }

// Shared is as in SignInView.
func (v *SignUpView) Shared() bool { return v.Kind == exeunt.KindShared }

// SignOutView is "/signout": what will end, before it ends. The script shows the same in a dialog.
//
// Its form: POST /signout (POST /sessions/end for ScopeOthers) with session,
// key, scope, and client when an app sent the person here.
type SignOutView struct {
	Frame
	Scope   exeunt.Scope
	This    exeunt.Session
	Others  []exeunt.Session // live ones besides this; some, if there are many
	Live    int              // how many sessions are live, This included; at least those here
	Clients Clients
	Client  *exeunt.Client // the app whose "Sign out" was pressed, if one was
	Cancel  string         // where Cancel goes; "" is "/sessions"

	// Of is the account that is signed out, which need not be the active one, and Form what its form has for a browser
	// without network.
	Of   AccountChip
	Form OutForm
}

// OutForm is what a form that signs out has for a browser without network, as in Frame.
type OutForm struct {
	Ticket   string
	OnShared bool
}

// OfQuery is what links to other scopes add, so that they are about the same account.
func (v *SignOutView) OfQuery() string {
	if v.Of.Session == v.Session {
		return ""
	}
	return "&session=" + v.Of.Session.String()
}

// SignOutAllView is "/signout/all": the accounts of this browser, before all are signed out.
//
// Its form: POST /signout/all with session, key and ticket.
type SignOutAllView struct {
	Frame
	Tickets []string // of the other accounts
}

// AllTickets are the sign-out tickets of all accounts of this browser, as the form has them.
func (v *SignOutAllView) AllTickets() string {
	return strings.Join(append([]string{v.Ticket}, v.Tickets...), " ")
}

// AccountsView is "/accounts": who is signed in in this browser. Its forms: POST /accounts/switch with session and to.
type AccountsView struct {
	Frame
	Most int  // how many can be
	Full bool // somebody wanted to add one more
}

// ChooseView asks which account an app's request is for. It has links.
type ChooseView struct {
	Frame
	Client  exeunt.Client
	Choices []Choice
	Another string // where somebody signs in to one that is not here
}

// Choice is an account, and where its link leads.
type Choice struct {
	AccountChip
	To string
}

// Chip is the account alone.
func (c Choice) Chip() *AccountChip { return &c.AccountChip }

// SwitchView asks for a fresh proof before another account of this browser becomes the active one.
//
// Its form: POST /accounts/switch with session, to, return, key and the proof.
type SwitchView struct {
	Frame
	To     AccountChip
	Return string
	Proof  Proof
	Err    error
}

// EndSessionView is "/end_session": what will end, after an app has asked for it.
//
// Its forms: POST /end_session/browser and POST /end_session/app, both with session, key and Fields.
type EndSessionView struct {
	SignOutView
	Fields  url.Values // of the app's request
	Only    bool       // the app has something of its own to end here
	First   bool       // and that is what the app wants ended
	Foreign bool       // the request is not about this sign-in, or that cannot be relied on
	NoWay   bool       // it asked to lead to an address, but is not in order
}

// SignedOutView is "/signed-out". Nobody is signed in, and it names nobody.
type SignedOutView struct {
	Frame
	Done   *SignOutDone    // nil if there is no notice of a sign-out: then the page says only that nobody is signed in
	Client *exeunt.Client  // the app that asked for it, for the way back
	NoWay  bool            // as in EndSessionView
	Apps   []AppAfter      // what has become of the apps that were used with what ended
	More   int             // how many there are besides
	Proof  string          // where its receipt is; "" on a shared computer
	Proofs []NumberedProof // of each account, if several were signed out
	Check  string          // where it is checked
}

// NumberedProof is the receipt of one of several accounts, none of which the page names.
type NumberedProof struct {
	Number int
	Path   string
}

// Waiting reports whether an app is still being told.
func (v *SignedOutView) Waiting() bool {
	return slices.ContainsFunc(v.Apps, func(a AppAfter) bool { return a.pending() })
}

// AppAfter is an app after a sign-out.
type AppAfter struct {
	AppReach
	Delivery *exeunt.Delivery // how far it has been told; nil if that is not recorded yet, or it cannot be told
	Lost     bool             // it could be told, and nothing is recorded of it any more
}

func (a AppAfter) pending() bool {
	return !a.Lost && a.Reach.Tier == exeunt.TierTold && (a.Delivery == nil || a.Delivery.State == exeunt.DeliveryPending)
}

// AppReach is an app with how far a sign-out reaches it.
type AppReach struct {
	Client  exeunt.Client
	Reach   exeunt.Reach
	signIns int // of those that were looked at
}

// There is where people sign out of the app itself; "" unless they have to.
func (a AppReach) There() string {
	if a.Reach.Tier != exeunt.TierUntold && a.Reach.Tier != exeunt.TierAccount {
		return ""
	}
	return a.Client.SignOutAt()
}

// There is as in AppReach.
func (a AppAfter) There() string {
	if a.failed() {
		return a.Client.SignOutAt()
	}
	return a.AppReach.There()
}

func (a AppAfter) failed() bool {
	return a.Reach.Tier == exeunt.TierTold && !a.pending() && (a.Lost || a.Delivery.State != exeunt.DeliveryConfirmed)
}

// Mark is the symbol of how far the sign-out has reached the app.
func (a AppAfter) Mark(now time.Time) string {
	switch {
	case a.pending(), a.Reach.Tier == exeunt.TierExpires && a.Reach.By.After(now):
		return "arc"
	case a.failed(), a.There() != "", a.Reach.Tier == exeunt.TierUntold:
		return "odd"
	}
	return "check"
}

// AppsView is "/apps": what may act in the person's name.
//
// Its forms: POST /apps/{client}/end and POST /apps/{client}/remove, both with session and key.
type AppsView struct {
	Frame
	Apps  []AppUsed
	Email string // the person's, confirmed; "" if there is none
	After string // where this part of the list begins
	Next  string // where the next one does
	Done  *AppDone
}

// AppUsed is an app as the person uses it.
type AppUsed struct {
	AppReach
	Since, Used time.Time // of its sign-ins; zero if there are none
	Places      []string  // labels of the sessions with its latest sign-ins
	More        int       // how many sessions there are besides
	Most        bool      // there are more sign-ins than are looked at
	Scopes      exeunt.Scopes
	Allowed     time.Time // when the person was asked; zero if they were not
}

// AppDone tells what has just been done to an app.
type AppDone struct {
	AppReach
	Ended   int
	Removed bool
}

// SignOutDone is a sign-out that has been durably recorded.
type SignOutDone struct {
	At      time.Time
	Scope   exeunt.Scope     // session or account
	Session exeunt.SessionID // this browser's
	Ended   int              // how many sessions, this one included
	Apps    int              // how many app sessions ended with this browser's
	Shared  bool             // on a shared computer, where closing the window matters
	NotMe   bool             // because a sign-in was somebody else's
	Clear   bool             // the page has the browser clear what this site has stored
	Event   int64            // number of its event; 0 on a shared computer, where nothing leads to the receipt
	More    []AccountLeft    // the other accounts of this browser, which were signed out with it
}

// AccountLeft is the sign-out of one of several accounts.
type AccountLeft struct {
	At      time.Time
	Session exeunt.SessionID
	Apps    int
	Event   int64 // as in SignOutDone
}

// All is how many accounts were signed out of this browser.
func (d *SignOutDone) All() int { return len(d.More) + 1 }

// EndedView is "/ended": why a credential is no longer valid. Whoever holds it may be a
// thief or the next user of the computer, so the page shows only a reason and a time, and
// never BySession and ByLabel.
type EndedView struct {
	Frame
	Ended   *exeunt.Ended // nil if there is no record of the credential
	Damaged bool          // the cookies were malformed (cut, changed, foreign)
	Nobody  bool          // the browser had no credential, so the page claims no ending
	Return  string
}

// Disabled reports that signing in again is of no use.
func (v *EndedView) Disabled() bool { return v.Ended != nil && v.Ended.Reason == exeunt.ReasonDisabled }

// MenuView is "/menu": the drawer as a page, for a phone without script.
type MenuView struct {
	Frame
	Return string // where Close goes; "" is "/"
}

// LanguageView is "/language": the choice of the language.
//
// Its form: POST /language with return and language (a tag; "" follows the browser), and session if somebody is signed in.
type LanguageView struct {
	Frame
	Languages []Language
	Chosen    bool   // the browser remembers a choice
	Return    string // the page to go back to
}

func (*LanguageView) page() string { return "language" }

// SettingsView is "/settings".
//
// Its forms: POST /settings/profile with session, name, email and, if the address changes, current; POST
// /settings/address with session, key, do (send or drop) for an address that is to be confirmed;
// POST /settings/display with session, display (system, light or dark); POST /settings/picture, as multipart/form-data,
// with session, key, picture; POST /settings/picture/remove with session, key.
type SettingsView struct {
	Frame
	Name, Email    string
	EmailConfirmed bool
	ConfirmedAt    time.Time // zero when that is not known
	Pending        string    // the address that replaces a confirmed one once it is confirmed
	Unconfirmed    string    // the address that a mail can be sent to, "" if none
	Mails          bool      // mails can be sent
	Sent           bool      // one has just been sent
	Dropped        bool      // the pending address has just been forgotten
	Picture        string    // what has just been done to the picture: "changed", "removed" or ""
	PictureErr     error     // of saving or removing it
	Err            error     // of saving the profile
	Saved          bool
	Kept           bool // the account was about to be deleted
	Policy         exeunt.Policy
	Retention      Retention
	This           exeunt.Session
	Signals        string // as in SecurityView
	// Typed: name and address are what was typed and not saved.
	Typed bool
	Proof Proof
}

// The steps of securing an account. Names are stored: they do not change.
const (
	SecureEnd      = "end"
	SecurePassword = "password"
	SecureFactors  = "factors"
	SecureEmail    = "email"
	SecureApps     = "apps"
)

// SecureSteps are all of them, in their order.
var SecureSteps = []string{SecureEnd, SecurePassword, SecureFactors, SecureEmail, SecureApps}

// Retention is how long ended sessions, and the history, are stored.
type Retention struct{ Ended, Audit time.Duration }

func (v *SettingsView) emailNote() string {
	switch {
	case v.Email == "":
		return ""
	case v.EmailConfirmed && v.Mails:
		return "settings.email_confirmed_mails"
	case v.EmailConfirmed:
		return "settings.email_confirmed"
	}
	return "settings.email_note"
}

// ActivityView is "/activity": what happened to the account.
type ActivityView struct {
	Frame
	Part
	Entries     []exeunt.AuditEntry // newest first
	KeptFor     time.Duration       // how long entries are stored
	MaxDownload int                 // how many entries a download has at most
	Proof       Proof
	Err         error
	Clients     Clients
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
	Factors     []exeunt.Factor
	Codes       exeunt.RecoveryCodes
	Factor      string // what was just done with one: "added", "passkey" (added), "renamed", "removed"; "codes" when these were made
	Passkeys    bool   // the site can have them
	Signals     string // what the browser is told of the account's passkeys, as JSON
	Proof       Proof
}

// PasswordChanged tells what changing the password did.
type PasswordChanged struct{ Ended int }

// SiteView is "/site": why somebody did not get to a site.
type SiteView struct {
	Frame
	Site exeunt.Client
	Why  SiteWhy
	To   string // where on the site they wanted to go; "" if there is no way there
}

// SiteWhy is a reason.
type SiteWhy string

// The reasons.
const (
	SiteNotSent     SiteWhy = "not_sent"     // a form of somebody whose session has ended
	SiteNotAdmitted SiteWhy = "not_admitted" // who is in none of its groups
	SiteCookies     SiteWhy = "cookies"      // the browser sends none back
	SiteLoop        SiteWhy = "loop"         // it was signed in again and again
	SiteStale       SiteWhy = "stale"        // the sign-in took too long, or was another browser's
	SiteDeclined    SiteWhy = "declined"
	SiteUnavailable SiteWhy = "unavailable"
	SiteSignedOut   SiteWhy = "signed_out"
	SiteNoSuch      SiteWhy = "no_such" // a proxy asks about a host that is no site; Site is zero
)

// SiteWhys are all of them.
var SiteWhys = []SiteWhy{SiteNotSent, SiteNotAdmitted, SiteCookies, SiteLoop, SiteStale, SiteDeclined, SiteUnavailable, SiteSignedOut,
	SiteNoSuch}

// Status is the page's.
func (v *SiteView) Status() int {
	switch v.Why {
	case SiteSignedOut:
		return 200
	case SiteNotSent:
		return 401
	case SiteNotAdmitted, SiteDeclined:
		return 403
	case SiteUnavailable:
		return 503
	case SiteNoSuch:
		return 421
	}
	return 400
}

// AuthorizeView is "/authorize": an app asks for a session of its own.
//
// Its form: POST /authorize/decide with session, request, and decision
// (continue or cancel).
type AuthorizeView struct {
	Frame
	Client  exeunt.Client
	Request string // sealed
	Scopes  exeunt.Scopes
	Email   string   // confirmed; "" if there is none
	Groups  []string // of the account
	Back    bool     // the person has signed out of this app alone
}

// DeviceView is "/device": a device asks to be signed in, by a code that the person types.
//
// Its forms: POST /device with session and user_code; then POST /device/decide with session, user_code and decision
// (continue or cancel).
type DeviceView struct {
	Frame
	UserCode string
	Err      error
	Client   *exeunt.Client // nil as long as no device is found
	Scopes   exeunt.Scopes
	Address  netip.Addr // from which the device asked; invalid if that is unknown
	Agent    string     // what it says it is
	Email    string     // confirmed; "" if there is none
	Groups   []string   // of the account
	Decided  bool
	Allowed  bool // or else it was declined
}

// ErrorView is any page that says something went wrong.
type ErrorView struct {
	Frame
	Status int    // HTTP status
	Err    error  // shown by its code if it is for people, otherwise only by Status
	Retry  string // where "Try again" leads (a GET); "" omits it
	// Way is what to do about a link that no longer works: "reset" or "undo", ask for another by mail; "confirm", have the
	// mail sent again; "" is what the error itself says.
	Way string
	// Again is the form of an ending that was not confirmed, to be sent once more as it was; nil for anything else.
	Again *SendAgain
}

// SendAgain is a form that is sent again. Its idempotency key makes that harmless.
type SendAgain struct {
	Action string
	Fields url.Values
	After  int // seconds after which the script sends it; 0 leaves that to the person
}

// OtherAccountView is the 409 of a form that was rendered for another session than the
// active one. Account in the frame is the active one.
type OtherAccountView struct {
	Frame
	Form string       // where the same form is for the active one; "" omits it
	Tab  *AccountChip // the account of the tab, which is signed in here, but not active
}

func (*AccountsView) page() string      { return "accounts" }
func (*ChooseView) page() string        { return "choose" }
func (*SwitchView) page() string        { return "switch" }
func (*SignOutAllView) page() string    { return "sign_out_all" }
func (*HomeView) page() string          { return "home" }
func (*SessionsView) page() string      { return "sessions" }
func (*EndedSessionsView) page() string { return "sessions_ended" }
func (*SignInView) page() string        { return "sign_in" }
func (*SignUpView) page() string        { return "sign_up" }
func (*SignInStepView) page() string    { return "sign_in_step" }
func (*RecoveredView) page() string     { return "recovered" }
func (*RequiredView) page() string      { return "required" }
func (*ConfirmView) page() string       { return "confirm" }
func (*AppView) page() string           { return "factor_app" }
func (*CodesView) page() string         { return "factor_codes" }
func (*FactorView) page() string        { return "factor_remove" }
func (*ForgotView) page() string        { return "forgot" }
func (*AddressView) page() string       { return "confirm_address" }
func (*UndoView) page() string          { return "undo" }
func (*FactorNameView) page() string    { return "factor_name" }
func (*PasskeyView) page() string       { return "factor_passkey" }
func (*ResetView) page() string         { return "reset" }
func (*NotMeView) page() string         { return "not_me" }
func (*SignOutView) page() string       { return "sign_out" }
func (*EndSessionView) page() string    { return "end_session" }
func (*AppsView) page() string          { return "apps" }
func (*SignedOutView) page() string     { return "signed_out" }
func (*EndedView) page() string         { return "ended" }
func (*ReceiptView) page() string       { return "receipt" }
func (*MenuView) page() string          { return "menu" }
func (*SettingsView) page() string      { return "settings" }
func (*SecurityView) page() string      { return "security" }
func (*DeleteAccountView) page() string { return "account_delete" }
func (*ReviewView) page() string        { return "review" }
func (*SecureView) page() string        { return "secure" }
func (*DeletingView) page() string      { return "account_deleting" }
func (*ActivityView) page() string      { return "activity" }
func (*HelpView) page() string          { return "help" }
func (*SiteView) page() string          { return "site" }
func (*AuthorizeView) page() string     { return "authorize" }
func (*DeviceView) page() string        { return "device" }
func (*ErrorView) page() string         { return "error" }
func (*OtherAccountView) page() string  { return "other_account" }
