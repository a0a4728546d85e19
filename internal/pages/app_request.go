package pages

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// maxState bounds what an app may have carried through the browser for it.
const maxState = 512

// appRequest is an app's wish for a session of its own, as the browser brought
// it, found to be in order.
type appRequest struct {
	authority.CodeRequest
	state    string
	client   exeunt.Client
	redirect *url.URL
}

// appFields are the parameters of the request (RFC 6749 section 4.1.1, RFC 7636
// section 4.3).
var appFields = []string{"client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"}

// parseAppRequest reads a request and checks it. Nobody may be sent to the
// address in a request that is not in order (RFC 9700 section 4.11.2).
func (p *Pages) parseAppRequest(v url.Values) (q appRequest, err error) {
	for _, name := range appFields {
		if len(v[name]) > 1 { // RFC 6749 section 3.1
			return q, fmt.Errorf("%s stands twice: %w", name, exeunt.ErrBadRequest)
		}
	}
	q.CodeRequest = authority.CodeRequest{Client: exeunt.ClientID(v.Get("client_id")), RedirectURI: v.Get("redirect_uri"), Challenge: v.Get("code_challenge")}
	q.state = v.Get("state")
	if q.client, err = p.Authority.CheckCodeRequest(q.CodeRequest); err != nil {
		return q, err
	}
	if v.Get("code_challenge_method") != "S256" {
		return q, exeunt.ErrBadChallenge
	}
	if q.state == "" || len(q.state) > maxState {
		return q, fmt.Errorf("state of client %s: %w", q.Client, exeunt.ErrBadRequest)
	}
	if q.redirect, err = url.Parse(q.RedirectURI); err != nil {
		return q, fmt.Errorf("redirect address of client %s: %w", q.Client, exeunt.ErrBadRequest)
	}
	return q, nil
}

// appRequestIn reads the request that a return address carries. The error is
// ErrNotFound when it leads elsewhere.
func (p *Pages) appRequestIn(back string) (appRequest, error) {
	u, err := url.Parse(back)
	if err != nil || u.Path != "/authorize" {
		return appRequest{}, exeunt.ErrNotFound
	}
	return p.parseAppRequest(u.Query())
}

// answer is the app's address with the answer to its request.
func (q appRequest) answer(name, value string) string {
	u := *q.redirect
	v := u.Query()
	v.Set(name, value)
	v.Set("state", q.state)
	u.RawQuery = v.Encode()
	return u.String()
}

// allow lets the page's form be answered with a redirect to the app.
func (q appRequest) allow(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", web.FormPolicy(q.redirect.Scheme+"://"+q.redirect.Host))
}

func (q appRequest) hidden() []ui.Hidden {
	values := []string{string(q.Client), q.RedirectURI, q.state, q.Challenge, "S256"}
	out := make([]ui.Hidden, len(appFields))
	for i, name := range appFields {
		out[i] = ui.Hidden{Name: name, Value: values[i]}
	}
	return out
}
