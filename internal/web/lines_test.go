package web

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const linesDate = "Thu, 01 Jan 1970 00:00:00 GMT"

// linesServer answers /ok with lines, and elsewhere as paths say.
func linesServer(t *testing.T, start func(*httptest.Server)) *httptest.Server {
	lines := AppendLine(AppendLine(nil, "Name", " Ada\r\nEvil: 1\rLovelace\n"), "None", "")
	ok := func(w http.ResponseWriter, r *http.Request) { OK(w, r, linesDate, lines) }
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", ok)
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "other") })
	mux.HandleFunc("/refused", func(w http.ResponseWriter, r *http.Request) { ok(w, r); w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("A", "b"); ok(w, r) })
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { ok(w, r); panic(http.ErrAbortHandler) })
	s := httptest.NewUnstartedServer(mux)
	start(s)
	t.Cleanup(s.Close)
	return s
}

func takingLines(s *httptest.Server) {
	s.Listener = TakeLines(s.Config, s.Listener)
	s.Start()
}

// talk sends text to a server and returns all that comes back.
func talk(t *testing.T, s *httptest.Server, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

const (
	askOK    = "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"
	askOther = "GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	gotOK    = "HTTP/1.1 200 OK\r\nDate: " + linesDate + "\r\nName: Ada  Evil: 1 Lovelace\r\nNone: \r\n"
)

// What comes after an answer with lines is an answer of its own.
func TestLinesGoIntoTheirAnswerOnly(t *testing.T) {
	s := linesServer(t, takingLines)
	const okWhole = gotOK + "Content-Length: 0\r\n\r\n"
	for name, c := range map[string]struct{ ask, begins string }{
		"one":                {askOK, okWhole},
		"several at once":    {askOK + askOK + askOther, okWhole + okWhole + "HTTP/1.1 200 OK\r\nDate: "},
		"the last":           {"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", gotOK + "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		"without a body":     {"HEAD /ok HTTP/1.1\r\nHost: x\r\n\r\n", gotOK + "\r\n"},
		"with a body":        {"POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" + askOK, okWhole + okWhole},
		"a body to wait for": {"POST /ok HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", gotOK + "Content-Length: 0\r\n"},
		"an old asker":       {"GET /ok HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nDate: " + linesDate + "\r\nName: Ada  Evil: 1 Lovelace\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := talk(t, s, c.ask)
			rest, ok := strings.CutPrefix(got, c.begins)
			if !ok || strings.Contains(rest, "Ada") || strings.Count(got, "Date: ") != strings.Count(got, "HTTP/1.") {
				t.Errorf("%q", got)
			}
			if strings.HasSuffix(c.ask, askOther) && !strings.HasSuffix(got, "\r\n\r\nother") {
				t.Errorf("%q", got)
			}
		})
	}
}

// Lines that say who it is are in no other answer than the one they are for: the
// connection breaks first.
func TestLinesForAnotherAnswerAreNotSent(t *testing.T) {
	s := linesServer(t, takingLines)
	for _, path := range []string{"/refused", "/header", "/panic"} {
		if got := talk(t, s, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"+askOK); got != "" {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// Where lines cannot be put in, as under TLS, they are headers all the same.
func TestLinesAreHeadersEverywhere(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1 with lines": takingLines, "HTTP/1.1": (*httptest.Server).Start, "HTTP/1.1 and TLS": (*httptest.Server).StartTLS,
		"HTTP/2": func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
		// Not to be done, and no harm.
		"TLS above lines": func(s *httptest.Server) { s.Listener = TakeLines(s.Config, s.Listener); s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			s := linesServer(t, start)
			for range 2 {
				resp, err := s.Client().Get(s.URL + "/ok")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				h := resp.Header
				if resp.StatusCode != 200 || h.Get("Date") != linesDate || h.Get("Name") != "Ada  Evil: 1 Lovelace" || len(h["None"]) != 1 ||
					len(h) > 4 || resp.ContentLength != 0 {
					t.Errorf("%d %v", resp.StatusCode, h)
				}
			}
		})
	}
}

// Large files still go to the connection as a whole.
func TestConnectionsThatTakeLinesTakeFiles(t *testing.T) {
	var c net.Conn = &lineConn{}
	if _, ok := c.(io.ReaderFrom); !ok {
		t.Error("net/http cannot hand it a file")
	}
	s := linesServer(t, takingLines)
	got := talk(t, s, askOther)
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
	if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength != 5 {
		t.Errorf("%q, %v", got, err)
	}
}
