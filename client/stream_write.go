package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// WriteState answers with a state. It sets no cookie, because a late answer must
// not delete those of a sign-in that happened meanwhile.
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
	// Beat is how often an open stream sends a sign of life.
	Beat = 15 * time.Second
	// writeTimeout is how long a reader may take to receive one write.
	writeTimeout = 10 * time.Second
)

// StreamWriter writes server-sent events (WHATWG HTML section 9.2), for the
// authority's pages and apps and for an app's own pages. Each write has its own
// deadline, so that a reader who stopped reading blocks nothing; after an error the
// reader has gone.
type StreamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration // of one write
}

// NewStreamWriter begins the answer.
func NewStreamWriter(w http.ResponseWriter) *StreamWriter {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	// no-store keeps Chromium from putting the page that reads this stream into
	// its back-forward cache.
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	s := &StreamWriter{w, http.NewResponseController(w), writeTimeout}
	// Otherwise the server's ReadTimeout would cut the stream. A writer that does
	// not support this has no such limit.
	s.control.SetReadDeadline(time.Time{})
	return s
}

// State sends the state.
func (s *StreamWriter) State(state State) error {
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("event: state\ndata: %s\n\n", data))
}

// Changed says that the account's list of sessions has changed.
func (s *StreamWriter) Changed() error { return s.write("event: changed\ndata: {}\n\n") }

// Position sends the node's position in the event log, in a message named
// MessageSame, MessageReload or MessageBeat.
func (s *StreamWriter) Position(name string, p Position) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("event: %s\ndata: %s\n\n", name, data))
}

// Log sends entries of the event log, in one write.
func (s *StreamWriter) Log(list []LogEvent) error {
	var text strings.Builder
	for _, v := range list {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "id: %d\nevent: log\ndata: %s\n\n", v.Seq, data)
	}
	return s.write(text.String())
}

// Beat sends a sign of life.
func (s *StreamWriter) Beat() error { return s.write(":\n\n") }

func (s *StreamWriter) write(text string) error {
	if err := s.setDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	// Over HTTP/2 a deadline resets the stream when it passes, also while there is
	// nothing to write. Clearing it lifts the server's WriteTimeout as well.
	return s.setDeadline(time.Time{})
}

func (s *StreamWriter) setDeadline(deadline time.Time) error {
	if err := s.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
