package pages

import (
	"errors"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// confirmAddressForm says which account and address a link of a mail is about, and asks for one press, in any browser,
// signed in or not. Opening the link confirms nothing: mail scanners follow links.
func (p *Pages) confirmAddressForm(w http.ResponseWriter, r *http.Request) error {
	return p.showConfirmAddress(w, r, http.StatusOK, nil)
}

func (p *Pages) showConfirmAddress(w http.ResponseWriter, r *http.Request, status int, wrong error) error {
	c, err := p.Accounts.LookAtConfirm(r.Context(), linkToken(r))
	if err != nil {
		return err
	}
	return p.show(w, status, &ui.AddressView{Frame: p.outside(r), Handle: c.Handle, Address: c.Address,
		Replaces: c.Replaces, Done: c.Done, Err: wrong})
}

// confirmAddress confirms the address. The same address of the page then says so.
func (p *Pages) confirmAddress(w http.ResponseWriter, r *http.Request) error {
	err := p.Accounts.Confirm(r.Context(), linkToken(r), p.Peers.Address(r))
	if status := refusal(w, err); status != 0 && !errors.Is(err, exeunt.ErrLinkSpent) {
		return p.showConfirmAddress(w, r, status, err)
	}
	if err != nil {
		return err
	}
	return redirect(w, "/confirm/"+linkToken(r).Reveal())
}
