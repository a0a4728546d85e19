package web

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const linesDate = "Thu, 01 Jan 1970 00:00:00 GMT"

// linesServer answers /ok with lines, and elsewhere as paths say.
func linesServer(t *testing.T, start func(*httptest.Server)) *httptest.Server {
	ok := func(w http.ResponseWriter, r *http.Request) {
		OK(w, r, linesDate, func(b []byte) []byte {
			return AppendLine(AppendLine(b, "Name", " Ada\r\nEvil: 1\rLovelace\n"), "None", "")
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", ok)
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "other") })
	mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) {
		OK(w, r, linesDate, func(b []byte) []byte { return AppendLine(b, "Name", "Somebody else") })
		ok(w, r)
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		ok(w, r)
		w.Header().Set("Late", "yes")
		w.WriteHeader(http.StatusForbidden)
	})
	mux.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) {
		ok(w, r)
		io.Copy(w, strings.NewReader(strings.Repeat("body", 5000)))
	})
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) { ok(w, r); io.Copy(io.Discard, r.Body) })
	mux.HandleFunc("/refused", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden); ok(w, r) })
	mux.HandleFunc("/sent", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		ok(w, r)
	})
	mux.HandleFunc("/taken", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		ok(w, r)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		c.Close()
	})
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { ok(w, r); panic(http.ErrAbortHandler) })
	mux.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("A", "b"); ok(w, r) })
	mux.HandleFunc("/wrapped", func(w http.ResponseWriter, r *http.Request) { ok(watching{w}, r) })
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s)
	t.Cleanup(s.Close)
	return s
}

// watching is what stands between and looks at the headers.
type watching struct{ http.ResponseWriter }

func (w watching) WriteHeader(status int) {
	w.Header().Set("A", w.Header().Get("Name"))
	w.ResponseWriter.WriteHeader(status)
}

func takingLines(s *httptest.Server) {
	s.Listener = TakeLines(s.Config, s.Listener)
	s.Start()
}

// talk sends text to a server and returns all that comes back.
func talk(t *testing.T, s *httptest.Server, text string) string {
	t.Helper()
	return exchange(t, s, text, (*net.TCPConn).CloseWrite)
}

// untilClosed does so without saying that nothing more will come, which ends the
// context of a request that is being answered. The server must close.
func untilClosed(t *testing.T, s *httptest.Server, text string) string {
	t.Helper()
	return exchange(t, s, text, func(c *net.TCPConn) error { return c.SetReadDeadline(time.Now().Add(time.Minute)) })
}

