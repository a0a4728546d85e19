package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// Where a browser that was locked without network brings its sign-out ticket: its service worker, which sends no cookies,
// and its page, which has what is left of them.
const (
	ticketPath  = "/signout/ticket"
	offlinePath = "/signout/offline"
)

// ticketAnswer is what the worker is told. It names nobody.
type ticketAnswer struct {
	State string `json:"state"` // signed_out, or gone: nothing is known of such a session any more
	At    string `json:"at,omitempty"`
}

// takeTicket ends the session that a ticket is for. The worker asks again until it gets 200 or 410, so several of its
// attempts may arrive.
func (p *Pages) takeTicket(w http.ResponseWriter, r *http.Request) error {
	done, _, err := p.endByTicket(r, r.PostFormValue("ticket"))
	answer, status := ticketAnswer{State: "signed_out"}, http.StatusOK
	switch {
	case errors.Is(err, exeunt.ErrNotFound):
		answer.State, status = "gone", http.StatusGone
	case err != nil:
		return err
	default:
		answer.At = done.At.UTC().Format(time.RFC3339)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(answer)
}

// finishOffline does the same for the page, clears what the browser still holds of that session, and leads to the page
// that says what was done. Whoever has signed in here since then stays signed in, and so do other accounts.
func (p *Pages) finishOffline(w http.ResponseWriter, r *http.Request) error {
	if tickets := strings.Fields(r.PostFormValue("ticket")); len(tickets) > 1 {
		return p.finishSeveral(w, r, tickets)
	}
	done, s, err := p.endByTicket(r, r.PostFormValue("ticket"))
	gone := errors.Is(err, exeunt.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	v, active := p.Browser.Visitor(r), p.Browser.Visitor(r)
	if id, ok := p.Browser.Cookies.OpenTicket(r.PostFormValue("ticket")); ok {
		v = p.Browser.VisitorOf(r, id)
	}
	if active.SignedIn() && (v.Nobody() || gone || s.Kind == exeunt.KindShared || s.Account == active.Answer.Account && s.ID != active.Answer.Session) {
		return redirect(w, "/")
	}
	switch {
	case v.Doubt() != nil:
		return v.Doubt()
	case p.secondCookiePending(v):
		return redirect(w, "/") // somebody signs in here at this moment
	case v.Incomplete(), gone && !v.Nobody():
		return p.clearAndExplain(w, r, v, "/")
	case gone:
		return redirect(w, "/signed-out")
	}
	return p.left(w, r, v, exeunt.ScopeSession, done, s)
}

// finishSeveral does so for the tickets of several accounts.
func (p *Pages) finishSeveral(w http.ResponseWriter, r *http.Request, tickets []string) error {
	var left []ui.AccountLeft
	var gone []web.Place
	for _, ticket := range tickets[:min(len(tickets), exeunt.MaxAccounts)] {
		done, s, err := p.endByTicket(r, ticket)
		if err != nil && !errors.Is(err, exeunt.ErrNotFound) {
			return err
		}
		if id, ok := p.Browser.Cookies.OpenTicket(ticket); ok {
			gone = append(gone, p.Browser.VisitorOf(r, id).Place)
		}
		if err == nil {
			left = append(left, ui.AccountLeft{At: done.At, Session: s.ID, Apps: int(done.Apps), Event: done.Seq})
		}
	}
	p.leftSeveral(w, r, gone, left)
	return redirect(w, "/signed-out")
}

// endByTicket ends the session of the ticket in a form. ErrNotFound when nothing is known of it any more: it was ended
// long ago, with its account perhaps, or no key makes such a ticket. Its holder is somebody who was signed in there.
func (p *Pages) endByTicket(r *http.Request, ticket string) (authority.Ending, exeunt.Session, error) {
	id, ok := p.Browser.Cookies.OpenTicket(ticket)
	if !ok {
		return authority.Ending{}, exeunt.Session{}, exeunt.ErrNotFound
	}
	if err := p.Authority.CountTicket(id, p.Peers.Address(r)); err != nil {
		return authority.Ending{}, exeunt.Session{}, err
	}
	account, err := p.Authority.AccountOf(r.Context(), id)
	if err != nil {
		return authority.Ending{}, exeunt.Session{}, err
	}
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: account, Session: id, Address: p.Peers.Address(r)}
	rev := exeunt.Revocation{Reason: exeunt.ReasonSignedOut,
		Target: exeunt.Target{Account: account, Scope: exeunt.ScopeSession, Session: id}}
	done, err := p.Authority.End(r.Context(), by, rev)
	if err != nil {
		return authority.Ending{}, exeunt.Session{}, err
	}
	s, err := p.Authority.Session(r.Context(), account, id)
	return done, s, err
}

// locked is the page of a locked browser, which its service worker keeps and shows. Fetched from here it is the same for
// everybody.
func (p *Pages) locked(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, http.StatusOK, &ui.LockedView{Frame: p.outside(r)})
}

// lockedIn is the same in a language, for the service worker, which fetches it without cookies.
func (p *Pages) lockedIn(w http.ResponseWriter, r *http.Request) error {
	f := p.outside(r)
	if f.Lang = r.PathValue("language"); !p.UI.Has(f.Lang) {
		return exeunt.ErrNotFound
	}
	return p.show(w, http.StatusOK, &ui.LockedView{Frame: f})
}

// worker is the service worker. Browsers ask for it anew at each visit.
func (p *Pages) worker(w http.ResponseWriter, r *http.Request) error {
	script, err := ui.Worker(!p.Offline, p.language(r))
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept-Language, Cookie")
	return writeFile(w, "text/javascript; charset=utf-8", script)
}

// manifest makes the site one that can be installed.
func (p *Pages) manifest(w http.ResponseWriter, r *http.Request) error {
	m, err := p.UI.Manifest(p.language(r))
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept-Language, Cookie")
	return writeFile(w, "application/manifest+json", m)
}

func writeFile(w http.ResponseWriter, mediaType string, content []byte) error {
	web.NoStore(w)
	w.Header().Set("Content-Type", mediaType)
	_, _ = w.Write(content) // the browser may have gone away
	return nil
}
