package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// authorizeForm answers an app that asks who somebody is (OpenID Connect Core section 3.1.2). The person is asked to sign
// in, whether the app may know, or nothing; then the app gets a code. A request whose client or redirect address is wrong
// is explained here, without a redirect to the app.
func (p *Pages) authorizeForm(w http.ResponseWriter, r *http.Request) error {
	q, err := p.appRequest(r, r.URL.Query())
	if err != nil {
		return p.refuse(w, q, err)
	}
	v := p.visitFor(r, &q)
	if !v.SignedIn() {
		return p.signInFor(w, r, v, q)
	}
	s, err := p.Authority.Session(r.Context(), v.Answer.Account, v.Answer.Session)
	if err != nil {
		return err
	}
	if q.MustChoose(s.Proved, p.Now()) {
		return p.choose(w, r, q)
	}
	confirm, err := p.mustConfirm(r, v, s)
	if err != nil {
		return err
	}
	if confirm || p.OAuth.MustProve(&q, s) {
		return p.signInFor(w, r, v, q)
	}
	switch err := p.Authority.Suffices(r.Context(), v.Answer.Account, v.Answer.Session, &q.App); {
	case errors.Is(err, exeunt.ErrFactorNeeded):
		p.Browser.Cookies.SetActive(w, r, v.Place) // what it leads to is done as the active account
		return p.askFactor(w, r, q)
	case err != nil:
		return err
	}
	why, err := p.mustAsk(r, v, q)
	switch {
	case err != nil:
		return err
	case why == nil:
		return p.grant(w, r, v, q)
	case q.Prompts(oauth.PromptNone):
		return p.refuse(w, q, why)
	}
	return p.askForApp(w, r, v, q, why == oauth.ErrInteractionRequired)
}

// signInFor has somebody sign in, after which the request goes on. Somebody who is signed in already does so again.
func (p *Pages) signInFor(w http.ResponseWriter, r *http.Request, v web.Visitor, q oauth.Request) error {
	switch {
	case v.Doubt() != nil:
		return v.Doubt()
	case q.Prompts(oauth.PromptNone):
		return p.refuse(w, q, oauth.ErrLoginRequired)
	case !v.SignedIn() && !v.Nobody():
		return redirect(w, withReturn("/ended", returnPath(pagePath(r))))
	}
	back, err := p.carried(w, r, q)
	if err != nil {
		return err
	}
	return redirect(w, withReturn("/signin", back))
}

// mustAsk returns why the person must be asked before the app gets a code, and nil if they need not be.
func (p *Pages) mustAsk(r *http.Request, v web.Visitor, q oauth.Request) (*oauth.Refusal, error) {
	left, err := p.Authority.LeftApp(r.Context(), v.Answer.Account, v.Answer.Session, q.Client)
	switch {
	case err != nil:
		return nil, err
	case left:
		return oauth.ErrInteractionRequired, nil
	case q.Prompts(oauth.PromptConsent):
		return oauth.ErrConsentRequired, nil
	case q.App.FirstParty:
		return nil, nil
	case q.App.Public():
		// Any program of the device could say that it is this app (RFC 8252 section 8.6, RFC 6749 section 10.2), and its
		// session, which is its own, does not tell whether somebody has signed out of it in this browser.
		return oauth.ErrConsentRequired, nil
	}
	allowed, err := p.Authority.Consent(r.Context(), v.Answer.Account, q.Client)
	if err != nil || allowed.Cover(q.Scopes) && allowed != "" {
		return nil, err
	}
	return oauth.ErrConsentRequired, nil
}

// askForApp asks whether the app may know who is here: before it does for the first time, and after somebody signed out of
// that app alone (back).
func (p *Pages) askForApp(w http.ResponseWriter, r *http.Request, v web.Visitor, q oauth.Request, back bool) error {
	profile, err := p.Authority.Profile(r.Context(), v.Answer)
	if err != nil {
		return err
	}
	if !q.App.Admits(profile.Groups) {
		return exeunt.ErrNotAdmitted
	}
	carried, err := p.carried(w, r, q)
	if err != nil {
		return err
	}
	u, err := url.Parse(carried)
	if err != nil {
		return err
	}
	allow(w, q)
	return p.show(w, http.StatusOK, &ui.AuthorizeView{
		Frame: p.frame(r, v, ""), Client: q.App, Request: u.Query().Get(requestParameter), Scopes: q.Scopes, Back: back,
		Email: profile.Email, Groups: profile.Groups,
	})
}

// authorize sends the app its code, or the person's refusal (RFC 6749 section 4.1.2.1).
func (p *Pages) authorize(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	q, err := p.appRequest(r, r.PostForm)
	if err != nil {
		return p.refuse(w, q, err)
	}
	if r.PostForm.Get("decision") != "continue" {
		return p.refuse(w, q, oauth.ErrAccessDenied)
	}
	// The form may have come without its page, which is shown only to somebody who has proved what the app wants proved.
	s, err := p.Authority.Session(r.Context(), v.Answer.Account, v.Answer.Session)
	if err != nil {
		return err
	}
	confirm, err := p.mustConfirm(r, v, s)
	if err != nil {
		return err
	}
	if confirm || p.OAuth.MustProve(&q, s) {
		return p.signInFor(w, r, v, q)
	}
	if !q.App.Admits(v.Profile.Groups) {
		return exeunt.ErrNotAdmitted
	}
	if !q.App.FirstParty {
		if err := p.Authority.Allow(r.Context(), v.Actor(r, p.Peers), q.App, q.Scopes); err != nil {
			return err
		}
	}
	return p.grant(w, r, v, q)
}

func (p *Pages) grant(w http.ResponseWriter, r *http.Request, v web.Visitor, q oauth.Request) error {
	q.Holder = v.Token.Hash()
	code, err := p.OAuth.GrantCode(r.Context(), v.Answer.Account, v.Answer.Session, q.CodeRequest)
	if exeunt.CodeOf(err) == exeunt.ErrNotAdmitted.Code && q.Prompts(oauth.PromptNone) {
		return p.refuse(w, q, oauth.ErrAccessDenied)
	}
	if errors.Is(err, exeunt.ErrFactorNeeded) {
		return p.askFactor(w, r, q)
	}
	if err != nil {
		return err
	}
	p.Browser.Cookies.SetUsed(w, r, q.Client, v.Answer.Account)
	return redirect(w, q.Answer(code, p.Issuer))
}
