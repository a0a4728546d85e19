package exeunt

// Scope says how much a revocation ends. Code, API, log and command line use the same words; labels for people
// differ.
type Scope string

const (
	// ScopeSession: one session and its app sessions, or one app session.
	ScopeSession Scope = "session"
	// ScopeOthers: every session of the account but one.
	ScopeOthers Scope = "others"
	// ScopeAccount: every session of the account.
	ScopeAccount Scope = "account"
)

// Reason says why an event was recorded: mostly, why sessions ended.
type Reason string

const (
	// ReasonSignedOut: a person signed it out, there or from another session.
	ReasonSignedOut Reason = "signed_out"
	// ReasonIdle: unused longer than its idle timeout.
	ReasonIdle Reason = "idle"
	// ReasonAbsolute: older than its absolute timeout.
	ReasonAbsolute Reason = "absolute"
	// ReasonClosed: its last page on a shared computer was closed, and it was not used for ClosingGrace after that.
	ReasonClosed Reason = "closed"
	// ReasonReplaced: a newer sign-in in the same browser or app replaced it.
	ReasonReplaced Reason = "replaced"
	// ReasonTooMany: the account had more live sessions than it may have, and this one was the oldest.
	ReasonTooMany Reason = "too_many_sessions"
	// ReasonIncomplete: its browser presented an incomplete credential.
	ReasonIncomplete Reason = "incomplete_credential"
	// ReasonCodeReused: the code it was started with was presented again, a sign that the code was stolen. Only app
	// sessions have this reason.
	ReasonCodeReused Reason = "code_reused"
	// ReasonRefreshReused: a refresh token that had been replaced was presented again, a sign that it was stolen.
	ReasonRefreshReused Reason = "refresh_reused"
	// ReasonPasswordChange: the account's password changed.
	ReasonPasswordChange Reason = "password_change"
	// ReasonFactorChange: a factor of the account was added or removed.
	ReasonFactorChange Reason = "factor_change"
	// ReasonNotMe: the account's owner said of a sign-in that it was somebody else.
	ReasonNotMe Reason = "not_me"
	// ReasonAddressUndone: a change of the account's e-mail address was undone, by a link to the old one.
	ReasonAddressUndone Reason = "address_undone"
	// ReasonAdministrator: an administrator ended it.
	ReasonAdministrator Reason = "administrator"
	// ReasonRevoked: a client that may end anybody's sessions did, as identity systems do.
	ReasonRevoked Reason = "revoked"
	// ReasonClientRemoved: the app is no longer registered. Only app sessions, and the sessions that apps on people's
	// devices have of their own, have this reason.
	ReasonClientRemoved Reason = "client_removed"
	// ReasonDisabled: the account was disabled.
	ReasonDisabled Reason = "account_disabled"
	// ReasonReview: the person ended it while looking through their sessions.
	ReasonReview Reason = "review"
	// ReasonSecured: the account was secured, because somebody else may have used it.
	ReasonSecured Reason = "secured"
	// ReasonDeleted: the account's deletion was asked for.
	ReasonDeleted Reason = "account_deleted"
	// ReasonRenewed: a token ended because its session goes on with another one; of an app session, that it ended
	// because its session does, for it may have been begun with a copy of the old token.
	ReasonRenewed Reason = "renewed"
	// ReasonEmailConfirmed: the profile changed because its address was confirmed. No session ended.
	ReasonEmailConfirmed Reason = "email_confirmed"
	// ReasonEmailChanged: the profile changed because the account has another address. No session ended.
	ReasonEmailChanged Reason = "email_changed"
	// ReasonPictureChanged and ReasonPictureRemoved: the profile changed because the account has another picture, or none.
	// No session ended.
	ReasonPictureChanged Reason = "picture_changed"
	ReasonPictureRemoved Reason = "picture_removed"
	// ReasonGroupAdded and ReasonGroupRemoved begin the reason of an EventGroupsChanged; the group's name follows, after
	// a space.
	ReasonGroupAdded   Reason = "added"
	ReasonGroupRemoved Reason = "removed"
	// ReasonAllEnded and ReasonDatabaseTrusted: how an operator went on with a restored database. In the first case every
	// account with sessions has an event of its own.
	ReasonAllEnded        Reason = "all_sessions_ended"
	ReasonDatabaseTrusted Reason = "database_trusted"
)

// Target is what a revocation or an event is about. It is comparable.
type Target struct {
	Account AccountID
	Scope   Scope
	// Session is the one to end with ScopeSession, the one to leave alone with ScopeOthers, and zero otherwise.
	Session SessionID
	// AppSession, with ScopeSession, limits the ending to that child of Session.
	AppSession AppSessionID
	// Client is the client that an event without an account is about.
	Client ClientID
}

// Revocation is a request to end sessions.
type Revocation struct {
	Target
	Reason Reason
	// Key makes a retry harmless: the same actor with the same key gets the first outcome again. "" means no key.
	Key string
	// Renewal, with ScopeOthers, gives the session that is left alone another token; the zero Renewal leaves its
	// token.
	Renewal Renewal
}

// Renewal replaces a session's token, so that no copy of the old one is of use (OWASP ASVS 5.0, 7.2.4). It names both
// by their hashes.
type Renewal struct{ From, To TokenHash }

// IsZero reports whether no token is replaced.
func (r Renewal) IsZero() bool { return r == Renewal{} }
