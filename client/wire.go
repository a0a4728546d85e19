package client

import (
	"encoding/json"
	"time"
)

// The structs of the API. Times are RFC 3339 in UTC; IDs are opaque text.

// Session is one sign-in on one browser or app.
type Session struct {
	ID          string       `json:"id" doc:"Names the session; public, gives no access"`
	Kind        string       `json:"kind" enum:"kept,shared,app" doc:"kept: a person's own browser. shared: a shared computer's. app: an app"`
	Label       string       `json:"label" doc:"Device and browser, or what the app called itself"`
	Address     string       `json:"address" doc:"Network address it was started from"`
	LastAddress string       `json:"last_address" doc:"Network address it was last used from, as far as the server saw it: an app that checks in its own process does not tell"`
	Methods     []string     `json:"methods" nullable:"false" doc:"How the person proved who they are: password"`
	Proved      time.Time    `json:"proved_at" doc:"When they did"`
	Started     time.Time    `json:"started"`
	Seen        time.Time    `json:"seen" doc:"Last activity"`
	IdleAt      time.Time    `json:"idle_at" doc:"When it ends if it stays unused"`
	ExpiresAt   time.Time    `json:"expires_at" doc:"When it ends in any case"`
	Current     bool         `json:"current" doc:"Whether the request was made with it"`
	Ended       *Ended       `json:"ended,omitempty"`
	Apps        []AppSession `json:"apps" nullable:"false" doc:"Apps signed in through it, at most 20 app sessions, without those that were ended by themselves"`
	AppCount    int64        `json:"app_count" doc:"How many app sessions there are"`
}

// AppSession is the child of a session on one client.
type AppSession struct {
	ID      string    `json:"id"`
	Client  string    `json:"client" doc:"ID of the app"`
	Name    string    `json:"name" doc:"Name of the app, for people"`
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
}

// Ended says when and why a session ended. The holder of its credential is told no
// more: they may be a thief, or the computer's next user.
type Ended struct {
	At     time.Time `json:"at,omitzero"`
	Reason string    `json:"reason" doc:"signed_out, idle, absolute, closed, replaced, too_many_sessions, incomplete_credential, renewed, code_reused, refresh_reused, password_change, factor_change, address_undone, not_me, administrator, account_disabled, account_deleted, review, secured, revoked, client_removed, or empty when unknown"`
	// By and ByLabel are only in the account's own lists.
	By      string `json:"by,omitempty" doc:"person, operator or system"`
	ByLabel string `json:"by_label,omitempty" doc:"The session it was ended from"`
}

// Account is the account a session belongs to.
type Account struct {
	ID     string   `json:"id"`
	Handle string   `json:"handle"`
	Name   string   `json:"name"`
	Email  string   `json:"email,omitempty" doc:"Only when confirmed"`
	Groups []string `json:"groups" nullable:"false" doc:"Names of the groups that the account is in, sorted"`
}

// AppRef names the app session that a token stands for.
type AppRef struct {
	ID     string `json:"id"`
	Client string `json:"client"`
}

// SignIn is the body of POST /api/v1/signin.
type SignIn struct {
	Identifier string `json:"identifier" minLength:"1" maxLength:"254" doc:"Handle or e-mail address"`
	Password   Sent   `json:"password" minLength:"1" maxLength:"1024"`
	Label      string `json:"label,omitempty" maxLength:"400" doc:"What the app calls itself, such as Chirp on Pixel 8. Beyond 80 characters it is cut, and ends with …"`
}

// Answer is the body of POST /api/v1/signin/answer: the second step of a sign-in.
type Answer struct {
	Challenge Sent   `json:"challenge" maxLength:"100" doc:"From the answer factor_required"`
	Code      Sent   `json:"code" minLength:"1" maxLength:"100" doc:"What an authenticator app shows, or a recovery code"`
	Label     string `json:"label,omitempty" maxLength:"400" doc:"As in the first step"`
}

// SignedIn is the answer to SignIn.
type SignedIn struct {
	Token   Sent    `json:"token" doc:"Bearer token; shown once"`
	Session Session `json:"session"`
}

