package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/control"
	"github.com/exeunt/exeunt/internal/doctor"
	"github.com/exeunt/exeunt/internal/mailbox"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	testpg.Main(m)
}

const (
	ownHost  = "id.example.test"
	wikiHost = "wiki.example.test"
	version  = "v9.9.9"
)

// installation is a node behind a proxy that terminates TLS, with a site, an app that is told of sign-outs, and a mail
// server. Its fields are changed to plant faults.
type installation struct {
	config  config.Config
	node    *app.Node
	options doctor.Options

	certificate *tls.Certificate                              // what the proxy shows
	director    func(*httputil.ProxyRequest)                  // after the proxy's usual changes
	answer      func(*http.Response) error                    // of the node, before it is passed on
	front       func(http.ResponseWriter, *http.Request) bool // answers itself
	plain       http.HandlerFunc                              // on port 80
	wiki        http.HandlerFunc
	hang        func(http.ResponseWriter, *http.Request) // the app's back-channel address

	close func() // the node
	shut  func() // the mail server
	chain *authority
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) issue(t *testing.T, until time.Time, hosts ...string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: hosts,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func newInstallation(t *testing.T, set func(*installation)) *installation {
	t.Helper()
	in := &installation{chain: newAuthority(t)}
	in.certificate = in.chain.issue(t, time.Now().Add(60*24*time.Hour), ownHost, wikiHost)
	in.plain = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.URL.RequestURI(), http.StatusMovedPermanently)
	}
	in.wiki = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page of the wiki") }
	in.hang = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }
	quiet := log.New(io.Discard, "", 0)
	serve := func(h http.HandlerFunc) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = quiet
		t.Cleanup(s.Close)
		return s
	}
	wiki := serve(func(w http.ResponseWriter, r *http.Request) { in.wiki(w, r) })
	wiki.Start()
	backchannel := serve(func(w http.ResponseWriter, r *http.Request) { in.hang(w, r) })
	backchannel.Start()
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := &url.URL{Scheme: "http", Host: behind.Addr().String()}
	proxy := &httputil.ReverseProxy{ErrorLog: quiet, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			if in.director != nil {
				in.director(r)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if in.answer != nil {
				return in.answer(r)
			}
			return nil
		},
	}
	public := serve(func(w http.ResponseWriter, r *http.Request) {
		if in.front == nil || !in.front(w, r) {
			proxy.ServeHTTP(w, r)
		}
	})
	public.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return in.certificate, nil }}
	public.StartTLS()
	plain := serve(func(w http.ResponseWriter, r *http.Request) { in.plain(w, r) })
	plain.Start()
	box := mailbox.New()
	smtp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = box.Serve(smtp) })
	in.shut = sync.OnceFunc(func() { box.Close(); serving.Wait() })
	t.Cleanup(in.shut)

	c := config.Default()
	// Where the tests' files are is often memory, which a healthy installation's are not.
	dir, err := os.MkdirTemp("/var/tmp", "exeunt-doctor-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c.URL, c.Addr, c.Data, c.TrustedProxies = "https://"+ownHost, to.Host, filepath.Join(dir, "data"), []string{"127.0.0.1"}
	c.Sites = []config.Site{{Host: wikiHost, ID: "wiki", Name: "Wiki", Upstream: wiki.URL, Groups: []string{"writers"}}}
	c.Clients = []config.Client{{ID: "gazette", Name: "Gazette", HomeURL: "http://gazette.localhost/",
		RedirectURIs: []string{"http://gazette.localhost/callback"}, KeySHA256: []string{strings.Repeat("ab", 32)}, BackchannelURI: backchannel.URL + "/out"}}
	mailPort := smtp.Addr().(*net.TCPAddr).Port
	c.SMTP = config.SMTP{Host: "127.0.0.1", Port: mailPort, TLS: config.SMTPPlain, From: "id@example.test"}
	in.config = c
	in.options = doctor.Options{Config: c, Version: version, Roots: in.chain.pool, Free: 1000, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			// People are at another address than the proxy.
			d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
			switch _, port, _ := net.SplitHostPort(address); {
			case strings.HasSuffix(address, ".test:443"):
				address = public.Listener.Addr().String()
			case strings.HasSuffix(address, ".test:80"):
				address = plain.Listener.Addr().String()
			case port == "":
				return nil, fmt.Errorf("no port in %s", address)
			}
			return d.DialContext(ctx, network, address)
		}}
	if set != nil {
		set(in)
	}
	in.options.Config = in.config
	in.start(t, behind)
	return in
}

