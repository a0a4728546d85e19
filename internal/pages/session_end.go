package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
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
	key, err := formKey(r)
	if err != nil {
		return err
	}
	rev := exeunt.Revocation{Reason: exeunt.ReasonSignedOut, Key: key,
		Target: exeunt.Target{Account: v.Answer.Account, Scope: exeunt.ScopeSession, Session: id}}
	done, err := p.Authority.End(r.Context(), v.Actor(r, p.Peers), rev)
	if err != nil {
		return err
	}
	if r.PostFormValue("stay") != "" {
		w.WriteHeader(http.StatusNoContent) // the page's script shows it in its place
		return nil
	}
	return p.endedElsewhere(w, r, done, id)
}

// endOthers ends every session of the account but this one, which gets another
// credential.
func (p *Pages) endOthers(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if exeunt.Scope(r.PostFormValue("scope")) != exeunt.ScopeOthers {
		return fmt.Errorf("scope: %w", exeunt.ErrBadRequest)
	}
	key, err := formKey(r)
	if err != nil {
		return err
	}
	done, token, err := p.Authority.EndOthers(r.Context(), v.Actor(r, p.Peers), v.Token, key)
	if err != nil {
		return err
	}
	p.setPair(w, v, token)
	return p.endedElsewhere(w, r, done, exeunt.SessionID{})
}

// endedElsewhere says what has ended: one session, or with the zero ID many.
func (p *Pages) endedElsewhere(
	w http.ResponseWriter, r *http.Request, done authority.Ending, one exeunt.SessionID,
) error {
	what := url.Values{"ended": {strconv.FormatInt(done.Ended, 10)}}
	if !one.IsZero() {
		what.Set("session", one.String())
	}
	p.leaveNotice(w, noticeEnded, what)
	return redirect(w, backToList(r, one))
}

// backToList is the page that the form was on, at the place of the one session that was ended there.
func backToList(r *http.Request, one exeunt.SessionID) string {
	if one.IsZero() {
		return "/sessions"
	}
	to := localPath(r.PostFormValue("return"))
	if path, _, _ := strings.Cut(to, "?"); path != "/sessions" && (path != "/" || r.PostFormValue("return") == "") {
		to = "/sessions"
	}
	return to + "#" + one.String()
}
