package app

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/config"
)

// endAll ends every session of ada's.
func (s *wiki) endAll() {
	s.t.Helper()
	ada, err := s.Authority.AccountByHandle(context.Background(), "ada")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Accounts.Disable(context.Background(), exeunt.Actor{Kind: exeunt.ActorOperator}, ada); err != nil {
		s.t.Fatal(err)
	}
}

// asked is how many requests the app has seen.
func (s *wiki) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// requests is what the app has seen.
func (s *wiki) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// signedIn is a browser that is signed in at the site, and the head of a request of its.
func (s *wiki) signedIn() (p *visitor, host, cookie string) {
	s.t.Helper()
	p, host = s.visitor(), strings.TrimPrefix(s.origin, "http://")
	p.signIn(p.visit(http.MethodGet, s.origin+"/", nil), "ada")
	return p, host, "__Host-exeunt-site=" + p.cookies[host]["__Host-exeunt-site"]
}

// ask sends a request to the site and returns the answer. Unlike send, it stays until the answer is there: of a browser that
// has gone, the app is asked nothing.
func (s *wiki) ask(head string) *http.Response {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatalf("%.200q: %v", head, err)
	}
	return resp
}

// endsWhenWaitedFor is a request's context. When somebody first wants to wait for its end, something happens.
type endsWhenWaitedFor struct {
	context.Context
	once *sync.Once
	do   func()
}

func (c endsWhenWaitedFor) Done() <-chan struct{} {
	c.once.Do(c.do)
	return c.Context.Done()
}

// The relay first waits for the end of what it has just admitted, and then listens for ends of the session. An end in
// between is not missed.
func TestAnEndBetweenTheDecisionAndItsListener(t *testing.T) {
	s := newSite(t, nil)
	_, host, cookie := s.signedIn()
	ended := false
	r := httptest.NewRequest(http.MethodGet, "http://"+host+"/page", nil).WithContext(
		endsWhenWaitedFor{t.Context(), &sync.Once{}, func() { s.endAll(); ended = true }})
	r.Header.Set("Cookie", cookie)
	before, w := s.asked(), httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if !ended || w.Code != http.StatusUnauthorized || s.asked() != before {
		t.Errorf("it ended: %v; status %d, and the app got %d requests", ended, w.Code, s.asked()-before)
	}
}

// An app cannot set the cookies that sign people in to it.
func TestAnAppSetsNoCookieOfOurs(t *testing.T) {
	s := newSite(t, nil)
	_, host, cookie := s.signedIn()
	for _, more := range []string{" HTTP/1.1\r\n", "?socket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"} {
		resp := s.ask("GET /plants" + more + "Host: " + host + "\r\nCookie: " + cookie + "\r\n")
		if got := resp.Header["Set-Cookie"]; len(got) != 1 || !strings.HasPrefix(got[0], "wiki_session=x") {
			t.Errorf("%q: the browser gets %q", more, got)
		}
	}
}

// Only WebSockets take a connection over. In a connection that speaks HTTP/2 from then on, a browser could send the app
// requests in anybody's name.
func TestNoOtherProtocolThroughASite(t *testing.T) {
	s := newSite(t, nil)
	_, host, cookie := s.signedIn()
	for _, upgrade := range []string{"h2c", "H2C", "websocket, h2c", "h2c\r\nUpgrade: websocket", "tcp", "HTTP/2.0", "websocket"} {
		before := s.asked()
		s.ask("GET /page HTTP/1.1\r\nHost: " + host + "\r\nCookie: " + cookie + "\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
			"HTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: " + upgrade + "\r\n")
		if s.asked() != before+1 {
			t.Fatalf("%q: the app got %d requests", upgrade, s.asked()-before)
		}
		h := s.requests()[before].Header
		if passes := len(h["Upgrade"]) > 0; passes != (upgrade == "websocket") || len(h["Http2-Settings"]) > 0 {
			t.Errorf("%q: the app gets %q", upgrade, h)
		}
	}
}

// A browser that reads nothing does not keep a request open after the end of its session.
func TestAnEndCutsABrowserThatReadsNothing(t *testing.T) {
	s := newSite(t, nil)
	_, host, cookie := s.signedIn()
	over := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		s.Handler().ServeHTTP(w, r)
	}))
	defer front.Close()
	conn, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /flood HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookie+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.endAll()
	select {
	case <-over:
	case <-time.After(time.Minute):
		t.Error("it is still open after a minute")
	}
}

// A socket that is left open at a site with an idle limit is closed when that is over, and is no use of the site itself.
func TestAnIdleLimitClosesWhatIsOpen(t *testing.T) {
	s := newSite(t, func(c *config.Site) { c.Idle = 10 * time.Minute })
	p, host, cookie := s.signedIn()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookie+
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	s.passed.Add(9 * time.Minute.Milliseconds())
	p.once(http.MethodGet, s.origin+"/a", nil) // is use
	s.passed.Add(9 * time.Minute.Milliseconds())
	io.WriteString(conn, "still here\n")
	if got, err := r.ReadString('\n'); got != "still here\n" {
		t.Fatalf("within the limit: %q, %v", got, err)
	}
	s.passed.Add(2 * time.Minute.Milliseconds())
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the limit: %v", err)
	}
}

// Another site's page cannot have what an app has stored cleared, by an image or a frame, with which no cookies come.
func TestOnlyAPageClearsWhatAnAppHasStored(t *testing.T) {
	s := newSite(t, func(c *config.Site) { c.Cookies = []string{"wiki_session /a"} })
	for what, c := range map[string]struct {
		header http.Header
		clears bool
	}{
		"an image":               {http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}, "Sec-Fetch-Site": {"cross-site"}}, false},
		"a frame":                {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Site": {"cross-site"}}, false},
		"an old browser's image": {http.Header{"Accept": {"image/png,*/*"}}, false},
		"a page":                 {s.visitor().header, true},
		"an old browser's page":  {http.Header{"Accept": {"text/html,*/*"}}, true},
	} {
		p := s.visitor()
		p.header = c.header
		got := p.once(http.MethodGet, s.origin+"/.exeunt/signed-out", nil).Header
		if clears := got.Get("Clear-Site-Data") != "" && len(got["Set-Cookie"]) > 0; clears != c.clears ||
			!clears && got.Get("Clear-Site-Data")+got.Get("Set-Cookie") != "" {
			t.Errorf("%s gets %v", what, got)
		}
	}
}
