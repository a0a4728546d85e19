package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// maxRequest bounds the parameters of a request together, escaped: sealed, it must fit into an address. maxHint bounds
// its id_token_hint, which is long for somebody in many groups, and of which only the account is sealed.
const (
	maxRequest = 2500
	maxHint    = 16 << 10
)

// CodeRequest is what a code is bound to.
type CodeRequest struct {
	Client      exeunt.ClientID
	RedirectURI string
	Challenge   string // PKCE code_challenge by S256, the only method; "" without
	Scopes      exeunt.Scopes
	Nonce       string
	// Holder is the token of the person who grants it, which must be the session's when it is granted.
	Holder exeunt.TokenHash
}

// Request is an app's request to sign somebody in, whose client and redirect address are right.
type Request struct {
	CodeRequest
	App       exeunt.Client
	Prompt    []string
	MaxAge    time.Duration // since the person proved who they are; negative: any
	LoginHint string
	Languages []string         // ui_locales: in which the app would like our pages, the best first
	Hint      string           // id_token_hint, as it was sent; "" once it is sealed
	Expects   exeunt.AccountID // whom the hint named, once it is sealed
	Began     time.Time        // when it first came, once it is sealed
	Chosen    bool             // somebody has chosen the account for it

	given    url.Values // the known parameters, as they were sent
	state    string
	redirect *url.URL
}

// The values of prompt (OpenID Connect Core section 3.1.2.1).
const (
	PromptNone    = "none"
	PromptLogin   = "login"
	PromptConsent = "consent"
	PromptSelect  = "select_account"
)

// Parameters that are read (OpenID Connect Core section 3.1.2.1, RFC 7636 section 4.3). Others are ignored, as RFC 6749
// section 3.1 asks.
var Parameters = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "prompt", "max_age", "login_hint", "id_token_hint", "ui_locales", "request", "request_uri",
	"registration",
}

// Refusal is an error that the app is told at its redirect address (RFC 6749 section 4.1.2.1, OpenID Connect Core
// section 3.1.2.6).
type Refusal struct{ Code, Description string }

func (r *Refusal) Error() string { return r.Code + ": " + r.Description }

// ErrLoginRequired and its like answer a request with prompt=none, which may show no page.
var (
	ErrLoginRequired       = &Refusal{"login_required", "nobody is signed in, or they must sign in again"}
	ErrConsentRequired     = &Refusal{"consent_required", "the person has not allowed this app to know who they are"}
	ErrInteractionRequired = &Refusal{"interaction_required", "the person signed out of this app, and must come back themselves"}
	ErrFactorRequired      = &Refusal{"interaction_required", "the person must prove a second factor"}
	ErrAccessDenied        = &Refusal{"access_denied", "the person declined, or may not use this app"}
)

// ParseRequest reads and checks a request. Errors that say which client or redirect address is wrong (ErrUnknownClient,
// ErrRedirectURI, ErrBadRequest) are for a page here: nobody may be redirected to the address in the request (RFC 9700
// section 4.11.2). A *Refusal is to be told the app, by the request that comes with it.
func (r *Registry) ParseRequest(v url.Values) (q Request, err error) {
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(v[name]) > 1 { // RFC 6749 section 3.1
			return q, fmt.Errorf("more than one %s: %w", name, exeunt.ErrBadRequest)
		}
	}
	q.CodeRequest = CodeRequest{Client: exeunt.ClientID(v.Get("client_id")), RedirectURI: v.Get("redirect_uri")}
	if q.App, err = r.check(q.CodeRequest); err != nil {
		return q, err
	}
	if q.redirect, err = url.Parse(q.RedirectURI); err != nil {
		return q, fmt.Errorf("redirect address of client %s: %w", q.Client, exeunt.ErrBadRequest)
	}
	q.given = url.Values{}
	for _, name := range Parameters {
		if len(v[name]) > 0 {
			q.given[name] = v[name]
		}
	}
	q.state = v.Get("state")
	hint := q.given["id_token_hint"]
	if delete(q.given, "id_token_hint"); len(q.given.Encode()) > maxRequest || len(strings.Join(hint, "")) > maxHint {
		q.state = ""
		return q, fmt.Errorf("request of client %s: %w", q.Client, exeunt.ErrBadRequest)
	}
	if len(hint) > 0 {
		q.given["id_token_hint"] = hint
	}
	if refused := q.read(); refused != nil {
		return q, refused
	}
	return q, nil
}

