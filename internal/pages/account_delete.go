package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// deleteForm says what follows if the account is deleted.
func (p *Pages) deleteForm(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.showDelete(w, r, v, http.StatusOK, nil)
}

func (p *Pages) showDelete(w http.ResponseWriter, r *http.Request, v web.Visitor, status int, wrong error) error {
	live, err := p.toEnd(r.Context(), v)
	if err != nil {
		return err
	}
	view := &ui.DeleteAccountView{Frame: p.frame(r, v, ui.NavSettings), Live: live.count, Days: int(exeunt.DeletionGrace.Hours() / 24),
		Audit: p.Retention.Audit, Err: wrong}
	if view.Apps, view.More, err = p.appsOf(r, v); err != nil {
		return err
	}
	if view.Proof, err = p.proof(r.Context(), v, wrong); err != nil {
		return err
	}
	return p.show(w, status, view)
}

// shownApps is how many apps a page names that only says which there are.
const shownApps = 20

// appsOf returns the apps that the person is signed in to or has allowed something, or some of them.
func (p *Pages) appsOf(r *http.Request, v web.Visitor) (apps []ui.AppUsed, more bool, err error) {
	uses, err := p.Authority.Apps(r.Context(), authority.AppFilter{Account: v.Answer.Account, Limit: maxAppUses + 1})
	if err != nil {
		return nil, false, err
	}
	allowed, err := p.Authority.Consents(r.Context(), v.Answer.Account)
	if err != nil {
		return nil, false, err
	}
	apps, next := p.appRows(uses, allowed, "")
	return apps[:min(len(apps), shownApps)], next != "" || len(apps) > shownApps, nil
}

// deletion begins the deletion of the account. The second of two presses comes with a session that the first has ended,
// and gets its answer.
func (p *Pages) deletion(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if _, ok := p.notice(r, noticeDeletion); ok && v.Nobody() {
		return redirect(w, "/account/deleting")
	}
	if v.Answer.State == authority.Ended && !v.Token.IsZero() {
		if at, ok, err := p.deletedJustNow(r, v); ok || err != nil {
			return p.deletionBegun(w, r, v, at, err)
		}
	}
	return p.admit(w, r, v, p.sufficient(formOf(p.once(p.deleteAccount))))
}

func (p *Pages) deleteAccount(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	key, err := formKey(r)
	if err != nil {
		return err
	}
	proving := p.proving(r, v)
	done, err := p.Accounts.DeleteOwn(r.Context(), v.Actor(r, p.Peers), key, proving.prove)
	if errors.Is(err, exeunt.ErrSignedOut) {
		if at, ok, lost := p.deletedJustNow(r, v); ok && lost == nil {
			return p.deletionBegun(w, r, v, at, nil)
		}
	}
	if status := refusal(w, err); status != 0 && !errors.Is(err, exeunt.ErrSignedOut) {
		proving.refused(w)
		return p.showDelete(w, r, v, status, err)
	}
	return p.deletionBegun(w, r, v, done.At, err)
}

// deletedJustNow reports whether the visitor's session has just ended with its account's deletion, and when.
func (p *Pages) deletedJustNow(r *http.Request, v web.Visitor) (at time.Time, ok bool, err error) {
	at, reason, _, err := p.Authority.WhyEnded(r.Context(), v.Token)
	return at, err == nil && reason == exeunt.ReasonDeleted && p.Browser.JustNow(at), err
}

// deletionBegun clears the browser, and says until when the account can be kept.
func (p *Pages) deletionBegun(w http.ResponseWriter, r *http.Request, v web.Visitor, at time.Time, err error) error {
	if err != nil {
		return err
	}
	p.Browser.Cookies.Forget(w, r, v.Place)
	p.Browser.Cookies.ForgetRequester(w, r)
	until := at.Add(exeunt.DeletionGrace).UnixMilli()
	p.leaveNotice(w, noticeDeletion, url.Values{"until": {strconv.FormatInt(until, 10)}})
	return redirect(w, "/account/deleting")
}

