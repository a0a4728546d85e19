package pages

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/web"
)

// page is a handler for somebody who is signed in.
type page func(w http.ResponseWriter, r *http.Request, v web.Visitor) error

// arrive returns the visitor, and notes the request as activity if it is any.
func (p *Pages) arrive(r *http.Request) web.Visitor {
	v := p.Browser.Visitor(r)
	if v.SignedIn() && client.IsActivity(r.Header) {
		p.Authority.TouchFrom(v.Answer, p.Peers.Address(r))
		v.Answer = p.Authority.Check(r.Context(), v.Credential) // its idle time counts from now
	}
	return v
}

// visit is arrive with the profile, for pages that show it.
func (p *Pages) visit(r *http.Request) web.Visitor {
	return p.Browser.Introduced(r.Context(), p.arrive(r))
}

// signedIn admits only somebody who is signed in by what the policy requires.
func (p *Pages) signedIn(h page) web.Handler { return p.anySession(p.withRoom(p.sufficient(h))) }

// anySession admits only somebody who is signed in, by whatever, for pages that lead to what the policy requires.
func (p *Pages) anySession(h page) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error { return p.admit(w, r, p.visit(r), h) }
}

// admit redirects anybody who is not signed in: to sign in, or to learn why their
// credential is invalid. A form's post is refused and not saved for later, because
// whoever signs in next may be somebody else.
func (p *Pages) admit(w http.ResponseWriter, r *http.Request, v web.Visitor, h page) error {
	switch {
	case v.SignedIn():
		return h(w, r, v)
	case v.Renewed() && r.Method == http.MethodPost:
		return p.repeat(w, r, v, h)
	case v.Doubt() != nil:
		return v.Doubt()
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return exeunt.ErrSignedOut
	case v.Nobody():
		return redirect(w, withReturn("/signin", returnPath(pagePath(r))))
	}
	return redirect(w, withReturn("/ended", returnPath(pagePath(r))))
}

// repeat admits a post whose credential was renewed while it was on its way, if that is
// what it asked for itself: the button was pressed twice, or the first answer was lost.
// Then it brings the new credential again, once the handler has found everything that the
// first one needed in the form. Any other such post does nothing.
func (p *Pages) repeat(w http.ResponseWriter, r *http.Request, v web.Visitor, h page) (err error) {
	if !renews(r) {
		return v.Doubt()
	}
	key, err := formKey(r)
	if err != nil {
		return err
	}
	if v.Credential, v.Answer, err = p.Authority.Repeated(r.Context(), v.Credential, key); err != nil {
		return err
	}
	return h(p.withPair(w, v), r, p.Browser.Introduced(r.Context(), v))
}

// renews reports whether a post is to a form that gives the session another credential.
func renews(r *http.Request) bool {
	return r.URL.Path == "/security/password" || r.URL.Path == "/security/app" || r.URL.Path == "/security/codes" ||
		r.URL.Path == "/security/passkeys" || r.URL.Path == "/settings/profile" || r.URL.Path == "/activity/download" ||
		r.URL.Path == "/account/delete" || r.URL.Path == "/review/decide" || r.URL.Path == "/secure/begin" || isEnding(r.URL.Path) ||
		strings.HasPrefix(r.URL.Path, "/security/factors/") || r.URL.Path == "/sessions/end" ||
		r.URL.Path == "/signout" && r.PostFormValue("scope") == string(exeunt.ScopeOthers)
}

// isEnding reports whether a path is that of a row's button. With a proof it gives the session another credential.
func isEnding(path string) bool {
	return strings.HasPrefix(path, "/sessions/") && strings.HasSuffix(path, "/end")
}

// ifDone calls then before a redirect or a file, with which a form answers that did what it is for.
type ifDone struct {
	http.ResponseWriter
	then func()
}

// withPair answers with the visitor's credential, once the form did what it is for. It replaces an earlier one: another
// form may have renewed the credential since the post was admitted.
func (p *Pages) withPair(w http.ResponseWriter, v web.Visitor) *ifDone {
	d, ok := w.(*ifDone)
	if !ok {
		d = &ifDone{ResponseWriter: w}
	}
	d.then = func() { p.setPair(d.ResponseWriter, v, v.Token) }
	return d
}

// WriteHeader calls then.
func (d *ifDone) WriteHeader(status int) {
	if status == http.StatusSeeOther || status == http.StatusOK {
		d.then()
	}
	d.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (d *ifDone) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// setPair gives the browser another credential of the session that it has.
func (p *Pages) setPair(w http.ResponseWriter, v web.Visitor, t exeunt.Token) {
	if !t.IsZero() {
		p.Browser.Cookies.SetPair(w, v.Answer.Session, t, v.Answer.Kind, v.Answer.ExpiresAt().Sub(p.Now()))
	}
}

// form admits only posts from a form of the session that is active now. A tab left from
// another sign-in changes nothing.
func (p *Pages) form(h page) web.Handler { return p.signedIn(formOf(h)) }

// anyForm is form for anySession.
func (p *Pages) anyForm(h page) web.Handler { return p.anySession(formOf(h)) }

// ending is form for handlers that end sessions. They need no profile, and must not wait for one.
func (p *Pages) ending(h page) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error { return p.admit(w, r, p.arrive(r), formOf(h)) }
}

func formOf(h page) page {
	return func(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
		if err := v.FormSession(r); err != nil {
			return err
		}
		return h(w, r, v)
	}
}

// withReturn adds the address to come back to, unless it is the front page.
func withReturn(to, back string) string {
	if back == "/" {
		return to
	}
	return to + "?" + url.Values{"return": {back}}.Encode()
}

// redirect sends the browser to another page with a GET (RFC 9110 section 15.4.4).
func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
