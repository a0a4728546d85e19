package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// chosenParameter names the session of the account that somebody has chosen for an app's request.
const chosenParameter = "as"

// visitFor returns whose account an app's request is about, of those that are signed in in this browser: the one that was
// chosen for it, that the app names, or that was used with this app last; else the active one.
func (p *Pages) visitFor(r *http.Request, q *oauth.Request) web.Visitor {
	active := p.visit(r)
	all := append([]web.Visitor{active}, p.Browser.Others(r, active)...)
	find := func(is func(web.Visitor) bool) (web.Visitor, bool) {
		i := slices.IndexFunc(all, func(v web.Visitor) bool { return v.SignedIn() && is(v) })
		if i < 0 {
			return active, false
		}
		v := all[i]
		if v.Place != active.Place {
			if client.IsActivity(r.Header) {
				p.Authority.TouchFrom(v.Answer, p.Peers.Address(r))
			}
			v = p.Browser.Introduced(r.Context(), v)
		}
		return v, true
	}
	// Only our own pages have a sealed request, so no app chooses for anybody.
	if id, err := exeunt.ParseSessionID(r.URL.Query().Get(chosenParameter)); err == nil && !q.Began.IsZero() {
		if v, ok := find(func(v web.Visitor) bool { return v.Answer.Session == id }); ok {
			q.Chosen = true
			return v
		}
	}
	if len(all) == 1 || p.signedInFor(r, active, q) {
		return active
	}
	for _, is := range []func(web.Visitor) bool{
		func(v web.Visitor) bool { return v.Answer.Account == p.OAuth.Expected(q) },
		func(v web.Visitor) bool {
			return q.LoginHint != "" && p.isCalled(r, v, q.LoginHint) && p.mayKnow(r, v, *q)
		},
		func(v web.Visitor) bool { return p.Browser.Cookies.Uses(r, q.Client, v.Answer.Account) },
	} {
		if v, ok := find(is); ok {
			return v
		}
	}
	return active
}

// signedInFor reports whether the visitor has signed in for an app's request, as whom they like: they have chosen by that.
func (p *Pages) signedInFor(r *http.Request, v web.Visitor, q *oauth.Request) bool {
	if q.Began.IsZero() || !v.SignedIn() {
		return false
	}
	s, err := p.Authority.Session(r.Context(), v.Answer.Account, v.Answer.Session)
	return err == nil && !s.Proved.Before(q.Began)
}

// mayKnow reports whether an app may learn that an account is signed in here. A page says which one it is, before the app
// learns anything. Without a page the answer to a guessed name would tell who shares a browser.
func (p *Pages) mayKnow(r *http.Request, v web.Visitor, q oauth.Request) bool {
	if !q.Prompts(oauth.PromptNone) {
		return true
	}
	why, err := p.mustAsk(r, v, q)
	return why == nil && err == nil
}

// mustConfirm reports whether an app's request takes an account that is not active and by policy needs a fresh proof for
// that, as it would to be switched to.
func (p *Pages) mustConfirm(r *http.Request, v web.Visitor, s exeunt.Session) (bool, error) {
	if !p.Policy.ConfirmSwitch || v.Place == p.Browser.Visitor(r).Place {
		return false, nil
	}
	_, fresh, err := p.SignIn.Fresh(r.Context(), s, p.Policy.Fresh)
	return !fresh, err
}

// isCalled reports whether a login_hint names the visitor (OpenID Connect Core section 3.1.2.1).
func (p *Pages) isCalled(r *http.Request, v web.Visitor, name string) bool {
	of := p.Browser.Introduced(r.Context(), v).Profile
	return strings.EqualFold(strings.TrimPrefix(name, "@"), of.Handle) || of.Email != "" && strings.EqualFold(name, of.Email)
}

// chooseForm is where somebody who was asked whether an app may know them takes another account.
func (p *Pages) chooseForm(w http.ResponseWriter, r *http.Request) error {
	q, err := p.appRequest(r, r.URL.Query())
	if err != nil {
		return p.refuse(w, q, err)
	}
	return p.choose(w, r, q)
}

// choose asks which account an app's request is for (OpenID Connect Core section 3.1.2.1, select_account).
func (p *Pages) choose(w http.ResponseWriter, r *http.Request, q oauth.Request) error {
	active := p.visit(r)
	if !active.SignedIn() {
		return p.signInFor(w, r, active, q)
	}
	back, err := p.carried(w, r, q)
	if err != nil {
		return err
	}
	view := &ui.ChooseView{Frame: p.frame(r, active, ""), Client: q.App, Another: "/signin?" + url.Values{"return": {back}}.Encode()}
	for _, one := range append([]ui.AccountChip{chip(active)}, view.OtherAccounts...) {
		view.Choices = append(view.Choices, ui.Choice{AccountChip: one, To: back + "&" + chosenParameter + "=" + one.Session.String()})
	}
	return p.show(w, http.StatusOK, view)
}

// named is form for whichever account of this browser the form is of: it says so, and the person has seen it.
func (p *Pages) named(h page) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v := p.Browser.Introduced(r.Context(), p.Browser.NamedIn(r, r.PostFormValue("session")))
		if v.Nobody() && p.Browser.Visitor(r).SignedIn() {
			return exeunt.ErrOtherAccount
		}
		return p.admit(w, r, v, p.sufficient(formOf(h)))
	}
}
