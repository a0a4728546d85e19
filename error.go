package exeunt

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is an error that may be shown to people. Code is stable: the API and catalogues use it. Message is English
// and says what is wrong, what would be right, and, where somebody could think otherwise, that nothing was changed.
type Error struct {
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Message }

// The errors of the product. Wrap them with the operand; compare with errors.Is.
var (
	ErrNotFound  = &Error{"not_found", "There is nothing here by that name."}
	ErrForbidden = &Error{"forbidden", "You don't have permission."}
	ErrForged    = &Error{"forged",
		"This request did not come from our own page, so nothing was done. Open the page again and repeat it there."}
	ErrBadRequest = &Error{"bad_request", "That request is malformed, so nothing was changed."}
	ErrLateBody   = &Error{"late_body",
		"The rest of this request did not arrive in time, so nothing was changed. Send it again."}
	ErrHeaders = &Error{"headers_too_large",
		"The headers of this request are longer than 1 MB, so nothing was done. Send fewer or shorter cookies."}
	ErrPlainHTTP = &Error{"plain_http",
		"This request came without TLS, so nothing was done. Use https://, and do not use again what it carried: " +
			"others may have read it."}
	ErrSignedOut = &Error{"signed_out",
		"You are signed out here, so nothing was changed. Sign in and try again."}
	ErrRenewed = &Error{"renewed",
		"This sign-in was renewed a moment ago, so nothing was changed. Load the page again."}
	ErrWrongCredentials = &Error{"wrong_credentials", "That handle or e-mail and password do not match."}
	ErrSignInAgain      = &Error{"sign_in_again",
		"Something about this account changed while you were signing in. Please sign in again."}
	ErrNotConfirmed = &Error{"not_confirmed",
		"The server could not confirm that this was recorded. Do not rely on it: try again in a moment. " +
			"Trying again is harmless."}
	ErrUnavailable = &Error{"unavailable",
		"The server cannot do this right now. Nothing was changed; try again in a moment."}
	ErrBusy = &Error{"busy",
		"More people are signing in than this server can check at once. Nothing was changed; try again in a few seconds."}
	ErrBusyLists = &Error{"busy_lists",
		"The sessions of this account are being listed many times at the same moment. Nothing was changed; try again " +
			"in a moment."}
	ErrHandleTaken = &Error{"handle_taken", "That handle is taken. Choose another."}
	ErrEmailTaken  = &Error{"email_taken", "Another account has confirmed that e-mail address."}
	ErrManyGroups  = &Error{"too_many_groups",
		"An account is in at most 64 groups, so nothing was changed. Take it out of another one first."}
	ErrGroupName = &Error{"group_name",
		"The name of a group has 1 to 63 of a-z, 0-9, '.', '-' and '_', and begins with a letter or digit."}
	ErrOtherEmail = &Error{"other_email",
		"That is not the e-mail address of this account. Look at the account again."}
	ErrSignUpClosed = &Error{"sign_up_closed",
		"New accounts are made by invitation here. Ask whoever runs this site."}
	ErrInviteSpent = &Error{"invite_spent", "This link has been used or has expired. Ask for a new one."}
	ErrNotAsked    = &Error{"not_asked",
		"This sign-in is itself one that nobody has confirmed yet, so it cannot confirm or disown others. Nothing was changed."}
	ErrManyNotices = &Error{"many_notices",
		"So many sign-ins wait for an answer that it cannot be told which browser is yours, so nothing was changed. If they " +
			"were not you, say so: that signs everybody out. Otherwise use the link of a mail."}
	ErrReceiptGone = &Error{"receipt_gone",
		"The record of this ending is no longer stored here. A receipt of it that was saved as a file stays valid."}
	ErrNotMeLink = &Error{"not_me_link",
		"This link does not work any more: it has expired, or is not complete. If somebody else uses your account, sign in " +
			"and sign out everywhere, or ask whoever runs this site."}
	ErrAnswered      = &Error{"answered", "This question was answered before, so nothing was changed."}
	ErrUnknownClient = &Error{"unknown_client",
		"No app is registered here under this client_id. Tell whoever runs the app."}
	ErrRedirectURI = &Error{"redirect_uri",
		"The app asked to return to an address (redirect_uri) that is not registered for it here. " +
			"Tell whoever runs the app."}
	ErrNotAdmitted = &Error{"not_admitted",
		"This app is for members of certain groups, and you are in none of them. Ask whoever runs this site."}
	ErrFactorNeeded = &Error{"factor_needed",
		"A password alone is not enough here. Sign in to this site in a browser and add a second step to your account."}
	ErrUserCode = &Error{"user_code",
		"No device is waiting with this code. Codes are valid for 10 minutes and once: compare it with what the device " +
			"shows, or have it show another one."}
	ErrRequestExpired = &Error{"request_expired",
		"The app's request to sign in is too old, or it was begun in another browser. Start again from the app."}
	ErrLinkSpent = &Error{"link_spent",
		"This link has been used, has expired, or is about an address that is not the account's any more."}
	ErrCodeSpent = &Error{"code_spent",
		"This sign-in code has been used or has expired. Start again from the app."}
	ErrChallengeOver = &Error{"challenge_over",
		"This sign-in took too long, was answered wrongly too often, or went on in another tab. You are not signed in; " +
			"start again."}
	ErrCodeUsed = &Error{"code_used",
		"This code has been used already. Wait for the next one, or use another recovery code."}
	ErrManyFactors = &Error{"too_many_factors",
		"An account has at most 20 passkeys and authenticator apps, so nothing was changed. Remove another one first."}
	ErrPasskeyTaken = &Error{"passkey_taken", "This passkey is registered already, so nothing was changed."}
	ErrKeyReused    = &Error{"key_reused",
		"This idempotency key was used before for something else, so nothing was changed. Use a new key."}
	ErrOtherAccount = &Error{"other_account",
		"This tab belongs to another sign-in than the one active now, so nothing was changed."}
	ErrTooManyAccounts = &Error{"too_many_accounts",
		"As many accounts are signed in in this browser as can be. Sign out of one first."}
	ErrCookies = &Error{"cookies",
		"This browser did not send back the cookie of this form, so nothing was done and you are not signed in. " +
			"Allow cookies for this site, then try again."}
	ErrClientTaken = &Error{"client_taken",
		"There is a client of that ID already. Choose another ID, or change that client."}
	ErrClientOfFile = &Error{"client_of_file",
		"This client is in the configuration file, so nothing was changed. Edit the file and restart the node."}
	ErrClientSettings = &Error{"client_settings", "A setting of this client is not valid, so nothing was changed."}
	ErrNoOldSecret    = &Error{"no_old_secret",
		"This client has only one secret, so nothing was changed. Make a new one first."}
	ErrNoSecret = &Error{"no_secret",
		"This client has no secret, because it runs on people's devices, so nothing was changed."}
	ErrClientKey = &Error{"client_key", "Send the secret key of an app that is registered here."}
	ErrDeleting  = &Error{"account_deleting",
		"This account is about to be deleted, so nothing was done. To keep it, sign in on the web page of this site."}
	ErrDisabled = &Error{"account_disabled", "This account is disabled. Ask whoever runs this server."}
)

