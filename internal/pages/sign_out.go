package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// signOutForm says what will end, before it ends.
func (p *Pages) signOutForm(w http.ResponseWriter, r *http.Request) error {
	v := p.Browser.Introduced(r.Context(), p.Browser.NamedIn(r, r.URL.Query().Get("session")))
	if active := p.visit(r); v.Nobody() && active.SignedIn() {
		return redirect(w, "/accounts") // that account was signed out already
	}
	if v.Nobody() {
		return redirect(w, signedOutPath(p.client(r.URL.Query().Get("client"))))
	}
	return p.admit(w, r, v, p.askSignOut)
}

func (p *Pages) askSignOut(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	scope, err := parseScope(r.URL.Query().Get("scope"))
	if err != nil {
		return err
	}
	live, err := p.toEnd(r.Context(), v)
	if err != nil {
		return err
	}
	view := &ui.SignOutView{Frame: p.frame(r, p.active(r, v), ""), Scope: scope, This: live.this, Others: live.others,
		Live: live.count, Clients: p.OAuth.Clients(), Of: chip(v), Form: p.outForm(v)}
	if view.Client = p.client(r.URL.Query().Get("client")); view.Client != nil {
		view.Cancel = view.Client.Home()
	}
	return p.show(w, http.StatusOK, view)
}

// active is the visitor whose account is active. Somebody may sign out of another one of this browser.
func (p *Pages) active(r *http.Request, v web.Visitor) web.Visitor {
	if active := p.visit(r); active.SignedIn() {
		return active
	}
	return v
}

func (p *Pages) outForm(v web.Visitor) (f ui.OutForm) {
	if p.Offline {
		f = ui.OutForm{Ticket: p.Browser.Cookies.Ticket(v.Answer.Session), OnShared: v.Answer.Kind == exeunt.KindShared}
	}
	return f
}

// signOut ends the session, or all of them. A credential that is already invalid is
// cleared too, since that is what was asked for.
//
// It is the session of the form, whichever account is active: what signs somebody out must not need a switch first.
func (p *Pages) signOut(w http.ResponseWriter, r *http.Request) error {
	v := p.Browser.NamedIn(r, r.PostFormValue("session"))
	switch {
	case v.SignedIn():
		return formOf(p.endHere)(w, r, v)
	case v.Renewed():
		return p.repeat(w, r, v, formOf(p.endHere))
	case v.Doubt() != nil:
		return v.Doubt()
	case v.Nobody():
		n, ok := p.notice(r, noticeSignedOut)
		if p.Browser.Visitor(r).SignedIn() && (!ok || readSignOut(n).Session.String() != r.PostFormValue("session")) {
			return exeunt.ErrOtherAccount
		}
		return redirect(w, p.afterSignOut(r))
	case v.Answer.State == authority.Ended:
		if done, err := p.signOutAgain(w, r, v); done || err != nil {
			return err
		}
		if to := p.wayBack(r); to != "" { // the app is told the same as after a sign-out
			p.Browser.Cookies.Forget(w, r, v.Place)
			return redirect(w, to)
		}
	}
	return p.clearAndExplain(w, r, v, "/")
}

// signOutAgain answers the second of two sign-outs that this browser sent at once as the first was answered, whose
// cookies may not have reached it. Nothing is done a second time.
func (p *Pages) signOutAgain(w http.ResponseWriter, r *http.Request, v web.Visitor) (done bool, err error) {
	asked, err := parseScope(r.PostFormValue("scope"))
	if err != nil {
		return false, err
	}
	s, scope, first, err := p.Authority.SignedOutHere(r.Context(), v.Token)
	switch {
	case errors.Is(err, exeunt.ErrNotFound), err == nil && !p.Browser.JustNow(first.At):
		return false, nil
	case err != nil:
		return false, err
	case asked != exeunt.ScopeSession && asked != scope:
		return false, exeunt.ErrSignedOut // more was asked for than was done
	}
	twins, err := p.endTwins(r, v, s.Account) // of the first press perhaps, which could not
	if err != nil {
		return false, err
	}
	return true, p.left(w, r, v, scope, first, s, twins...)
}

func (p *Pages) endHere(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	scope, err := parseScope(r.PostFormValue("scope"))
	if err != nil {
		return err
	}
	if scope == exeunt.ScopeOthers {
		return p.endOthers(w, r, v)
	}
	return p.leave(w, r, v, scope)
}

