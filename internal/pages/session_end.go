package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
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
	proving, stop := p.mayEnd(w, r, v)
	if stop != nil {
		return stop()
	}
	rev := exeunt.Revocation{Reason: exeunt.ReasonSignedOut, Key: key,
		Target: exeunt.Target{Account: v.Answer.Account, Scope: exeunt.ScopeSession, Session: id}}
	done, err := p.Authority.End(r.Context(), v.Actor(r, p.Peers), rev)
	if err != nil {
		return err
	}
	proving.done(w, exeunt.Token{})
	if r.PostFormValue("stay") != "" {
		w.WriteHeader(http.StatusNoContent) // the page's script shows it in its place
		return nil
	}
	return p.endedElsewhere(w, r, v, done, id)
}

// mayEnd has the person prove who they are before other sessions end, if policy says so. stop answers a form without a
// fresh proof with the same form that asks for one.
func (p *Pages) mayEnd(w http.ResponseWriter, r *http.Request, v web.Visitor) (x *proving, stop func() error) {
	x = p.proving(r, v)
	if !p.Policy.ConfirmEndings {
		return x, nil
	}
	_, err := x.prove(r.Context())
	if err == nil {
		return x, nil
	}
	return x, func() error {
		status := refusal(w, err)
		if status == 0 {
			return err
		}
		v := p.Browser.Introduced(r.Context(), v)
		view := &ui.ConfirmView{Frame: p.frame(r, v, ui.NavSessions), To: r.URL.Path, Fields: url.Values{}, Err: err}
		for _, name := range []string{"key", "scope", "return", "at", "decision"} {
			if value := r.PostFormValue(name); value != "" {
				view.Fields.Set(name, value)
			}
		}
		if !r.PostForm.Has("current") {
			view.Err = nil // they were not asked before
		}
		if view.Proof, err = p.proof(r.Context(), v, view.Err); err != nil {
			return err
		}
		return p.show(w, status, view)
	}
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
	proving, stop := p.mayEnd(w, r, v)
	if stop != nil {
		return stop()
	}
	done, token, err := p.Authority.EndOthers(r.Context(), v.Actor(r, p.Peers), v.Token, key)
	if err != nil {
		return err
	}
	proving.done(w, token)
	return p.endedElsewhere(w, r, v, done, exeunt.SessionID{})
}

// endedElsewhere says what has ended: one session, or with the zero ID many.
func (p *Pages) endedElsewhere(
	w http.ResponseWriter, r *http.Request, v web.Visitor, done authority.Ending, one exeunt.SessionID,
) error {
	what := url.Values{"ended": {strconv.FormatInt(done.Ended, 10)}}
	if !one.IsZero() {
		what.Set("session", one.String())
	}
	p.tell(w, v, noticeEnded, what)
	return redirect(w, backToList(r, one))
}

// backToList is the page that the form was on, at the place of the one session that was ended there.
func backToList(r *http.Request, one exeunt.SessionID) string {
	if one.IsZero() {
		return "/sessions"
	}
	to := web.LocalPath(r.PostFormValue("return"))
	if path, _, _ := strings.Cut(to, "?"); path != "/sessions" && (path != "/" || r.PostFormValue("return") == "") {
		to = "/sessions"
	}
	return to + "#" + one.String()
}
