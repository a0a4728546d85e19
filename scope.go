package exeunt

import (
	"slices"
	"strings"
)

// Scopes are what an app may learn and do, as a list with spaces between (RFC 6749 section 3.3).
type Scopes string

// The scopes that mean something here. Others are dropped.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile" // handle, name and picture
	ScopeEmail   = "email"   // the address, once confirmed
	ScopeGroups  = "groups"
	// ScopeOffline lets an app ask for new tokens (OpenID Connect Core section 11). They end with the session all the
	// same.
	ScopeOffline = "offline_access"
)

// KnownScopes are all that mean something, in the order in which they are stored.
var KnownScopes = []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeGroups, ScopeOffline}

// ParseScopes returns the known scopes of a list.
func ParseScopes(text string) Scopes {
	given := strings.Fields(text)
	var out []string
	for _, s := range KnownScopes {
		if slices.Contains(given, s) {
			out = append(out, s)
		}
	}
	return Scopes(strings.Join(out, " "))
}

// List returns the scopes one by one.
func (s Scopes) List() []string { return strings.Fields(string(s)) }

// Has reports whether a scope is among them.
func (s Scopes) Has(one string) bool { return slices.Contains(s.List(), one) }

// Cover reports whether all of the others are among them.
func (s Scopes) Cover(others Scopes) bool {
	return !slices.ContainsFunc(others.List(), func(one string) bool { return !s.Has(one) })
}

// With returns these scopes and the others.
func (s Scopes) With(others Scopes) Scopes { return ParseScopes(string(s) + " " + string(others)) }
