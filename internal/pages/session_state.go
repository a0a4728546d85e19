package pages

import (
	"encoding/json"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/web"
)

// sessionState tells an open page whether its session is still there. It is no
// activity, and it leaves the cookies alone: a request in flight must not wipe
// those of a sign-in that happened meanwhile.
func (p *Pages) sessionState(w http.ResponseWriter, r *http.Request) error {
	status, s := p.stateOf(r, p.Browser.Visitor(r))
	return answerState(w, status, s)
}

// sessionActivity takes an open page's word that somebody is there. The page
// may name its session; a tab of another sign-in keeps nothing alive.
func (p *Pages) sessionActivity(w http.ResponseWriter, r *http.Request) error {
	v := p.Browser.Visitor(r)
	if !v.SignedIn() {
		status, s := p.stateOf(r, v)
		return answerState(w, status, s)
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	if r.PostForm.Has("session") {
		if err := v.FormSession(r); err != nil {
			return err
		}
	}
	p.Authority.Touch(v.Answer)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// sessionStay is "Stay signed in" without script. The post itself is the
// activity.
func (p *Pages) sessionStay(w http.ResponseWriter, r *http.Request, _ web.Visitor) error {
	return redirect(w, localPath(r.PostFormValue("return")))
}

func (p *Pages) stateOf(r *http.Request, v web.Visitor) (int, client.State) {
	switch {
	case v.SignedIn():
		warn, idle := p.timeLeft(v)
		return http.StatusOK, client.State{State: client.Live, Session: v.Answer.Session.String(), WarnIn: warn, IdleIn: idle}
	case unsure(v):
		return http.StatusServiceUnavailable, client.State{State: client.Unknown}
	case v.Token.IsZero(), v.Answer.Usable(): // nothing we know, or half a pair
		return http.StatusUnauthorized, client.State{State: client.Over}
	}
	return p.stateOfDead(r, v)
}

func (p *Pages) stateOfDead(r *http.Request, v web.Visitor) (int, client.State) {
	end, err := p.why(r.Context(), v)
	switch {
	case err != nil, end == nil && v.Answer.State == live.TimedOut:
		// It cannot be told, or its time has run out and the store has not
		// ruled yet, or it is alive after all: the page asks again in a moment.
		return http.StatusServiceUnavailable, client.State{State: client.Unknown}
	case end == nil:
		end = &exeunt.Ended{}
	}
	return http.StatusUnauthorized, client.State{State: client.Over, Reason: string(end.Reason), At: end.At.UTC()}
}

func answerState(w http.ResponseWriter, status int, s client.State) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}
