package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) signInForm(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if err := v.Doubt(); err != nil {
		return err
	}
	q := r.URL.Query()
	if step, ok := p.step(r, returnPath(q.Get("return"))); ok {
		return p.showStep(w, r, v, http.StatusOK, step)
	}
	view := &ui.SignInView{Return: notFront(returnPath(q.Get("return"))), Kind: p.lastKind(r)}
	if q.Get("shared") == "1" {
		view.Kind = exeunt.KindShared
	}
	_, view.Reset = p.notice(r, noticeReset)
	return p.showSignIn(w, r, v, http.StatusOK, view)
}

// showSignIn fills in what every form has. Somebody who is signed in already is told
// whose session signing in again ends.
func (p *Pages) showSignIn(w http.ResponseWriter, r *http.Request, v web.Visitor, status int,
	view *ui.SignInView) error {
	view.Frame, view.Policy, view.SignUpOpen = p.frame(r, v, ""), p.policy(r), p.Accounts.SignUpOpen
	view.Mails, view.Unfamiliar = p.Accounts.SendsMails(), !p.keptBefore(r)
	view.Passkeys = p.SignIn.HasPasskeys()
	if q, err := p.appRequestIn(r, view.Return); err == nil {
		view.Client = &q.App
		if view.Identifier == "" && status == http.StatusOK {
			view.Identifier = q.LoginHint // OpenID Connect Core section 3.1.2.1
		}
		allow(w, q)
	}
	p.greet(w, r)
	return p.show(w, status, view)
}

// signIn checks the password and starts a session. If somebody else is signed in, the form
// must name the session that it replaces; a tab opened before that changes nothing.
func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if err := v.Doubt(); err != nil && !v.Renewed() { // perhaps by this very form
		return err
	}
	in, err := formEntry(r)
	if err != nil {
		return err
	}
	err = p.entrance(r, v)
	var proof exeunt.Proof
	switch answer := r.PostFormValue("passkey"); {
	case err != nil:
	case answer != "":
		if proof, err = p.byPasskey(r, answer); errors.Is(err, exeunt.ErrChallengeOver) && p.isBy(v, answer) {
			return redirect(w, in.Return) // another tab has signed in
		}
	default:
		proof, err = p.begin(r, in)
	}
	var more *exeunt.FactorRequiredError
	if errors.As(err, &more) {
		return p.askMore(w, in, more)
	}
	if errors.Is(err, exeunt.ErrDeleting) {
		return p.askToKeep(w, r, in, proof)
	}
	if err == nil {
		err = p.enter(w, r, v, in, proof)
	}
	if status := refusal(w, err); status != 0 {
		return p.showSignIn(w, r, v, status, p.signInAgain(r, err))
	}
	return err
}

// begin checks the password of the form. If more is needed, the challenge remembers the rest of the form.
func (p *Pages) begin(r *http.Request, in entry) (exeunt.Proof, error) {
	rest, err := json.Marshal(in)
	if err != nil {
		return exeunt.Proof{}, err
	}
	var device exeunt.TokenHash
	if t := p.Browser.Cookies.ReadDeviceToken(r); in.Kind != exeunt.KindShared && !t.IsZero() {
		device = t.Hash()
	}
	step, err := p.SignIn.PasswordOn(
		r.Context(), device, r.PostFormValue("identifier"), r.PostFormValue("password"), p.Peers.Address(r))
	return p.SignIn.Ask(r.Context(), string(rest), step, err)
}

// password checks the password of the form.
func (p *Pages) password(r *http.Request, identifier string) (exeunt.Proof, error) {
	return signin.Proof(p.SignIn.Password(
		r.Context(), identifier, r.PostFormValue("password"), p.Peers.Address(r)))
}

// signInAgain is the form after a refusal. It repeats what was typed, except on a
// shared computer, and never the password.
func (p *Pages) signInAgain(r *http.Request, err error) *ui.SignInView {
	view := &ui.SignInView{Kind: formKind(r), Return: notFront(returnPath(r.PostFormValue("return"))), Err: err}
	if view.Kind != exeunt.KindShared {
		view.Identifier = r.PostFormValue("identifier")
	}
	view.Unknown = p.unknownPasskey(r, err)
	return view
}

