package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/signin"
)

// snippet returns the one block of a language in docs/proxies.md.
func snippet(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(page, -1)
	if len(found) != 1 {
		t.Fatalf("docs/proxies.md has %d blocks of %s", len(found), language)
	}
	return string(found[0][1])
}

// replaced replaces texts of a configuration, each of which must be there.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the configuration has no %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// proxied is Exeunt and an app behind a real proxy.
type proxied struct {
	*edge
	https, http string // where the proxy listens
	mu          sync.Mutex
	seen        http.Header // by the app, nil if it was not asked
}

func newProxied(t *testing.T, start func(t *testing.T, p *proxied, dir, app string)) *proxied {
	t.Helper()
	p := &proxied{https: freePort(t), http: freePort(t)}
	p.edge = newEdge(t, func(c *config.Config) {
		c.Development, c.URL, c.TrustedProxies = false, "https://id.example.com", []string{"127.0.0.1"}
		c.Clients[0].ID = "wiki"
	})
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen = r.Header
	}))
	t.Cleanup(app.Close)
	dir := t.TempDir()
	writeCertificate(t, dir)
	start(t, p, dir, strings.TrimPrefix(app.URL, "http://"))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(2 * time.Minute); ; <-tick.C {
		if conn, err := net.Dial("tcp", p.https); err == nil {
			conn.Close()
			return p
		}
		if time.Now().After(limit) {
			t.Fatal("the proxy does not listen")
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	writeCertificateFor(t, dir, "id.example.com", "app.example.com", wikiHost, notesHost)
}

// writeCertificateFor writes cert.pem and key.pem.
func writeCertificateFor(t *testing.T, dir string, hosts ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// runProgram runs a program until the end of the test.
func runProgram(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name // not in the PATH of everybody
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not installed; script/test installs it", name)
	}
	said := &safeBuffer{}
	c := exec.Command(path, args...)
	c.Stdout, c.Stderr, c.Dir = said, said, dir
	c.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", name, said)
		}
	})
}

func startNginx(t *testing.T, p *proxied, dir, app string) {
	site := replaced(t, snippet(t, "nginx"), "listen 80;", "listen "+p.http+";", "listen 443 ssl;",
		"listen "+p.https+" ssl;", "/etc/ssl/example.com.pem", filepath.Join(dir, "cert.pem"),
		"/etc/ssl/example.com.key", filepath.Join(dir, "key.pem"),
		"127.0.0.1:8443", p.server.Listener.Addr().String(), "127.0.0.1:8081", app)
	runNginx(t, dir, site)
}

// runNginx runs nginx with these servers.
func runNginx(t *testing.T, dir, site string) {
	t.Helper()
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // the folder is ours
	}
	main := user + "daemon off;\nworker_processes 1;\npid " + dir + "/pid;\nerror_log stderr;\nevents {}\n" +
		"http {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(main+site+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runProgram(t, dir, "nginx", "-p", dir, "-e", "stderr", "-c", file)
}

func startCaddy(t *testing.T, p *proxied, dir, app string) {
	certificate := "\n\ttls " + filepath.Join(dir, "cert.pem") + " " + filepath.Join(dir, "key.pem") + "\n"
	site := replaced(t, snippet(t, "caddyfile"), "127.0.0.1:8443", p.server.Listener.Addr().String(),
		"127.0.0.1:8081", app, "id.example.com {\n", "id.example.com {"+certificate,
		"app.example.com {\n", "app.example.com {"+certificate)
	runCaddy(t, dir, "127.0.0.1", portOf(p.http), portOf(p.https), site)
}

// runCaddy runs Caddy with these sites.
func runCaddy(t *testing.T, dir, bind, http, https, site string) {
	t.Helper()
	file := filepath.Join(dir, "Caddyfile")
	global := "{\n\tadmin off\n\tgrace_period 1s\n\tdefault_bind " + bind + "\n\thttp_port " + http + "\n\thttps_port " + https + "\n}\n"
	if err := os.WriteFile(file, []byte(global+site), 0o600); err != nil {
		t.Fatal(err)
	}
	runProgram(t, dir, "caddy", "run", "--config", file, "--adapter", "caddyfile")
}

