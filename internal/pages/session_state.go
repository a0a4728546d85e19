package pages

import (
	"net/http"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/web"
)

// sessionState tells an open page whether its session, which it names, is still live. It does not count
// as activity, and it leaves the cookies alone: a late answer must not clear those of a
// sign-in that happened meanwhile.
func (p *Pages) sessionState(w http.ResponseWriter, r *http.Request) error {
	web.WriteState(w, p.stateOf(r, p.Browser.NamedIn(r, r.URL.Query().Get("session"))))
	return nil
}

// sessionActivity notes an open page's report that somebody is using it. The page names
// its session, so a tab of an account that is not active keeps its own alive, and one of an earlier sign-in nothing.
func (p *Pages) sessionActivity(w http.ResponseWriter, r *http.Request) error {
	v := p.Browser.NamedIn(r, r.PostFormValue("session"))
	if !v.SignedIn() {
		web.WriteState(w, p.stateOf(r, v))
		return nil
	}
	if err := v.FormSession(r); err != nil {
		return err
	}
	p.Authority.TouchFrom(v.Answer, p.Peers.Address(r))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// sessionClosing takes the word of a page on a shared computer that it was closed. Browsers send it with no page waiting for
// the answer.
func (p *Pages) sessionClosing(w http.ResponseWriter, r *http.Request) error {
	if v := p.Browser.Visitor(r); v.SignedIn() {
		if err := v.FormSession(r); err != nil {
			return err
		}
		p.Authority.PageClosed(v.Answer)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// sessionStay is "Stay signed in" without script. The post itself is the activity.
func (p *Pages) sessionStay(w http.ResponseWriter, r *http.Request, _ web.Visitor) error {
	return redirect(w, web.LocalPath(r.PostFormValue("return")))
}

// stateOf says what the visitor's page may show. An incomplete credential is refused
// like a missing one; the next navigation deals with its session.
func (p *Pages) stateOf(r *http.Request, v web.Visitor) client.State {
	return p.states.Of(r.Context(), v.Token, v.Answer)
}
