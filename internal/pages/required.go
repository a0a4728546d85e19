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

// sufficient admits only sessions that were started by what the policy requires. Any other may add a factor and sign
// out, and is led there.
func (p *Pages) sufficient(h page) page {
	return func(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
		err := p.Authority.Suffices(r.Context(), v.Answer.Account, v.Answer.Session, nil)
		switch {
		case err == nil:
			return h(w, r, v)
		case errors.Is(err, exeunt.ErrFactorNeeded) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			return redirect(w, requiredPath("", returnPath(pagePath(r))))
		}
		return err
	}
}

// requiredPath is the page that says what is required on the way to another page; client is the app that requires it, if
// one does.
func requiredPath(client exeunt.ClientID, back string) string {
	q := url.Values{"return": {back}}
	if client != "" {
		q.Set("client", string(client))
	}
	return "/required?" + q.Encode()
}

// required says that the site, or an app, requires more than a password, and offers what is missing.
func (p *Pages) required(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	q := r.URL.Query()
	view := &ui.RequiredView{Frame: p.frame(r, v, ""), Return: returnPath(q.Get("return"))}
	if c, err := p.OAuth.Client(exeunt.ClientID(q.Get("client"))); err == nil {
		view.Client = &c
	}
	needs, err := p.Authority.Required(r.Context(), v.Answer.Account, view.Client)
	if err != nil {
		return err
	}
	session, err := p.thisSession(r.Context(), v)
	if err != nil {
		return err
	}
	if needs.MetBy(session.Methods) {
		return redirect(w, view.Return)
	}
	view.Needs, view.Passkeys = needs, p.SignIn.HasPasskeys()
	if view.Factors, _, err = p.SignIn.Factors(r.Context(), v.Answer.Account); err != nil {
		return err
	}
	p.tell(w, v, noticeRequired, url.Values{"return": {view.Return}})
	return p.show(w, http.StatusOK, view)
}

// goesOn is where somebody goes on who had to add a factor first; anybody else goes to.
func (p *Pages) goesOn(w http.ResponseWriter, r *http.Request, v web.Visitor, to string) string {
	if n, ok := p.takeNotice(w, r, v, noticeRequired); ok {
		return returnPath(n.Get("return"))
	}
	return to
}

// askFactor leads to what an app requires, after which its request goes on.
func (p *Pages) askFactor(w http.ResponseWriter, r *http.Request, q oauth.Request) error {
	if q.Prompts(oauth.PromptNone) {
		return p.refuse(w, q, oauth.ErrFactorRequired)
	}
	back, err := p.carried(w, r, q)
	if err != nil {
		return err
	}
	return redirect(w, requiredPath(q.Client, back))
}
