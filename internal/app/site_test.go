package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
)

// wiki is a node that is the proxy of a wiki on a host of its own.
type wiki struct {
	*edge
	origin string
	app    *httptest.Server

	mu   sync.Mutex
	seen []*http.Request // by the app
}

func newSite(t *testing.T, set func(*config.Site)) *wiki {
	t.Helper()
	s := &wiki{}
	s.app = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Clone(context.Background()))
		s.mu.Unlock()
		switch r.URL.Path {
		case "/login": // an app that trusts only its own cookie
			http.SetCookie(w, &http.Cookie{Name: "wiki_session", Value: r.Header.Get("Remote-User"), Path: "/"})
		case "/plants":
			w.Header()["Set-Cookie"] = []string{"wiki_session=x; Path=/", "__Host-exeunt-site=planted; Path=/; Secure",
				" __Host-exeunt-site-of =planted; Path=/; Secure", "=__Host-exeunt-site-begun=planted; Path=/; Secure"}
			if r.URL.Query().Has("socket") {
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "websocket")
				w.WriteHeader(http.StatusSwitchingProtocols)
			}
			return
		case "/flood":
			for _, err := w.Write(make([]byte, 1<<20)); err == nil; _, err = w.Write(make([]byte, 1<<20)) {
			}
			return
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				if _, err := io.WriteString(w, "data: tick\n\n"); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(time.Second):
				}
			}
		case "/socket":
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			io.Copy(conn, rw)
			return
		}
		who := r.Header.Get("Remote-User")
		if c, err := r.Cookie("wiki_session"); err == nil {
			who = c.Value
		}
		fmt.Fprintf(w, "wiki of %s at %s", who, r.RequestURI)
	}))
	t.Cleanup(s.app.Close)
	s.edge = newEdge(t, func(c *config.Config) {
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(c.URL, "http://"))
		one := config.Site{Host: "wiki.localhost:" + port, ID: "wiki", Name: "Wiki", Upstream: s.app.URL}
		s.origin = "http://" + one.Host
		if set != nil {
			set(&one)
		}
		c.Sites = []config.Site{one}
	})
	return s
}

// visitor is somebody's browser, which keeps the cookies of each host, the paths of cookies included.
type visitor struct {
	s       *wiki
	cookies map[string]map[string]string // by host
	header  http.Header
	refuses func(host, name string) bool // which cookies it does not keep; nil: it keeps all
}

