// Package receipt reads and verifies receipts: signed statements of the authority that sessions have ended.
//
// It owns the form of the statement and every rule by which a file is a receipt or is none. It decides nothing about
// sessions, and a receipt lets nobody in. It imports only the standard library and package client.
package receipt

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// Type is the typ of a receipt's header. No other token of the authority has it, so none passes for a receipt, and a
// receipt passes for no other token (RFC 8725 section 3.11).
const Type = "exeunt-receipt+jwt"

// Version is the version of the statement that this package writes and reads.
const Version = 1

// KeysPath is where below its address an installation publishes the keys that its receipts are verified with.
const KeysPath = "/oauth/receipt-keys"

// Statement is what a receipt says, as known at IssuedAt. It names no person, device or place. The fields are in the
// order of their names, which is the order in the file (RFC 8785).
type Statement struct {
	// AppSessions is how many sign-ins of apps ended with the sessions; nil when that is not known any more.
	AppSessions *int64 `json:"app_sessions,omitempty"`
	Apps        []App  `json:"apps"`
	// AppsComplete: Apps are all apps that the sessions were used in. Otherwise there may be others.
	AppsComplete bool `json:"apps_complete"`
	By           By   `json:"by"`
	// EndedAt is when the end was recorded. From then on what had ended was refused.
	EndedAt time.Time `json:"ended_at"`
	// Event is the number of the entry in the authority's log, and Log the log's name.
	Event int64 `json:"event"`
	// IssuedAt is when this was signed, in seconds since 1970.
	IssuedAt int64  `json:"iat"`
	Issuer   string `json:"iss"`
	ID       string `json:"jti"`
	Log      string `json:"log"`
	Reason   string `json:"reason"`
	Scope    Scope  `json:"scope"`
	Sessions int64  `json:"sessions"`
	Version  int    `json:"v"`
}

// Scope is how much ended.
type Scope string

// The scopes.
const (
	ScopeSession Scope = "session" // one session
	ScopeOthers  Scope = "others"  // all sessions of the account but one
	ScopeAccount Scope = "account" // all sessions of the account
	ScopeApp     Scope = "app"     // one sign-in of an app, and not the session that it belongs to
)

// By is what sort of actor ended it.
type By string

// The actors.
const (
	ByHere          By = "here"          // a session that ended by it
	ByElsewhere     By = "elsewhere"     // another session of the account
	ByLink          By = "link"          // the holder of a one-time link of the account
	ByAdministrator By = "administrator" // somebody who runs the installation
	BySystem        By = "system"        // the authority itself, as when a session times out
)

// App is an app that a session was used in, and what has become of it.
type App struct {
	Attempts int64  `json:"attempts,omitempty"` // how often it has been tried to tell it
	Client   string `json:"client"`             // its ID
	// ExpiresBy, with StateExpires, is when its access has ended by itself at the latest.
	ExpiresBy time.Time `json:"expires_by,omitzero"`
	Name      string    `json:"name"`
	State     State     `json:"state"`
	// Tier is how far a sign-out reaches it: checked, relayed, proxied, told, expires, account or untold.
	Tier string `json:"tier"`
	// ToldAt, with StateTold, is when it confirmed.
	ToldAt time.Time `json:"told_at,omitzero"`
}

// State is what has become of an app.
type State string

// The states.
const (
	StateClosed  State = "closed"  // each of its requests is checked, so it was closed from the moment of the end
	StateTold    State = "told"    // it was told, and has confirmed
	StatePending State = "pending" // it is being told, and has not confirmed
	StateRefused State = "refused" // it did not accept the notice
	StateGaveUp  State = "gave_up" // it could not be reached for as long as that is tried
	StateExpires State = "expires" // its access ends by itself
	StateWhole   State = "whole"   // it can be told only of the end of the whole account, and was not
	StateUntold  State = "untold"  // it cannot be told
	StateUnknown State = "unknown" // nothing is recorded of it any more
)

// Encode writes the statement in its one form, which is that of RFC 8785: no spaces, fields by their names, UTC.
func (s *Statement) Encode() ([]byte, error) {
	v := *s
	v.EndedAt, v.Apps = plain(v.EndedAt), make([]App, len(s.Apps))
	for i, a := range s.Apps {
		a.Name, a.ExpiresBy, a.ToldAt = oneLine.Replace(a.Name), plain(a.ExpiresBy), plain(a.ToldAt)
		v.Apps[i] = a
	}
	return encode(v)
}

// encode is JSON without the escapes that are only for HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// oneLine replaces what encoding/json escapes and RFC 8785 does not.
var oneLine = strings.NewReplacer("\u2028", " ", "\u2029", " ")

func plain(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
