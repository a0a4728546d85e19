package web

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

var answered = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

func surface(log *slog.Logger) Surface {
	return Surface{Log: log, Fail: func(w http.ResponseWriter, _ *http.Request, status int, err error) {
		w.WriteHeader(status)
		fmt.Fprint(w, exeunt.CodeOf(err))
	}}
}

var quiet = surface(slog.New(slog.DiscardHandler))

func TestSameOrigin(t *testing.T) {
	const origin = "https://exeunt.example"
	for name, c := range map[string]struct {
		fetch, origin string
		page, api     bool
	}{
		"our own page":                       {"same-origin", origin, true, true},
		"our own page, no Origin":            {"same-origin", "", true, true},
		"our own page, Origin hidden":        {"same-origin", "null", true, true},
		"the person, by hand":                {"none", "", true, true},
		"another site":                       {"cross-site", "https://evil.example", false, false},
		"another site, Origin hidden":        {"cross-site", "null", false, false},
		"a sibling":                          {"same-site", "https://chirp.exeunt.example", false, false},
		"a sibling, no Origin":               {"same-site", "", false, false},
		"an old browser, our page":           {"", origin, true, true},
		"an old browser, another site":       {"", "https://evil.example", false, false},
		"an old browser, a longer name":      {"", "https://exeunt.example.evil.example", false, false},
		"an old browser, another port":       {"", "https://exeunt.example:8443", false, false},
		"an old browser, without encryption": {"", "http://exeunt.example", false, true},
		"an old browser, Origin hidden":      {"", "null", false, false},
		"neither header":                     {"", "", false, true},
	} {
		for _, method := range []string{"POST", "DELETE", "PUT", "PATCH", "GET", "HEAD"} {
			r := httptest.NewRequest(method, origin+"/signout", nil)
			if c.fetch != "" {
				r.Header.Set("Sec-Fetch-Site", c.fetch)
			}
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			reads := method == "GET" || method == "HEAD" // these change nothing
			for _, h := range []struct {
				handler http.Handler
				want    bool
			}{{SameOrigin(quiet, origin, answered), c.page}, {NotCrossOrigin(quiet, origin, answered), c.api}} {
				w := httptest.NewRecorder()
				h.handler.ServeHTTP(w, r)
				if passed := w.Code == http.StatusNoContent; passed != (h.want || reads) {
					t.Errorf("%s, %s: %d", name, method, w.Code)
				} else if !passed && (w.Code != http.StatusForbidden || w.Body.String() != "forged") {
					t.Errorf("%s, %s: %d %s", name, method, w.Code, w.Body)
				}
			}
		}
	}
}

func TestOnlyHost(t *testing.T) {
	h := OnlyHost("exeunt.example:8080", "", answered)
	for host, status := range map[string]int{"exeunt.example:8080": 204, "EXEUNT.example:8080": 204,
		"exeunt.example": 421, "evil.example:8080": 421,
		"127.0.0.1:8080": 421, "exeunt.example:8080.evil.example": 421, "": 421} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != status {
			t.Errorf("%q: %d", host, w.Code)
		}
	}
}

