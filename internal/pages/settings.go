package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) settings(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	view := &ui.SettingsView{}
	if _, view.Saved = p.takeNotice(w, r, v, noticeProfile); !view.Saved {
		_, view.Kept = p.takeNotice(w, r, v, noticeKept)
	}
	if n, ok := p.takeNotice(w, r, v, noticeAddress); ok {
		view.Sent, view.Dropped = n.Get("what") == "sent", n.Get("what") == "dropped"
	}
	if n, ok := p.takeNotice(w, r, v, noticePicture); ok {
		view.Picture = n.Get("what")
	}
	return p.showSettings(w, r, v, http.StatusOK, view)
}

// showSettings fills in the account, or after a refusal what was typed.
func (p *Pages) showSettings(w http.ResponseWriter, r *http.Request, v web.Visitor, status int,
	view *ui.SettingsView) error {
	account, err := p.Authority.Account(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	if view.This, err = p.thisSession(r.Context(), v); err != nil {
		return err
	}
	if view.Proof, err = p.proof(r.Context(), v, view.Err); err != nil {
		return err
	}
	view.Proof.Optional = true
	if view.Saved {
		list, _, err := p.SignIn.Factors(r.Context(), v.Answer.Account)
		if err != nil {
			return err
		}
		view.Signals = p.signals(v, list)
	}
	view.Frame, view.Policy = p.frame(r, v, ui.NavSettings), p.Policy.Of(account.Groups)
	view.Retention = p.Retention
	if !view.Typed {
		view.Name, view.Email = account.Name, account.Email
	}
	view.EmailConfirmed = account.EmailConfirmed && view.Email == account.Email
	view.ConfirmedAt, view.Pending, view.Mails = account.ConfirmedAt, account.EmailPending, p.Accounts.SendsMails()
	if view.Unconfirmed = account.EmailPending; view.Unconfirmed == "" && !account.EmailConfirmed {
		view.Unconfirmed = account.Email
	}
	return p.show(w, status, view)
}

// changeProfile saves name and e-mail address; another address needs the current password.
func (p *Pages) changeProfile(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	in, by := account.Profile{Name: r.PostFormValue("name"), Email: r.PostFormValue("email")}, v.Actor(r, p.Peers)
	proving := p.proving(r, v)
	err := p.Accounts.ChangeProfile(r.Context(), by, v.Token, in, proving.password)
	if status := refusal(w, err); status != 0 {
		proving.refused(w)
		return p.showSettings(w, r, v, status, &ui.SettingsView{Name: in.Name, Email: in.Email, Typed: true, Err: err})
	}
	if err == nil {
		proving.done(w, exeunt.Token{})
	}
	return p.saved(w, v, err)
}

// address sends the mail again that asks to confirm an address, or discards the pending one.
func (p *Pages) address(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	by, what := v.Actor(r, p.Peers), "sent"
	key, err := formKey(r)
	switch do := r.PostFormValue("do"); {
	case err != nil:
		return err
	case do == "send":
		err = p.Accounts.SendConfirm(r.Context(), by, key)
	case do == "drop":
		what, err = "dropped", p.Accounts.DropPending(r.Context(), by)
	default:
		return fmt.Errorf("do: %w", exeunt.ErrBadRequest)
	}
	if status := refusal(w, err); status != 0 && !errors.Is(err, exeunt.ErrSignedOut) {
		return p.showSettings(w, r, v, status, &ui.SettingsView{Err: err})
	}
	if err != nil {
		return err
	}
	p.tell(w, v, noticeAddress, url.Values{"what": {what}})
	return redirect(w, "/settings")
}

// changeDisplay saves the choice of light or dark. What was typed into the profile's form
// and refused there comes along, and is shown again.
func (p *Pages) changeDisplay(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	display := exeunt.ParseDisplay(r.PostFormValue("display"))
	err := p.Accounts.ChangeDisplay(r.Context(), v.Actor(r, p.Peers), display)
	if err != nil || !r.PostForm.Has("email") {
		return p.saved(w, v, err)
	}
	v.Profile.Display = display
	return p.showSettings(w, r, v, http.StatusOK,
		&ui.SettingsView{Name: r.PostFormValue("name"), Email: r.PostFormValue("email"), Typed: true, Saved: true})
}

func (p *Pages) saved(w http.ResponseWriter, v web.Visitor, err error) error {
	if err != nil {
		return err
	}
	p.tell(w, v, noticeProfile, url.Values{})
	return redirect(w, "/settings")
}
