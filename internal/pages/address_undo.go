package pages

import (
	"errors"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// undoForm says what a link undoes that came to an account's former address. Opening it undoes nothing.
func (p *Pages) undoForm(w http.ResponseWriter, r *http.Request) error {
	return p.showUndo(w, r, http.StatusOK, nil)
}

func (p *Pages) showUndo(w http.ResponseWriter, r *http.Request, status int, wrong error) error {
	u, err := p.Accounts.LookAtUndo(r.Context(), linkToken(r))
	if err != nil {
		return err
	}
	return p.show(w, status, &ui.UndoView{Frame: p.outside(r), Handle: u.Handle, Address: u.Address, Replaced: u.Now,
		Done: u.Done, Err: wrong})
}

// undo puts the address back, ends every session and the password, and leads to the link for a new one.
func (p *Pages) undo(w http.ResponseWriter, r *http.Request) error {
	reset, err := p.Accounts.Undo(r.Context(), linkToken(r), p.Peers.Address(r))
	if status := refusal(w, err); status != 0 && !errors.Is(err, exeunt.ErrLinkSpent) {
		return p.showUndo(w, r, status, err)
	}
	if err != nil {
		return err
	}
	return redirect(w, "/reset/"+reset.Reveal())
}