// In development somebody on this machine is told the right address; nobody
// else ever is, nor anybody when there is none to tell.
func TestTheRightAddressIsToldAtHomeOnly(t *testing.T) {
	const home = "http://exeunt.localhost:8080"
	for _, c := range []struct {
		home, remote string
		told         bool
	}{{home, "127.0.0.1:5", true}, {home, "[::1]:5", true}, {home, "192.0.2.7:5", false}, {home, "@", false},
		{"", "127.0.0.1:5", false}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.RemoteAddr = "localhost:8080", c.remote
		w := httptest.NewRecorder()
		OnlyHost("exeunt.localhost:8080", c.home, answered).ServeHTTP(w, r)
		if told := strings.Contains(w.Body.String(), "exeunt.localhost"); w.Code != 421 || told != c.told {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}

func TestARefusedPeerIsLoggedOnce(t *testing.T) {
	var logs bytes.Buffer
	h := Peers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}.Only(slog.New(slog.NewTextHandler(&logs,
		nil)), answered)
	ask := func(remote string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	for range 3 {
		ask("10.0.0.2:1")
		ask("10.0.0.1:1")
	}
	if text := logs.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") ||
		!strings.Contains(text, "address=10.0.0.2") || !strings.Contains(text, "trusted_proxies") {
		t.Errorf("logged %q", text)
	}
	for i := range 1000 {
		ask(fmt.Sprintf("10.1.%d.%d:1", i/250, i%250))
	}
	if n := strings.Count(logs.String(), "\n"); n != maxRefused {
		t.Errorf("%d lines", n)
	}
}

func TestWhoseWordAboutTheAddressIsTaken(t *testing.T) {
	proxies := Peers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for name, c := range map[string]struct {
		peers     Peers
		remote    string
		forwarded []string
		want      string
	}{
		"no proxy":                  {Peers{}, "203.0.113.9:1234", nil, "203.0.113.9"},
		"no proxy, a forged header": {Peers{}, "203.0.113.9:1234", []string{"198.51.100.1"}, "203.0.113.9"},
		"a stranger's header":       {proxies, "203.0.113.9:1234", []string{"198.51.100.1"}, "203.0.113.9"},
		"through the proxy":         {proxies, "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"through two":               {proxies, "10.0.0.1:1", []string{"198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		"in two lines":              {proxies, "10.0.0.1:1", []string{"198.51.100.1", "10.9.9.9"}, "198.51.100.1"},
		"a client that forges":      {proxies, "10.0.0.1:1", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		"a client that forges a proxy": {proxies, "10.0.0.1:1", []string{"1.1.1.1, 10.0.0.7, 198.51.100.1"},
			"198.51.100.1"},
		"a client that forges garbage": {proxies, "10.0.0.1:1", []string{"1.1.1.1, <script>, 198.51.100.1"},
			"198.51.100.1"},
		"a proxy that sends garbage":      {proxies, "10.0.0.1:1", []string{"1.1.1.1, <script>"}, "10.0.0.1"},
		"a proxy that sends nothing":      {proxies, "10.0.0.1:1", nil, "10.0.0.1"},
		"only proxies":                    {proxies, "10.0.0.1:1", []string{"10.0.0.2, 10.0.0.3"}, "10.0.0.1"},
		"IPv6":                            {proxies, "[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv4 in IPv6":                    {proxies, "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"a zone":                          {Peers{}, "[fe80::1%eth0]:1", nil, "fe80::1"},
		"a socket":                        {Peers{}, "@", nil, ""},
		"a socket that claims an address": {proxies, "@", []string{"1.1.1.1"}, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		r.Header["X-Forwarded-For"] = c.forwarded
		got := c.peers.Address(r)
		if text := got.String(); got.IsValid() && text != c.want || !got.IsValid() && c.want != "" {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestOnlyThroughTheProxy(t *testing.T) {
	h := Peers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}.Only(slog.New(slog.DiscardHandler),
		answered)
	for name, c := range map[string]struct {
		remote string
		tls    bool
		status int
	}{"the proxy": {"10.0.0.1:1", false, 204}, "a stranger": {"203.0.113.9:1", false, 403},
		"a stranger with TLS": {"203.0.113.9:1", true, 204}, "nobody": {"@", false, 403}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		r.Header.Set("X-Forwarded-For", "10.0.0.1")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.status {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// Every error that people may read has a status; anything else is our fault and
// its text stays in the log.
func TestStatuses(t *testing.T) {
	for _, err := range []error{exeunt.ErrNotFound, exeunt.ErrForbidden, exeunt.ErrForged, exeunt.ErrBadRequest,
		exeunt.ErrSignedOut, exeunt.ErrWrongCredentials,
		exeunt.ErrSignInAgain, exeunt.ErrNotConfirmed, exeunt.ErrUnavailable, exeunt.ErrHandleTaken,
		exeunt.ErrEmailTaken, exeunt.ErrOtherEmail, exeunt.ErrSignUpClosed,
		exeunt.ErrInviteSpent, exeunt.ErrBadChallenge, exeunt.ErrCodeSpent, exeunt.ErrKeyReused,
		exeunt.ErrOtherAccount, exeunt.ErrDisabled,
		&exeunt.ThrottledError{}, &exeunt.FieldError{Err: exeunt.ErrHandleTaken}, &http.MaxBytesError{}} {
		wrapped := fmt.Errorf("something %s: %w", "of ours", err)
		if s := StatusOf(wrapped); s < 400 || s == 500 {
			t.Errorf("%v: %d", err, s)
		}
	}
	// What may or may not have been done is not reported as not done.
	both := fmt.Errorf("%w (%w)", exeunt.ErrNotConfirmed, exeunt.ErrUnavailable)
	if StatusOf(both) != 503 || exeunt.CodeOf(both) != "not_confirmed" {
		t.Errorf("%d %s", StatusOf(both), exeunt.CodeOf(both))
	}
	if StatusOf(errors.New("disk on fire")) != 500 {
		t.Error("an unknown error is no 500")
	}
}

func TestAnswers(t *testing.T) {
	var log strings.Builder
	s := surface(slog.New(slog.NewTextHandler(&log, nil)))
	serve := func(h Handler) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		WithRequestID(s.Recover(s.Handle(h))).ServeHTTP(w, httptest.NewRequest("GET", "/secret-path?token=x", nil))
		return w
	}
	fails := func(err error) Handler { return func(http.ResponseWriter, *http.Request) error { return err } }
	if w := serve(fails(nil)); w.Code != 200 || log.Len() != 0 {
		t.Errorf("%d %s", w.Code, log.String())
	}
	if w := serve(fails(&exeunt.ThrottledError{RetryAfter: 1500 * time.Millisecond})); w.Code != 429 ||
		w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := serve(fails(&exeunt.ThrottledError{RetryAfter: time.Second})); w.Header().Get("Retry-After") != "1" {
		t.Errorf("more to wait than there is: %v", w.Header())
	}
	if w := serve(fails(exeunt.ErrNotFound)); w.Code != 404 || log.Len() != 0 {
		t.Errorf("somebody else's mistake is logged: %s", log.String())
	}
	w := serve(fails(fmt.Errorf("%w (disk on fire)", exeunt.ErrUnavailable)))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "fire") ||
		!strings.Contains(log.String(), "disk on fire") {
		t.Errorf("%d %s; logged %s", w.Code, w.Body, log.String())
	}
	w = serve(func(http.ResponseWriter, *http.Request) error { panic("a fault of ours") })
	if id := w.Header().Get("X-Request-Id"); w.Code != 500 || id == "" || !strings.Contains(log.String(), id) ||
		!strings.Contains(log.String(), "a fault of ours") {
		t.Errorf("%d; logged %s", w.Code, log.String())
	}
	if strings.Contains(log.String(), "token=x") {
		t.Errorf("an address is in the log: %s", log.String())
	}
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("an aborted answer was answered")
			}
		}()
		serve(func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })
	}()
}

func TestRequestIDsAreOurs(t *testing.T) {
	seen := map[string]bool{"forged": true}
	for range 50 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Request-Id", "forged")
		w := httptest.NewRecorder()
		WithRequestID(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if RequestID(r.Context()) != w.Header().Get("X-Request-Id") {
				t.Error("the id inside is not the one outside")
			}
		})).ServeHTTP(w, r)
		if id := w.Header().Get("X-Request-Id"); seen[id] || id == "" {
			t.Errorf("id %q", id)
		} else {
			seen[id] = true
		}
	}
	if RequestID(t.Context()) != "" {
		t.Error("an id outside of a request")
	}
}

func TestHeaders(t *testing.T) {
	for _, encrypted := range []bool{true, false} {
		w := httptest.NewRecorder()
		Secure(encrypted, answered).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		h := w.Header()
		csp := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
			"connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s is not in %s", part, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%v", h)
		}
		if (h.Get("Strict-Transport-Security") != "") != encrypted {
			t.Errorf("encrypted %v: %v", encrypted, h)
		}
	}
	if p := FormPolicy("http://chirp.example"); !strings.Contains(p, "form-action 'self' http://chirp.example;") {
		t.Errorf("%s", p)
	}
}
