package exeunt

// Scope says how much a revocation ends. The vocabulary is the same in code,
// API, log and command line; labels for people differ.
type Scope string

const (
	// ScopeSession: one session and its app sessions, or one app session.
	ScopeSession Scope = "session"
	// ScopeOthers: every session of the account but one.
	ScopeOthers Scope = "others"
	// ScopeAccount: every session of the account.
	ScopeAccount Scope = "account"
)

// Reason says why something was recorded, which mostly is why sessions ended.
type Reason string

const (
	// ReasonSignedOut: a person signed it out, there or from elsewhere.
	ReasonSignedOut Reason = "signed_out"
	// ReasonIdle: unused longer than its idle timeout.
	ReasonIdle Reason = "idle"
	// ReasonAbsolute: older than its absolute timeout.
	ReasonAbsolute Reason = "absolute"
	// ReasonReplaced: somebody signed in over it in the same browser.
	ReasonReplaced Reason = "replaced"
	// ReasonIncomplete: its browser presented half of its credential.
	ReasonIncomplete Reason = "incomplete_credential"
	// ReasonCodeReused: the code it was started with was presented again, a
	// sign that the code was stolen. Only app sessions end so.
	ReasonCodeReused Reason = "code_reused"
	// ReasonPasswordChange: the account's password changed.
	ReasonPasswordChange Reason = "password_change"
	// ReasonAdministrator: an administrator ended it.
	ReasonAdministrator Reason = "administrator"
	// ReasonDisabled: the account was disabled.
	ReasonDisabled Reason = "account_disabled"
	// ReasonEmailConfirmed: the profile changed by its address being confirmed. It
	// ended no session.
	ReasonEmailConfirmed Reason = "email_confirmed"
)

// Target is what a revocation or an event is about. It is comparable, so that
// two wishes for the same are found to be equal.
type Target struct {
	Account AccountID
	Scope   Scope
	// Session is the one to end with ScopeSession, the one to keep with
	// ScopeOthers, and zero otherwise.
	Session SessionID
	// AppSession, with ScopeSession, ends only that child of Session.
	AppSession AppSessionID
	// Client is the one that an event without an account is about.
	Client ClientID
}

// Revocation is the wish to end sessions.
type Revocation struct {
	Target
	Reason Reason
	// Key makes a retry harmless: the same actor with the same key gets the
	// first outcome again. "" means no key.
	Key string
}
