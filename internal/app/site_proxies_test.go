package app

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/presets"
)

const wikiHost, notesHost = "wiki.example.com", "notes.example.com"

// fronted are two sites behind a real proxy, or behind ours.
type fronted struct {
	*edge
	port   string // where the proxy takes TLS, on both kinds of address
	cookie string // of ada's session at the wiki

	mu   sync.Mutex
	seen []arrived // at the apps
}

// arrived is a request as an app got it.
type arrived struct {
	host, method, uri, body string
	header, trailer         http.Header
	proto                   string
}

func (f *fronted) app(w http.ResponseWriter, r *http.Request) {
	a := arrived{host: r.Host, method: r.Method, uri: r.RequestURI, header: r.Header.Clone(), proto: r.Proto}
	if r.Header.Get("Upgrade") == "" {
		b, _ := io.ReadAll(r.Body)
		a.body, a.trailer = string(b), r.Trailer
	}
	f.mu.Lock()
	f.seen = append(f.seen, a)
	f.mu.Unlock()
	switch r.URL.Path {
	case "/socket":
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			f.t.Error(err)
			return
		}
		defer conn.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 section 4.2.2
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		io.Copy(conn, rw)
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done() // only the other side ends it
	}
}

func newFronted(t *testing.T, ours bool, front func(t *testing.T, f *fronted, dir, app string)) *fronted {
	t.Helper()
	f := &fronted{port: portOf(freePort(t))}
	app := httptest.NewServer(http.HandlerFunc(f.app))
	t.Cleanup(app.Close)
	upstream := "" // another proxy knows where the app is
	if ours {
		upstream = app.URL
	}
	dir := t.TempDir()
	writeCertificate(t, dir)
	f.edge = newEdge(t, func(c *config.Config) {
		c.Development, c.URL, c.TrustedProxies = false, "https://id.example.com", []string{"127.0.0.1", "::1"}
		c.Sites = []config.Site{{Host: wikiHost, ID: "wiki", Open: []string{"/open/"}, Upstream: upstream},
			{Host: notesHost, Preflight: true, Upstream: upstream}}
	})
	front(t, f, dir, app.URL)
	f.cookie = "__Host-exeunt-site=" + f.signInAt("wiki").Reveal()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(2 * time.Minute); ; <-tick.C {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+f.port); err == nil {
			conn.Close()
			return f
		}
		if time.Now().After(limit) {
			t.Fatal("the proxy does not listen")
		}
	}
}

// signInAt gives ada a session at a site, as its callback does.
func (f *fronted) signInAt(id exeunt.ClientID) exeunt.Token {
	f.t.Helper()
	site, err := f.OAuth.Client(id)
	if err != nil {
		f.t.Fatal(err)
	}
	const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"
	sum := sha256.Sum256([]byte(verifier))
	code, err := f.OAuth.GrantCode(f.t.Context(), f.session.Account, f.session.ID, oauth.CodeRequest{Client: id,
		RedirectURI: site.Site.Callback(), Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
	if err != nil {
		f.t.Fatal(err)
	}
	got, err := f.OAuth.ExchangeCode(f.t.Context(), oauth.CodeExchange{Code: code, Client: site,
		RedirectURI: site.Site.Callback(), Verifier: verifier})
	if err != nil {
		f.t.Fatal(err)
	}
	return got.Access
}

// configured returns the configuration that `exeunt sites snippet` prints, for both sites.
func (f *fronted) configured(proxy, app string) string {
	f.t.Helper()
	var sites []presets.Proxied
	for _, host := range []string{wikiHost, notesHost} {
		site, _ := f.OAuth.SiteAt(host)
		sites = append(sites, presets.Proxied{Site: site, App: app})
	}
	text, err := presets.ProxyConfig(proxy, f.server.URL, sites)
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

func frontNginx(t *testing.T, f *fronted, dir, app string) {
	spare := portOf(freePort(t))
	sites := f.configured("nginx", app)
	for _, host := range []string{wikiHost, notesHost} {
		sites = replaced(t, sites, "/etc/ssl/"+host+".pem", filepath.Join(dir, "cert.pem"),
			"/etc/ssl/"+host+".key", filepath.Join(dir, "key.pem"))
	}
	runNginx(t, dir, replaced(t, sites, "listen 80;", "listen 127.0.0.1:"+spare+";", "listen [::]:80;", "listen [::1]:"+spare+";",
		"listen 443 ", "listen 127.0.0.1:"+f.port+" ", "listen [::]:443 ", "listen [::1]:"+f.port+" "))
}

func frontCaddy(t *testing.T, f *fronted, dir, app string) {
	certificate := "\n\ttls " + filepath.Join(dir, "cert.pem") + " " + filepath.Join(dir, "key.pem") + "\n"
	sites := replaced(t, f.configured("caddy", app), wikiHost+" {\n", wikiHost+" {"+certificate,
		notesHost+" {\n", notesHost+" {"+certificate)
	runCaddy(t, dir, "127.0.0.1 [::1]", portOf(freePort(t)), f.port, sites)
}

func frontHAProxy(t *testing.T, f *fronted, dir, app string) {
	spare, certs := portOf(freePort(t)), filepath.Join(dir, "certs")
	if err := os.Mkdir(certs, 0o700); err != nil {
		t.Fatal(err)
	}
	var both []byte
	for _, name := range []string{"cert.pem", "key.pem"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	lua := filepath.Join(dir, "exeunt.lua")
	file := filepath.Join(dir, "haproxy.cfg")
	text := replaced(t, f.configured("haproxy", app), "/etc/haproxy/exeunt.lua", lua, "/etc/haproxy/certs/", certs,
		"bind :::80 v4v6", "bind 127.0.0.1:"+spare, "bind :::443 v4v6", "bind 127.0.0.1:"+f.port+",[::1]:"+f.port)
	for path, b := range map[string][]byte{
		filepath.Join(certs, "both.pem"): both, lua: []byte(f.configured("haproxy-lua", app)), file: []byte(text),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runProgram(t, dir, "haproxy", "-db", "-f", file)
}

// frontRelay serves the node itself with TLS, which is the sites' proxy then.
func frontRelay(t *testing.T, f *fronted, dir, _ string) {
	s := Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.Handler().ServeHTTP(w, r) }),
		slog.New(slog.NewTextHandler(f.said, nil)), slog.LevelDebug)
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, f.port))
		if err != nil {
			t.Fatal(err)
		}
		go s.ServeTLS(l, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	}
	t.Cleanup(func() { s.Close() })
}