// deleting is the page after that, and the only one for somebody who signs in to such an account.
func (p *Pages) deleting(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if err := v.Doubt(); err != nil {
		return err
	}
	if t := p.Browser.Cookies.ReadChallenge(r); !t.IsZero() {
		switch k, err := p.SignIn.ToKeep(r.Context(), t); {
		case err == nil && !k.Account.DeleteAfter.IsZero():
			return p.show(w, http.StatusOK, &ui.DeletingView{Frame: p.frame(r, v, ""), Handle: k.Account.Handle,
				Until: k.Account.DeleteAfter, Challenge: challengeName(t)})
		case err != nil && !errors.Is(err, exeunt.ErrChallengeOver) && !errors.Is(err, exeunt.ErrNotFound):
			return err
		}
	}
	if n, ok := p.notice(r, noticeDeletion); ok { // another account may be signed in still
		until, _ := strconv.ParseInt(n.Get("until"), 10, 64)
		return p.show(w, http.StatusOK, &ui.DeletingView{Frame: p.outside(r), Until: time.UnixMilli(until).UTC()})
	}
	if v.SignedIn() {
		return redirect(w, "/")
	}
	return redirect(w, "/signin")
}

// askToKeep leads somebody who has proved who they are to that page.
func (p *Pages) askToKeep(w http.ResponseWriter, r *http.Request, in entry, proof exeunt.Proof) error {
	rest, err := json.Marshal(in)
	if err != nil {
		return err
	}
	t, err := p.SignIn.AskToKeep(r.Context(), string(rest), proof)
	if err != nil {
		return err
	}
	p.Browser.Cookies.SetChallenge(w, t)
	return redirect(w, "/account/deleting")
}

// keepAccount keeps the account and signs its owner in.
func (p *Pages) keepAccount(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if err := v.Doubt(); err != nil && !v.Renewed() {
		return err
	}
	if err := formOfVisitor(r, v); err != nil {
		return err
	}
	t := p.Browser.Cookies.ReadChallenge(r)
	k, err := p.SignIn.ToKeep(r.Context(), t)
	if err == nil && r.PostFormValue("challenge") != challengeName(t) {
		err = exeunt.ErrChallengeOver
	}
	if err == nil {
		by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: k.Account.ID, Label: label(r), Address: p.Peers.Address(r)}
		k.Proof.Repeated, err = p.Accounts.Keep(r.Context(), by, k.Account, t.Hash())
	}
	in := readEntry(k.Form)
	if err == nil {
		done := &ifDone{ResponseWriter: w, then: func() {
			p.Browser.Cookies.ClearChallenge(w)
			p.leaveNotice(w, noticeKept, url.Values{})
		}}
		in.Return = "/settings"
		err = p.enter(done, r, v, in, k.Proof)
	}
	if errors.Is(err, exeunt.ErrChallengeOver) && v.SignedIn() {
		return redirect(w, "/") // the second of two presses
	}
	if status := refusal(w, err); status != 0 {
		return p.showSignIn(w, r, v, status, &ui.SignInView{Kind: p.lastKind(r), Err: err})
	}
	return err
}

// leaveDeleting forgets who has proved who they are. The account goes on to be deleted.
func (p *Pages) leaveDeleting(w http.ResponseWriter, r *http.Request) error {
	if err := formOfVisitor(r, p.visit(r)); err != nil {
		return err
	}
	if t := p.Browser.Cookies.ReadChallenge(r); !t.IsZero() {
		if err := p.SignIn.Forget(r.Context(), t); err != nil {
			return err
		}
		p.Browser.Cookies.ClearChallenge(w)
	}
	return redirect(w, "/signed-out")
}

// formOfVisitor refuses a form that was rendered for another session than the visitor's. One that was rendered for nobody
// has none, and is judged by its challenge.
func formOfVisitor(r *http.Request, v web.Visitor) error {
	if !v.SignedIn() || !r.PostForm.Has("session") {
		return nil
	}
	return v.FormSession(r)
}
