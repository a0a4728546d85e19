package webapp_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/webapp"
)

// A Host with its default port is the same site, also for an old browser's post.
// Another host is refused and logged once, up to a number of hosts.
func TestAppKnowsItsHost(t *testing.T) {
	calls, err := client.New("https://id.example.com", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	app, err := webapp.New(webapp.Config{Client: calls, ID: "chirp", Key: client.NewSecret("exk_x"), URL: "https://chirp.example",
		Log: slog.New(slog.NewTextHandler(&logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	h := app.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	ask := func(method, host string) int {
		r := httptest.NewRequest(method, "https://chirp.example/", nil)
		r.Host = host
		r.Header.Set("Origin", "https://chirp.example")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for host, status := range map[string]int{"chirp.example": 204, "chirp.example:443": 204, "CHIRP.example:443": 204,
		"chirp.example:80": 421, "chirp.example:8443": 421, "rebound.example": 421, "": 421} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if got := ask(method, host); got != status {
				t.Errorf("%s to %q: %d", method, host, got)
			}
		}
	}
	if n := strings.Count(logs.String(), "\n"); n != 4 || !strings.Contains(logs.String(), "host=rebound.example") {
		t.Errorf("logged %s", logs.String())
	}
	for i := range 1000 {
		ask(http.MethodGet, fmt.Sprint("host", i, strings.Repeat("x", 5000)))
	}
	if n := strings.Count(logs.String(), "\n"); n != 100 || logs.Len() > 100_000 {
		t.Errorf("%d lines, %d bytes", n, logs.Len())
	}
}

// A post that does not arrive whole, or is too long, is not carried out, and the page
// says which it was.
func TestAppTellsBrokenFromTooLong(t *testing.T) {
	_, b, _ := newSignedIn(t)
	long := strings.Repeat("a", 2<<20)
	for name, c := range map[string]struct {
		lines, body string
		status      int
	}{
		"a bad size of a chunk": {"Transfer-Encoding: chunked", "zz\r\nabc\r\n0\r\n\r\n", 400},
		"chunks cut short":      {"Transfer-Encoding: chunked", "ff\r\nabc", 400},
		"cut short":             {"Content-Length: 100", "text=", 400},
		"too long":              {fmt.Sprint("Content-Length: ", len(long)), long, 413},
	} {
		conn, err := net.Dial("tcp", b.app.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			io.WriteString(conn, "POST /post HTTP/1.1\r\nHost: "+strings.TrimPrefix(b.app.url, "http://")+"\r\nOrigin: "+
				b.app.url+"\r\nConnection: close\r\nCookie: __Host-chirp="+b.token().Reveal()+
				"\r\nContent-Type: application/x-www-form-urlencoded\r\n"+c.lines+"\r\n\r\n"+c.body)
			conn.(*net.TCPConn).CloseWrite()
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		conn.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(body), "Nothing was posted") || b.app.posted.Load() != 0 {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

// Whatever the spelling, a header that only the authority may set does not reach the
// app's handlers from a browser.
func TestAppTakesNobodysWordForAnIdentity(t *testing.T) {
	calls, err := client.New("https://id.example.com", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	app, err := webapp.New(webapp.Config{Client: calls, ID: "chirp", Key: client.NewSecret("exk_x"), URL: "https://chirp.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	h := app.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if name != client.HeaderActivity {
				t.Errorf("%s is left", name)
			}
		}
	}))
	r := httptest.NewRequest(http.MethodGet, "https://chirp.example/", nil)
	for _, name := range []string{"Remote-User", "Remote_user", "REMOTE_USER", "remote-groups", "Exeunt-Account",
		"Exeunt_account", "exeunt_Client-Key", client.HeaderActivity} {
		r.Header[name] = []string{"mallory"}
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
}
