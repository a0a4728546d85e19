package web

import (
	"net/http"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

// Bearer returns the session's or app session's token that a request carries
// (RFC 6750 section 2.1); the scheme's name is case-insensitive (RFC 9110
// section 11.1). It is read from the header only: a token does not belong into
// an address. Two Authorization headers are refused, because nobody can say
// which of them is meant. Bearer allocates nothing.
func Bearer(r *http.Request) (exeunt.Token, bool) {
	t, ok := anyBearer(r)
	if !ok || t.Use() != exeunt.UseSession && t.Use() != exeunt.UseApp {
		return exeunt.Token{}, false
	}
	return t, true
}

func anyBearer(r *http.Request) (exeunt.Token, bool) {
	const scheme = "Bearer "
	given := r.Header["Authorization"]
	if len(given) != 1 || len(given[0]) <= len(scheme) || !strings.EqualFold(given[0][:len(scheme)], scheme) {
		return exeunt.Token{}, false
	}
	t, err := exeunt.ParseToken(given[0][len(scheme):])
	return t, err == nil
}

// ClientKey returns the key by which an app's back end says who it is: the
// bearer token of a call that is made for no person.
func ClientKey(r *http.Request) (exeunt.Token, bool) {
	t, ok := anyBearer(r)
	return t, ok && t.Use() == exeunt.UseClient
}

// OnlyAsPair reports whether the token that the answer is about is a browser's
// own. That is half a credential, which never leaves the authority's host by
// itself: as a bearer token it is worth nothing.
func OnlyAsPair(ans authority.Answer) bool { return ans.Kind.Browser() && ans.App.IsZero() }
