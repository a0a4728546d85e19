package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/exeunt/exeunt/client"
)

// patience is how long a reader may take to receive a few bytes.
const patience = 10 * time.Second

// events writes server-sent events (WHATWG HTML section 9.2). Each write has
// its own deadline, so that a reader who stopped reading holds nothing.
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

func (e *events) state(s client.State) error {
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

// writeState answers with a state instead of a stream.
func writeState(w http.ResponseWriter, s client.State) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	status := http.StatusOK
	switch s.State {
	case client.Over:
		status = http.StatusUnauthorized
	case client.Unknown:
		status = http.StatusServiceUnavailable
		h.Set("Retry-After", "1")
	}
	body, err := json.Marshal(s)
	if err != nil {
		status, body = http.StatusServiceUnavailable, []byte(`{"state":"unknown"}`)
	}
	w.WriteHeader(status)
	w.Write(body)
}
