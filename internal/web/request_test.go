package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
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
	for origin, hosts := range map[string]map[string]int{
		"https://exeunt.example:8080": {"exeunt.example:8080": 204, "EXEUNT.example:8080": 204,
			"exeunt.example": 421, "evil.example:8080": 421,
			"127.0.0.1:8080": 421, "exeunt.example:8080.evil.example": 421, "exeunt.example:8080:443": 421, "": 421},
		"https://exeunt.example": {"exeunt.example": 204, "exeunt.example:443": 204, "Exeunt.Example:443": 204,
			"exeunt.example:80": 421, "exeunt.example:4433": 421, "exeunt.example:443:443": 421, "evil.example:443": 421,
			":443": 421, "": 421},
		"http://exeunt.localhost": {"exeunt.localhost:80": 204, "exeunt.localhost:443": 421},
		"https://[::1]":           {"[::1]": 204, "[::1]:443": 204, "[::1]:80": 421},
	} {
		h := OnlyHost(slog.New(slog.DiscardHandler), origin, false, answered)
		for host, status := range hosts {
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = host
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != status {
				t.Errorf("%s at %q: %d", origin, host, w.Code)
			}
		}
	}
}

// A form is as good as any whose Host has the default port.
func TestTheDefaultPortIsOurOrigin(t *testing.T) {
	const origin = "https://exeunt.example"
	r := httptest.NewRequest("POST", origin+"/signout", nil)
	r.Host = "exeunt.example:443"
	r.Header.Set("Origin", origin)
	w := httptest.NewRecorder()
	SameOrigin(quiet, origin, answered).ServeHTTP(w, r)
	if w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAnotherHostIsLoggedOnce(t *testing.T) {
	var logs bytes.Buffer
	h := OnlyHost(slog.New(slog.NewTextHandler(&logs, nil)), "https://exeunt.example", false, answered)
	ask := func(host string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	for range 3 {
		ask("10.0.0.7:8443")
		ask("exeunt.example:443")
	}
	if text := logs.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") ||
		!strings.Contains(text, "host=10.0.0.7:8443") || !strings.Contains(text, "url=https://exeunt.example") {
		t.Errorf("logged %q", text)
	}
	for i := range 1000 {
		ask(fmt.Sprint("host", i, strings.Repeat("x", 5000)))
	}
	if n := strings.Count(logs.String(), "\n"); n != maxNoted || logs.Len() > maxNoted*1000 {
		t.Errorf("%d lines, %d bytes", n, logs.Len())
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
		OnlyHost(slog.New(slog.DiscardHandler), home, c.home != "", answered).ServeHTTP(w, r)
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
	if n := strings.Count(logs.String(), "\n"); n != maxNoted {
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
		"a proxy that sends garbage":      {proxies, "10.0.0.1:1", []string{"1.1.1.1, <script>"}, ""},
		"a proxy that sends nothing":      {proxies, "10.0.0.1:1", nil, ""},
		"only proxies":                    {proxies, "10.0.0.1:1", []string{"10.0.0.2, 10.0.0.3"}, ""},
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

// Proxies write addresses in several ways, and say in several headers.
func TestSpellingsOfForwardedAddresses(t *testing.T) {
	p := Peers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	long := strings.Repeat("for=192.0.2.1,", 1000)
	for name, c := range map[string]struct {
		headers map[string][]string
		want    string
	}{
		"with a port":         {map[string][]string{"X-Forwarded-For": {"198.51.100.1:4711"}}, "198.51.100.1"},
		"IPv6":                {map[string][]string{"X-Forwarded-For": {"2001:db8::1"}}, "2001:db8::1"},
		"IPv6 in brackets":    {map[string][]string{"X-Forwarded-For": {"[2001:db8::1]"}}, "2001:db8::1"},
		"IPv6 with a port":    {map[string][]string{"X-Forwarded-For": {"[2001:db8::1]:4711"}}, "2001:db8::1"},
		"IPv6 in quotes":      {map[string][]string{"X-Forwarded-For": {`"[2001:db8::1]:4711"`}}, "2001:db8::1"},
		"IPv6 with a zone":    {map[string][]string{"X-Forwarded-For": {"fe80::1%eth0"}}, "fe80::1"},
		"a proxy with a port": {map[string][]string{"X-Forwarded-For": {"198.51.100.1, [fd00::7]:80"}}, "198.51.100.1"},
		"a zone of a proxy":   {map[string][]string{"X-Forwarded-For": {"198.51.100.1, fd00::7%eth0"}}, "198.51.100.1"},
		"Forwarded":           {map[string][]string{"Forwarded": {"for=198.51.100.1"}}, "198.51.100.1"},
		"Forwarded, more of it": {map[string][]string{"Forwarded": {"by=10.0.0.1;For=198.51.100.1;proto=https"}},
			"198.51.100.1"},
		"Forwarded, IPv6": {map[string][]string{"Forwarded": {`for="[2001:db8::1]:4711"`}}, "2001:db8::1"},
		"Forwarded, through two": {map[string][]string{"Forwarded": {`for=1.1.1.1, for="198.51.100.1", for=10.9.9.9`}},
			"198.51.100.1"},
		"Forwarded, two lines": {map[string][]string{"Forwarded": {"for=198.51.100.1", "for=10.9.9.9"}}, "198.51.100.1"},
		"Forwarded, quoted comma": {map[string][]string{"Forwarded": {`for=1.1.1.1, for=198.51.100.1;ext="a, for=2.2.2.2"`}},
			"198.51.100.1"},
		"Forwarded, open quote": {map[string][]string{"Forwarded": {`for=1.1.1.1;ext=", for=198.51.100.1`}}, "invalid IP"},
		"Forwarded, unknown":    {map[string][]string{"Forwarded": {"for=1.1.1.1, for=unknown"}}, "invalid IP"},
		"Forwarded, hidden":     {map[string][]string{"Forwarded": {"for=_hidden"}}, "invalid IP"},
		"Forwarded, too long":   {map[string][]string{"Forwarded": {long + "for=198.51.100.1"}}, "invalid IP"},
		"X-Real-IP":             {map[string][]string{"X-Real-Ip": {"198.51.100.1"}}, "198.51.100.1"},
		// Whatever the proxy does not set comes from the browser.
		"a forged Forwarded": {map[string][]string{"X-Forwarded-For": {"198.51.100.1"}, "Forwarded": {"for=1.1.1.1"},
			"X-Real-Ip": {"1.1.1.1"}}, "198.51.100.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		for name, lines := range c.headers {
			r.Header[name] = lines
		}
		if got := p.Address(r).String(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		r.RemoteAddr = "203.0.113.9:1" // a stranger's word counts nothing
		if got := p.Address(r).String(); got != "203.0.113.9" {
			t.Errorf("%s, from a stranger: %s", name, got)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"for=1.1.1.1", `for="[::1]:1";proto=http, for=x`, `"\`, `for="\"`, "=;,", `for=",`} {
		f.Add(seed)
	}
	p := Peers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Forwarded-Proto"} {
			r.Header = http.Header{name: {text}}
			if a := p.Address(r); p.Trusts(a) {
				t.Errorf("%s %q: the proxy's address", name, text)
			}
			p.Plain(r)
		}
		r.Header = http.Header{"Forwarded": {text, "for=198.51.100.1;proto=http"}}
		if a := p.Address(r); a.String() != "198.51.100.1" || !p.Plain(r) {
			t.Errorf("%q before it changes the proxy's own line: %v", text, a)
		}
	})
}

func TestASilentProxyIsLoggedOnce(t *testing.T) {
	var logs bytes.Buffer
	p := Peers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	h := p.WarnOfSilent(slog.New(slog.NewTextHandler(&logs, nil)), answered)
	for range 3 {
		for peer, header := range map[string]string{"10.0.0.1:1": "", "10.0.0.2:1": "X-Forwarded-For",
			"10.0.0.3:1": "Forwarded", "10.0.0.4:1": "X-Real-Ip", "203.0.113.9:1": ""} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = peer
			if header != "" {
				r.Header.Set(header, "for=198.51.100.1")
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if text := logs.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") ||
		!strings.Contains(text, "proxy=10.0.0.1") || !strings.Contains(text, "X-Forwarded-For") {
		t.Errorf("logged %q", text)
	}
}

func TestWhetherARequestCameOverTLS(t *testing.T) {
	p := Peers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for name, c := range map[string]struct {
		header, value string
		plain         bool
	}{
		"said nothing":            {"", "", false},
		"https":                   {"X-Forwarded-Proto", "https", false},
		"HTTPS":                   {"X-Forwarded-Proto", "HTTPS", false},
		"http":                    {"X-Forwarded-Proto", "http", true},
		"a web socket":            {"X-Forwarded-Proto", "wss", false},
		"a plain web socket":      {"X-Forwarded-Proto", "ws", true},
		"something else":          {"X-Forwarded-Proto", "gopher", true},
		"a client's forged https": {"X-Forwarded-Proto", "https, http", true},
		"a plain hop before":      {"X-Forwarded-Proto", "http, https", false},
		"Forwarded https":         {"Forwarded", "for=1.1.1.1;proto=https", false},
		"Forwarded http":          {"Forwarded", `for=1.1.1.1;proto="http"`, true},
		"Forwarded, the last":     {"Forwarded", "proto=https, proto=http", true},
		"Forwarded without":       {"Forwarded", "for=1.1.1.1", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if got := p.Plain(r); got != c.plain {
			t.Errorf("%s: %v", name, got)
		}
		r.RemoteAddr = "203.0.113.9:1"
		if p.Plain(r) {
			t.Errorf("%s: a stranger's word is taken", name)
		}
	}
}

// Cookies of others cost one reading, and are gone after that; ours stay as they are.
func TestOnlyOurCookiesAreKept(t *testing.T) {
	for name, c := range map[string]struct{ cookies, want []string }{
		"none":         {nil, nil},
		"others' only": {[]string{"a=b; __Host-chirp=x; x__Host-exeunt-0=y"}, nil},
		"ours": {[]string{"a=b; __Host-exeunt-0=x;__Host-exeunt-0-here=y; c"},
			[]string{"__Host-exeunt-0=x; __Host-exeunt-0-here=y"}},
		"in several lines": {[]string{"a=b;__Host-exeunt-0=x", "__Host-exeunt-0=z"},
			[]string{"__Host-exeunt-0=x; __Host-exeunt-0=z"}},
		"four thousand others": {[]string{strings.Repeat("a=b; ", 4000) + "__Host-exeunt-0=x"},
			[]string{"__Host-exeunt-0=x"}},
		"one that is too long": {[]string{"__Host-exeunt-0=" + strings.Repeat("x", longestOwn)}, nil},
		"ours, many times": {[]string{strings.Repeat("__Host-exeunt-0=x;", 10_000)},
			[]string{strings.TrimSuffix(strings.Repeat("__Host-exeunt-0=x; ", maxOwn), "; ")}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.cookies != nil {
			r.Header["Cookie"] = c.cookies
		}
		w := httptest.NewRecorder()
		BoundHeaders(quiet.Answer, answered).ServeHTTP(w, r)
		if got := r.Header["Cookie"]; w.Code != http.StatusNoContent || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d %.200q", name, w.Code, got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", strings.Repeat("a=b; ", MaxHeader/5))
	w := httptest.NewRecorder()
	BoundHeaders(quiet.Answer, answered).ServeHTTP(w, r)
	if w.Code != http.StatusRequestHeaderFieldsTooLarge || w.Body.String() != "headers_too_large" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A request that the browser gave up is no failure, unless something else went wrong.
func TestGivenUpRequestsAreNotLogged(t *testing.T) {
	for name, c := range map[string]struct {
		gone  bool
		err   error
		level string
	}{
		"given up":                {true, context.Canceled, ""},
		"given up in the store":   {true, fmt.Errorf("%w: %w", exeunt.ErrUnavailable, context.Canceled), ""},
		"given up, indeterminate": {true, exeunt.ErrUnavailable, ""},
		"given up, and a failure": {true, errors.New("disk"), "level=ERROR"},
		"unavailable":             {false, exeunt.ErrUnavailable, "level=WARN"},
		"a failure":               {false, errors.New("disk"), "level=ERROR"},
		"cancelled by us":         {false, context.Canceled, "level=ERROR"},
	} {
		var logs bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		if c.gone {
			cancel()
		}
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		surface(slog.New(slog.NewTextHandler(&logs, nil))).Answer(httptest.NewRecorder(), r, c.err)
		if (logs.Len() > 0) != (c.level != "") || !strings.Contains(logs.String(), c.level) {
			t.Errorf("%s: logged %q", name, logs.String())
		}
		cancel()
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
		exeunt.ErrInviteSpent, exeunt.ErrLinkSpent, exeunt.ErrRequestExpired, exeunt.ErrNotAdmitted, exeunt.ErrFactorNeeded, exeunt.ErrCodeSpent, exeunt.ErrKeyReused,
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
	worker := regexp.MustCompile(`^[a-z2-7]{16}$`) // sw.js knows our answers by it
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
		if id := w.Header().Get("X-Request-Id"); seen[id] || !worker.MatchString(id) {
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
