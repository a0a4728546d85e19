package certificates

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME says which CA is asked. Directory, Folder and UserAgent are needed.
type ACME struct {
	Directory string // its URL
	Email     string // whom the CA may tell of problems; "" for nobody
	Roots     string // a file of certificates by which the directory proves who it is; "" for the system's
	Folder    string // for the account's key and the certificates; it is made when there is something to keep
	UserAgent string
}

const (
	// patience is how long a handshake waits for a certificate. The server gives a handshake ten seconds.
	patience = 8 * time.Second
	// After a failure the CA is asked again after a pause, of which each is twice as long as the one before. Let's Encrypt
	// takes five failures of a host in an hour. The first is longer than autocert remembers a failure.
	firstPause   = 2 * time.Minute
	longestPause = time.Hour
	// callLimit is for one call of the CA, and tries is how often a call is made that the CA fails.
	callLimit = 30 * time.Second
	tries     = 4
	// complainEvery is how often the log says that a certificate was not renewed.
	complainEvery = time.Hour
)

// issuer gets certificates by ACME, one for each host. What waits for the CA is one goroutine for each host, and never a
// handshake for longer than patience; while the CA is away, what was got before goes on serving.
type issuer struct {
	manager   *autocert.Manager
	folder    *folder
	calls     *calls
	directory string
	log       *slog.Logger

	mu    sync.Mutex
	hosts map[string]*asked
}

// asked is what became of asking for one host's certificate.
type asked struct {
	ready  bool          // there is one, which autocert holds and renews
	under  chan struct{} // closed when the CA has answered; nil: it is not being asked
	err    error         // of the last time
	again  time.Time     // not before
	pause  time.Duration
	warned time.Time // that it was not renewed, or when it was ready
}

func newIssuer(c ACME, serves func(name string) bool, log *slog.Logger) (*issuer, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Roots != "" {
		text, err := os.ReadFile(c.Roots)
		if err != nil {
			return nil, fmt.Errorf("tls.acme_ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.acme_ca: there is no certificate in %s: use a file in PEM", c.Roots)
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	i := &issuer{folder: &folder{path: filepath.Join(c.Folder, folderOf(c.Directory))}, directory: c.Directory, log: log,
		calls: &calls{next: transport, said: map[string]string{}}, hosts: map[string]*asked{}}
	i.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, // whoever sets tls.acme accepts them
		Cache:  i.folder, Email: c.Email,
		HostPolicy: func(_ context.Context, host string) error {
			if name, _, err := net.SplitHostPort(host); err == nil {
				host = name
			}
			if !serves(strings.ToLower(host)) {
				return errors.New("this host is not served here")
			}
			return nil
		},
		Client: &acme.Client{DirectoryURL: c.Directory, UserAgent: c.UserAgent,
			HTTPClient:   &http.Client{Transport: i.calls, Timeout: callLimit},
			RetryBackoff: i.calls.backOff},
	}
	return i, nil
}

var notInName = strings.NewReplacer("/", "-", ":", "-", "?", "-", "&", "-", "%", "-", "\\", "-")

// folderOf names the folder of one CA: certificates of a CA for tests must not serve once the real one is asked.
func folderOf(directory string) string {
	sum := sha256.Sum256([]byte(directory))
	name := "ca"
	if u, err := url.Parse(directory); err == nil {
		name = notInName.Replace(u.Host)
	}
	return name + "-" + hex.EncodeToString(sum[:4])
}

// answer returns a certificate for a handshake with a host of ours, or what the CA wants to see there.
func (i *issuer) answer(hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto {
		return i.manager.GetCertificate(hello)
	}
	return i.get(hello.Context(), name)
}

// get returns the certificate of a host. The first call asks the CA, unless the folder has one.
func (i *issuer) get(ctx context.Context, name string) (*tls.Certificate, error) {
	i.mu.Lock()
	a := i.hosts[name]
	if a == nil {
		a = &asked{}
		i.hosts[name] = a
	}
	switch {
	case a.ready:
		i.mu.Unlock()
		return i.manager.GetCertificate(helloTo(name))
	case a.under == nil && time.Now().Before(a.again):
		defer i.mu.Unlock()
		return nil, a.err
	case a.under == nil:
		a.under = make(chan struct{})
		go i.ask(name, a)
	}
	under := a.under
	i.mu.Unlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-under:
		return i.get(ctx, name)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late.C:
		return nil, fmt.Errorf("the certificate of %s is still being asked for", name)
	}
}

// helloTo is a handshake of a client that takes the kind of key that autocert makes for most of them, and is the only
// one: otherwise any client could have another certificate made for it.
func helloTo(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
}

