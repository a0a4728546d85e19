package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/password"
)

const ownHost = "id.example.com" // besides wikiHost and notesHost

// testCA is Pebble, the ACME server for tests of those who run Let's Encrypt, and a name server by which every name leads to
// this machine.
type testCA struct {
	*httptest.Server
	asked  atomic.Int64
	orders atomic.Int64   // of certificates
	roots  *x509.CertPool // of the certificates that it makes
	file   string         // what its directory is trusted by
}

// newCA returns a CA that looks for hosts at these ports, and makes certificates that are valid for so long.
func newCA(t *testing.T, httpPort, tlsPort int, valid time.Duration) *testCA {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	names, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: names, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{A: net.IPv4(127, 0, 0, 1),
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}}}
		}
		_ = w.WriteMsg(answer)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })

	said := &safeBuffer{}
	logger := log.New(said, "pebble ", log.Ltime)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(said)
		}
	})
	stored := db.NewMemoryStore()
	maker := ca.New(logger, stored, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(valid / time.Second)}})
	looker := va.New(logger, httpPort, tlsPort, true, names.Addr().String(), stored)
	front := wfe.New(logger, stored, looker, maker, []string{"pebble.example"}, true, false, 0, 1)
	out := &testCA{roots: x509.NewCertPool(), file: filepath.Join(t.TempDir(), "directory.pem")}
	out.roots.AddCert(maker.GetRootCert(0).Cert)
	handler := front.Handler()
	out.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out.asked.Add(1)
		if r.URL.Path == "/order-plz" {
			out.orders.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(out.Close)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: out.Certificate().Raw})
	if err := os.WriteFile(out.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// served is a node that terminates TLS itself, with a wiki behind it.
type served struct {
	run
	at, plain string // addresses
	said      *safeBuffer
	stop      func()
}

func listenHere(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func portAt(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// wikiBehindTLS is the configuration of a node whose only site is the wiki, whose upstream says what it is asked.
func wikiBehindTLS(t *testing.T) config.Config {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
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
		fmt.Fprintf(w, "wiki of %q by %s", r.Header.Get("Remote-User"), r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(app.Close)
	c := config.Default()
	c.URL, c.Addr, c.Data = "https://"+ownHost, "127.0.0.1:0", filepath.Join(t.TempDir(), "node")
	c.Sites = []config.Site{{Host: wikiHost, ID: "wiki", Upstream: app.URL, Open: []string{"/open/"}}}
	return c
}

// serve serves a node on a listener, and on one without TLS if that is not nil.
func serve(t *testing.T, c config.Config, l, plain net.Listener) *served {
	t.Helper()
	s := &served{at: l.Addr().String(), said: &safeBuffer{}}
	opt := Options{Log: slog.New(slog.NewTextHandler(s.said, nil)), Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}}
	if plain != nil {
		c.TLS.HTTPListen, s.plain, opt.Plain = plain.Addr().String(), plain.Addr().String(), plain
	}
	n, err := New(t.Context(), c, opt)
	if err != nil {
		t.Fatal(err)
	}
	s.run = run{n, t}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx, l) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Log(s.said)
		}
	})
	return s
}

// shake makes a handshake and returns the certificate that a host is answered with.
func (s *served) shake(host string, protocols ...string) (*x509.Certificate, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 2 * time.Minute}, "tcp", s.at,
		&tls.Config{ServerName: host, NextProtos: protocols, InsecureSkipVerify: true}) // who verifies is the browser below
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// until calls f again and again until it is content.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(2 * time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("after two minutes there is still not %s", what)
		}
	}
}

// ready waits for the certificate of a host.
func (s *served) ready(host string) (out *x509.Certificate) {
	s.t.Helper()
	until(s.t, "a certificate of "+host, func() bool {
		var err error
		out, err = s.shake(host)
		return err == nil
	})
	return out
}

// asBrowser adds what a browser says of a page that somebody opens.
type asBrowser struct{ next http.RoundTripper }

func (b asBrowser) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, value := range map[string]string{"Mode": "navigate", "Dest": "document", "Site": "same-origin"} {
		r.Header.Set("Sec-Fetch-"+name, value)
	}
	return b.next.RoundTrip(r)
}

// browser is one that trusts roots, for which every name leads to the node.
func (s *served) browser(roots *x509.CertPool) *http.Client {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.at)
		}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: asBrowser{transport}, Jar: jar, Timeout: 2 * time.Minute}
}

func (s *served) get(b *http.Client, address string) (*http.Response, string) {
	s.t.Helper()
	resp, err := b.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, bodyOf(s.t, resp)
}

func bodyOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A node gets the certificates of its own host and of a site's at its one port, and keeps them; for other hosts the CA is
// not asked. What is served by them is HTTP/2, and web sockets.
func TestCertificatesByACME(t *testing.T) {
	l := listenHere(t)
	authority := newCA(t, 1, portAt(l), 90*24*time.Hour)
	c := wikiBehindTLS(t)
	c.TLS = config.TLS{ACME: authority.URL + "/dir", ACMECA: authority.file, ACMEEmail: "ada@example.com"}
	s := serve(t, c, l, nil)
	s.addAda()
	own, wiki := s.ready(ownHost), s.ready(wikiHost)
	if named, err := s.shake(strings.ToUpper(wikiHost)); err != nil || !named.Equal(wiki) {
		t.Errorf("in large letters: %v", err)
	}
	if nameless, err := s.shake(""); err != nil || !nameless.Equal(own) {
		t.Errorf("without a name: %v", err)
	}

	b := s.browser(authority.roots)
	resp, body := s.get(b, "https://"+wikiHost+"/a/page")
	if resp.ProtoMajor != 2 || !strings.Contains(body, `action="/signin"`) {
		t.Fatalf("%s over %s: %s", resp.Request.URL, resp.Proto, mainOf(body))
	}
	form := url.Values{"identifier": {"ada"}, "password": {adasPassword}, "kind": {"kept"}}
	for _, field := range hidden.FindAllStringSubmatch(body, -1) {
		form.Set(field[1], strings.ReplaceAll(field[2], "&amp;", "&"))
	}
	resp, err := b.PostForm("https://"+ownHost+"/signin", form)
	if err != nil {
		t.Fatal(err)
	}
	if body = bodyOf(t, resp); resp.ProtoMajor != 2 || body != `wiki of "ada" by https` || resp.Request.URL.Path != "/a/page" {
		t.Fatalf("%s over %s: %s", resp.Request.URL, resp.Proto, mainOf(body))
	}
	s.socket(b, authority.roots)

	asked := authority.asked.Load()
	for _, name := range []string{"other.example.com", "www." + ownHost, "example.com", "127.0.0.1.example.com"} {
		if _, err := s.shake(name); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.shake(name, "acme-tls/1"); err == nil {
			t.Errorf("%s is answered as a CA would be", name)
		}
	}
	if now := authority.asked.Load(); now != asked {
		t.Errorf("the CA was asked %d times for hosts that are not ours", now-asked)
	}

	// What was got is in the folder, for its owner only, and serves after a restart without the CA, and when that is away.
	s.stop()
	err = filepath.WalkDir(filepath.Join(c.Data, acmeFolder), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	asked = authority.asked.Load()
	s = serve(t, c, listenHere(t), nil)
	if again := s.ready(wikiHost); !again.Equal(wiki) {
		t.Error("after a restart there is another certificate")
	}
	s.ready(ownHost)
	if now := authority.asked.Load(); now != asked {
		t.Errorf("after a restart the CA was asked %d times", now-asked)
	}
	s.stop()
	authority.Close()
	s = serve(t, c, listenHere(t), nil)
	if resp, body := s.get(s.browser(authority.roots), "https://"+wikiHost+"/open/x"); body != `wiki of "" by https` {
		t.Errorf("without the CA: %d %s", resp.StatusCode, body)
	}
}

// socket sends something through a web socket of the wiki, for whoever is signed in.
func (s *served) socket(b *http.Client, roots *x509.CertPool) {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.at, &tls.Config{ServerName: wikiHost, RootCAs: roots, NextProtos: []string{"http/1.1"}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	r, err := http.NewRequest(http.MethodGet, "https://"+wikiHost+"/socket", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	for _, cookie := range b.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	if err := r.Write(conn); err != nil {
		s.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("a web socket: %v, %v", resp, err)
	}
	io.WriteString(conn, "hello")
	said := make([]byte, 5)
	if _, err := io.ReadFull(in, said); err != nil || string(said) != "hello" {
		s.t.Errorf("through a web socket: %q, %v", said, err)
	}
}

// Where the CA cannot see the host by TLS, it does at the listener without. That sends pages of ours to https, and nothing
// anywhere else.
func TestCertificatesByPlainHTTP(t *testing.T) {
	l, plain := listenHere(t), listenHere(t)
	authority := newCA(t, portAt(plain), closedPort(t), time.Hour)
	c := wikiBehindTLS(t)
	c.TLS = config.TLS{ACME: authority.URL + "/dir", ACMECA: authority.file}
	s := serve(t, c, l, plain)
	s.ready(ownHost)
	s.ready(wikiHost)

	for ask, want := range map[string]string{
		"GET /a?b=1 HTTP/1.1\r\nHost: " + ownHost:                                   "308 https://" + ownHost + "/a?b=1",
		"HEAD / HTTP/1.1\r\nHost: " + ownHost + ":80":                               "308 https://" + ownHost + "/",
		"GET /api/x HTTP/1.1\r\nHost: WIKI.example.com":                             "308 https://" + wikiHost + "/api/x",
		"GET //evil.example/ HTTP/1.1\r\nHost: " + ownHost:                          "308 https://" + ownHost + "//evil.example/",
		"GET http://evil.example/ HTTP/1.1\r\nHost: " + ownHost:                     "421 ",
		"GET x:@evil.example HTTP/1.1\r\nHost: " + ownHost:                          "400 ",
		"GET / HTTP/1.1\r\nHost: evil.example":                                      "421 ",
		"POST /signin HTTP/1.1\r\nContent-Length: 0\r\nHost: " + ownHost:            "403 ",
		"GET /api/v1/session HTTP/1.1\r\nHost: " + ownHost:                          "403 ",
		"GET /gate/wiki HTTP/1.1\r\nHost: " + ownHost:                               "403 ",
		"GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: " + ownHost:            "404 ",
		"GET /.well-known/acme-challenge/../../x HTTP/1.1\r\nHost: " + ownHost:      "404 ",
		"GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: evil.example":          "403 ",
		"DELETE /.well-known/acme-challenge/x HTTP/1.1\r\nHost: " + ownHost + ":80": "404 ",
	} {
		conn, err := net.Dial("tcp", s.plain)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(2 * time.Minute))
		io.WriteString(conn, ask+"\r\n\r\n")
		method, _, _ := strings.Cut(ask, " ")
		resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: %v", ask, err)
		}
		if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Location")); got != want {
			t.Errorf("%q: %q, not %q", ask, got, want)
		}
		if body := bodyOf(t, resp); strings.Contains(body, c.Data) {
			t.Errorf("%q tells %q", ask, body)
		}
		conn.Close()
	}
}

