package exeunt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

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
	// ScopeProfile: none. The account's profile has changed, which every node's
	// checks tell of, so it stands in the log with the endings.
	ScopeProfile Scope = "profile"
)

// Reason says why a session ended.
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
	// ReasonHalfPair: its browser presented half of its credential.
	ReasonHalfPair Reason = "half_pair"
	// ReasonCodeReused: the code it was started with was presented again, a
	// sign that the code was stolen. Only app sessions end so.
	ReasonCodeReused Reason = "code_reused"
	// ReasonPasswordChange: the account's password changed.
	ReasonPasswordChange Reason = "password_change"
	// ReasonAdministrator: an administrator ended it.
	ReasonAdministrator Reason = "administrator"
	// ReasonDisabled: the account was disabled.
	ReasonDisabled Reason = "account_disabled"
)

// Revocation is the wish to end sessions.
type Revocation struct {
	Account AccountID
	Scope   Scope
	// Session is the one to end with ScopeSession, the one to keep with
	// ScopeOthers, and zero with ScopeAccount.
	Session SessionID
	// AppSession, with ScopeSession, ends only that child of Session.
	AppSession AppSessionID
	Reason     Reason
	// Key makes a retry harmless: the same actor with the same key gets the
	// first outcome again. "" means no key.
	Key string
}

// Event is an entry of the numbered log: a revocation that has been recorded.
type Event struct {
	Seq int64 // dense, from 1
	At  time.Time
	Revocation
	By Actor
	// Generation is what the account's generation became with ScopeOthers and
	// ScopeAccount; 0 with ScopeSession.
	Generation int64
	// Version is what the profile's version became with ScopeProfile.
	Version int64
	// Row tells the row that it was read from, in a log that several programs
	// share, from any other with the same content: one that was put back from a
	// copy, and everything else with it. 0 where that was not looked at.
	Row int64
}

// Covers reports whether the event ended a session of that account, identity
// and generation. Whoever holds a copy of a session older than the event must
// ask this before using it.
func (e *Event) Covers(account AccountID, session SessionID, generation int64) bool {
	if e.Account != account {
		return false
	}
	switch e.Scope {
	case ScopeSession:
		return e.AppSession.IsZero() && e.Session == session
	case ScopeOthers:
		return e.Session != session && generation < e.Generation
	case ScopeAccount:
		return generation < e.Generation
	case ScopeProfile:
		return false
	}
	return true // an unknown scope comes from a newer program: refuse rather than guess
}

// CoversApp reports whether the event ended that app session by itself. What
// it does to the parent, Covers tells.
func (e *Event) CoversApp(app AppSessionID) bool {
	return e.Scope == ScopeSession && !e.AppSession.IsZero() && e.AppSession == app
}

// Same reports whether two entries of the log with the same number are one and
// the same event.
func (e *Event) Same(o *Event) bool {
	a, b := *e, *o
	if a.Row == 0 || b.Row == 0 {
		a.Row, b.Row = 0, 0
	}
	return a.Digest() == b.Digest()
}

// Digest is the same for the same event only. Two histories of a log agree up to
// an event if they have the same one under its number: all that comes before it
// was there when it was recorded. Who did it is left out, since an event is told
// to many without that.
func (e *Event) Digest() string {
	b := make([]byte, 0, 192)
	for _, n := range [...]int64{e.Seq, e.At.UnixMilli(), e.Generation, e.Version, e.Row} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(append(append(b, e.Account.raw[:]...), e.Session.raw[:]...), e.AppSession.raw[:]...)
	b = append(append(append(b, e.Scope...), 0), e.Reason...)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:digestLen])
}

// digestLen is how many bytes of the hash are told.
const digestLen = 16
