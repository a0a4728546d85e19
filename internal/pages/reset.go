package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// resetForm asks for the new password. Opening the link does not use it up: mail
// programs and messengers fetch links by themselves.
func (p *Pages) resetForm(w http.ResponseWriter, r *http.Request) error {
	return p.showReset(w, r, http.StatusOK, nil)
}

func (p *Pages) showReset(w http.ResponseWriter, r *http.Request, status int, wrong error) error {
	a, err := p.Accounts.LookAtReset(r.Context(), linkToken(r))
	if err != nil {
		return err
	}
	return p.show(w, status, &ui.ResetView{Frame: p.outside(r), Handle: a.Handle, Err: wrong})
}

// reset sets the new password, which ends every session of the account. It signs nobody
// in: signing in afterwards shows that they know the password.
func (p *Pages) reset(w http.ResponseWriter, r *http.Request) error {
	_, err := p.Accounts.Reset(r.Context(), linkToken(r), r.PostFormValue("password"), p.Peers.Address(r))
	if errors.Is(err, exeunt.ErrInviteSpent) && p.resetBefore(r) {
		err = nil
	}
	if status := refusal(w, err); status != 0 && !errors.Is(err, exeunt.ErrInviteSpent) {
		if a, lost := p.Accounts.LookAtReset(r.Context(), linkToken(r)); lost == nil {
			p.SignIn.TriedByLink(a.ID, p.Peers.Address(r), err)
		}
		return p.showReset(w, r, status, err)
	}
	if err != nil {
		return err
	}
	p.leaveNotice(w, noticeReset, url.Values{})
	return redirect(w, "/signin")
}

// resetBefore reports whether the link has set the password that is in the form: then the form was sent twice.
func (p *Pages) resetBefore(r *http.Request) bool {
	handle, ok := p.Accounts.ResetBefore(r.Context(), linkToken(r))
	if !ok {
		return false
	}
	_, err := p.SignIn.Password(r.Context(), handle, r.PostFormValue("password"), p.Peers.Address(r))
	return err == nil
}