func (in *installation) start(t *testing.T, l net.Listener) {
	t.Helper()
	if in.config.Database != "" { // which no node would serve: it is only looked at
		l.Close()
		if err := os.MkdirAll(in.config.Data, 0o700); err != nil {
			t.Fatal(err)
		}
		in.close = func() {}
		return
	}
	n, err := app.New(context.Background(), in.config, app.Options{Log: slog.New(slog.DiscardHandler), Version: version,
		Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = n.Serve(ctx, l) })
	in.node = n
	in.close = sync.OnceFunc(func() {
		stop()
		serving.Wait()
		n.Close()
	})
	t.Cleanup(in.close)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for control.Dial(in.config.Data).Get(t.Context(), "/status", nil, &control.Status{}) != nil {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the node does not answer")
		}
	}
}

// examine returns the findings that are not fine, and all of them.
func (in *installation) examine(t *testing.T) (wrong, all []doctor.Finding) {
	t.Helper()
	opt := in.options
	opt.Told = func(f doctor.Finding) {
		all = append(all, f)
		if f.Level != doctor.OK {
			wrong = append(wrong, f)
		}
		if (f.Level == doctor.OK) != (f.Remedy == "") {
			t.Errorf("%+v has a remedy, or none", f)
		}
	}
	levels, err := doctor.Examine(t.Context(), opt)
	if err != nil || levels[doctor.OK] != len(all)-len(wrong) {
		t.Fatalf("%v, %v", levels, err)
	}
	return wrong, all
}

func TestAHealthyInstallation(t *testing.T) {
	in := newInstallation(t, nil)
	in.options.TimeServer = timeServer(t, 0)
	in.options.Bound = 2 * time.Minute // the machine may be busy, and so may its disk
	wrong, all := in.examine(t)
	wrong = slices.DeleteFunc(wrong, func(f doctor.Finding) bool { return strings.HasPrefix(f.What, "a sync takes") })
	if len(wrong) > 0 {
		t.Errorf("%+v", wrong)
	}
	said := map[string]int{}
	for _, f := range all {
		t.Logf("%s: %s", f.Check, f.What)
		said[f.Check]++
	}
	for _, check := range []string{"node", "clock", "certificate of " + ownHost, "certificate of " + wikiHost, "http of " + ownHost, "headers",
		"sign-in", "cookies", "addresses", "sign-out", "site " + wikiHost, "event stream", "app gazette", "mail", "deliveries"} {
		if said[check] != 1 {
			t.Errorf("%s was looked at %d times", check, said[check])
		}
	}
	// The account that it was tried with is gone.
	list, err := in.node.Store.Accounts(t.Context(), exeunt.AccountFilter{Limit: 10})
	if err != nil || len(list.Items) > 0 && list.Items[0].Status != exeunt.AccountDeleting {
		t.Errorf("%+v, %v", list.Items, err)
	}
}