func exchange(t *testing.T, s *httptest.Server, text string, asked func(*net.TCPConn) error) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := asked(c.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
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
		"one":                 {askOK, okWhole},
		"several at once":     {askOK + askOK + askOther, okWhole + okWhole + "HTTP/1.1 200 OK\r\nDate: "},
		"the last":            {"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", gotOK + "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		"without a body":      {"HEAD /ok HTTP/1.1\r\nHost: x\r\n\r\n", gotOK + "\r\n"},
		"with a body":         {"POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" + askOK, okWhole + okWhole},
		"a body to wait for":  {"POST /ok HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", gotOK + "Content-Length: 0\r\n"},
		"an old asker":        {"GET /ok HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nDate: " + linesDate + "\r\nName: Ada  Evil: 1 Lovelace\r\n"},
		"too large a body":    {"POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", gotOK + "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		"a body that is none": {"POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n\r\n", gotOK + "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		"a body read late":    {"POST /read HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody" + askOther, okWhole + "HTTP/1.1 200 OK\r\nDate: "},
		"then nonsense":       {askOK + "nonsense\r\n\r\n", okWhole + "HTTP/1.1 400 Bad Request\r\n"},
		"then an expectation": {askOK + "GET /ok HTTP/1.1\r\nHost: x\r\nExpect: money\r\n\r\n", okWhole + "HTTP/1.1 417 Expectation Failed\r\n"},
		"then a long header":  {askOK + "GET /ok HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 2<<20) + "\r\n\r\n", okWhole + "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		"then of no version":  {askOK + "GET /ok HTTP/3.0\r\nHost: x\r\n\r\n", okWhole + "HTTP/1.1 505 HTTP Version Not Supported"},
		"said twice":          {"GET /twice HTTP/1.1\r\nHost: x\r\n\r\n" + askOther, okWhole + "HTTP/1.1 200 OK\r\nDate: "},
		"too late to refuse":  {"GET /late HTTP/1.1\r\nHost: x\r\n\r\n" + askOther, okWhole + "HTTP/1.1 200 OK\r\nDate: "},
		"and a body":          {"GET /body HTTP/1.1\r\nHost: x\r\n\r\n" + askOther, gotOK + "Content-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"},
		// Over the map of headers, which is sorted.
		"a header set before": {"GET /header HTTP/1.1\r\nHost: x\r\n\r\n" + askOther, "HTTP/1.1 200 OK\r\nA: b\r\nDate: " + linesDate + "\r\nName: Ada  Evil: 1 Lovelace\r\n"},
		"another writer":      {"GET /wrapped HTTP/1.1\r\nHost: x\r\n\r\n" + askOther, "HTTP/1.1 200 OK\r\nA: Ada  Evil: 1 Lovelace\r\nDate: " + linesDate + "\r\nName: Ada  Evil: 1 Lovelace\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ask := talk
			if strings.HasSuffix(c.ask, askOther) {
				ask = untilClosed
			}
			got := ask(t, s, c.ask)
			rest, ok := strings.CutPrefix(got, c.begins)
			if !ok || strings.Contains(rest, "Ada") || strings.Count(got, "Date: ") != strings.Count(got, " 200 OK\r\n")+strings.Count(got, " 417 ") {
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
	for path, want := range map[string]string{"/refused": "", "/panic": "", "/taken": "", "/sent": "HTTP/1.1 200 OK\r\nDate: "} {
		got := untilClosed(t, s, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"+askOK)
		if rest, ok := strings.CutPrefix(got, want); !ok || want == "" && got != "" || strings.Contains(rest, "HTTP") || strings.Contains(got, "Ada") {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// What a handler says when its answer has been given without it, as when it was
// too slow, is in no other.
func TestLinesThatAreLateAreNotSent(t *testing.T) {
	late := make(chan func(), 1)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		late <- func() { OK(w, r, linesDate, func(b []byte) []byte { return AppendLine(b, "Name", "Ada") }) }
	})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case say := <-late:
			say()
		default:
			slow(w, r)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	takingLines(s)
	t.Cleanup(s.Close)
	got := talk(t, s, askOK+askOK+askOther)
	if strings.Contains(got, "Ada") || strings.Count(got, "HTTP/1.1 200 OK\r\nDate: ") != 3 {
		t.Errorf("%q", got)
	}
}

// Whoever takes no answers until their time is up has then got whole ones with
// their own lines, and after them at most a piece of one.
func TestLinesAreWholeUntilAnAnswerIsCutOff(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path
		if len(name)%2 == 0 {
			return // an answer without
		}
		OK(w, r, linesDate, func(b []byte) []byte { return AppendLine(b, "Name", name+strings.Repeat("x", 4000)) })
	}))
	s.Config.WriteTimeout = 500 * time.Millisecond
	closed := make(chan struct{})
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	takingLines(s)
	t.Cleanup(s.Close)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var asking sync.WaitGroup
	asking.Go(func() {
		path := "/"
		for err := error(nil); err == nil; path += "a" {
			if len(path) > 40 {
				path = "/"
			}
			_, err = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	})
	<-closed
	path, whole, r := "/", 0, bufio.NewReader(c)
	for ; ; whole++ {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			break
		}
		want := ""
		if len(path)%2 == 1 {
			want = path + strings.Repeat("x", 4000)
		}
		if got := resp.Header.Get("Name"); got != want {
			t.Fatalf("answer %d, to %s: %.60q", whole, path, got)
		}
		if path += "a"; len(path) > 40 {
			path = "/"
		}
	}
	if whole < 20 {
		t.Errorf("%d whole answers", whole)
	}
	c.Close()
	asking.Wait()
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