// Current is the answer to GET /api/v1/session.
type Current struct {
	Session Session `json:"session"`
	Account Account `json:"account"`
	App     *AppRef `json:"app,omitempty" doc:"Present when the token is an app session's"`
}

// SessionList is the answer to GET /api/v1/sessions: a page of the list.
type SessionList struct {
	Sessions []Session `json:"sessions" nullable:"false" doc:"A page may have fewer than limit, or none, without being the last"`
	Total    int64     `json:"total" doc:"How many there are on all pages"`
	Next     string    `json:"next,omitempty" doc:"Send it as after for the next page; absent on the last page"`
}

// EndedCount is the answer to DELETE /api/v1/sessions.
type EndedCount struct {
	Ended int64 `json:"ended" doc:"How many sessions this request ended"`
	// Receipt is where the receipt of it is.
	Receipt string `json:"receipt,omitempty" doc:"Address of the receipt of it, which whoever knows it can read; absent if nothing ended"`
	Token   Sent   `json:"token,omitempty" doc:"With others: the session's new token. The request's own is not accepted any more"`
}

// Place is a place in the event log, after one event: the log's epoch, and the event's
// number and digest.
type Place struct {
	Epoch  string `json:"epoch" maxLength:"64" doc:"Names the log that the numbers belong to"`
	Seq    int64  `json:"seq" minimum:"0" doc:"Number of the last event, 0 before the first one"`
	Digest string `json:"digest,omitempty" maxLength:"64" doc:"That event's digest. Another one means another history"`
}

// Position is how far a node has come in the event log: the data of the stream's
// messages same, reload and beat, and part of the answer to an Echo.
type Position struct {
	Place
	Age int64 `json:"age" doc:"Milliseconds since the node last read the log to its end; 0 if it writes the log"`
	Now int64 `json:"now" doc:"The node's time, in milliseconds since 1970"`
}

// Echo is the body of POST /api/v1/events/echo: the caller's place, after the last
// event that it has applied.
type Echo struct {
	Place
	Nonce string `json:"nonce" minLength:"1" maxLength:"64" doc:"The answer repeats it, to tell it from older ones"`
}

// Echoed is the answer to an Echo: the node's position.
type Echoed struct {
	Position
	Nonce   string  `json:"nonce" doc:"The request's nonce"`
	History History `json:"history" enum:"same,reload" doc:"same: go on. reload: forget all, open the stream again"`
}

// History says whether a place is in the history that the node follows.
type History string

const (
	// HistorySame: go on.
	HistorySame History = "same"
	// HistoryReload: forget everything and go on from the node's place.
	HistoryReload History = "reload"
)

// LogEvent is an entry of the event log, reduced to what a cache of sessions needs: the
// data of the stream's message log.
type LogEvent struct {
	Seq        int64     `json:"seq"`
	Digest     string    `json:"digest" doc:"Send it with the number to go on after this event"`
	At         time.Time `json:"at"`
	Kind       EventKind `json:"kind" doc:"ended: sessions have ended, see scope. profile_changed: the account's name, address, picture or display has changed. groups_changed: the account is in other groups; none of its sessions ended. client_changed: an app was registered or changed, see client. apps_ended: app sessions of that client have ended, of any account. renewed: the session has another token, and its app sessions may have ended. A reader that does not know the kind of an event, or the scope of an ended one, forgets what it holds of the event's account, or everything if there is no account, and asks again"`
	Scope      string    `json:"scope,omitempty" enum:"session,others,account" doc:"With ended: how much has ended"`
	Account    string    `json:"account,omitempty"`
	Client     string    `json:"client,omitempty" doc:"Of an event without an account: the client that it is about"`
	Session    string    `json:"session,omitempty" doc:"With session: it has ended. With others: it has not. With renewed: it has another token"`
	AppSession string    `json:"app_session,omitempty" doc:"With session: only this app session of it ended"`
	Generation int64     `json:"generation,omitempty" doc:"With others and account: sessions of an earlier one ended"`
}

