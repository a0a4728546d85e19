package exeunt

import (
	"regexp"
	"strings"
	"time"
)

// Account is a person's or an organisation's identity.
type Account struct {
	ID     AccountID
	Handle string // unique, as ParseHandle gives it, without "@"
	Name   string // display name, as the person wrote it
	Email  string // "" when none was given
	// EmailConfirmed: only a confirmed address identifies the account. Somebody else could have registered an
	// unconfirmed one beforehand.
	EmailConfirmed bool
	ConfirmedAt    time.Time // zero when it is not confirmed, or came confirmed
	// EmailPending replaces a confirmed address once it is confirmed itself; "" when there is none.
	EmailPending string
	Display      Display
	// Language is that of mails to the account: LanguageChosen says that its owner has chosen it; else it is that of the
	// last sign-in, "" when none is known.
	Language       string
	LanguageChosen bool
	Groups         []string // names, sorted
	Status         AccountStatus
	Created        time.Time
	PasswordSet    time.Time // zero when the account has no password

	// Generation rises when sessions of the account end together; a session born before it has ended.
	// CredentialVersion rises when the password changes. A Proof carries both.
	Generation        int64
	CredentialVersion int64

	LiveSessions int64 // how many sessions have not been ended

	// DeleteAfter is from when on the account and all that is stored of it is deleted; zero: it is not.
	DeleteAfter time.Time

	Reviewed    time.Time // the last review of sessions and apps; zero: never
	ReviewLater time.Time // until when no page reminds of the next
	ReviewMail  bool      // the owner wants a mail when it is due
}

// AccountStatus says whether an account may sign in.
type AccountStatus string

const (
	// AccountActive may sign in.
	AccountActive AccountStatus = "active"
	// AccountDisabled may not sign in; all its sessions have ended.
	AccountDisabled AccountStatus = "disabled"
	// AccountDeleting is about to be deleted; all its sessions have ended. Whoever signs in can only keep it.
	AccountDeleting AccountStatus = "deleting"
	// AccountDeleted is being deleted, and cannot be kept any more.
	AccountDeleted AccountStatus = "deleted"
)

// DeletionGrace is for how long an account can be kept after its deletion was asked for.
const DeletionGrace = 7 * 24 * time.Hour

// Display is the person's choice of light or dark.
type Display string

const (
	// DisplaySystem follows the device's setting.
	DisplaySystem Display = "system"
	// DisplayLight is always light.
	DisplayLight Display = "light"
	// DisplayDark is always dark.
	DisplayDark Display = "dark"
)

// ParseDisplay reads a choice; an unknown one is DisplaySystem.
func ParseDisplay(s string) Display {
	switch d := Display(s); d {
	case DisplayLight, DisplayDark:
		return d
	}
	return DisplaySystem
}

// Limits of what people write about themselves.
const (
	MaxNameLen  = 80  // characters
	MaxEmailLen = 254 // bytes, RFC 5321 section 4.5.3.1.3
	MaxLabelLen = 80  // characters
)

// MaxHandleLen is how many characters a handle has at most; it has at least two.
const MaxHandleLen = 63

// handleShape lets a dot or hyphen stand only between other characters: "..", "-v" and "ada." mean something in
// addresses, commands and sentences.
var handleShape = regexp.MustCompile(`^[a-z0-9]([.-]?[a-z0-9_])+$`)

// ParseHandle returns the handle in lower case and without a leading "@". ok is false unless it has 2 to MaxHandleLen
// of a–z, 0–9, ".", "-" and "_", begins with a letter or digit, and has no "." or "-" at its end or beside another.
func ParseHandle(s string) (handle string, ok bool) {
	handle = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(s), "@"))
	return handle, len(handle) <= MaxHandleLen && handleShape.MatchString(handle)
}
