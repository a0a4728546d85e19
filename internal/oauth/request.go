package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"iter"
	"net/url"

	"github.com/exeunt/exeunt"
)

// maxState is the longest state that an app may send.
const maxState = 512

// CodeRequest is an app's request for a code, as the browser sent it.
type CodeRequest struct {
	Client      exeunt.ClientID
	RedirectURI string
	Challenge   string // PKCE code_challenge; S256 is the only method
	// Holder is the token of the person who grants it, which must be the session's when it is granted.
	Holder exeunt.TokenHash
}

// Request is a valid request of an app for a session of its own.
type Request struct {
	CodeRequest
	App      exeunt.Client
	state    string
	redirect *url.URL
}

// parameters of the request (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
var parameters = []string{"client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"}

// ParseRequest reads and checks a request. Its errors, which say what the app has set
// wrong, are ErrUnknownClient, ErrRedirectURI, ErrBadChallenge and ErrBadRequest. After
// an error nobody may be redirected to the address in the request (RFC 9700 section
// 4.11.2).
func (r *Registry) ParseRequest(v url.Values) (q Request, err error) {
	for _, name := range parameters {
		if len(v[name]) > 1 { // RFC 6749 section 3.1
			return q, fmt.Errorf("more than one %s: %w", name, exeunt.ErrBadRequest)
		}
	}
	q.CodeRequest = CodeRequest{
		Client: exeunt.ClientID(v.Get("client_id")), RedirectURI: v.Get("redirect_uri"), Challenge: v.Get("code_challenge"),
	}
	if q.App, err = r.check(q.CodeRequest); err != nil {
		return q, err
	}
	if v.Get("code_challenge_method") != "S256" {
		return q, exeunt.ErrBadChallenge
	}
	if q.state = v.Get("state"); q.state == "" || len(q.state) > maxState {
		return q, fmt.Errorf("state of client %s: %w", q.Client, exeunt.ErrBadRequest)
	}
	if q.redirect, err = url.Parse(q.RedirectURI); err != nil {
		return q, fmt.Errorf("redirect address of client %s: %w", q.Client, exeunt.ErrBadRequest)
	}
	return q, nil
}

// check returns the client of a valid request, or one of ParseRequest's errors.
func (r *Registry) check(q CodeRequest) (exeunt.Client, error) {
	c, err := r.Client(q.Client)
	if err != nil {
		r.reportUnknown(q)
		return c, exeunt.ErrUnknownClient
	}
	if !c.MayRedirectTo(q.RedirectURI) {
		r.reportAddress(c, q)
		return c, exeunt.ErrRedirectURI
	}
	// RFC 7636 section 4.2: BASE64URL(SHA256(verifier)), 43 characters. The decoder
	// alone ignores line breaks.
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.Challenge)
	if err != nil || len(b) != sha256.Size || len(q.Challenge) != 43 {
		return c, exeunt.ErrBadChallenge
	}
	return c, nil
}

// Answer returns the app's redirect address with the answer to its request.
func (q Request) Answer(name, value string) string {
	u := *q.redirect
	v := u.Query()
	v.Set(name, value)
	v.Set("state", q.state)
	u.RawQuery = v.Encode()
	return u.String()
}

// Origin returns the origin of the redirect address, for a content security policy.
func (q Request) Origin() string { return q.redirect.Scheme + "://" + q.redirect.Host }

// Parameters returns the names and values of the same request.
func (q Request) Parameters() iter.Seq2[string, string] {
	values := []string{string(q.Client), q.RedirectURI, q.state, q.Challenge, "S256"}
	return func(yield func(string, string) bool) {
		for i, name := range parameters {
			if !yield(name, values[i]) {
				return
			}
		}
	}
}
