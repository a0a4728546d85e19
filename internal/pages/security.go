package pages

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) security(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	view := &ui.SecurityView{}
	if n, ok := p.takeNotice(w, r, v, noticePassword); ok {
		view.Changed = &ui.PasswordChanged{}
		view.Changed.Ended, _ = strconv.Atoi(n.Get("ended"))
	}
	if n, ok := p.takeNotice(w, r, v, noticeFactor); ok {
		view.Factor = n.Get("what")
	}
	return p.showSecurity(w, r, v, http.StatusOK, view)
}

func (p *Pages) showSecurity(w http.ResponseWriter, r *http.Request, v web.Visitor, status int,
	view *ui.SecurityView) error {
	account, err := p.Authority.Account(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	live, err := p.toEnd(r.Context(), v)
	if err != nil {
		return err
	}
	if view.Factors, view.Codes, err = p.SignIn.Factors(r.Context(), v.Answer.Account); err != nil {
		return err
	}
	if view.Passkeys = p.SignIn.HasPasskeys(); view.Factor != "" {
		view.Signals = p.signals(v, view.Factors)
	}
	if view.Proof, err = p.proof(r.Context(), v, view.Err); err != nil {
		return err
	}
	view.Frame, view.PasswordSet, view.Others = p.frame(r, v, ui.NavSecurity), account.PasswordSet, live.count-1
	if err := p.remind(r.Context(), v, &view.Frame); err != nil {
		return err
	}
	return p.show(w, status, view)
}

// changePassword sets a new password and ends every other session; this one gets another
// credential.
func (p *Pages) changePassword(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	proving := p.proving(r, v)
	done, token, err := p.newPassword(r, v, proving)
	if status := refusal(w, err); status != 0 {
		proving.refused(w)
		return p.showSecurity(w, r, v, status, &ui.SecurityView{Err: err})
	}
	if err != nil {
		return err
	}
	proving.done(w, token)
	p.tell(w, v, noticePassword, url.Values{"ended": {strconv.FormatInt(done.Ended, 10)}})
	return redirect(w, "/security")
}

// newPassword changes the password once, however often the form is sent.
func (p *Pages) newPassword(r *http.Request, v web.Visitor, x *proving) (authority.Ending, exeunt.Token, error) {
	key, err := formKey(r)
	if err != nil {
		return authority.Ending{}, exeunt.Token{}, err
	}
	ctx, by := r.Context(), v.Actor(r, p.Peers)
	before := func() (authority.Ending, exeunt.Token, bool, error) {
		return p.Accounts.ChangedBefore(ctx, by, v.Token, key, p.knows(r, by))
	}
	if done, token, known, err := before(); known || err != nil {
		return done, token, err
	}
	done, token, err := p.Accounts.ChangePassword(ctx, by, v.Token, key, r.PostFormValue("password"), x.password)
	if err == nil {
		return done, token, nil
	}
	// The first of two that were sent at once may have been recorded in between.
	if first, token, known, unproved := before(); known && unproved == nil {
		return first, token, nil
	}
	return done, token, err
}

// knows makes sure that whoever sends the form again knows the password that it has set.
func (p *Pages) knows(r *http.Request, by exeunt.Actor) account.Prove {
	return func(ctx context.Context) (exeunt.Proof, error) {
		return exeunt.Proof{Account: by.Account}, p.SignIn.KnowsPassword(ctx, by, r.PostFormValue("password"))
	}
}