func (s *wiki) visitor() *visitor {
	return &visitor{s: s, cookies: map[string]map[string]string{},
		header: http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"}}}
}

type page struct {
	*http.Response
	body string
	at   *url.URL
}

// once sends one request.
func (p *visitor) once(method, to string, form url.Values) page {
	p.s.t.Helper()
	at, err := url.Parse(to)
	if err != nil {
		p.s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(p.s.t.Context(), method, to, strings.NewReader(form.Encode()))
	if err != nil {
		p.s.t.Fatal(err)
	}
	r.Header = p.header.Clone()
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range p.cookies[at.Host] {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	r.Host, r.URL.Host = at.Host, p.s.server.Listener.Addr().String()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		p.s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	for _, c := range resp.Cookies() {
		if p.refuses != nil && p.refuses(at.Host, c.Name) {
			continue
		}
		if p.cookies[at.Host] == nil {
			p.cookies[at.Host] = map[string]string{}
		}
		if p.cookies[at.Host][c.Name] = c.Value; c.MaxAge < 0 {
			delete(p.cookies[at.Host], c.Name)
		}
	}
	return page{resp, string(body), at}
}

// visit follows redirects.
func (p *visitor) visit(method, to string, form url.Values) page {
	p.s.t.Helper()
	for range 40 {
		got := p.once(method, to, form)
		next, err := got.Location()
		if err != nil {
			return got
		}
		method, to, form = http.MethodGet, got.at.ResolveReference(next).String(), nil
		if next.Host == p.s.server.Listener.Addr().String() { // a relative address, of the request that was sent
			to = got.at.Scheme + "://" + got.at.Host + next.RequestURI()
		}
	}
	p.s.t.Fatalf("%s redirects without end", to)
	return page{}
}

// signIn fills in the form of a page.
func (p *visitor) signIn(at page, handle string) page {
	p.s.t.Helper()
	if !strings.Contains(at.body, `action="/signin"`) {
		p.s.t.Fatalf("%s (%d) is no sign-in page: %s", at.at, at.StatusCode, mainOf(at.body))
	}
	form := url.Values{"identifier": {handle}, "password": {adasPassword}, "kind": {"kept"}}
	for _, field := range hidden.FindAllStringSubmatch(at.body, -1) {
		form.Set(field[1], strings.ReplaceAll(field[2], "&amp;", "&"))
	}
	return p.visit(http.MethodPost, p.s.Config.URL+"/signin", form)
}

func TestASite(t *testing.T) {
	s := newSite(t, nil)
	ada := s.visitor()
	const deep = "/a/page?x=1&y=%2F%C3%BC"
	got := ada.signIn(ada.visit(http.MethodGet, s.origin+deep, nil), "ada")
	if got.body != "wiki of ada at "+deep {
		t.Fatalf("%s: %d %s", got.at, got.StatusCode, mainOf(got.body))
	}
	// Nothing of ours reaches the app.
	last := s.requests()[s.asked()-1]
	if strings.Contains(fmt.Sprint(last.Header), "exeunt-site") || last.Header.Get("Exeunt-Client") != "wiki" {
		t.Errorf("the app gets %v", last.Header)
	}
	// A script is only refused, and a form is not sent again.
	ada.cookies[strings.TrimPrefix(s.origin, "http://")] = nil
	asked := s.asked()
	if got := ada.once(http.MethodPost, s.origin+"/save", url.Values{"text": {"x"}}); got.StatusCode != http.StatusSeeOther ||
		!strings.HasPrefix(got.Header.Get("Location"), s.Config.URL+"/site?") {
		t.Errorf("a form: %d %s", got.StatusCode, got.Header.Get("Location"))
	}
	script := s.visitor()
	script.header = http.Header{"Sec-Fetch-Mode": {"cors"}, "Accept": {"*/*"}}
	if got := script.once(http.MethodGet, s.origin+"/api", nil); got.StatusCode != http.StatusUnauthorized ||
		got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a script: %d", got.StatusCode)
	}
	if s.asked() != asked {
		t.Error("the app was asked")
	}
}

// The next person never sees what the app of the last one shows, not even an app that trusts only its own cookie.
func TestTheNextPersonAtASite(t *testing.T) {
	s := newSite(t, nil)
	if _, err := s.Accounts.AddAccount(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator},
		account.NewAccount{Handle: "grace", Password: adasPassword}, false); err != nil {
		t.Fatal(err)
	}
	p := s.visitor()
	if got := p.signIn(p.visit(http.MethodGet, s.origin+"/login", nil), "ada"); got.body != "wiki of ada at /login" {
		t.Fatal(got.body)
	}
	host := strings.TrimPrefix(s.origin, "http://")
	if p.cookies[host]["wiki_session"] != "ada" {
		t.Fatal("the app has set no cookie")
	}
	delete(p.cookies, strings.TrimPrefix(s.Config.URL, "http://")) // ada signs out at the authority
	delete(p.cookies[host], "__Host-exeunt-site")
	if got := p.signIn(p.visit(http.MethodGet, s.origin+"/", nil), "grace"); got.body != "wiki of grace at /" {
		t.Fatalf("grace sees %q", got.body)
	}
}

// Where several accounts are signed in, the one that a site is used with is remembered, and can be changed on the site. What
// the last one had there ends, the app's own cookies included.
func TestTheAccountOfASite(t *testing.T) {
	s := newSite(t, nil)
	if _, err := s.Accounts.AddAccount(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator},
		account.NewAccount{Handle: "grace", Password: adasPassword}, false); err != nil {
		t.Fatal(err)
	}
	p := s.visitor()
	p.signIn(p.visit(http.MethodGet, s.origin+"/login", nil), "ada")
	p.signIn(p.visit(http.MethodGet, s.Config.URL+"/signin", nil), "grace") // another account, which is active from now on
	if got := p.visit(http.MethodGet, s.origin+"/page", nil); got.body != "wiki of ada at /page" {
		t.Fatalf("the site shows %q", got.body)
	}
	host := strings.TrimPrefix(s.origin, "http://")
	old := p.cookies[host]["__Host-exeunt-site"]

	page := p.visit(http.MethodGet, s.origin+"/.exeunt/account?to=/page", nil)
	if !strings.Contains(page.body, "Which account for") {
		t.Fatalf("%s: %s", page.at, mainOf(page.body))
	}
	link := choiceOf(t, page.body, "@grace")
	if got := p.visit(http.MethodGet, s.Config.URL+link, nil); got.body != "wiki of grace at /page" {
		t.Fatalf("grace sees %q", got.body)
	}
	if p.cookies[host]["wiki_session"] == "ada" {
		t.Error("the app's cookie of the last account is there still")
	}
	token, err := exeunt.ParseToken(old)
	if err != nil {
		t.Fatal(err)
	}
	if s.Authority.Check(t.Context(), authority.Credential{Token: token, Use: authority.AsAppCookie}).Usable() {
		t.Error("the site's session of the last account lives on")
	}
	// It is remembered: without the site's own cookie, and with ada active.
	delete(p.cookies[host], "__Host-exeunt-site")
	front := p.visit(http.MethodGet, s.Config.URL+"/accounts", nil)
	i := strings.Index(front.body, `name="to" value="`)
	to := front.body[i+len(`name="to" value="`):][:30]
	p.visit(http.MethodPost, s.Config.URL+"/accounts/switch", url.Values{"to": {to}})
	if got := p.visit(http.MethodGet, s.Config.URL+"/sessions", nil); !strings.Contains(got.body, "@ada") {
		t.Fatal("ada is not active")
	}
	if got := p.visit(http.MethodGet, s.origin+"/page", nil); got.body != "wiki of grace at /page" {
		t.Errorf("the site shows %q", got.body)
	}
}