// over sends a request as it is written to the proxy, and returns the answer and the
// headers that the app saw.
func (p *proxied) over(host, method, path, body string, lines ...string) (resp *http.Response, seen http.Header) {
	p.t.Helper()
	p.mu.Lock()
	p.seen = nil
	p.mu.Unlock()
	conn, err := tls.Dial("tcp", p.https, &tls.Config{ServerName: host, InsecureSkipVerify: true,
		NextProtos: []string{"http/1.1"}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	text := method + " " + path + " HTTP/1.1\r\n"
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Host:") }) {
		lines = append(lines, "Host: "+host)
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(body)),
			"Origin: https://"+host)
	}
	if _, err := io.WriteString(conn, text+strings.Join(lines, "\r\n")+"\r\n\r\n"+body); err != nil {
		p.t.Fatal(err)
	}
	resp, err = http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(b))
	p.mu.Lock()
	defer p.mu.Unlock()
	return resp, p.seen
}

// asCGI is the name under which a program that reads CGI's variables sees a header.
func asCGI(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// identity is what a program behind the proxy takes for the identity, whatever the
// spelling.
func identity(h http.Header) map[string]string {
	out := map[string]string{}
	for name, values := range h {
		if n := asCGI(name); strings.HasPrefix(n, "REMOTE") || strings.HasPrefix(n, "EXEUNT") {
			if all := strings.Join(values, ",") + out[n]; all != "" {
				out[n] = all
			}
		}
	}
	return out
}

// forged are the headers by which a browser claims to be somebody, in every spelling.
func forged() (lines []string) {
	for _, name := range []string{"User", "Name", "Email", "Groups"} {
		for _, spelled := range []string{"Remote-" + name, "remote-" + strings.ToLower(name),
			"REMOTE-" + strings.ToUpper(name), "Remote_" + name, "remote_" + strings.ToLower(name),
			"REMOTE_" + strings.ToUpper(name)} {
			lines = append(lines, spelled+": mallory")
		}
	}
	for _, name := range []string{"Account", "Session", "App-Session", "Idle-At", "Warn-At"} {
		for _, spelled := range []string{"Exeunt-" + name, "Exeunt_" + strings.ReplaceAll(name, "-", "_"),
			"exeunt-" + strings.ReplaceAll(name, "-", "_")} {
			lines = append(lines, spelled+": mallory")
		}
	}
	return append(lines, "Exeunt-Client: mallory", "Exeunt_Client: mallory", "Exeunt-Client-Key: mallory")
}

// The configurations in the docs, in the real programs: what an app is told about who
// is signed in comes from the gate alone, whatever a browser sends.
func TestTheDocumentedProxies(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *proxied, string, string){
		"nginx": startNginx, "Caddy": startCaddy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxied(t, start)
			p.appsIdentity(t)
			p.exeuntItself(t)
		})
	}
}