// dial connects to the proxy, at an address of this machine.
func (f *fronted) dial(at, host string) net.Conn {
	f.t.Helper()
	conn, err := tls.Dial("tcp", net.JoinHostPort(at, f.port), &tls.Config{ServerName: host, InsecureSkipVerify: true,
		NextProtos: []string{"http/1.1"}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	return conn
}

// over sends a request as it is written, and returns the answer and what the app got, nil if nothing.
func (f *fronted) over(host, head, body string, lines ...string) (*http.Response, *arrived) {
	f.t.Helper()
	return f.exchange(f.dial("127.0.0.1", host), host, head, body, lines...)
}

func (f *fronted) exchange(conn net.Conn, host, head, body string, lines ...string) (*http.Response, *arrived) {
	f.t.Helper()
	f.mu.Lock()
	f.seen = nil
	f.mu.Unlock()
	method, _, _ := strings.Cut(head, " ")
	text := head + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(lines, "", ""), "\r\n") + body
	if _, err := io.WriteString(conn, text); err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		f.t.Fatalf("%s: %v", head, err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols && resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(strings.NewReader(string(b)))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 {
		return resp, nil
	}
	return resp, &f.seen[0]
}

const document = "Sec-Fetch-Dest: document"

// The configurations that the program prints, in the real programs, and our own proxy.
func TestSitesBehindRealProxies(t *testing.T) {
	for name, front := range map[string]func(*testing.T, *fronted, string, string){
		"nginx": frontNginx, "Caddy": frontCaddy, "HAProxy": frontHAProxy, "Exeunt": frontRelay,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFronted(t, name == "Exeunt", front)
			t.Run("who may pass", f.whoMayPass)
			t.Run("bodies, sizes and versions", f.shapes)
			t.Run("sockets and event streams", f.streams)
			t.Run("identity", func(t *testing.T) { f.identity(t, name) })
		})
	}
}

