package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
)

// net/http takes an answer's headers as a map, copies it, sorts the copy and
// writes it out name by name. For the gate's eight that takes twice as long as
// the rest of the gate, so there is a way around it: lines that are written out
// already. It is for answers 200 without a body, over HTTP/1.1, on connections
// without TLS: a proxy's and an app's to the node beside it. On others the
// lines become a map again, and the answer is the same.

// AppendLine appends a header line. A value cannot end it: as net/http does, it
// makes line breaks spaces and cuts off those at the ends.
func AppendLine(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	for _, c := range []byte(strings.Trim(value, " \t\r\n")) {
		if c == '\r' || c == '\n' {
			c = ' '
		}
		b = append(b, c)
	}
	return append(b, "\r\n"...)
}

// OK answers 200 without a body, with a date and with the lines that write
// appends, as AppendLine does.
func OK(w http.ResponseWriter, r *http.Request, date string, write func(b []byte) []byte) {
	h := w.Header()
	if c := lineConnOf(w, r); c != nil && len(h) == 0 {
		c.answer = write(append(append(append(c.answer[:0], okBegins...), date...), "\r\n"...))
		w.WriteHeader(http.StatusOK)
		return
	}
	h["Date"] = []string{date}
	values := make([]string, 0, 16)
	for rest := string(write(nil)); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, _ := strings.Cut(line, ": ")
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	w.WriteHeader(http.StatusOK)
}

// TakeLines lets a server's handlers use OK's shorter way on the connections of
// the listener that it returns. There must be no TLS above that listener.
func TakeLines(s *http.Server, l net.Listener) net.Listener {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if c, ok := c.(*lineConn); ok {
			return context.WithValue(ctx, lineConnKey{}, c)
		}
		return ctx
	}
	return lineListener{l}
}

type lineListener struct{ net.Listener }

func (l lineListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &lineConn{TCPConn: tcp}, err
	}
	return c, err
}

type lineConnKey struct{}

// lineConnOf returns the connection that may be given lines for the answer to a
// request, or nil. Whoever holds another writer than net/http's own, as behind
// http.TimeoutHandler, is not asked when the answer is written, so there are no
// lines: what stands between sees headers in a map. Nor are there any for a
// handler that has returned, when net/http ends the request's context: the
// connection's next answer is another's.
func lineConnOf(w http.ResponseWriter, r *http.Request) *lineConn {
	ctx := r.Context()
	c, _ := ctx.Value(lineConnKey{}).(*lineConn)
	if c == nil || r.ProtoMajor != 1 || r.ProtoMinor != 1 || reflect.TypeOf(w).String() != "*http.response" || ctx.Err() != nil {
		return nil
	}
	return c
}

// lineConn puts the lines into what net/http writes. Only the goroutine that
// serves the connection writes to it, one answer after the other, each at once
// and after its handler has returned: so what is written next is the answer
// that the lines are meant for.
type lineConn struct {
	*net.TCPConn        // not net.Conn: net/http hands it whole files
	answer       []byte // its beginning, until net/http writes it
}

// okBegins is what net/http begins an answer with when nobody has set a header.
// The date follows.
const okBegins = "HTTP/1.1 200 OK\r\nDate: "

var errNotOK = errors.New("web: lines for an answer 200, and another answer was written")

// Write closes the connection rather than send lines with anything but an
// answer that begins as it must.
func (c *lineConn) Write(p []byte) (int, error) {
	if len(c.answer) == 0 {
		return c.TCPConn.Write(p)
	}
	const begin = len(okBegins) + len(http.TimeFormat) + len("\r\n")
	if len(p) < begin || string(p[:len(okBegins)]) != okBegins {
		return 0, errors.Join(errNotOK, c.Close())
	}
	answer := append(c.answer, p[begin:]...)
	c.answer = answer[:0]
	if _, err := c.TCPConn.Write(answer); err != nil {
		return 0, err
	}
	return len(p), nil
}
