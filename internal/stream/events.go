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