// EventKind says what happened.
type EventKind string

const (
	// EventEnded: sessions have ended.
	EventEnded EventKind = "ended"
	// EventProfileChanged: the account's name, address, picture or display has changed.
	EventProfileChanged EventKind = "profile_changed"
	// EventGroupsChanged: the account is in other groups than before.
	EventGroupsChanged EventKind = "groups_changed"
	// EventRenewed: a session has another token, and its app sessions may have ended.
	EventRenewed EventKind = "renewed"
	// EventClientChanged: an app was registered or changed; Client names it.
	EventClientChanged EventKind = "client_changed"
	// EventAppsEnded: app sessions of Client have ended: all, because it was removed, or those of people who may not use
	// it any more.
	EventAppsEnded EventKind = "apps_ended"
)

// ActivityNote is the body of POST /api/v1/activity: when people were last at
// work in sessions that an app checks in its own process.
type ActivityNote struct {
	Seen []SeenAt `json:"seen" minItems:"1" maxItems:"500" nullable:"false"`
}

// SeenAt is the last activity in one app session.
type SeenAt struct {
	Token string `json:"token_sha256" minLength:"64" maxLength:"64" doc:"SHA-256 of the app session's token, in hex"`
	Ago   int64  `json:"ago" minimum:"0" doc:"How many milliseconds before the note was sent"`
}

// ActivityNoted is the answer to ActivityNote.
type ActivityNoted struct {
	Now  int64    `json:"now" doc:"The server's time that ago was subtracted from, in milliseconds since 1970"`
	Dead []string `json:"dead" nullable:"false" doc:"Tokens that are not usable, or not this client's"`
}

// Liveness is what is known about a session.
type Liveness string

const (
	// Live: signed in.
	Live Liveness = "live"
	// Over: the session has ended.
	Over Liveness = "ended"
	// Unknown: nobody can tell right now. Show nothing private.
	Unknown Liveness = "unknown"
)

// State is the answer of the state addresses and the data of the event streams.
type State struct {
	State   Liveness
	Session string        // live: the session or app session
	WarnIn  time.Duration // live: time until the warning
	IdleIn  time.Duration // live: time until the end if it stays unused
	Shared  bool          // live: the browser is on a shared computer, so pages have the strip
	Reason  string        // ended: why; "" when unknown
	At      time.Time     // ended: when; zero when unknown
}

type liveState struct {
	State   Liveness `json:"state"`
	Session string   `json:"session"`
	WarnIn  int64    `json:"warnIn"`
	IdleIn  int64    `json:"idleIn"`
	Shared  bool     `json:"shared,omitempty"`
}

type endedState struct {
	State  Liveness  `json:"state"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at,omitzero"`
}

// MarshalJSON writes only what belongs to the state; durations in milliseconds.
func (s State) MarshalJSON() ([]byte, error) {
	switch s.State {
	case Live:
		warn, idle := max(s.WarnIn, 0), max(s.IdleIn, 0)
		return json.Marshal(liveState{s.State, s.Session, warn.Milliseconds(), idle.Milliseconds(), s.Shared})
	case Over:
		return json.Marshal(endedState{s.State, s.Reason, s.At})
	}
	return json.Marshal(struct {
		State Liveness `json:"state"`
	}{Unknown})
}

// UnmarshalJSON reads what MarshalJSON writes. Any other state becomes Unknown.
func (s *State) UnmarshalJSON(b []byte) error {
	var in struct {
		liveState
		Reason string    `json:"reason"`
		At     time.Time `json:"at"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*s = State{State: Unknown}
	switch in.State {
	case Live:
		warn, idle := time.Duration(in.WarnIn)*time.Millisecond, time.Duration(in.IdleIn)*time.Millisecond
		*s = State{State: Live, Session: in.Session, WarnIn: warn, IdleIn: idle, Shared: in.Shared}
	case Over:
		*s = State{State: Over, Reason: in.Reason, At: in.At}
	}
	return nil
}
