package webapp

import (
	"errors"
	"io"
	"net/http"

	"github.com/exeunt/exeunt/client"
)

// state answers a page's check. It never counts as activity, and does not clear the
// cookie, so that the next page can explain what happened.
func (a *App) state(w http.ResponseWriter, r *http.Request) {
	client.WriteState(w, a.stateNow(r))
}

func (a *App) stateNow(r *http.Request) client.State {
	token, found := a.token(r)
	if !found || token.IsZero() {
		return client.State{State: client.Over}
	}
	s, err := a.Client.State(r.Context(), token)
	if err != nil {
		return client.State{State: client.Unknown}
	}
	return s
}

// activity records that a person is at work in a page.
func (a *App) activity(w http.ResponseWriter, r *http.Request) {
	token, found := a.token(r)
	if !found {
		client.WriteState(w, client.State{State: client.Over})
		return
	}
	if !a.readBody(w, r) {
		return
	}
	person, err := a.check(r.Context(), token, false)
	if err == nil && renderedFor(r) != person.AppSession {
		a.notice(w, r, Notice{Kind: NoticeOtherSession})
		return
	}
	if err == nil {
		_, err = a.check(r.Context(), token, true)
	}
	var ended *client.EndedError
	switch {
	case errors.As(err, &ended):
		client.WriteState(w, client.State{State: client.Over, Reason: ended.Reason, At: ended.At})
	case err != nil:
		client.WriteState(w, client.State{State: client.Unknown})
	default:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	}
}

// closing passes on that a page on a shared computer was closed. No page waits for the answer.
func (a *App) closing(w http.ResponseWriter, r *http.Request) {
	if token, found := a.token(r); found && !token.IsZero() && a.readBody(w, r) {
		person, err := a.check(r.Context(), token, false)
		if err == nil && person.Shared && renderedFor(r) == person.AppSession {
			err = a.Client.PageClosed(r.Context(), token)
		}
		if err != nil && !errors.Is(err, client.ErrSignedOut) {
			a.Log.Debug("a page's closing was not passed on", "err", err) // a hint: the idle timeout is left
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// idleCSS serves client.IdleCSS.
func (a *App) idleCSS(w http.ResponseWriter, r *http.Request) {
	css, ok := client.IdleCSS(r.URL.Query())
	if !ok {
		a.notice(w, r, Notice{Kind: NoticeNotFound})
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, css)
}
