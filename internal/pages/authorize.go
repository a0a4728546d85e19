package pages

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// authorizeForm asks whether an app may have a session of its own. That always takes a
// click, or the sign-in itself; it is never silent (OWASP ASVS 5.0, 7.6.2). An invalid
// request is explained here, without a redirect to the app.
func (p *Pages) authorizeForm(w http.ResponseWriter, r *http.Request) error {
	q, err := p.OAuth.ParseRequest(r.URL.Query())
	if err != nil {
		return err
	}
	return p.admit(w, r, p.visit(r), func(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
		profile, err := p.Authority.Profile(r.Context(), v.Answer)
		if err != nil {
			return err
		}
		allow(w, q)
		return p.show(w, http.StatusOK, &ui.AuthorizeView{
			Frame: p.frame(r, v, ""), Client: q.App, Email: profile.Email, Hidden: hiddenFields(q),
			Shared: v.Answer.Kind == exeunt.KindShared,
		})
	})
}

// authorize sends the app its code, or the person's refusal (RFC 6749 section 4.1.2.1).
func (p *Pages) authorize(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	q, err := p.OAuth.ParseRequest(r.PostForm)
	if err != nil {
		return err
	}
	if r.PostForm.Get("decision") != "continue" {
		return redirect(w, q.Answer("error", "access_denied"))
	}
	q.Holder = v.Token.Hash()
	code, err := p.OAuth.GrantCode(r.Context(), v.Answer.Account, v.Answer.Session, q.CodeRequest)
	if err != nil {
		return err
	}
	return redirect(w, q.Answer("code", code.Reveal()))
}
