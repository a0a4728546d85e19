package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What pages are told, whoever serves them: the authority its own pages, App an
// app's. An app that needs more than App offers serves the same to its pages
// with these.

// WriteState answers with a state. It sets no cookie: an answer in flight must
// not wipe those of a sign-in that happened meanwhile.
func WriteState(w http.ResponseWriter, s State) {
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

const (
	// Beat is how often an open stream says that it is still there.
	Beat = 15 * time.Second
	// eventPatience is how long a reader may take to receive a few bytes.
	eventPatience = 10 * time.Second
)

// Events writes states as server-sent events (WHATWG HTML section 9.2). Each
// write has its own deadline, so that a reader who stopped reading holds
// nothing; after an error the reader has gone.
type Events struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

// NewEvents begins the answer.
func NewEvents(w http.ResponseWriter) *Events {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	// no-store on the stream too: it keeps Chromium from holding the page in
	// its back-forward cache.
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	e := &Events{w, http.NewResponseController(w), eventPatience}
	// A server's limit on reading a request would otherwise cut the stream. One
	// that does not support this has no such limit.
	e.control.SetReadDeadline(time.Time{})
	return e
}

// State tells the state.
func (e *Events) State(s State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: state\ndata: %s\n\n", data))
}

// Changed tells that the account's list of sessions is another now.
func (e *Events) Changed() error { return e.write("event: changed\ndata: {}\n\n") }

// Position tells a reader of the event log where the node is, in a message of
// that name: hello, beat or reload. The reader goes on from p.Seq.
func (e *Events) Position(name string, p Position) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: %s\ndata: %s\n\n", name, data))
}

// Log tells entries of the event log, in one write.
func (e *Events) Log(list []LogEvent) error {
	var text strings.Builder
	for _, v := range list {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "id: %d\nevent: log\ndata: %s\n\n", v.Seq, data)
	}
	return e.write(text.String())
}

// Beat tells that the stream is still there.
func (e *Events) Beat() error { return e.write(":\n\n") }

func (e *Events) write(text string) error {
	if err := e.until(time.Now().Add(e.patience)); err != nil {
		return err
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := e.control.Flush(); err != nil {
		return err
	}
	// Over HTTP/2 a deadline is a timer that resets the stream when it fires,
	// also while there is nothing to write; and until the next event there is
	// nothing. It lifts the server's own limit as well.
	return e.until(time.Time{})
}

func (e *Events) until(deadline time.Time) error {
	if err := e.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// maxIdleSeconds is ten years, longer than any browser leaves a page open.
const maxIdleSeconds = 10 * 366 * 24 * 60 * 60

// IdleCSS is the stylesheet by which a page without script warns after the
// query's warn seconds and blanks after its end seconds; ok is false when the
// query does not say so. Pages link it inside noscript only: a script knows
// better, because activity in another tab counts too. It says nothing about
// anybody. See Person.IdleStylesheet for what it hides and shows.
//
// Browsers run the delays from when the page was drawn, also in the background.
// What it hides is out of sight, of reach and of the accessibility tree; the
// server has ended the session by itself at about the same moment.
func IdleCSS(q url.Values) (css string, ok bool) {
	warn, err1 := strconv.Atoi(q.Get("warn"))
	end, err2 := strconv.Atoi(q.Get("end"))
	if err1 != nil || err2 != nil || warn < 0 || end < warn || end > maxIdleSeconds {
		return "", false
	}
	return fmt.Sprintf(idleRules, warn, end, end, end), true
}

// Both ends of each animation are named: with the end alone, Chromium never
// hides what lies inside something that is being hidden too.
const idleRules = `@keyframes exeunt-show{from,to{visibility:visible}}
@keyframes exeunt-hide{from,to{visibility:hidden}}
.idle-banner{display:flex;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards,exeunt-hide 1ms linear %ds forwards}
.idle-left{display:block;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards}
.private,.private *{animation:exeunt-hide 1ms linear %ds forwards}
`
