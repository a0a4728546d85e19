package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// state answers a page's question. It never counts as activity and leaves the
// cookie alone: the page that the person sees next explains.
func (a *App) state(w http.ResponseWriter, r *http.Request) {
	s := a.stateNow(r)
	WriteState(w, s)
}

func (a *App) stateNow(r *http.Request) State {
	token, found := a.token(r)
	if !found || token.IsZero() {
		return State{State: Over}
	}
	s, err := a.Client.State(r.Context(), token)
	if err != nil {
		return State{State: Unknown}
	}
	return s
}

// activity is the page's note that a person is at work in it.
func (a *App) activity(w http.ResponseWriter, r *http.Request) {
	token, found := a.token(r)
	if !found {
		WriteState(w, State{State: Over})
		return
	}
	if !a.takeBody(w, r) {
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
	var ended *EndedError
	switch {
	case errors.As(err, &ended):
		WriteState(w, State{State: Over, Reason: ended.Reason, At: ended.At})
	case err != nil:
		WriteState(w, State{State: Unknown})
	default:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	}
}

// stream tells an open page how its session fares, until it ends.
func (a *App) stream(w http.ResponseWriter, r *http.Request) {
	token, found := a.token(r)
	if !found || token.IsZero() {
		WriteState(w, State{State: Over})
		return
	}
	// Asked before listening: any twenty characters look like a token, and each
	// would begin a stream to the authority.
	if s := a.stateNow(r); s.State != Live {
		WriteState(w, s)
		return
	}
	// And again once it listens, so that nothing falls between.
	p, leave, ok := a.hub.join(token)
	if !ok {
		WriteState(w, State{State: Unknown})
		return
	}
	defer leave()
	s := a.stateNow(r)
	if s.State != Live {
		WriteState(w, s)
		return
	}
	out := NewEvents(w)
	if out.State(s) != nil {
		return
	}
	tick := time.NewTicker(Beat)
	defer tick.Stop()
	for s.State != Over {
		var err error
		select {
		case s = <-p.news:
			err = out.State(s)
		case <-tick.C:
			err = out.Beat()
		case <-r.Context().Done():
			return
		case <-a.hub.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// idleCSS serves IdleCSS.
func (a *App) idleCSS(w http.ResponseWriter, r *http.Request) {
	css, ok := IdleCSS(r.URL.Query())
	if !ok {
		a.notice(w, r, Notice{Kind: NoticeNotFound})
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, css)
}

// IdleStylesheet is the address of the stylesheet that a page links inside
// noscript. What it hides carries the class private; the banner and the note
// that stays are idle-banner and idle-left, both hidden by the page's own CSS.
func (p Person) IdleStylesheet() string {
	warn, end := int(p.WarnAt.Sub(p.AskedAt).Seconds()), int(p.IdleAt.Sub(p.AskedAt).Seconds())
	return fmt.Sprintf("/exeunt/idle.css?warn=%d&end=%d", max(warn, 0), max(end, 0))
}
