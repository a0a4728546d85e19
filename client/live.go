package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	// beat is how often an open stream says that it is still there.
	beat = 15 * time.Second
	// patience is how long a page may take to receive a few bytes.
	patience = 10 * time.Second
)

// state answers a page's question. It never counts as activity and leaves the
// cookie alone: the page that the person sees next explains.
func (a *App) state(w http.ResponseWriter, r *http.Request) {
	s := a.stateNow(r)
	writeState(w, s)
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

func writeState(w http.ResponseWriter, s State) {
	status := http.StatusOK
	switch s.State {
	case Over:
		status = http.StatusUnauthorized
	case Unknown:
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	body, err := json.Marshal(s)
	if err != nil {
		body, status = []byte(`{"state":"unknown"}`), http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// activity is the page's note that a person is at work in it.
func (a *App) activity(w http.ResponseWriter, r *http.Request) {
	token, found := a.token(r)
	if !found {
		writeState(w, State{State: Over})
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
		writeState(w, State{State: Over, Reason: ended.Reason, At: ended.At})
	case err != nil:
		writeState(w, State{State: Unknown})
	default:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	}
}

// stream tells an open page how its session fares, until it ends.
func (a *App) stream(w http.ResponseWriter, r *http.Request) {
	token, found := a.token(r)
	if !found || token.IsZero() {
		writeState(w, State{State: Over})
		return
	}
	// Listening comes first and asking second, so that nothing falls between.
	p, leave, ok := a.hub.join(token)
	if !ok {
		writeState(w, State{State: Unknown})
		return
	}
	defer leave()
	s := a.stateNow(r)
	if s.State != Live {
		writeState(w, s)
		return
	}
	out := newEvents(w)
	if out.state(s) != nil {
		return
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for s.State != Over {
		var err error
		select {
		case s = <-p.news:
			err = out.state(s)
		case <-tick.C:
			err = out.write(":\n\n")
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

// events writes server-sent events. Each write has its own deadline, so that a
// reader who stopped reading holds nothing.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newEvents(w http.ResponseWriter) *events {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	// no-store on the stream too: it keeps Chromium from holding the page in
	// its back-forward cache.
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	e := &events{w, http.NewResponseController(w)}
	// A server's limit on reading a request would otherwise cut the stream. One
	// that does not support this has no such limit.
	e.control.SetReadDeadline(time.Time{})
	return e
}

func (e *events) state(s State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: state\ndata: %s\n\n", data))
}

func (e *events) write(text string) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.control.Flush()
}

// idleCSS blanks a page without script when its time is up, and shows a banner
// before. Pages link it inside noscript only: a script knows better, because
// activity in another tab counts too. See IdleStylesheet.
func (a *App) idleCSS(w http.ResponseWriter, r *http.Request) {
	warn, err1 := strconv.Atoi(r.URL.Query().Get("warn"))
	end, err2 := strconv.Atoi(r.URL.Query().Get("end"))
	if err1 != nil || err2 != nil || warn < 0 || end < warn {
		a.notice(w, r, Notice{Kind: NoticeNotFound})
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(w, idleRules, warn, end, end, end)
}

// Both ends of each animation are named: with the end alone, Chromium never
// hides what lies inside something that is being hidden too.
const idleRules = `@keyframes exeunt-show{from,to{visibility:visible}}
@keyframes exeunt-hide{from,to{visibility:hidden}}
.idle-banner{display:flex;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards,exeunt-hide 1ms linear %ds forwards}
.idle-left{display:block;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards}
.private,.private *{animation:exeunt-hide 1ms linear %ds forwards}
`

// IdleStylesheet is the address of the stylesheet that a page links inside
// noscript. What it hides carries the class private; the banner and the note
// that stays are idle-banner and idle-left, both hidden by the page's own CSS.
func (p Person) IdleStylesheet() string {
	warn, end := int(p.WarnAt.Sub(p.AskedAt).Seconds()), int(p.IdleAt.Sub(p.AskedAt).Seconds())
	return fmt.Sprintf("/exeunt/idle.css?warn=%d&end=%d", max(warn, 0), max(end, 0))
}