func (f *fronted) whoMayPass(t *testing.T) {
	f.edge.t = t
	cookie := "Cookie: " + f.cookie
	for _, row := range []struct {
		what, host, head string
		lines            []string
		status           int
		to               string // where a browser is sent
		passes           bool
	}{
		{"a page", wikiHost, "GET /a/b?x=1&y=%2F%C3%BC", []string{document, "Sec-Fetch-Mode: navigate"}, 303,
			"https://wiki.example.com/.exeunt/sign-in?to=" + url.QueryEscape("/a/b?x=1&y=%2F%C3%BC"), false},
		{"a page of an old browser", wikiHost, "GET /a", []string{"Accept: text/html"}, 303,
			"https://wiki.example.com/.exeunt/sign-in?to=%2Fa", false},
		{"a form", wikiHost, "POST /save", []string{document, "Sec-Fetch-Mode: navigate", "Content-Length: 0"}, 303,
			"https://id.example.com/site?site=wiki&why=not_sent", false},
		{"a script", wikiHost, "GET /api", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, 401, "", false},
		{"a script's post", wikiHost, "POST /api", []string{"Sec-Fetch-Mode: cors", "Content-Length: 0"}, 401, "", false},
		{"a program", wikiHost, "GET /api", nil, 401, "", false},
		{"another token", wikiHost, "GET /api", []string{"Cookie: __Host-exeunt-site=" + exeunt.NewToken(exeunt.UseApp).Reveal()}, 401, "", false},
		{"a pre-flight", wikiHost, "OPTIONS /api", []string{"Origin: https://a.example", "Access-Control-Request-Method: GET"}, 401, "", false},
		{"a pre-flight that is let through", notesHost, "OPTIONS /api", []string{"Origin: https://a.example",
			"Access-Control-Request-Method: GET"}, 200, "", true},
		{"a pre-flight that would be another request", notesHost, "OPTIONS /api", []string{"Origin: https://a.example",
			"Access-Control-Request-Method: GET", "X-HTTP-Method-Override: DELETE"}, 401, "", false},
		{"an open page", wikiHost, "GET /open/x", nil, 200, "", true},
		{"not an open page", wikiHost, "GET /open/../x", nil, 401, "", false},
		{"signed in", wikiHost, "GET /a?b", []string{cookie}, 200, "", true},
		{"signed in at the other site", notesHost, "GET /a", []string{cookie}, 401, "", false},
		{"our own address", wikiHost, "GET /.exeunt/nothing", []string{cookie}, 404, "", false},
	} {
		resp, app := f.over(row.host, row.head, "", append(row.lines, "Connection: close")...)
		if resp.StatusCode != row.status || resp.Header.Get("Location") != row.to || (app != nil) != row.passes {
			t.Errorf("%s: %d to %q, the app got %v", row.what, resp.StatusCode, resp.Header.Get("Location"), app)
		}
		if row.status == 401 && resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %q", row.what, resp.Header.Get("Content-Type"))
		}
		if method, uri, _ := strings.Cut(row.head, " "); app != nil && (app.host != row.host || app.method != method || app.uri != uri) {
			t.Errorf("%s: the app got %s %s at %s", row.what, app.method, app.uri, app.host)
		}
	}
}