// Each fault is planted in a healthy installation, and found, with what is to be done.
func TestEachFaultIsFound(t *testing.T) {
	header := func(change func(http.Header)) func(*installation) {
		return func(in *installation) {
			in.answer = func(r *http.Response) error { change(r.Header); return nil }
		}
	}
	cookies := func(from, to string) func(*installation) {
		return header(func(h http.Header) {
			for i, c := range h["Set-Cookie"] {
				h["Set-Cookie"][i] = strings.ReplaceAll(c, from, to)
			}
		})
	}
	out := func(r *httputil.ProxyRequest) http.Header { return r.Out.Header }
	for name, c := range map[string]struct {
		plant func(*installation)
		after func(*testing.T, *installation) // it has started
		level doctor.Level
		check string
		what  string
	}{
		"a certificate for another host": {plant: func(in *installation) {
			in.certificate = in.chain.issue(t, time.Now().Add(60*24*time.Hour), "other.example.test", wikiHost)
		}, check: "certificate of " + ownHost, what: "for another host"},
		"a certificate that has expired": {plant: func(in *installation) {
			in.certificate = in.chain.issue(t, time.Now().Add(-time.Hour), ownHost, wikiHost)
		}, check: "certificate of " + ownHost, what: "expired"},
		"a certificate that was not renewed": {plant: func(in *installation) {
			in.certificate = in.chain.issue(t, time.Now().Add(3*24*time.Hour), ownHost, wikiHost)
		}, check: "certificate of " + ownHost, what: "it ends on", level: doctor.Warning},
		"a certificate of nobody's": {plant: func(in *installation) { in.options.Roots = x509.NewCertPool() },
			check: "certificate of " + ownHost, what: "unknown authority"},
		"a header that is stripped": {plant: header(func(h http.Header) { h.Del("Content-Security-Policy") }),
			check: "headers", what: "Content-Security-Policy does not arrive"},
		"a header that is replaced": {plant: header(func(h http.Header) { h.Set("Strict-Transport-Security", "max-age=0") }),
			check: "headers", what: "Strict-Transport-Security arrives as"},
		"pages that are kept": {plant: header(func(h http.Header) { h.Set("Cache-Control", "public, max-age=600") }),
			check: "headers", what: "browsers may keep private pages"},
		"a Host header that is replaced": {plant: func(in *installation) {
			in.director = func(r *httputil.ProxyRequest) { r.Out.Host = "127.0.0.1" }
		}, check: "headers", what: "421"},
		"a proxy that is not trusted": {plant: func(in *installation) { in.config.TrustedProxies = []string{"192.0.2.1"} },
			check: "headers", what: "403"},
		"no client addresses": {plant: func(in *installation) {
			in.director = func(r *httputil.ProxyRequest) { out(r).Set("X-Forwarded-For", "127.0.0.1") }
		}, check: "addresses", what: "sees only the proxy's address"},
		"client addresses that anybody can claim": {plant: func(in *installation) {
			in.director = func(r *httputil.ProxyRequest) { out(r)["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] }
		}, check: "addresses", what: "claim any address"},
		"cookies without Secure":            {plant: cookies("; Secure", ""), check: "sign-in", what: "is not signed in afterwards"},
		"cookies that scripts can read":     {plant: cookies("; HttpOnly", ""), check: "cookies", what: "arrives without HttpOnly"},
		"cookies for other sites' requests": {plant: cookies("SameSite=Lax", "SameSite=None"), check: "cookies", what: "without SameSite"},
		"pages without TLS": {plant: func(in *installation) {
			in.plain = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") }
		}, check: "http of " + ownHost, what: "200 OK without TLS"},
		"cookies over http": {plant: func(in *installation) {
			in.plain = func(w http.ResponseWriter, _ *http.Request) { http.SetCookie(w, &http.Cookie{Name: "x", Value: "y"}) }
		}, check: "http of " + ownHost, what: "sets cookies without TLS"},
		"streams that are buffered": {plant: func(in *installation) {
			in.front = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/stream") {
					<-r.Context().Done() // the stream never ends, so nothing of it is passed on
					return true
				}
				return false
			}
		}, check: "event stream", what: "nothing arrives"},
		"a site that is let through": {plant: func(in *installation) {
			in.front = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Host == wikiHost {
					in.wiki(w, r)
				}
				return r.Host == wikiHost
			}
		}, check: "site " + wikiHost, what: "let through"},
		"a site's answers that are kept": {plant: func(in *installation) {
			var once sync.Once
			kept := false
			in.answer = func(r *http.Response) error {
				if r.Request.Host == wikiHost && r.StatusCode == http.StatusOK {
					once.Do(func() { kept = true })
				}
				return nil
			}
			in.front = func(w http.ResponseWriter, r *http.Request) bool {
				if _, err := r.Cookie("__Host-exeunt-site"); err == nil && kept && r.Host == wikiHost {
					in.wiki(w, r)
					return true
				}
				return false
			}
		}, check: "site " + wikiHost, what: "still accepted"},
		"an app that does not run": {plant: func(in *installation) {
			in.wiki = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		}, check: "site " + wikiHost, what: "502"},
		"a dead back-channel": {plant: func(in *installation) { in.config.Clients[0].BackchannelURI = "http://127.0.0.1:1/out" },
			check: "app gazette", what: "does not answer"},
		"a back-channel address that leads nowhere": {plant: func(in *installation) {
			in.hang = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
		}, check: "app gazette", what: "404"},
		"a mail server that does not run": {after: func(_ *testing.T, in *installation) { in.shut() }, check: "mail", what: "takes no mails"},
		"a full disk":                     {plant: func(in *installation) { in.options.Free = 1 << 60 }, check: "disk", what: "are free"},
		"a folder that others can read": {after: func(t *testing.T, in *installation) {
			if err := os.Chmod(in.config.Data, 0o755); err != nil {
				t.Fatal(err)
			}
		}, check: "folder", what: "others have access"},
		"a node that does not run":            {after: func(_ *testing.T, in *installation) { in.close() }, check: "node", what: "no node answers"},
		"a node that was not restarted":       {plant: func(in *installation) { in.options.Version = "v10.0.0" }, level: doctor.Warning, check: "node", what: "v9.9.9, and this program is v10.0.0"},
		"a clock that is off by five seconds": {plant: func(in *installation) { in.options.TimeServer = timeServer(t, 5*time.Second) }, check: "clock", what: "off by"},
		"fsync = off": {plant: func(in *installation) {
			in.config.Database = config.Secret(testpg.New(t, "fsync = off").NewDatabase(t))
		}, check: "database", what: "fsync is off"},
		"synchronous_commit = off": {plant: func(in *installation) {
			in.config.Database = config.Secret(testpg.New(t, "synchronous_commit = off").NewDatabase(t))
		}, check: "database", what: "synchronous_commit is off", level: doctor.Warning},
		"a standby that is gone": {plant: func(in *installation) {
			in.config.Database = config.Secret(lonely(t))
		}, check: "database", what: "none is connected"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.level == "" {
				c.level = doctor.Fault
			}
			in := newInstallation(t, c.plant)
			if c.after != nil {
				c.after(t, in)
			}
			wrong, _ := in.examine(t)
			for _, f := range wrong {
				if f.Level == c.level && f.Check == c.check && strings.Contains(f.What, c.what) {
					return
				}
			}
			t.Errorf("it is not found among %+v", wrong)
		})
	}
}

// lonely is a server that waits for a standby which is not there.
func lonely(t *testing.T) string {
	s := testpg.New(t)
	at := s.NewDatabase(t)
	s.Exec(t, "postgres", `ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'`)
	s.Exec(t, "postgres", `SELECT pg_reload_conf()`)
	return at
}

// timeServer answers NTP with this machine's time and an offset (RFC 5905 section 7.3), and returns its address.
func timeServer(t *testing.T, ahead time.Duration) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stamp := func(at time.Time) (b [8]byte) {
		const since1900 = 2208988800
		binary.BigEndian.PutUint32(b[:4], uint32(at.Unix()+since1900))
		binary.BigEndian.PutUint32(b[4:], uint32(uint64(at.Nanosecond())<<32/1e9))
		return b
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		in := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(in)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			now := stamp(time.Now().Add(ahead))
			out := make([]byte, 48)
			out[0], out[1], out[3] = 4<<3|4, 1, 0xec // version 4, server; stratum 1; precision
			copy(out[12:], "TEST")
			copy(out[16:], now[:])
			copy(out[24:32], in[40:48])
			copy(out[32:], now[:])
			copy(out[40:], now[:])
			conn.WriteTo(out, from)
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	return conn.LocalAddr().String()
}
