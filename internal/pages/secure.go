package pages

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// secure shows the steps of securing the account, or how to begin.
func (p *Pages) secure(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	s, err := p.Accounts.Securing(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	view := &ui.SecureView{Frame: p.frame(r, v, ui.NavSecurity), Return: notFront(returnPath(r.URL.Query().Get("return"))),
		Started: s.Started, Finished: s.Finished, Ended: int(s.Ended), By: s.By}
	if s.Started.IsZero() || !s.Finished.IsZero() && r.URL.Query().Get("new") != "" {
		live, err := p.toEnd(r.Context(), v)
		if err != nil {
			return err
		}
		view.Begin, view.Others = true, live.count-1
		return p.show(w, http.StatusOK, view)
	}
	if s.Finished.IsZero() {
		if err := p.secureSteps(r, v, s, view); err != nil {
			return err
		}
	}
	return p.show(w, http.StatusOK, view)
}

// secureSteps fills in the state of each step, what it is about, and what was changed lately.
func (p *Pages) secureSteps(r *http.Request, v web.Visitor, s account.Securing, view *ui.SecureView) (err error) {
	a, err := p.Authority.Account(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	if view.Factors, _, err = p.SignIn.Factors(r.Context(), a.ID); err != nil {
		return err
	}
	if view.Apps, view.More, err = p.appsOf(r, v); err != nil {
		return err
	}
	view.Email, view.EmailConfirmed = a.Email, a.EmailConfirmed
	changed := slices.ContainsFunc(view.Factors, func(f exeunt.Factor) bool { return f.Created.After(s.Started) })
	for _, name := range ui.SecureSteps {
		done := slices.Contains(s.Looked, name)
		switch name {
		case ui.SecureEnd:
			done = true
		case ui.SecurePassword:
			view.NewPassword = a.PasswordSet.After(s.Started)
			done = done || view.NewPassword
		case ui.SecureFactors:
			done = done || changed
		case ui.SecureApps:
			done = done || len(view.Apps) == 0
		}
		view.Steps = append(view.Steps, ui.SecureStep{Name: name, Done: done})
	}
	changes, f := p.activityOf(r, v)
	changes.Frame, f.Only, f.Limit = view.Frame, ui.OfKind("changes"), 10
	list, err := p.Authority.Audit(r.Context(), f)
	changes.Entries = list.Items
	view.Changes = changes
	return err
}

// beginSecuring ends everything else at once, and only then asks.
func (p *Pages) beginSecuring(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	key, err := formKey(r)
	if err != nil {
		return err
	}
	_, token, err := p.Accounts.SecureOwn(r.Context(), v.Actor(r, p.Peers), v.Token, key)
	if err != nil {
		return err
	}
	p.setPair(w, v, token)
	return redirect(w, "/secure")
}

// stepSecuring notes that a step is right as it is.
func (p *Pages) stepSecuring(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	step := r.PostFormValue("step")
	if !slices.Contains(ui.SecureSteps, step) {
		return fmt.Errorf("step: %w", exeunt.ErrBadRequest)
	}
	if err := p.Accounts.StepSecuring(r.Context(), v.Actor(r, p.Peers), step); err != nil {
		return err
	}
	return redirect(w, "/secure")
}

func (p *Pages) finishSecuring(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if err := p.Accounts.FinishSecuring(r.Context(), v.Actor(r, p.Peers)); err != nil {
		return err
	}
	return redirect(w, "/secure")
}

// afterSignIn leads the owner of an account that somebody else has had secured to its steps, on the way to a page.
func (p *Pages) afterSignIn(r *http.Request, id exeunt.AccountID, to string) string {
	s, err := p.Accounts.Securing(r.Context(), id)
	if err != nil {
		p.Log.Warn("cannot read whether an account is being secured", "account", id, "err", err)
		return to // pages that can be read remind of it
	}
	if s.Started.IsZero() || !s.Finished.IsZero() || s.By == exeunt.ActorPerson {
		return to
	}
	return withReturn("/secure", to)
}