func (f *fronted) shapes(t *testing.T) {
	f.edge.t = t
	cookie := "Cookie: " + f.cookie
	for _, row := range []struct {
		what, body, want string
		lines            []string
	}{
		{"a body", "text=x", "text=x", []string{"Content-Length: 6"}},
		{"an empty body", "", "", []string{"Content-Length: 0"}},
		{"no body", "", "", nil},
		{"a chunked body", "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n", "abcdefg", []string{"Transfer-Encoding: chunked"}},
		{"an empty chunked body", "0\r\n\r\n", "", []string{"Transfer-Encoding: chunked"}},
		{"a large body", strings.Repeat("x", 3<<20), strings.Repeat("x", 3<<20), []string{fmt.Sprint("Content-Length: ", 3<<20)}},
	} {
		resp, app := f.over(wikiHost, "POST /save", row.body, append(row.lines, cookie)...)
		if resp.StatusCode != 200 || app == nil || app.body != row.want {
			t.Errorf("%s: %d, the app got %.80v", row.what, resp.StatusCode, app)
		}
	}
	// 60 kB of headers, of which most are cookies, as a neighbouring site may set them.
	var many []string
	for i := range 15 {
		many = append(many, fmt.Sprintf("n%d=%s", i, strings.Repeat("x", 3990)))
	}
	long := strings.Join(append(many, f.cookie), "; ")
	if resp, app := f.over(wikiHost, "GET /a", "", "Cookie: "+long); resp.StatusCode != 200 || app == nil ||
		!strings.Contains(strings.Join(app.header["Cookie"], ";"), many[14]) {
		t.Errorf("60 kB of headers: %d", resp.StatusCode)
	}
	if resp, app := f.exchange(f.dial("::1", wikiHost), wikiHost, "GET /a", "", cookie); resp.StatusCode != 200 || app == nil {
		t.Errorf("IPv6: %d", resp.StatusCode)
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{ServerName: wikiHost, InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+f.port)
		}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+wikiHost+"/two", strings.NewReader("over two"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", f.cookie)
	r.Header.Set("Remote-User", "mallory")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := f.seen[len(f.seen)-1]; resp.ProtoMajor != 2 || resp.StatusCode != 200 || last.body != "over two" ||
		!slices.Equal(last.header["Remote-User"], []string{"ada"}) {
		t.Errorf("HTTP/2: %s %d, the app got %v", resp.Proto, resp.StatusCode, last)
	}
}

func (f *fronted) streams(t *testing.T) {
	f.edge.t = t
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	if resp, app := f.over(wikiHost, "GET /socket", "", upgrade...); resp.StatusCode != 401 || app != nil {
		t.Errorf("a socket of nobody: %d", resp.StatusCode)
	}
	// In another protocol, requests that nobody decides about could follow.
	for _, other := range [][]string{{"Upgrade: h2c"}, {"Upgrade: H2C"}, {"Upgrade: websocket, h2c"}, {"Upgrade: h2c", "Upgrade: websocket"},
		{"Upgrade: websocket", "Upgrade: h2c"}, {"Upgrade: tcp"}} {
		resp, app := f.over(wikiHost, "GET /a", "", append(other, "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__",
			"Cookie: "+f.cookie)...)
		if refused := app == nil && resp.StatusCode == http.StatusBadRequest; !refused && (app == nil ||
			strings.Trim(fmt.Sprint(app.header["Upgrade"]), "[]") != "" && !slices.Equal(app.header["Upgrade"], []string{"websocket"})) {
			t.Errorf("%q: %d, the app got %v", other, resp.StatusCode, app)
		}
	}
	conn := f.dial("127.0.0.1", wikiHost)
	if resp, _ := f.exchange(conn, wikiHost, "GET /socket", "", append(upgrade, "Cookie: "+f.cookie)...); resp.StatusCode != 101 {
		t.Fatalf("a socket: %d", resp.StatusCode)
	}
	io.WriteString(conn, "said\n")
	if got, err := bufio.NewReader(conn).ReadString('\n'); got != "said\n" {
		t.Errorf("the socket says %q, %v", got, err)
	}
	// What an event stream sends arrives before it ends.
	conn = f.dial("127.0.0.1", wikiHost)
	io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: "+wikiHost+"\r\nCookie: "+f.cookie+"\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("an event stream: %v, %v", resp, err)
	}
	if got, err := bufio.NewReader(resp.Body).ReadString('\n'); got != "data: first\n" {
		t.Errorf("the event stream says %q, %v", got, err)
	}
}

// Of at least 200 attempts to say who one is, none reaches the app.
func (f *fronted) identity(t *testing.T, proxy string) {
	f.edge.t = t
	ada := map[string]string{"REMOTE_USER": "ada", "REMOTE_NAME": "ada", "EXEUNT_ACCOUNT": f.session.Account.String(),
		"EXEUNT_SESSION": f.session.ID.String()}
	tried := 0
	// Some servers take any sign in a header's name for the one in a CGI variable's (lighttpd).
	for _, line := range append(forged(), "Remote.User: mallory", "remote!groups: mallory", "Exeunt~Account: mallory") {
		name, _, _ := strings.Cut(line, ":")
		for _, extra := range [][]string{
			nil, {name + ": second"}, {"Connection: close, " + name}, {"Trailer: " + name, "Transfer-Encoding: chunked"},
		} {
			for _, path := range []string{"/a", "/open/a"} {
				tried++
				method, body := "GET ", ""
				if len(extra) == 2 {
					method, body = "POST ", "1\r\nx\r\n0\r\n"+line+"\r\n\r\n"
				}
				resp, app := f.over(wikiHost, method+path, body, append(extra, line, "Cookie: "+f.cookie)...)
				if app == nil && resp.StatusCode == http.StatusBadRequest {
					continue // refused whole
				}
				if app == nil {
					t.Errorf("%s with %q at %s: %d, and the app was not asked", line, extra, path, resp.StatusCode)
					continue
				}
				got := identity(app.header)
				if proxy != "HAProxy" { // which cannot take trailers out; no server takes them for headers by itself
					for n, v := range identity(app.trailer) {
						got[n] += v
					}
				}
				delete(got, "EXEUNT_APP_SESSION")
				delete(got, "EXEUNT_CLIENT")
				delete(got, "EXEUNT_IDLE_AT")
				delete(got, "EXEUNT_WARN_AT")
				if fmt.Sprint(got) != fmt.Sprint(ada) || strings.Contains(fmt.Sprint(app.header), "mallory") {
					t.Errorf("%s with %q at %s: the app takes it for %v", line, extra, path, got)
				}
			}
		}
	}
	if tried < 200 {
		t.Errorf("%d attempts", tried)
	}
}
