package pages

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// The exchange of a sign-out is cut at every byte, once on its way to the server and once on its way back. Whoever has
// been told that they are signed out is, and whoever has not can find out: the same form says that it is done.
func TestASignOutThatIsCutAtEveryByte(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	server := httptest.NewServer(n.web)
	t.Cleanup(server.Close)
	step := 1
	if testing.Short() {
		step = 9
	}
	for _, kind := range []string{"form", "ticket"} {
		t.Run(kind, func(t *testing.T) {
			one := exchange{n: n, t: t, server: server, kind: kind}
			whole := one.begin()
			answer := whole.sent(len(whole.request), 1<<20)
			if !isTold(kind, answer) || whole.lives() {
				t.Fatalf("a whole sign-out was answered %q", answer)
			}
			for i := 0; i < len(whole.request); i += step {
				cut := one.begin()
				cut.request = cut.request[:len(cut.request):len(cut.request)]
				if got := cut.sent(i, 1<<20); isTold(kind, got) {
					t.Fatalf("cut after byte %d of the request, it is told: %q", i, got)
				}
				cut.isTrue(i, nil)
			}
			for i := 0; i < len(answer); i += step {
				cut := one.begin()
				cut.isTrue(i, cut.sent(len(cut.request), i))
			}
		})
	}
}

// exchange is a sign-out of a session of its own.
type exchange struct {
	n       *node
	t       *testing.T
	server  *httptest.Server
	kind    string
	browser *browser
	id      exeunt.SessionID
	request []byte
}

func (e exchange) begin() *exchange {
	e.t.Helper()
	e.n.Clock.Pass(10 * time.Second) // so many sign-ins at once would be too many
	e.browser = e.n.signedIn("ada")
	e.id = e.browser.session()
	path, form, cookies := "/signout", e.browser.get("/signout").form("/signout"), ""
	if e.kind == "ticket" {
		path, form = ticketPath, url.Values{"ticket": {e.n.Browser.Cookies.Ticket(e.id)}}
	} else {
		cookies = fmt.Sprintf("Cookie: %s=%s; %s=%s\r\n", e.browser.tokenName(), e.browser.token(), e.browser.hereName(), e.browser.here())
	}
	body := form.Encode()
	e.request = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nSec-Fetch-Site: same-origin\r\n%s"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		path, testHost, testOrigin, cookies, len(body), body)
	return &e
}

// sent sends so much of the request, and returns so much of the answer; then the connection is gone.
func (e *exchange) sent(request, answer int) []byte {
	e.t.Helper()
	c, err := net.Dial("tcp", e.server.Listener.Addr().String())
	e.n.must(err)
	defer c.Close()
	e.n.must(c.SetDeadline(time.Now().Add(2 * time.Minute)))
	_, err = c.Write(e.request[:request])
	e.n.must(err)
	if request < len(e.request) {
		e.n.must(c.(*net.TCPConn).CloseWrite())
	}
	got, _ := io.ReadAll(io.LimitReader(c, int64(answer))) // what was read before the end is what this is about
	return got
}

// isTold reports whether an answer, as far as it goes, says that it is done.
func isTold(kind string, answer []byte) bool {
	head, _, whole := bytes.Cut(answer, []byte("\r\n\r\n"))
	if kind == "ticket" {
		return whole && bytes.Contains(answer, []byte("signed_out"))
	}
	return bytes.HasPrefix(head, []byte("HTTP/1.1 303")) && (whole || bytes.Contains(head, []byte("/signed-out")))
}

func (e *exchange) lives() bool {
	token, err := exeunt.ParseToken(e.browser.token())
	e.n.must(err)
	return e.n.Check(e.t.Context(), token).Usable()
}

// isTrue checks what was told against the session, and that the same request once more leads to the end in any case.
func (e *exchange) isTrue(at int, answer []byte) {
	e.t.Helper()
	if (isTold(e.kind, answer) || bytes.HasPrefix(answer, []byte("HTTP/1.1 303"))) && e.lives() {
		e.t.Fatalf("cut at byte %d, the session lives after %q", at, answer)
	}
	again := e.sent(len(e.request), 1<<20)
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(again)), nil)
	e.n.must(err)
	body, _ := io.ReadAll(r.Body)
	if !isTold(e.kind, again) && r.StatusCode != http.StatusOK || e.lives() {
		e.t.Fatalf("cut at byte %d, the same form is answered %d %s: %s", at, r.StatusCode, r.Header, strings.TrimSpace(string(body)))
	}
}