// check returns the client whose ID and redirect address are right, or one of ParseRequest's errors.
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
	return c, nil
}

// read reads the parameters whose errors the app is told.
func (q *Request) read() *Refusal {
	v := q.given
	invalid := func(format string, args ...any) *Refusal {
		return &Refusal{"invalid_request", fmt.Sprintf(format, args...)}
	}
	for _, name := range Parameters {
		if len(v[name]) > 1 {
			return invalid("%s was sent more than once", name)
		}
	}
	for name, code := range map[string]string{"request": "request_not_supported",
		"request_uri": "request_uri_not_supported", "registration": "registration_not_supported"} {
		if v.Has(name) {
			return &Refusal{code, "send the parameters themselves"}
		}
	}
	switch v.Get("response_type") {
	case "code":
	case "":
		return invalid("response_type is missing")
	default:
		return &Refusal{"unsupported_response_type", "only code is supported"}
	}
	if mode := v.Get("response_mode"); mode != "" && mode != "query" {
		return invalid("only the response_mode query is supported")
	}
	q.Scopes, q.Nonce = exeunt.ParseScopes(v.Get("scope")), v.Get("nonce")
	q.LoginHint, q.Hint = v.Get("login_hint"), v.Get("id_token_hint")
	q.Languages = strings.Fields(v.Get("ui_locales"))
	if refused := q.readChallenge(invalid); refused != nil {
		return refused
	}
	q.Prompt = strings.Fields(v.Get("prompt"))
	for _, one := range q.Prompt {
		if !slices.Contains([]string{PromptNone, PromptLogin, PromptConsent, PromptSelect}, one) {
			return invalid("unknown prompt %q", one)
		}
	}
	if q.Prompts(PromptNone) && len(q.Prompt) > 1 {
		return invalid("prompt none excludes others")
	}
	q.MaxAge = -1
	if text := v.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return invalid("max_age is a number of seconds")
		}
		q.MaxAge = time.Duration(seconds) * time.Second
	}
	return nil
}

func (q *Request) readChallenge(invalid func(string, ...any) *Refusal) *Refusal {
	q.Challenge = q.given.Get("code_challenge")
	if q.Challenge == "" {
		if q.App.NoPKCE {
			return nil
		}
		return invalid("code_challenge is missing") // RFC 7636 section 4.4.1
	}
	if q.given.Get("code_challenge_method") != "S256" {
		return invalid("only the code_challenge_method S256 is supported")
	}
	if !validChallenge(q.App, q.Challenge) {
		return invalid("code_challenge is not a SHA-256 in base64url")
	}
	return nil
}

