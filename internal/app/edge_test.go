package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/webapp"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/web"
)

// edge is a served node, and somebody who is signed in to it and to Chirp.
type edge struct {
	run
	server  *httptest.Server
	said    *safeBuffer
	passed  atomic.Int64 // milliseconds
	pair    exeunt.Token
	session exeunt.Session
	app     exeunt.Token
	cookies string // of the browser, at the node
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *safeBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// newEdge starts a node with the limits of a real server. set changes its configuration.
func newEdge(t *testing.T, set func(*config.Config)) *edge {
	t.Helper()
	e := &edge{said: &safeBuffer{}}
	log := slog.New(slog.NewTextHandler(e.said, nil))
	e.server = httptest.NewUnstartedServer(nil)
	handler := func(w http.ResponseWriter, r *http.Request) { e.Handler().ServeHTTP(w, r) }
	e.server.Config = Server(http.HandlerFunc(handler), log, slog.LevelDebug)
	e.server.Start()
	t.Cleanup(e.server.Close)
	c := config.Default()
	c.Addr, c.Development, c.Data = "127.0.0.1:0", true, filepath.Join(t.TempDir(), "node")
	c.URL = strings.Replace(e.server.URL, "127.0.0.1", "exeunt.localhost", 1)
	c.Clients = []config.Client{{ID: "chirp", Name: "Chirp", HomeURL: "http://chirp.localhost/",
		RedirectURIs: []string{"http://chirp.localhost/exeunt/callback"}, KeySHA256: aSecret()}}
	if set != nil {
		set(&c)
	}
	begun := time.Now()
	n, err := New(context.Background(), c, Options{Log: log,
		Now:     func() time.Time { return begun.Add(time.Duration(e.passed.Load()) * time.Millisecond) },
		Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	e.run = run{n, t}
	e.addAda()
	e.signInAda()
	return e
}

func (e *edge) signInAda() {
	e.t.Helper()
	e.pair, e.session = e.signIn()
	const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"
	sum := sha256.Sum256([]byte(verifier))
	id, redirect := exeunt.ClientID(e.Config.Clients[0].ID), e.Config.Clients[0].RedirectURIs[0]
	code, err := e.OAuth.GrantCode(e.t.Context(), e.session.Account, e.session.ID, oauth.CodeRequest{
		Client: id, RedirectURI: redirect, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	if err != nil {
		e.t.Fatal(err)
	}
	c, err := e.OAuth.Client(id)
	if err != nil {
		e.t.Fatal(err)
	}
	got, err := e.OAuth.ExchangeCode(e.t.Context(),
		oauth.CodeExchange{Code: code, Client: c, RedirectURI: redirect, Verifier: verifier})
	if err != nil {
		e.t.Fatal(err)
	}
	e.app = got.Access
	w := httptest.NewRecorder()
	e.browser.Cookies.SetPair(w, e.session.ID, e.pair, exeunt.KindKept, time.Hour)
	var all []string
	for _, c := range w.Result().Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	e.cookies = strings.Join(all, "; ")
}

func (e *edge) host() string { return strings.TrimPrefix(e.Config.URL, "http://") }

// send sends a request as it is written and returns the answer. What is written is all
// that is sent: a body can be cut short.
func (e *edge) send(text string) (status int, h http.Header, body string) {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.server.Listener.Addr().String())
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close()
	go func() { // the answer may come before everything is sent
		io.WriteString(conn, text)
		conn.(*net.TCPConn).CloseWrite()
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		e.t.Fatalf("%.80q: %v", text, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(b)
}

// A neighbour's cookies do not keep anybody from signing out, however many a browser
// can store; what is longer is answered with a page.
func TestNeighboursCookiesDoNotStopASignOut(t *testing.T) {
	for name, neighbours := range map[string][]string{
		"ten of 3.9 kB":                    repeated("n%d="+strings.Repeat("x", 3900), 10),
		"as many as a browser stores":      repeated("n%d="+strings.Repeat("x", 4090), 180),
		"more than net/http cares to read": repeated("n%d=x", 5000),
		"with names like ours":             repeated("x__Host-exeunt-ses_=%d; __Host-Exeunt-ses_=%d", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, nil)
			form := url.Values{"session": {e.session.ID.String()}, "scope": {"session"}}.Encode()
			status, h, body := e.send(fmt.Sprintf("POST /signout HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n"+
				"Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
				"Content-Length: %d\r\nCookie: %s; %s\r\n\r\n%s",
				e.host(), e.Config.URL, len(form), strings.Join(neighbours, "; "), e.cookies, form))
			if status != http.StatusSeeOther || h.Get("Location") != "/signed-out" {
				t.Errorf("%d %v %.200s", status, h, body)
			}
			e.want(e.pair, live.Ended)
		})
	}
	e := newEdge(t, nil)
	flood := strings.Repeat("n=x; ", web.MaxHeader/5)
	for path, want := range map[string]string{"/signout": "<h1>Too many cookies</h1>",
		"/api/v1/session": `"code":"headers_too_large"`} {
		status, _, body := e.send(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"+
			"Cookie: %s%s\r\n\r\n", path, e.host(), flood, e.cookies))
		if status != http.StatusRequestHeaderFieldsTooLarge || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
	e.want(e.pair, live.Usable)
}

func repeated(format string, n int) (out []string) {
	for i := range n {
		out = append(out, strings.ReplaceAll(format, "%d", fmt.Sprint(i)))
	}
	return out
}

// A body that is broken, cut short or too long changes nothing, and the answer says so.
func TestBrokenBodiesChangeNothing(t *testing.T) {
	e := newEdge(t, nil)
	const long = 1 << 20
	for name, c := range map[string]struct {
		lines, body string
		status      int
	}{
		"a bad size of a chunk": {"Transfer-Encoding: chunked", "zz\r\nabc\r\n0\r\n\r\n", 400},
		"chunks cut short":      {"Transfer-Encoding: chunked", "ff\r\nabc", 400},
		"no last chunk":         {"Transfer-Encoding: chunked", "3\r\na=b\r\n", 400},
		"cut short":             {"Content-Length: 100", "{", 400},
		"too long":              {fmt.Sprint("Content-Length: ", long), strings.Repeat("a", long), 413},
		"too long, in chunks": {"Transfer-Encoding: chunked",
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", long, strings.Repeat("a", long)), 413},
	} {
		for _, to := range []struct{ path, lines, says string }{
			{"/api/v1/signin", "Content-Type: application/json", "othing was changed"},
			{"/oauth/token", "Content-Type: application/x-www-form-urlencoded", "othing was changed"},
			{"/oauth/revoke", "Content-Type: application/x-www-form-urlencoded", "othing was changed"},
			{"/signin", "Content-Type: application/x-www-form-urlencoded", "othing was changed"},
			{"/settings/display", "Content-Type: application/x-www-form-urlencoded", "othing was changed"},
			{"/signout", "Content-Type: application/x-www-form-urlencoded", "othing was changed"},
		} {
			status, _, body := e.send("POST " + to.path + " HTTP/1.1\r\nHost: " + e.host() + "\r\nOrigin: " + e.Config.URL +
				"\r\nConnection: close\r\nCookie: " + e.cookies + "\r\n" + to.lines + "\r\n" + c.lines + "\r\n\r\n" + c.body)
			if status != c.status || !strings.Contains(body, to.says) {
				t.Errorf("%s, %s: %d %s", to.path, name, status, mainOf(body))
			}
		}
	}
	if log := e.said.String(); strings.Contains(log, "failed") {
		t.Error(log)
	}
	e.want(e.pair, live.Usable)
}

func mainOf(page string) string {
	_, page, _ = strings.Cut(page, "<main")
	return page[:min(len(page), 500)]
}

// What a browser gives up is not logged as a failure of ours.
func TestGivenUpRequestsAreNoFailures(t *testing.T) {
	e := newEdge(t, nil)
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, path := range []string{"/", "/sessions", "/sessions/ended", "/settings", "/api/v1/sessions",
		"/api/v1/session"} {
		r := httptest.NewRequest(http.MethodGet, e.Config.URL+path, nil).WithContext(gone)
		r.Header.Set("Cookie", e.cookies)
		r.Header.Set("Authorization", "Bearer "+e.app.Reveal())
		e.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	if log := e.said.String(); strings.Contains(log, "failed") {
		t.Error(log)
	}
}

// Plain http through the trusted proxy: somebody who opens a page goes to the right
// address, and everything else is refused.
func TestPlainHTTPThroughTheProxy(t *testing.T) {
	const origin = "https://id.example.com"
	e := newEdge(t, func(c *config.Config) {
		c.Development, c.URL, c.TrustedProxies = false, origin, []string{"192.0.2.1"}
	})
	for _, c := range []struct {
		method, path, body string
		overTLS, plain     int
	}{
		{"GET", "/signin?return=%2Fsessions", "", 200, 308},
		{"HEAD", "/signin", "", 200, 308},
		{"GET", "//evil.example/", "", 307, 308},
		{"GET", "/sessions", "", 200, 308},
		{"POST", "/signin", "identifier=ada&kind=shared&password=" + url.QueryEscape(adasPassword), 303, 403},
		{"POST", "/signout", "session=SESSION", 303, 403},
		{"GET", "/api/openapi.json", "", 200, 403},
		{"POST", "/api/v1/signin", `{"identifier":"ada","password":"` + adasPassword + `"}`, 201, 403},
		{"GET", "/oauth/userinfo", "", 401, 403},
		{"POST", "/oauth/token", "grant_type=refresh_token", 400, 403},
		{"GET", "/.well-known/openid-configuration", "", 200, 308},
		{"GET", "/gate/chirp", "", 200, 403},
		{"GET", "/livez", "", 200, 200},
		{"GET", "/readyz", "", 200, 200},
	} {
		for _, said := range []string{"Forwarded", "X-Forwarded-Proto", "https", ""} {
			e.signInAda() // the one before may have signed out
			body := strings.ReplaceAll(c.body, "SESSION", e.session.ID.String())
			r := httptest.NewRequest(c.method, origin+"/", strings.NewReader(body))
			u, err := url.ParseRequestURI(c.path)
			if err != nil {
				t.Fatal(err)
			}
			r.URL, r.RequestURI, r.RemoteAddr = u, c.path, "192.0.2.1:1234"
			r.Header.Set("X-Forwarded-For", "198.51.100.7")
			r.Header.Set("Origin", origin)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if strings.HasPrefix(c.path, "/api/") {
				r.Header.Set("Content-Type", "application/json")
			}
			r.Header.Set("Cookie", "__Host-exeunt-device=new") // which the sign-in form had set
			if !strings.HasSuffix(c.path, "/signin") {
				r.Header.Set("Cookie", e.cookies+"; __Host-chirp="+e.app.Reveal())
			}
			want := c.plain
			switch said {
			case "Forwarded":
				r.Header.Set(said, "for=198.51.100.7;proto=http")
			case "X-Forwarded-Proto":
				r.Header.Set(said, "http")
			case "https":
				r.Header.Set("X-Forwarded-Proto", said)
				want = c.overTLS
			default: // a proxy that says nothing has been named as one that terminates TLS
				want = c.overTLS
			}
			w := httptest.NewRecorder()
			e.Handler().ServeHTTP(w, r)
			to := w.Header().Get("Location")
			if w.Code != want || want == 308 && to != origin+u.RequestURI() || want == 403 && len(w.Result().Cookies()) > 0 {
				t.Errorf("%s %s, %q: %d to %q %s", c.method, c.path, said, w.Code, to, mainOf(w.Body.String()))
			}
			if want == 403 && c.path == "/gate/chirp" && w.Header().Get(client.HeaderReason) != "plain_http" {
				t.Errorf("the gate: %v", w.Header())
			}
			if want == 403 {
				e.want(e.pair, live.Usable)
			}
		}
	}
}

// told is a Verifier that notes what it is told of activity.
type told struct {
	activity bool
	person   func(ctx context.Context, token client.Secret, activity bool) (client.Person, error)
}

func (v *told) Forget(client.Secret) {}
func (v *told) Check(ctx context.Context, token client.Secret, activity bool) (client.Person, error) {
	v.activity = activity
	return v.person(ctx, token, false)
}

// One table says what activity is, on every surface: the gate, the API, pages, and an
// app that asks the authority or checks in its own process.
func TestOneRuleOfActivity(t *testing.T) {
	e := newEdge(t, nil)
	calls, err := client.New(e.Config.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const appURL = "http://chirp.localhost"
	newApp := func(v webapp.Verifier) http.Handler {
		a, err := webapp.New(webapp.Config{Client: calls, ID: "chirp", Key: client.NewSecret("exk_x"), URL: appURL, Verifier: v})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		return a.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}
	verifier := &told{person: calls.For("chirp").Check}
	asks, verifies := newApp(nil), newApp(verifier)
	appSession := e.check(authority.Credential{Token: e.app, Use: authority.AsBearer}).App.String()

	type row struct {
		method  string
		headers map[string]string
	}
	// do sends the row's request with a credential, and returns whether the session has
	// been used.
	do := func(h http.Handler, row row, address, form string, credential map[string]string, c authority.Credential) bool {
		before := e.check(c).IdleAt()
		e.passed.Add(time.Minute.Milliseconds())
		verifier.activity = false
		r := httptest.NewRequest(row.method, address, strings.NewReader(form))
		if row.method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
		}
		for _, set := range []map[string]string{credential, row.headers} {
			for name, v := range set {
				r.Header.Set(name, v)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 400 {
			t.Errorf("%s %s: %d %s", row.method, address, w.Code, w.Body)
		}
		return e.check(c).IdleAt().After(before) || verifier.activity
	}
	asPair := authority.Credential{Token: e.pair, Use: authority.AsPair}
	asApp := authority.Credential{Token: e.app, Use: authority.AsBearer}
	cookie := map[string]string{"Cookie": "__Host-chirp=" + e.app.Reveal()}
	bearer := map[string]string{"Authorization": "Bearer " + e.app.Reveal()}
	for name, c := range map[string]struct {
		row
		cookie, bearer bool
	}{
		"a navigation":    {row{"GET", map[string]string{"Sec-Fetch-Mode": "navigate"}}, true, true},
		"a form":          {row{"POST", map[string]string{"Sec-Fetch-Mode": "navigate"}}, true, true},
		"a script's read": {row{"GET", map[string]string{"Sec-Fetch-Mode": "cors"}}, false, false},
		"a poll by POST":  {row{"POST", map[string]string{"Sec-Fetch-Mode": "cors"}}, false, false},
		"a post, said to be": {row{"POST", map[string]string{"Sec-Fetch-Mode": "cors",
			"Exeunt-Activity": "yes"}}, true, true},
		"a read, said to be": {row{"GET", map[string]string{"Sec-Fetch-Mode": "cors",
			"Exeunt-Activity": "yes"}}, true, true},
		"a navigation, said not to be": {row{"GET", map[string]string{"Sec-Fetch-Mode": "navigate",
			"Exeunt-Activity": "no"}},
			false, false},
		"an image": {row{"GET", map[string]string{"Sec-Fetch-Mode": "no-cors"}}, false, false},
		"a look ahead": {row{"GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch"}},
			false, false},
		"an old browser's page":          {row{"GET", map[string]string{"Accept": "text/html"}}, true, true},
		"an old browser's form":          {row{"POST", map[string]string{"Accept": "text/html"}}, true, true},
		"an old browser's poll by POST":  {row{"POST", map[string]string{"Accept": "*/*"}}, false, true},
		"a program":                      {row{"GET", nil}, false, true},
		"a program that says it was not": {row{"GET", map[string]string{"Exeunt-Activity": "no"}}, false, false},
	} {
		page, form := "/settings", ""
		if c.method == http.MethodPost {
			page, form = "/session/stay", "session="+e.session.ID.String()+"&return=/"
		}
		node := e.Handler()
		appForm := "session=" + appSession
		call := row{http.MethodGet, c.headers} // what the API's methods do is not the question
		for surface, got := range map[string][2]bool{
			"pages": {do(node, c.row, e.Config.URL+page, form,
				map[string]string{"Cookie": e.cookies}, asPair), c.cookie},
			"the gate, with a cookie":       {do(node, c.row, e.Config.URL+"/gate/chirp", "", cookie, asApp), c.cookie},
			"the gate, with a bearer token": {do(node, c.row, e.Config.URL+"/gate/chirp", "", bearer, asApp), c.bearer},
			"the API":                       {do(node, call, e.Config.URL+"/api/v1/session", "", bearer, asApp), c.bearer},
			"an app that asks":              {do(asks, c.row, appURL+"/x", appForm, cookie, asApp), c.cookie},
			"an app with a verifier":        {do(verifies, c.row, appURL+"/x", appForm, cookie, asApp), c.cookie},
		} {
			if got[0] != got[1] {
				t.Errorf("%s, %s: %v", surface, name, got[0])
			}
		}
	}
}

func (e *edge) check(c authority.Credential) authority.Answer {
	e.t.Helper()
	ans := e.Authority.Check(e.t.Context(), c)
	if !ans.Usable() {
		e.t.Fatalf("the session is %v", ans.State)
	}
	return ans
}

// aSecret is the hash of a client's secret that nobody has.
func aSecret() []string { return []string{exeunt.NewToken(exeunt.UseClient).Hash().String()} }