// refusal is the status of a form that is shown again because of an error that its
// reader can correct; 0 for nil and any other error.
func refusal(w http.ResponseWriter, err error) int {
	if wait := web.RetryAfter(err); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	if errors.Is(err, exeunt.ErrBusy) {
		w.Header().Set("Retry-After", "2")
	}
	switch status := web.StatusOf(err); {
	case err == nil || errors.Is(err, exeunt.ErrOtherAccount) || errors.Is(err, exeunt.ErrRenewed):
		return 0
	case errors.Is(err, exeunt.ErrDisabled), errors.Is(err, exeunt.ErrDeleting), errors.Is(err, exeunt.ErrCookies), errors.Is(err, exeunt.ErrBusy),
		status == http.StatusUnauthorized, status == http.StatusConflict,
		status == http.StatusUnprocessableEntity, status == http.StatusTooManyRequests:
		return status
	}
	return 0
}

// enter starts a session from a proof, as the form said, gives its cookies to the browser and redirects
// it. A session that the account had here before ends, unless it is just what was asked for: then it goes on with other
// cookies, and the form goes on to where it leads, as it does for another tab of an app, or for the second of two
// presses.
func (p *Pages) enter(w http.ResponseWriter, r *http.Request, v web.Visitor, form entry, proof exeunt.Proof) error {
	in := authority.SignIn{Proof: proof, Kind: form.Kind, Label: label(r), UserAgent: r.UserAgent(),
		Address: p.Peers.Address(r), Form: form.Key, Kiosk: p.kiosk(r), Language: p.language(r)}
	if in.Kiosk != nil {
		in.Kind, form.Kind = exeunt.KindShared, exeunt.KindShared // also for a sign-in that was begun elsewhere
	}
	if form.Key != "" {
		in.Token = func(id exeunt.SessionID, at time.Time) exeunt.Token {
			return p.Browser.Cookies.FormToken(form.Key, id, at)
		}
	}
	to, err := p.placeOf(r, v, form.Kind, proof.Account)
	if errors.Is(err, exeunt.ErrTooManyAccounts) {
		return p.showAccounts(w, r, v, http.StatusConflict, true)
	}
	if err != nil {
		return err
	}
	if to.takes.SignedIn() || to.takes.Incomplete() {
		in.Replaces = to.takes.Answer.Session
	}
	if to.takes.Renewed() || to.takes.SignedIn() && to.takes.Answer.Account == proof.Account && to.takes.Answer.Kind == in.Kind {
		in.Renews = to.takes.Token
	}
	device := p.deviceToken(r, form)
	known, err := p.Accounts.Recognise(r.Context(), proof.Account, account.Arrival{Kind: in.Kind, Device: device,
		Agent: in.Label, Label: in.Label, Address: in.Address})
	if err != nil {
		return err
	}
	in.Recognised = known
	for _, one := range to.ends {
		if _, err := p.Authority.End(r.Context(), one.Actor(r, p.Peers), one.Revocation(exeunt.ReasonReplaced)); err != nil {
			return err
		}
	}
	token, session, err := p.Authority.Start(r.Context(), in)
	if err != nil {
		return err
	}
	if err := p.followLanguage(w, r, proof.Account, in.Kind); err != nil {
		p.Log.Warn("cannot read an account's language", "account", proof.Account, "err", err)
	}
	next := p.afterSignIn(r, proof.Account, form.Return)
	if p.Browser.Cookies.ReadNotice(r, p.Now()) != "" {
		p.Browser.Cookies.ClearNotice(w) // it is about an earlier session
	}
	if to.takes.SignedIn() && token.Hash() == to.takes.Token.Hash() && to.takes.Place == v.Place {
		return redirect(w, next) // sent twice
	}
	at := web.PlaceOf(session.ID, in.Kind)
	gone := to.forgets(at)
	p.Browser.Cookies.ForgetPairs(w, r, gone...)
	p.Browser.Cookies.SetPair(w, session.ID, token, in.Kind, session.ExpiresAt.Sub(p.Now()))
	p.Browser.Cookies.SetActive(w, r, at, gone...)
	p.setDevice(w, device)
	return redirect(w, next)
}

// deviceToken returns the token by which this browser is recognised. On a shared computer there is none, and none is read.
func (p *Pages) deviceToken(r *http.Request, form entry) exeunt.Token {
	if form.Kind != exeunt.KindKept {
		return exeunt.Token{}
	}
	if t := p.Browser.Cookies.ReadDeviceToken(r); !t.IsZero() {
		return t
	}
	return p.Browser.Cookies.NewDeviceToken(form.Key)
}

// setDevice has the browser remember the token. On a shared computer that removes one that was left there.
func (p *Pages) setDevice(w http.ResponseWriter, device exeunt.Token) {
	if device.IsZero() {
		p.Browser.Cookies.SetDevice(w, web.DeviceShared)
		return
	}
	p.Browser.Cookies.SetDeviceToken(w, device)
}
