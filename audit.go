package exeunt

import "time"

// AuditEntry is one entry of an account's history.
type AuditEntry struct {
	At      time.Time
	Account AccountID
	Action  AuditAction
	Session SessionID // the session it was done to, if any
	Label   string    // that session's, as long as it is stored
	Client  ClientID  // the app it was done to, if an app session ended
	By      Actor
	Detail  string // the scope and reason of an ending, the kind of a sign-in, what was done with which group
}

// AuditAction is what was done.
type AuditAction string

const (
	// AuditSignUp: the account was created.
	AuditSignUp AuditAction = "sign_up"
	// AuditSignIn: a session was started.
	AuditSignIn AuditAction = "sign_in"
	// AuditSignInFailed: somebody did not prove to be the account's owner; the detail says why, and how often that
	// came before without an entry of its own.
	AuditSignInFailed AuditAction = "sign_in_failed"
	// AuditAppSignIn: an app session was started.
	AuditAppSignIn AuditAction = "app_sign_in"
	// AuditAllowed: the person allowed an app to know who they are, and what else the detail says. AuditWithdrawn: they
	// no longer do.
	AuditAllowed   AuditAction = "app_allowed"
	AuditWithdrawn AuditAction = "app_withdrawn"
	// AuditEnd: sessions were ended; the detail is the scope and the reason.
	AuditEnd AuditAction = "end"
	// AuditResetLink: an operator made a link with which a new password is set.
	AuditResetLink AuditAction = "reset_link"
	// AuditResetAsked: somebody asked for such a link by mail.
	AuditResetAsked AuditAction = "reset_asked"
	// AuditAddressEntered: another address was entered, and waits to be confirmed.
	AuditAddressEntered AuditAction = "address_entered"
	// AuditFactorAdded and AuditFactorRemoved: the account got or lost a factor; the detail is its kind and name.
	// AuditFactorRenamed: one has another name.
	AuditFactorAdded   AuditAction = "factor_added"
	AuditFactorRemoved AuditAction = "factor_removed"
	AuditFactorRenamed AuditAction = "factor_renamed"
	// AuditRecoveryCodes: new recovery codes were made, and the earlier ones are worth nothing.
	AuditRecoveryCodes AuditAction = "recovery_codes_made"
	// AuditRecoveryCode: a recovery code was used.
	AuditRecoveryCode AuditAction = "recovery_code_used"
	// AuditUnfamiliar: a session was started from a browser or place that the account was not used from.
	// AuditRecognised: its owner said that this was they. (That it was not is an AuditEnd.)
	AuditUnfamiliar AuditAction = "unfamiliar_sign_in"
	AuditRecognised AuditAction = "sign_in_recognised"
	// AuditRenewed: the session got another token.
	AuditRenewed AuditAction = "token_renewed"
	// AuditProfile: name, e-mail or display changed, or the address was confirmed; the detail says it of an address.
	AuditProfile AuditAction = "profile_change"
	// AuditGroups: the account was put into a group or taken out of one.
	AuditGroups AuditAction = "groups_change"
	// AuditKept: the account was about to be deleted, and is kept. (Asking for a deletion is an AuditEnd.)
	AuditKept AuditAction = "account_kept"
	// AuditExported: an operator exported what is stored about the account's owner.
	AuditExported AuditAction = "data_exported"
	// AuditDeleted: the account was deleted.
	AuditDeleted AuditAction = "account_deleted"
	// AuditStatus: the account was enabled again. (Disabling is an AuditEnd.)
	AuditStatus AuditAction = "status_change"
)