// choiceOf is where the link of an account leads.
func choiceOf(t *testing.T, body, handle string) string {
	t.Helper()
	for _, part := range strings.Split(body, `<li class="row"><a class="who" href="`)[1:] {
		if to, rest, _ := strings.Cut(part, `"`); strings.Contains(rest[:strings.Index(rest, "</li>")], handle) {
			return strings.ReplaceAll(to, "&amp;", "&")
		}
	}
	t.Fatalf("there is no choice of %s: %s", handle, mainOf(body))
	return ""
}

// What is open when a session ends is closed.
func TestOpenConnectionsOfASite(t *testing.T) {
	s := newSite(t, nil)
	p := s.visitor()
	p.signIn(p.visit(http.MethodGet, s.origin+"/", nil), "ada")
	var open []net.Conn
	for _, head := range []string{"GET /events HTTP/1.1\r\n", "GET /socket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"} {
		conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		host := strings.TrimPrefix(s.origin, "http://")
		fmt.Fprintf(conn, "%sHost: %s\r\nCookie: __Host-exeunt-site=%s\r\n\r\n", head, host, p.cookies[host]["__Host-exeunt-site"])
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if err != nil || !strings.Contains(line, "200") && !strings.Contains(line, "101") {
			t.Fatalf("%q: %q, %v", head, line, err)
		}
		open = append(open, conn)
	}
	ended := time.Now()
	ada, err := s.Authority.AccountByHandle(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accounts.Disable(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, ada); err != nil {
		t.Fatal(err)
	}
	for i, conn := range open {
		conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	t.Logf("closed after %v", time.Since(ended))
}

// Of 200 attempts to say who one is, none reaches the app.
func TestSpoofedIdentityAtASite(t *testing.T) {
	s := newSite(t, func(c *config.Site) { c.Open = []string{"/open/"} })
	p := s.visitor()
	p.signIn(p.visit(http.MethodGet, s.origin+"/", nil), "ada")
	host := strings.TrimPrefix(s.origin, "http://")
	var spellings []string
	for _, name := range []string{"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name", "Exeunt-Account"} {
		for _, f := range []func(string) string{
			strings.ToLower, strings.ToUpper, func(s string) string { return strings.ReplaceAll(s, "-", "_") },
			func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }, func(s string) string { return s },
		} {
			spellings = append(spellings, f(name))
		}
	}
	tried := 0
	for _, path := range []string{"/page", "/open/page"} {
		for _, name := range spellings {
			for _, extra := range []string{"", "Connection: " + name + "\r\n", name + ": second\r\n", "Trailer: " + name + "\r\n"} {
				tried++
				before := s.asked()
				got := s.ask("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nCookie: __Host-exeunt-site=" +
					p.cookies[host]["__Host-exeunt-site"] + "\r\n" + name + ": spoofed\r\n" + extra)
				if passes := !strings.HasPrefix(extra, "Connection"); passes != (s.asked() == before+1) {
					t.Errorf("%s with %q: %d, and the app got %d requests", name, extra, got.StatusCode, s.asked()-before)
				}
				for _, r := range s.requests()[before:] {
					for of, values := range r.Header {
						if slices.Contains(values, "spoofed") || slices.Contains(values, "second") {
							t.Errorf("%s with %q: the app gets %s", name, extra, of)
						}
					}
					if got := r.Header["Remote-User"]; path == "/page" && !slices.Equal(got, []string{"ada"}) {
						t.Errorf("%s with %q: the app gets Remote-User %q", name, extra, got)
					}
				}
			}
		}
	}
	if tried < 200 {
		t.Errorf("%d attempts", tried)
	}
}

// Each kind of proxy is answered in its own way; what it does not say, or says twice, is refused. Traefik and Envoy ask in
// the shape that is written down from their sources; the others are tested as real programs besides.
func TestProxiesAskAboutASite(t *testing.T) {
	s := newSite(t, func(c *config.Site) { c.Upstream = "" })
	p := s.visitor()
	p.signIn(p.visit(http.MethodGet, s.origin+"/.exeunt/sign-in", nil), "ada")
	host := strings.TrimPrefix(s.origin, "http://")
	cookie := "Cookie: __Host-exeunt-site=" + p.cookies[host]["__Host-exeunt-site"] + "\r\n"
	const page = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
	asks := map[string]string{
		"nginx": "GET /forward-auth/nginx HTTP/1.1\r\nHost: x\r\nX-Original-Url: http://" + host + "/a?b=1\r\nX-Original-Method: GET\r\n",
	}
	for _, name := range []string{"caddy", "haproxy"} {
		asks[name] = "GET /forward-auth/" + name + " HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: " + host +
			"\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /a?b=1\r\n"
	}
	for _, name := range []string{"traefik", "envoy"} {
		golden, err := os.ReadFile("testdata/proxies/" + name + ".http")
		if err != nil {
			t.Fatal(err)
		}
		asks[name] = strings.NewReplacer("HOST", host, "SCHEME", "http", "\n", "\r\n").Replace(string(golden))
	}
	for name, ask := range asks {
		redirect := http.StatusSeeOther
		if name == "nginx" {
			redirect = http.StatusUnauthorized
		}
		status, h, _ := s.send(ask + page + "Connection: close\r\n\r\n")
		if want := s.origin + "/.exeunt/sign-in?to=%2Fa%3Fb%3D1"; status != redirect || h.Get("Location") != want {
			t.Errorf("%s, a page: %d to %q", name, status, h.Get("Location"))
		}
		if status, h, _ = s.send(ask + "Connection: close\r\n\r\n"); status != http.StatusUnauthorized || h.Get("Location") != "" {
			t.Errorf("%s, a script: %d to %q", name, status, h.Get("Location"))
		}
		status, h, _ = s.send(ask + cookie + "Remote-User: grace\r\nConnection: close\r\n\r\n")
		if status != http.StatusOK || h.Get("Remote-User") != "ada" || len(h["Remote-Groups"]) != 1 {
			t.Errorf("%s, signed in: %d, %v", name, status, h)
		}
		for what, wrong := range map[string]string{
			"another host": strings.ReplaceAll(ask, host, "other.localhost"),
			"without TLS":  strings.NewReplacer("Proto: http\r", "Proto: https\r", "proto: http\r", "proto: https\r", "http://", "https://").Replace(ask),
			"said twice":   ask + "X-Forwarded-Proto: http\r\nX-Original-Url: http://" + host + "/b\r\n",
		} {
			if status, h, _ := s.send(wrong + cookie + "Connection: close\r\n\r\n"); status != http.StatusForbidden && status != http.StatusMisdirectedRequest {
				t.Errorf("%s, %s: %d, %v", name, what, status, h)
			}
		}
	}
}
