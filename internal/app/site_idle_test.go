package app

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/config"
)

// What is open when a site's own idle limit has passed is closed, although the browser's session goes on and nobody has
// asked for anything.
func TestOpenConnectionsOfAnIdleSite(t *testing.T) {
	s := newSite(t, func(c *config.Site) { c.Idle = 10 * time.Minute })
	p := s.visitor()
	p.signIn(p.visit(http.MethodGet, s.origin+"/", nil), "ada")
	host := strings.TrimPrefix(s.origin, "http://")
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	must(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: %s\r\nCookie: __Host-exeunt-site=%s\r\n\r\n", host, p.cookies[host]["__Host-exeunt-site"])
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	s.passed.Add((11 * time.Minute).Milliseconds())
	must(t, conn.SetReadDeadline(time.Now().Add(2*time.Minute)))
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("it stays open")
	}
}