// validChallenge reports whether a challenge is BASE64URL(SHA256(verifier)), 43 characters (RFC 7636 section 4.2), or
// missing for a client that sends none. The decoder alone ignores line breaks.
func validChallenge(c exeunt.Client, challenge string) bool {
	if challenge == "" {
		return c.NoPKCE
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(b) == sha256.Size && len(challenge) == 43
}

// Prompts reports whether a value of prompt was sent.
func (q *Request) Prompts(one string) bool { return slices.Contains(q.Prompt, one) }

// MustProve reports whether somebody who proved who they are at that moment must do so again for this request.
func (q *Request) MustProve(proved, now time.Time) bool {
	since := q.since(now)
	switch {
	case q.Prompts(PromptLogin):
		return proved.Before(since)
	case q.MaxAge >= 0:
		// Whoever has just proved it for this request is asked once, not until the clock stands still.
		return proved.Before(since) && now.Sub(proved) > q.MaxAge
	}
	return false
}

// MustChoose reports whether somebody must choose the account for this request. Whoever has signed in for it has done so.
func (q *Request) MustChoose(proved, now time.Time) bool {
	return q.Prompts(PromptSelect) && !q.Chosen && proved.Before(q.since(now))
}

func (q *Request) since(now time.Time) time.Time {
	if q.Began.IsZero() {
		return now
	}
	return q.Began
}

// Answer returns the app's redirect address with a code (RFC 6749 section 4.1.2, RFC 9207 section 2).
func (q *Request) Answer(code exeunt.Token, issuer string) string {
	return q.answer(url.Values{"code": {code.Reveal()}, "iss": {issuer}})
}

// Refuse returns the app's redirect address with an error (RFC 6749 section 4.1.2.1).
func (q *Request) Refuse(r *Refusal, issuer string) string {
	return q.answer(url.Values{"error": {r.Code}, "error_description": {r.Description}, "iss": {issuer}})
}

func (q *Request) answer(with url.Values) string {
	u := *q.redirect
	v := u.Query()
	for name := range with {
		v.Set(name, with.Get(name))
	}
	if q.state != "" {
		v.Set("state", q.state)
	}
	u.RawQuery = v.Encode()
	return u.String()
}

// Origin returns the origin of the redirect address, for a content security policy: for an app with a scheme of its own,
// the scheme.
func (q *Request) Origin() string { return originOf(q.redirect) }

func originOf(u *url.URL) string {
	if u.Host == "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// requestLife is how long a person may take to sign in for an app.
const requestLife = 30 * time.Minute

const sealedRequest = "authorization request"

// Seal returns the request in a form that the browser can carry through the steps of signing in. Nothing is stored for
// it, so nobody can fill a store with requests, and requests in several tabs do not know of each other. browser is a
// secret of the browser: the request is of no use to any other.
func (s *Service) Seal(q Request, browser string) (string, error) {
	if q.Began.IsZero() {
		q.Began = s.Now()
	}
	given := maps.Clone(q.given)
	delete(given, "id_token_hint")
	return s.Requests.Seal(sealedRequest, fmt.Appendf(nil, "%s\n%d\n%s\n%d\n%s", bound(browser), q.Began.UnixMilli(),
		s.Expected(&q), q.App.Registration, given.Encode()))
}

// OpenRequest returns a request that was sealed for this browser not too long ago; otherwise ErrRequestExpired. Its
// other errors are ParseRequest's, since the client may have changed meanwhile.
func (s *Service) OpenRequest(sealed, browser string) (q Request, err error) {
	text, ok := s.Requests.Open(sealedRequest, sealed)
	parts := strings.SplitN(string(text), "\n", 5)
	if !ok || len(parts) != 5 || browser == "" || parts[0] != bound(browser) {
		return q, exeunt.ErrRequestExpired
	}
	ms, err := strconv.ParseInt(parts[1], 10, 64)
	began := time.UnixMilli(ms)
	if err != nil || s.Now().Sub(began) > requestLife {
		return q, exeunt.ErrRequestExpired
	}
	var expects exeunt.AccountID
	if parts[2] != "" {
		if expects, err = exeunt.ParseAccountID(parts[2]); err != nil {
			return q, exeunt.ErrRequestExpired
		}
	}
	given, err := url.ParseQuery(parts[4])
	if err != nil {
		return q, exeunt.ErrRequestExpired
	}
	q, err = s.ParseRequest(given)
	q.Began, q.Expects = began, expects
	if q.App.ID != "" && strconv.FormatInt(q.App.Registration, 10) != parts[3] {
		return q, exeunt.ErrRequestExpired // what a person was shown of the client may be wrong by now
	}
	return q, err
}

// bound is a hash, so that a sealed request does not have the browser's secret in it.
func bound(browser string) string {
	sum := sha256.Sum256([]byte("request " + browser))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