// FactorRequiredError reports that the password was right and that more is needed. Nobody is signed in.
type FactorRequiredError struct {
	Challenge Token   // which the answer must come with
	Methods   Methods // any of which will do
	Expires   time.Time
}

func (e *FactorRequiredError) Error() string {
	return "This account has a second step. Nobody is signed in yet: answer the challenge by one of its methods."
}

// ThrottledError reports that something was done too often in a short while. Nothing was changed.
type ThrottledError struct {
	RetryAfter time.Duration
	Limit      Limit
}

// Limit says what was done too often.
type Limit string

// The limits. The stable code of an error is the limit's name and "_throttled".
const (
	LimitFailures       Limit = ""                // failed sign-ins
	LimitSignIns        Limit = "sign_ins"        // that succeeded
	LimitEndings        Limit = "endings"         // of many sessions together
	LimitSingleEndings  Limit = "single_endings"  // of one session that is not one's own
	LimitProfileChanges Limit = "profile_changes" // settings
	LimitAppSignIns     Limit = "app_sign_ins"    // codes for apps
	LimitRefreshes      Limit = "refreshes"       // of an app's token
	LimitDevices        Limit = "devices"         // codes for people to type
	LimitUserCodes      Limit = "user_codes"      // that a person types
	LimitDevicePolls    Limit = "device_polls"    // of a device that waits
	LimitDownloads      Limit = "downloads"       // of an account's history
	LimitIntrospections Limit = "introspections"  // by a client
	LimitUserInfo       Limit = "user_info"       // with one app session's tokens
	LimitRevocations    Limit = "revocations"     // of everything of somebody, by a client
	LimitStreams        Limit = "streams"         // open at the same time
	LimitReceipts       Limit = "receipts"        // signed of one ending
	LimitTickets        Limit = "tickets"         // brought for one session
	LimitResets         Limit = "resets"          // asked for by mail
	LimitMails          Limit = "mails"           // to confirm an address
	LimitAddresses      Limit = "addresses"       // changes of a confirmed one that can be undone
)

