package web

import (
	"net/http"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

// Bearer returns the credential that a request carries in its Authorization header
// (RFC 6750 section 2.1); the scheme's name is case-insensitive (RFC 9110
// section 11.1). It reads the header only, because a token does not belong in an
// address. Two Authorization headers are refused, because nobody can say which one
// is right. It is the zero Credential when there is none. Bearer allocates nothing.
func Bearer(r *http.Request) authority.Credential {
	const scheme = "Bearer "
	given := r.Header["Authorization"]
	if len(given) != 1 || len(given[0]) <= len(scheme) || !strings.EqualFold(given[0][:len(scheme)], scheme) {
		return authority.Credential{}
	}
	t, err := exeunt.ParseToken(given[0][len(scheme):])
	if err != nil {
		return authority.Credential{}
	}
	return authority.Credential{Token: t, Use: authority.AsBearer}
}
