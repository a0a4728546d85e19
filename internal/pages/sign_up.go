package pages

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) signUpForm(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	switch {
	case v.Doubt() != nil:
		return v.Doubt()
	case !p.Accounts.SignUpOpen:
		return exeunt.ErrSignUpClosed
	}
	return p.showSignUp(w, r, v, http.StatusOK, &ui.SignUpView{
		Kind: p.lastKind(r), Return: notFront(returnPath(r.URL.Query().Get("return"))),
	})
}

func (p *Pages) showSignUp(w http.ResponseWriter, r *http.Request, v web.Visitor, status int, view *ui.SignUpView) error {
	view.Frame, view.Policy = p.frame(r, v, ""), p.policy(r)
	if q, err := p.appRequestIn(r, view.Return); err == nil {
		view.Client = &q.App
		allow(w, q)
	}
	p.greet(w, r)
	return p.show(w, status, view)
}

// signUp creates an account and signs its owner in. As at a sign-in, the account is added to those of this browser.
func (p *Pages) signUp(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if err := v.Doubt(); err != nil {
		return err
	}
	proof, err := p.newOwner(r, v)
	if errors.Is(err, exeunt.ErrTooManyAccounts) {
		return p.showAccounts(w, r, v, http.StatusConflict, true)
	}
	if status := refusal(w, err); status != 0 {
		return p.showSignUp(w, r, v, status, signUpAgain(r, err))
	}
	return p.enterNew(w, r, v, proof, err)
}

// newOwner creates the account, or finds the one that this very form has made and whose password is in it.
func (p *Pages) newOwner(r *http.Request, v web.Visitor) (exeunt.Proof, error) {
	n, err := newAccount(r)
	n.Language = p.language(r)
	switch {
	case err != nil:
		return exeunt.Proof{}, err
	case v.SignedIn() && v.FormSession(r) != nil: // either by this form, or the form was loaded before somebody signed in
		if a, ok := p.Accounts.Made(r.Context(), n, exeunt.Token{}); ok && a.ID == v.Answer.Account {
			return p.password(r, a.Handle)
		}
		return exeunt.Proof{}, exeunt.ErrOtherAccount
	case !p.Accounts.SignUpOpen:
		return exeunt.Proof{}, exeunt.ErrSignUpClosed
	}
	if err := p.entrance(r, v); err != nil {
		return exeunt.Proof{}, err
	}
	// No account is made that could not be signed in.
	if _, err := p.placeOf(r, v, formKind(r), exeunt.AccountID{}); err != nil {
		return exeunt.Proof{}, err
	}
	proof, err := p.Accounts.SignUp(r.Context(), n, p.Peers.Address(r))
	var throttled *exeunt.ThrottledError
	if handleTaken(err) || errors.As(err, &throttled) {
		if again, ok := p.madeBefore(r, n, exeunt.Token{}); ok {
			return again, nil
		}
	}
	return proof, err
}

func handleTaken(err error) bool {
	var field *exeunt.FieldError
	return errors.As(err, &field) && field.Err == exeunt.ErrHandleTaken
}

// madeBefore proves the owner of the account that the form or the link has made before.
func (p *Pages) madeBefore(r *http.Request, n account.NewAccount, link exeunt.Token) (exeunt.Proof, bool) {
	a, ok := p.Accounts.Made(r.Context(), n, link)
	if !ok {
		return exeunt.Proof{}, false
	}
	proof, err := p.password(r, a.Handle)
	return proof, err == nil
}

// enterNew signs the owner of a new account in. If that fails the account exists all
// the same, so the answer must not be "nothing was changed".
func (p *Pages) enterNew(w http.ResponseWriter, r *http.Request, v web.Visitor, proof exeunt.Proof, err error) error {
	if err != nil {
		return err
	}
	in, err := formEntry(r)
	if err == nil {
		err = p.enter(w, r, v, in, proof)
	}
	if err != nil {
		return fmt.Errorf("the account was created, but not signed in: %w (%w)", exeunt.ErrNotConfirmed, err)
	}
	return nil
}

func newAccount(r *http.Request) (account.NewAccount, error) {
	key, err := formKey(r)
	return account.NewAccount{
		Handle: r.PostFormValue("handle"), Name: r.PostFormValue("name"),
		Email: r.PostFormValue("email"), Password: r.PostFormValue("password"), Form: key,
	}, err
}

// signUpAgain is the form after a refusal. It repeats what was typed except the password.
func signUpAgain(r *http.Request, err error) *ui.SignUpView {
	n, _ := newAccount(r)
	return &ui.SignUpView{
		Handle: n.Handle, Name: n.Name, Email: n.Email, Kind: formKind(r),
		Return: notFront(returnPath(r.PostFormValue("return"))), Err: err,
	}
}

// setupForm shows what a one-time link creates. Opening the link does not use it up:
// mail programs and messengers fetch links by themselves.
func (p *Pages) setupForm(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if err := v.Doubt(); err != nil {
		return err
	}
	view := &ui.SignUpView{Kind: p.lastKind(r)}
	if err := p.fillInvite(w, r, view); err != nil {
		return err
	}
	return p.showSignUp(w, r, v, http.StatusOK, view)
}

// fillInvite fills in the fields that the link decides.
func (p *Pages) fillInvite(w http.ResponseWriter, r *http.Request, view *ui.SignUpView) error {
	invite, err := p.Accounts.LookAtInvite(r.Context(), linkToken(r))
	if err != nil {
		return err
	}
	view.Setup = true
	view.Fixed = map[string]bool{}
	for _, f := range []struct {
		name  string
		shown *string
		fixed string
	}{
		{"handle", &view.Handle, invite.Handle}, {"name", &view.Name, invite.Name},
		{"email", &view.Email, invite.Email},
	} {
		if f.fixed != "" {
			*f.shown, view.Fixed[f.name] = f.fixed, true
		}
	}
	return nil
}

// linkToken returns the link's token, without what mail programs put into long lines. If the address has none it is the
// zero Token, which is no link.
func linkToken(r *http.Request) exeunt.Token {
	t, err := exeunt.ParseToken(names.Link(r.PathValue("token")))
	if err != nil {
		return exeunt.Token{}
	}
	return t
}

// setup uses the link up for an account and signs its owner in.
func (p *Pages) setup(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if err := v.Doubt(); err != nil {
		return err
	}
	proof, err := p.redeem(r, v)
	if status := refusal(w, err); status != 0 && !errors.Is(err, exeunt.ErrInviteSpent) {
		view := signUpAgain(r, err)
		if err := p.fillInvite(w, r, view); err != nil {
			return err
		}
		return p.showSignUp(w, r, v, status, view)
	}
	return p.enterNew(w, r, v, proof, err)
}

// redeem uses the link, or finds the account that this link has made and whose password is in the form.
func (p *Pages) redeem(r *http.Request, v web.Visitor) (exeunt.Proof, error) {
	n, err := newAccount(r)
	n.Language = p.language(r)
	if err == nil {
		err = p.entrance(r, v)
	}
	if err != nil {
		return exeunt.Proof{}, err
	}
	link := linkToken(r)
	proof, err := p.Accounts.Redeem(r.Context(), link, n, p.Peers.Address(r))
	if errors.Is(err, exeunt.ErrInviteSpent) || handleTaken(err) {
		if again, ok := p.madeBefore(r, n, link); ok {
			return again, nil
		}
	}
	return proof, err
}