var limitTexts = map[Limit]string{
	LimitFailures:       "Too many failed sign-ins.",
	LimitSignIns:        "Too many sign-ins in a short while, so this time nobody was signed in.",
	LimitEndings:        "The sessions of this account have been ended many times in a short while, so this time they were not.",
	LimitSingleEndings:  "Many sessions of this account have been ended in a short while, so this one was not.",
	LimitProfileChanges: "These settings have been changed many times in a short while, so this time they were not.",
	LimitAppSignIns:     "This account has signed in to apps many times in a short while, so this time it was not.",
	LimitRefreshes:      "This app has asked for new tokens many times in a short while, so this time it got none.",
	LimitDevices:        "Many devices are waiting for somebody to sign them in, so this one got no code.",
	LimitUserCodes:      "You have typed many codes in a short while, so this one was not looked for.",
	LimitDevicePolls:    "This device asks too often.",
	LimitDownloads:      "The history of this account has been downloaded many times in a short while, so this time it was not.",
	LimitResets:         "Links for a new password have been asked for many times in a short while, so none was sent this time.",
	LimitMails:          "Many mails have been sent in a short while, so this one was not, and nothing was changed.",
	LimitAddresses:      "The e-mail address of this account has been changed many times in a few days, so this time it was not.",
	LimitIntrospections: "This app asks about tokens too often.",
	LimitUserInfo:       "This app asks too often whose this token is.",
	LimitRevocations:    "This client has signed out many people in a short while, so this time nobody was.",
	LimitReceipts:       "The receipt of this ending has been asked for many times in a short while, so this time it was not signed.",
	LimitTickets:        "This sign-out has been brought many times in a short while, so this time it was not looked at.",
	LimitStreams:        "Too many event streams are open at the same time. Close some.",
}

func (e *ThrottledError) Error() string {
	return limitTexts[e.Limit] + " Wait " + inWords(e.RetryAfter) + ", then try again."
}

// inWords rounds the wait up, so that nobody comes back too early.
func inWords(d time.Duration) string {
	unit, n := "second", max(1, (d+time.Second-1)/time.Second)
	if n > 60 {
		unit, n = "minute", (d+time.Minute-1)/time.Minute
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// FieldError reports an invalid field of a form, with a stable code that catalogues translate.
type FieldError struct {
	Field string // "handle", "email", "name", "password", …
	Code  string // "too_short", …
	Err   *Error // English, for the API
}

func (e *FieldError) Error() string { return e.Err.Message }

// CodeOf returns the stable code of an error that may be shown to people, and "" of any other.
func CodeOf(err error) string {
	var e *Error
	var f *FieldError
	var t *ThrottledError
	var more *FactorRequiredError
	switch {
	case errors.As(err, &more):
		return "factor_required"
	case errors.As(err, &f):
		return f.Code
	case errors.As(err, &t):
		return strings.TrimPrefix(string(t.Limit)+"_throttled", "_")
	case errors.As(err, &e):
		return e.Code
	}
	return ""
}