func (p *proxied) appsIdentity(t *testing.T) {
	const host = "app.example.com"
	cookie := "Cookie: __Host-wiki=" + p.app.Reveal()
	ada := map[string]string{"REMOTE_USER": "ada", "REMOTE_NAME": "ada", "EXEUNT_ACCOUNT": p.session.Account.String(),
		"EXEUNT_SESSION": p.session.ID.String()}
	same := func(what string, seen http.Header, want map[string]string) {
		t.Helper()
		if got := identity(seen); seen == nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: the app sees %v, want %v", what, got, want)
		}
	}
	hops := []string{"Connection: Remote-User", "Connection: close, Remote-User, Remote-Email, Exeunt-Account, Cookie"}
	for _, lines := range [][]string{nil, forged(), hops, append(forged(), hops...)} {
		_, seen := p.over(host, "GET", "/page", "", append(lines, cookie)...)
		same(fmt.Sprintf("%.60q", lines), seen, ada)
	}
	_, seen := p.over(host, "POST", "/page", "a=b", append(forged(), cookie)...)
	same("a post", seen, ada)
	_, seen = p.over(host, "GET", "/socket", "", cookie, "Connection: keep-alive, Upgrade, Remote-User",
		"Upgrade: websocket")
	same("a web socket", seen, ada)
	if seen.Get("Connection") == "" || !strings.EqualFold(seen.Get("Connection"), "upgrade") ||
		seen.Get("Upgrade") != "websocket" {
		t.Errorf("a web socket: %v", seen)
	}
	// Where the gate is not asked, nobody is anybody.
	_, seen = p.over(host, "GET", "/exeunt/sign-in", "", append(forged(), append(hops, cookie)...)...)
	same("sign-in", seen, nil)
	// Nobody gets to the app without a session.
	other := "Cookie: __Host-wiki=" + exeunt.NewToken(exeunt.UseApp).Reveal()
	for _, lines := range [][]string{nil, forged(), {other}, append(forged(), other)} {
		resp, seen := p.over(host, "GET", "/page", "", lines...)
		if resp.StatusCode != http.StatusUnauthorized || seen != nil {
			t.Errorf("%.60q: %d, the app sees %v", lines, resp.StatusCode, seen)
		}
	}
	// What a script says of activity reaches the gate.
	c := authority.Credential{Token: p.app, Use: authority.AsBearer}
	for _, says := range []struct {
		line  string
		moves bool
	}{{"Exeunt-Activity: no", false}, {"Exeunt-Activity: yes", true}, {"X-Nothing: said", false}} {
		before := p.check(c).IdleAt()
		p.passed.Add(time.Minute.Milliseconds())
		p.over(host, "POST", "/page", "a=b", cookie, "Sec-Fetch-Mode: cors", says.line)
		if moved := p.check(c).IdleAt().After(before); moved != says.moves {
			t.Errorf("%s: activity is %v", says.line, moved)
		}
	}
	// A confirmed address is told.
	const email = "ada@example.com"
	person := exeunt.Actor{Kind: exeunt.ActorPerson, Account: p.session.Account, Session: p.session.ID}
	if err := p.Accounts.ChangeProfile(t.Context(), person, p.pair, account.Profile{Email: email},
		func(ctx context.Context) (exeunt.Proof, error) {
			return signin.Proof(p.SignIn.Confirm(ctx, person, signin.Confirmation{Password: adasPassword}))
		}); err != nil {
		t.Fatal(err)
	}
	_, seen = p.over(host, "GET", "/page", "", append(forged(), cookie)...)
	same("an unconfirmed address", seen, ada)
	if _, err := p.Accounts.ConfirmEmail(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, p.session.Account,
		email); err != nil {
		t.Fatal(err)
	}
	ada["REMOTE_EMAIL"] = email
	_, seen = p.over(host, "GET", "/page", "", append(forged(), cookie)...)
	same("a confirmed address", seen, ada)
	// So are groups, as many as an account may be in.
	var groups []string
	for i := range exeunt.MaxGroups {
		groups = append(groups, fmt.Sprintf("%02d%s", i, strings.Repeat("g", 61)))
		if _, err := p.Accounts.ChangeGroup(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, groups[i],
			[]string{"ada"}, false); err != nil {
			t.Fatal(err)
		}
	}
	ada["REMOTE_GROUPS"] = strings.Join(groups, ",")
	_, seen = p.over(host, "GET", "/page", "", append(forged(), cookie)...)
	same("groups", seen, ada)
}

func (p *proxied) exeuntItself(t *testing.T) {
	const host = "id.example.com"
	for _, named := range []string{host, host + ":443"} {
		if resp, _ := p.over(host, "GET", "/signin", "", "Host: "+named); resp.StatusCode != http.StatusOK {
			t.Errorf("at %s: %d", named, resp.StatusCode)
		}
	}
	resp, _ := p.over(host, "POST", "/signin", "identifier=ada&kind=shared&password="+url.QueryEscape(adasPassword),
		"X-Forwarded-For: 203.0.113.9", "X-Real-IP: 203.0.113.9", "Forwarded: for=203.0.113.9;proto=http",
		"X-Forwarded-Proto: http", "Connection: X-Forwarded-For, X-Forwarded-Proto", "Cookie: __Host-exeunt-device=new")
	if resp.StatusCode != http.StatusSeeOther {
		b, _ := io.ReadAll(resp.Body)
		t.Errorf("a sign-in with forged headers: %d %s", resp.StatusCode, mainOf(string(b)))
	}
	list, err := p.Authority.Sessions(t.Context(), exeunt.SessionFilter{Account: p.session.Account,
		State: exeunt.SessionsActive})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("%d sessions, %v", len(list.Items), err)
	}
	for _, s := range list.Items {
		if s.Address.IsValid() && !s.Address.IsLoopback() {
			t.Errorf("a forged address is believed: %v", s.Address)
		}
	}
	if said := p.said.String(); strings.Contains(said, "does not say which address") {
		t.Error(said)
	}
	form := url.Values{"session": {p.session.ID.String()}, "scope": {"session"}}.Encode()
	neighbours := strings.Join(repeated("n%d="+strings.Repeat("x", 3900), 10), "; ")
	if resp, _ := p.over(host, "POST", "/signout", form, "Cookie: "+neighbours+"; "+p.cookies); resp.StatusCode !=
		http.StatusSeeOther {
		t.Errorf("a sign-out among many cookies: %d", resp.StatusCode)
	}
	p.want(p.pair, live.Ended)
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.http+"/signin", nil)
	r.Host = host
	plain, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	if to := plain.Header.Get("Location"); plain.StatusCode != 308 || !strings.HasPrefix(to, "https://"+host) {
		t.Errorf("plain http: %d to %q", plain.StatusCode, to)
	}
}
