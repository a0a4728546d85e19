package webhook

import "time"

// The types of events. There may be others in future: answer those with 2xx and do nothing.
const (
	// SessionStarted: somebody signed in, in a browser or an app that holds a session of its own.
	SessionStarted = "session.started"
	// SessionEnded: one session has ended, or several at once, as Data.Scope says.
	SessionEnded = "session.ended"
	// AccountSecured: somebody else may have used the account, so its owner or an operator secured it.
	AccountSecured = "account.secured"
	// Ping: an operator tests the webhook. It has no data.
	Ping = "ping"
)

// The values of Data.Scope.
const (
	ScopeSession = "session" // one session
	ScopeOthers  = "others"  // every session of the account that had started, except one
	ScopeAccount = "account" // every session of the account that had started
)

// Event is the body of a message. There may be more fields in future; those that are here keep their meaning.
type Event struct {
	Type string `json:"type"`
	// Timestamp is when it happened, to the millisecond, and not when it was sent. An end with the scope others or
	// account is one of sessions that had started by then.
	Timestamp time.Time `json:"timestamp"`
	Data      Data      `json:"data"`
}

// Data says what happened. What does not belong to the type of the event is empty.
type Data struct {
	Account string `json:"account_id,omitempty"` // `sub` in ID tokens
	// Session is the one that started, or that ended with the scope session; `sid` in ID tokens.
	Session string `json:"session_id,omitempty"`
	// Kept is the session that goes on, with the scope others.
	Kept string `json:"kept_session_id,omitempty"`
	// Kind of a session that started: kept or shared, which are browsers, or app.
	Kind string `json:"kind,omitempty"`
	// Client is whose session started, if it is the session of a registered app on somebody's device.
	Client string `json:"client_id,omitempty"`
	Scope  string `json:"scope,omitempty"`  // how much ended
	Reason string `json:"reason,omitempty"` // why: a word, as signed_out, idle or password_change
	By     string `json:"by,omitempty"`     // who did it: person, operator, link or system
}
