package exeunt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// EventKind is the kind of a log entry. A reader that does not know a kind must forget what it holds of the event's
// account, or everything if the event names none, and ask the authority again: a newer program may have ended
// sessions that the reader still takes for live.
type EventKind string

const (
	// EventEnded: the sessions that the target names have ended.
	EventEnded EventKind = "ended"
	// EventProfileChanged: the account's name, address, picture or display changed. Checks return these, so every node must
	// learn of it. No session ended.
	EventProfileChanged EventKind = "profile_changed"
	// EventGroupsChanged: the account was put into a group or taken out of one; the reason says which. Checks return
	// its groups, as with EventProfileChanged. No session ended by it: what an app that is no longer theirs had is ended
	// by events of its own.
	EventGroupsChanged EventKind = "groups_changed"
	// EventClientChanged: the target's client was registered or changed. The event has no account, and no session
	// ended.
	EventClientChanged EventKind = "client_changed"
	// EventAppsEnded: app sessions of the target's client have ended, however many: with ReasonClientRemoved all of its
	// registration, and otherwise those of people who may not use it any more. Whoever holds app sessions of it in memory
	// must forget them and ask again. The event has no account.
	EventAppsEnded EventKind = "apps_ended"
	// EventRestored: an operator decided how to go on with a database that was restored; the reason says how. The event
	// has no account, and readers forget everything that they hold.
	EventRestored EventKind = "restored"
	// EventRenewed: the target's session goes on with another token, and its app sessions may have ended. Whoever holds
	// the session or an app session of it in memory must forget it there and ask again.
	EventRenewed EventKind = "renewed"
	// EventAccountDeleted: the account is deleted. Its sessions have ended by an event before. It is the last one that
	// names the account.
	EventAccountDeleted EventKind = "account_deleted"
)

// Event is an entry of the numbered log.
type Event struct {
	Seq  int64 // dense, from 1
	At   time.Time
	Kind EventKind
	Target
	Reason Reason // why sessions ended; with EventGroupsChanged, what was done
	By     Actor
	// Generation is the account's new generation with ScopeOthers and ScopeAccount; 0 otherwise.
	Generation int64
	// Version is the profile's new version with EventProfileChanged and EventGroupsChanged.
	Version int64
	// Ended is how many sessions an ending has ended, or 1 for an app session. It is 0 where it was not read.
	Ended int64
	// Row identifies the row that the event was read from, in a log that several programs share. A row that was
	// restored from a backup has another number, even if its content is the same. It is 0 where it was not read.
	Row int64
}

// Covers reports whether the event ended a session of that account, ID and generation, or its token. Whoever holds a
// copy of a session older than the event must ask this before using it.
func (e *Event) Covers(account AccountID, session SessionID, generation int64) bool {
	switch {
	case e.Account != account && !e.Account.IsZero():
		return false
	case e.Kind == EventProfileChanged, e.Kind == EventGroupsChanged, e.Kind == EventClientChanged,
		e.Kind == EventAppsEnded:
		return false
	case e.Kind == EventRenewed:
		return e.Session == session
	case e.Kind != EventEnded:
		return true // from a newer program: refuse rather than guess
	}
	switch e.Scope {
	case ScopeSession:
		return e.AppSession.IsZero() && e.Session == session
	case ScopeOthers:
		return e.Session != session && generation < e.Generation
	case ScopeAccount:
		return generation < e.Generation
	}
	return true // from a newer program: refuse rather than guess
}

// CoversApp reports whether the event ended that app session of the client, or may have. Covers reports whether it ended
// the parent.
func (e *Event) CoversApp(app AppSessionID, client ClientID) bool {
	if e.Kind == EventAppsEnded {
		return e.Client == client
	}
	return e.Kind == EventEnded && e.Scope == ScopeSession && !e.AppSession.IsZero() && e.AppSession == app
}

// Keeps reports whether the event ended all sessions of the account except that one, which has the event's
// generation from then on.
func (e *Event) Keeps(account AccountID, session SessionID) bool {
	return e.Kind == EventEnded && e.Scope == ScopeOthers && e.Account == account && e.Session == session
}

// Same reports whether two log entries with the same number are the same event.
func (e *Event) Same(o *Event) bool {
	a, b := *e, *o
	if a.Row == 0 || b.Row == 0 {
		a.Row, b.Row = 0, 0
	}
	return a.Digest() == b.Digest()
}

// Digest identifies the event. Two histories of a log agree up to an event if both have the same one under its
// number: whatever comes before it was there when it was recorded. The actor is left out, since readers of the log
// do not get it.
func (e *Event) Digest() string {
	b := make([]byte, 0, 192)
	for _, n := range [...]int64{e.Seq, e.At.UnixMilli(), e.Generation, e.Version, e.Row} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(append(append(b, e.Account.raw[:]...), e.Session.raw[:]...), e.AppSession.raw[:]...)
	for _, text := range [...]string{string(e.Kind), string(e.Scope), string(e.Reason), string(e.Client)} {
		b = append(append(b, text...), 0)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:digestLen])
}

// digestLen is how many bytes of the hash a digest shows.
const digestLen = 16
