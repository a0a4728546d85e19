package pages

import (
	"fmt"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

// endSession ends one session of the account. Its own is a sign-out here.
func (p *Pages) endSession(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	id, err := exeunt.ParseSessionID(r.PathValue("id"))
	if err != nil {
		return fmt.Errorf("session: %w", exeunt.ErrNotFound)
	}
	if id == v.Answer.Session {
		return p.leave(w, r, v, exeunt.ScopeSession)
	}
	return p.endElsewhere(w, r, v, exeunt.Revocation{Scope: exeunt.ScopeSession, Session: id})
}

// endOthers ends every session of the account but this one.
func (p *Pages) endOthers(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if exeunt.Scope(r.PostFormValue("scope")) != exeunt.ScopeOthers {
		return fmt.Errorf("scope: %w", exeunt.ErrBadRequest)
	}
	return p.endElsewhere(w, r, v, exeunt.Revocation{Scope: exeunt.ScopeOthers, Session: v.Answer.Session})
}

func (p *Pages) endElsewhere(w http.ResponseWriter, r *http.Request, v web.Visitor, rev exeunt.Revocation) (err error) {
	if rev.Key, err = formKey(r); err != nil {
		return err
	}
	rev.Account, rev.Reason = v.Answer.Account, exeunt.ReasonSignedOut
	if _, err = p.Authority.End(r.Context(), v.Actor(r, p.Peers), rev); err != nil {
		return err
	}
	return redirect(w, "/sessions")
}
