package client

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// message is one server-sent event (WHATWG HTML section 9.2.6).
type message struct{ event, id, data string }

// maxMessage bounds a line, and the data of one message.
const maxMessage = 64 << 10

var (
	errStreamEnded = errors.New("the stream ended")
	// ErrMalformed: an answer does not follow the protocol. Do not trust anything
	// that follows on the same stream.
	ErrMalformed = errors.New("the authority's answer is malformed")
	// errOver stops reading a stream after its last state.
	errOver = errors.New("the session has ended")
)

// readMessages calls handle with each message until handle returns an error, and
// returns that error. It calls alive for every line that arrives.
func readMessages(body io.Reader, alive func(), handle func(message) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4096), maxMessage)
	var m message
	for lines.Scan() {
		alive()
		line := lines.Text()
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			whole := m
			m = message{}
			if whole.event == "" && whole.data == "" {
				continue
			}
			if err := handle(whole); err != nil {
				return err
			}
		case name == "event":
			m.event = value
		case name == "id":
			m.id = value
		case name == "data":
			if m.data += value; len(m.data) > maxMessage {
				return ErrMalformed
			}
		}
	}
	if err := lines.Err(); err != nil {
		return unreachable(err)
	}
	return errStreamEnded
}
