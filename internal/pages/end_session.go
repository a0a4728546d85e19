package pages

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// endSessionForm answers an app that asks for a sign-out (OpenID Connect RP-Initiated Logout 1.0). Whatever the request
// says, only a click on this site signs anybody out: any other site can send somebody here. Where nobody is signed in
// any more there is nothing to ask.
func (p *Pages) endSessionForm(w http.ResponseWriter, r *http.Request) error {
	q := p.OAuth.ParseSignOut(r.URL.Query())
	v, err := p.visitToEnd(r, q)
	switch {
	case err != nil:
		return err
	case v.SignedIn():
		return p.askForEnd(w, r, v, q)
	case v.Doubt() != nil:
		return v.Doubt()
	case q.URI != "":
		return redirect(w, q.Back())
	}
	return p.showSignedOut(w, r, &ui.SignedOutView{Frame: p.outside(r), Client: known(q.App),
		NoWay: q.Wrong && r.URL.Query().Has("post_logout_redirect_uri")})
}

// visitToEnd returns whose sign-out an app asks for: of the one whom its hint names, or who uses it, if they are signed in
// here; else of the active account.
func (p *Pages) visitToEnd(r *http.Request, q oauth.SignOutRequest) (web.Visitor, error) {
	active := p.visit(r)
	others := p.Browser.Others(r, active)
	if len(others) == 0 || active.Doubt() != nil {
		return active, nil
	}
	// The active account may have ended elsewhere; the app is not told that of another.
	for _, v := range append([]web.Visitor{active}, others...) {
		if v.Doubt() != nil && q.Hinted && v.Place == web.PlaceOf(q.Hint.Session, exeunt.KindKept) {
			return v, nil // nobody can tell now that it has ended
		}
		uses := v.SignedIn() && q.Hinted && v.Answer.Session == q.Hint.Session
		if v.SignedIn() && !q.Hinted && q.App.ID != "" {
			var err error
			if uses, err = p.isUsed(r, v, q.App.ID); err != nil {
				return v, err
			}
		}
		if uses {
			return p.Browser.Introduced(r.Context(), v), nil
		}
	}
	return active, nil
}

// known returns the app, or nil if the request does not say which it is.
func known(c exeunt.Client) *exeunt.Client {
	if c.ID == "" {
		return nil
	}
	return &c
}

func (p *Pages) askForEnd(w http.ResponseWriter, r *http.Request, v web.Visitor, q oauth.SignOutRequest) error {
	live, err := p.toEnd(r.Context(), v)
	if err != nil {
		return err
	}
	view := &ui.EndSessionView{
		SignOutView: ui.SignOutView{Frame: p.frame(r, p.active(r, v), ""), Scope: exeunt.ScopeSession, This: live.this, Others: live.others,
			Live: live.count, Clients: p.OAuth.Clients(), Client: known(q.App), Cancel: q.App.Home(), Of: chip(v), Form: p.outForm(v)},
		Fields: q.Fields(), NoWay: q.Wrong && r.URL.Query().Has("post_logout_redirect_uri"),
		// Of another sign-in nothing ends: whoever has an old ID token of somebody may not sign them out with it.
		Foreign: q.Hinted && (q.Hint.Account != v.Answer.Account || q.Hint.Session != v.Answer.Session),
	}
	if q.App.ID != "" {
		if view.Only, err = p.isUsed(r, v, q.App.ID); err != nil {
			return err
		}
	}
	// Whoever leaves a shared computer means all of it.
	view.First = q.App.SignOutAlone && v.Answer.Kind != exeunt.KindShared
	if q.URI != "" {
		w.Header().Set("Content-Security-Policy", web.FormPolicy(q.Origin()))
	}
	return p.show(w, http.StatusOK, view)
}

// isUsed reports whether the visitor's session has been signed in to the app.
func (p *Pages) isUsed(r *http.Request, v web.Visitor, app exeunt.ClientID) (bool, error) {
	apps, err := p.Authority.Apps(r.Context(), authority.AppFilter{Account: v.Answer.Account, Session: v.Answer.Session,
		Client: app, Limit: 1})
	return len(apps) > 0, err
}

// endOneApp signs out of the app that asks, in this browser, and leads back to it.
func (p *Pages) endOneApp(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	q := p.OAuth.ParseSignOut(r.PostForm)
	if q.App.ID == "" {
		return fmt.Errorf("client_id: %w", exeunt.ErrBadRequest)
	}
	key, err := formKey(r)
	if err != nil {
		return err
	}
	reach := p.reachOf(r, v, q.App, v.Answer.Session)
	done, err := p.Authority.EndApp(r.Context(), v.Actor(r, p.Peers), q.App.ID, v.Answer.Session, key)
	if err != nil {
		return err
	}
	if q.URI != "" {
		return redirect(w, q.Back())
	}
	p.tell(w, v, noticeApp, appNotice(ui.AppDone{AppReach: ui.AppReach{Client: q.App, Reach: reach}, Ended: int(done.Ended)}))
	if p.Policy.ConfirmSwitch && v.Place != p.Browser.Visitor(r).Place {
		return redirect(w, "/accounts")
	}
	p.Browser.Cookies.SetActive(w, r, v.Place) // it is that account's page which says so
	return redirect(w, "/apps")
}

// wayBack is where the app of the form wants the browser to be sent once it is signed out, "" if nowhere.
func (p *Pages) wayBack(r *http.Request) string {
	if !strings.HasPrefix(r.URL.Path, endSessionPath+"/") {
		return ""
	}
	q := p.OAuth.ParseSignOut(r.PostForm)
	return q.Back()
}

// afterSignOut is where the browser goes once it is signed out: to the app that asked, or to the page that says so.
func (p *Pages) afterSignOut(r *http.Request) string {
	if to := p.wayBack(r); to != "" {
		return to
	}
	return signedOutPath(p.client(cmp.Or(r.PostForm.Get("client"), r.PostForm.Get("client_id"))))
}

const endSessionPath = "/end_session"

// endSessionAgain is the page with the forms of an app's request, from one of them.
func endSessionAgain(form url.Values) string {
	v := url.Values{}
	for _, name := range oauth.SignOutParameters {
		if form.Has(name) {
			v[name] = form[name]
		}
	}
	if len(v) == 0 {
		return endSessionPath
	}
	return endSessionPath + "?" + v.Encode()
}