// closedPort is a port at which nothing listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l := listenHere(t)
	defer l.Close()
	return portAt(l)
}

// While there is no certificate a handshake fails, the log says why once, and the CA is left alone for a while.
func TestNoCertificateIsHad(t *testing.T) {
	for name, why := range map[string]string{"away": "connection refused", "unreached": "tls-alpn-01: "} {
		t.Run(name, func(t *testing.T) {
			l := listenHere(t)
			authority := newCA(t, closedPort(t), closedPort(t), time.Hour)
			if name == "away" { // the CA; otherwise it does not reach the host
				authority.Close()
			}
			c := wikiBehindTLS(t)
			c.Sites = nil
			c.TLS = config.TLS{ACME: authority.URL + "/dir", ACMECA: authority.file}
			s := serve(t, c, l, nil)
			const line = "there is no certificate for a host"
			until(t, "a line in the log", func() bool { return strings.Contains(s.said.String(), line) })
			orders := authority.orders.Load()
			for range 20 {
				if _, err := s.shake(ownHost); err == nil {
					t.Fatal("there is a certificate")
				}
			}
			said := s.said.String()
			if strings.Count(said, line) != 1 || !strings.Contains(said, why) || !strings.Contains(said, "host="+ownHost) {
				t.Errorf("the log says %s", said)
			}
			if now := authority.orders.Load(); now != orders {
				t.Errorf("the CA was asked for %d certificates more", now-orders)
			}
		})
	}
}

// A certificate that runs out is replaced while the node serves.
func TestACertificateIsRenewed(t *testing.T) {
	l := listenHere(t)
	authority := newCA(t, 1, portAt(l), 9*time.Second) // of which the last third is for renewing
	c := wikiBehindTLS(t)
	c.Sites = nil
	c.TLS = config.TLS{ACME: authority.URL + "/dir", ACMECA: authority.file}
	s := serve(t, c, l, nil)
	first := s.ready(ownHost)
	until(t, "another certificate", func() bool {
		now, err := s.shake(ownHost)
		return err == nil && !now.Equal(first) && now.NotAfter.After(first.NotAfter)
	})
}

// Of files, a site's own are for its host, and the node's for whatever else is asked for. A site that they are not valid for
// is named in the log.
func TestCertificatesOfFiles(t *testing.T) {
	c := wikiBehindTLS(t)
	ownDir, wikiDir := t.TempDir(), t.TempDir()
	own, wiki := writeCertificateFor(t, ownDir, ownHost), writeCertificateFor(t, wikiDir, wikiHost)
	c.TLS = config.TLS{Cert: filepath.Join(ownDir, "cert.pem"), Key: filepath.Join(ownDir, "key.pem")}
	c.Sites[0].Cert, c.Sites[0].Key = filepath.Join(wikiDir, "cert.pem"), filepath.Join(wikiDir, "key.pem")
	other := c.Sites[0]
	other.Host, other.ID, other.Cert, other.Key = notesHost, "notes", "", ""
	c.Sites = append(c.Sites, other)
	s := serve(t, c, listenHere(t), nil)
	for host, want := range map[string]*x509.Certificate{ownHost: own, "": own, "elsewhere.example.com": own, wikiHost: wiki} {
		if got, err := s.shake(host); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", host, got, err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(wiki)
	if _, body := s.get(s.browser(roots), "https://"+wikiHost+"/open/x"); body != `wiki of "" by https` {
		t.Error(body)
	}
	until(t, "a line in the log", func() bool { return strings.Contains(s.said.String(), "host="+notesHost) })
	if strings.Contains(s.said.String(), "host="+wikiHost) {
		t.Error("a site is named that has its certificate")
	}
	// A broken pair keeps a node from starting, and is named.
	s.stop()
	c.Sites[0].Key = c.TLS.Key
	if _, err := attempt(c, Undecided, io.Discard); err == nil || !strings.Contains(err.Error(), "cert and key of the site "+wikiHost) {
		t.Errorf("another's key: %v", err)
	}
}