func (i *issuer) ask(name string, a *asked) {
	got, err := i.manager.GetCertificate(helloTo(name))
	i.mu.Lock()
	defer i.mu.Unlock()
	defer func() { close(a.under); a.under = nil }()
	if err == nil {
		a.ready, a.err = true, nil
		a.warned = time.Now()      // a node that was off for weeks renews now
		i.calls.because(name, nil) // a challenge may have failed before another one did not
		i.log.Info("a host has its certificate", "host", name, "until", got.Leaf.NotAfter)
		return
	}
	a.pause = min(max(2*a.pause, firstPause), longestPause)
	a.again, a.err = time.Now().Add(a.pause), err
	if i.calls.stopped.Load() {
		return
	}
	i.log.Warn("there is no certificate for a host, so browsers cannot open it; see that this machine reaches the CA, and that the "+
		"host's name leads to this node, at port 443 from outside (or 80, with tls.http_listen)", "host", name,
		"because", i.calls.because(name, err), "directory", i.directory, "again_in", a.pause)
}

// look has the certificate of a host ready, and says if it was not renewed.
func (i *issuer) look(ctx context.Context, name string) {
	got, err := i.get(ctx, name)
	if err != nil || time.Until(got.Leaf.NotAfter) > overdue(got.Leaf) {
		return // ask has said why
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if a := i.hosts[name]; time.Since(a.warned) > complainEvery {
		a.warned = time.Now()
		i.log.Warn("a certificate was not renewed; browsers refuse the host once it has run out. See that this machine reaches the CA, "+
			"and that the CA reaches the host", "host", name, "until", got.Leaf.NotAfter,
			"because", i.calls.because(name, nil), "directory", i.directory)
	}
}

// overdue is the time before its end at which a certificate should have been renewed a while ago. autocert begins with a
// third of its life left, at most 30 days.
func overdue(leaf *x509.Certificate) time.Duration {
	return min(leaf.NotAfter.Sub(leaf.NotBefore)/3, 30*24*time.Hour) * 3 / 4
}

func (i *issuer) stop() {
	i.calls.stopped.Store(true)
	i.calls.next.CloseIdleConnections()
	i.folder.close()
}

// calls are those of the CA. They note why it did not believe that a host is ours, which autocert does not say.
type calls struct {
	next    *http.Transport
	stopped atomic.Bool

	mu   sync.Mutex
	said map[string]string // by host
	last error             // of the last call, unless it was answered in order
}

// RoundTrip makes one call.
func (c *calls) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.stopped.Load() {
		return nil, errClosed
	}
	resp, err := c.next.RoundTrip(r)
	var head []byte
	if err == nil {
		switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind {
		case "application/json", "application/problem+json":
			if head, err = io.ReadAll(io.LimitReader(resp.Body, maxNote)); err != nil {
				resp.Body.Close()
			}
		}
	}
	c.note(resp, head, err)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	return resp, nil
}

const maxNote = 64 << 10

// note reads an authorization or a problem (RFC 8555 sections 7.1.4 and 6.7).
func (c *calls) note(resp *http.Response, head []byte, err error) {
	var of struct {
		Identifier struct{ Value string }
		Challenges []struct {
			Type  string
			Error *struct{ Detail string }
		}
		Detail string
	}
	if len(head) > 0 && json.Unmarshal(head, &of) != nil {
		of.Detail = "unreadable"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last = err; err == nil && resp.StatusCode >= http.StatusBadRequest {
		c.last = fmt.Errorf("the CA answered %d: %s", resp.StatusCode, of.Detail)
	}
	for _, one := range of.Challenges {
		if one.Error != nil {
			c.said[of.Identifier.Value] = one.Type + ": " + one.Error.Detail
		}
	}
}

// because is why there is no certificate, and forgets what the CA said of it.
func (c *calls) because(name string, err error) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := c.said[name]
	delete(c.said, name)
	switch {
	case said != "":
		return said
	case err != nil:
		return err.Error()
	case c.last != nil:
		return c.last.Error()
	}
	return "unknown"
}

// backOff is how long to wait before a call is made again that the CA has failed; 0 gives up.
func (c *calls) backOff(n int, _ *http.Request, resp *http.Response) time.Duration {
	// A nonce that is no longer good is no failure of the CA's (RFC 8555 section 6.5), and comes with a new one.
	if resp != nil && resp.StatusCode == http.StatusBadRequest && n < 10 {
		return time.Millisecond
	}
	if n >= tries || c.stopped.Load() {
		return 0
	}
	return time.Duration(n) * time.Second
}
