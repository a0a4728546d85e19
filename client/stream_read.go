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
	// ErrMalformed: what came is not what the authority would say. Nothing that
	// follows it on the same stream is to be believed.
	ErrMalformed = errors.New("the authority's answer is malformed")
	// errEnough ends the reading of a stream that has said what there was to say.
	errEnough = errors.New("enough")
)

// readMessages gives each message to take until that returns an error, which
// it returns. alive is called at every sign of life.
func readMessages(body io.Reader, alive func(), take func(message) error) error {
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
			if err := take(whole); err != nil {
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