// leave ends this browser's session, and with ScopeAccount all others too. The order is the
// promise: first the ending is on stable storage and in memory, then the browser clears its
// cookies, then the page says that it is done. If the ending is not confirmed the cookies stay, so
// that the same button can be pressed again. Nothing is read from the store first: a slow store
// must not keep anybody signed in. What ended is counted in the transaction that ends it.
func (p *Pages) leave(w http.ResponseWriter, r *http.Request, v web.Visitor, scope exeunt.Scope) error {
	key, err := formKey(r)
	if err != nil {
		return err
	}
	rev := v.Revocation(exeunt.ReasonSignedOut)
	rev.Key = key
	if scope == exeunt.ScopeAccount {
		rev.Target = exeunt.Target{Account: v.Answer.Account, Scope: scope}
	}
	done, err := p.Authority.End(r.Context(), v.Actor(r, p.Peers), rev)
	if err != nil {
		return err
	}
	twins, err := p.endTwins(r, v, v.Answer.Account)
	if err != nil {
		return err
	}
	return p.left(w, r, v, scope, done, exeunt.Session{ID: v.Answer.Session, Kind: v.Answer.Kind}, twins...)
}

// endTwins ends what other sessions the visitor's account has in this browser, and returns their places: tabs that sign in at
// the same moment know nothing of each other, and whoever signs out of an account here means all that it has here.
func (p *Pages) endTwins(r *http.Request, v web.Visitor, account exeunt.AccountID) (gone []web.Place, err error) {
	for _, one := range p.Browser.Others(r, v) {
		if !one.SignedIn() || one.Answer.Account != account {
			continue
		}
		_, err := p.Authority.End(r.Context(), one.Actor(r, p.Peers), one.Revocation(exeunt.ReasonSignedOut))
		if err != nil {
			return nil, err
		}
		gone = append(gone, one.Place)
	}
	return gone, nil
}

// left clears the browser after a recorded sign-out, and says what was done.
func (p *Pages) left(w http.ResponseWriter, r *http.Request, v web.Visitor, scope exeunt.Scope,
	done authority.Ending, s exeunt.Session, twins ...web.Place) error {
	gone := append(twins, v.Place)
	p.Browser.Cookies.Forget(w, r, append(gone, p.deadBeside(r, v, gone)...)...)
	p.Browser.Cookies.ForgetRequester(w, r)
	note := ui.SignOutDone{
		At: done.At, Scope: scope, Session: s.ID, Ended: int(done.Ended), Apps: int(done.Apps),
		// After a lock the browser has cleared its storage by then, and Firefox, told to, has shown nothing for minutes.
		Clear:  web.ThroughWorker(r) && r.URL.Path != offlinePath,
		Shared: s.Kind == exeunt.KindShared, NotMe: s.End != nil && s.End.Reason == exeunt.ReasonNotMe,
	}
	if s.Kind == exeunt.KindKept {
		note.Event = done.Seq
	}
	p.leaveNotice(w, noticeSignedOut, signOutNotice(note))
	return redirect(w, p.afterSignOut(r))
}

// deadBeside returns where cookies of other accounts are left, if none of them is in use once those are gone. They let nobody
// in, but the page says that nothing is left, and what pages have stored goes with the last of them.
func (p *Pages) deadBeside(r *http.Request, v web.Visitor, gone []web.Place) (dead []web.Place) {
	for _, one := range p.Browser.Others(r, v) {
		switch {
		case slices.Contains(gone, one.Place):
		case one.SignedIn(), one.Incomplete(), one.Doubt() != nil:
			return nil
		default:
			dead = append(dead, one.Place)
		}
	}
	return dead
}

func parseScope(s string) (exeunt.Scope, error) {
	switch scope := exeunt.Scope(s); scope {
	case "":
		return exeunt.ScopeSession, nil
	case exeunt.ScopeSession, exeunt.ScopeOthers, exeunt.ScopeAccount:
		return scope, nil
	}
	return "", fmt.Errorf("scope: %w", exeunt.ErrBadRequest)
}

// signOutPath is the confirmation page with the same scope and client as the form.
func signOutPath(form url.Values) string {
	q := url.Values{}
	for _, name := range []string{"scope", "client"} {
		if value := form.Get(name); value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return "/signout"
	}
	return "/signout?" + q.Encode()
}

// client returns the app that a parameter names, or nil.
func (p *Pages) client(id string) *exeunt.Client {
	c, err := p.OAuth.Client(exeunt.ClientID(id))
	if err != nil {
		return nil
	}
	return &c
}
