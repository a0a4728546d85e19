package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

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
	return p.endElsewhere(w, r, v, exeunt.Target{Scope: exeunt.ScopeSession, Session: id})
}

// endOthers ends every session of the account but this one.
func (p *Pages) endOthers(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if exeunt.Scope(r.PostFormValue("scope")) != exeunt.ScopeOthers {
		return fmt.Errorf("scope: %w", exeunt.ErrBadRequest)
	}
	return p.endElsewhere(w, r, v, exeunt.Target{Scope: exeunt.ScopeOthers, Session: v.Answer.Session})
}

func (p *Pages) endElsewhere(w http.ResponseWriter, r *http.Request, v web.Visitor, target exeunt.Target) error {
	key, err := formKey(r)
	if err != nil {
		return err
	}
	target.Account = v.Answer.Account
	rev := exeunt.Revocation{Target: target, Reason: exeunt.ReasonSignedOut, Key: key}
	done, err := p.Authority.End(r.Context(), v.Actor(r, p.Peers), rev)
	if err != nil {
		return err
	}
	if rev.Scope == exeunt.ScopeSession && r.PostFormValue("stay") != "" {
		w.WriteHeader(http.StatusNoContent) // the page's script shows it in its place
		return nil
	}
	what := url.Values{"ended": {strconv.FormatInt(done.Ended, 10)}}
	if rev.Scope == exeunt.ScopeSession {
		what.Set("session", rev.Session.String())
	}
	p.leaveNotice(w, noticeEnded, what)
	return redirect(w, backToList(r, rev))
}

// backToList is the page that the form was on, at the place of the session that was ended there.
func backToList(r *http.Request, rev exeunt.Revocation) string {
	if rev.Scope != exeunt.ScopeSession {
		return "/sessions"
	}
	to := localPath(r.PostFormValue("return"))
	if path, _, _ := strings.Cut(to, "?"); path != "/sessions" && (path != "/" || r.PostFormValue("return") == "") {
		to = "/sessions"
	}
	return to + "#" + rev.Session.String()
}
