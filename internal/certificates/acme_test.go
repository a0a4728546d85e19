package certificates

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

const host = "id.example.com"

// text is a log that is read while it is written.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *text) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *text) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func issuerAt(t *testing.T, directory, folder string) (*issuer, *text) {
	t.Helper()
	said := &text{}
	i, err := newIssuer(ACME{Directory: directory, Folder: folder, UserAgent: "test"}, func(name string) bool { return name == host },
		slog.New(slog.NewTextHandler(said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.stop)
	return i, said
}

// awayCA is the directory of a CA that is not there.
func awayCA(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "https://" + l.Addr().String() + "/dir"
}

// After each failure the CA is left alone for longer, and handshakes fail at once meanwhile.
func TestPausesAfterFailures(t *testing.T) {
	i, said := issuerAt(t, awayCA(t), t.TempDir())
	want := firstPause
	for n := range 7 {
		for range 3 {
			if _, err := i.get(t.Context(), host); err == nil {
				t.Fatal("there is a certificate")
			}
		}
		i.mu.Lock()
		a := i.hosts[host]
		if a.pause != want || time.Until(a.again) > want || time.Until(a.again) < want-time.Minute {
			t.Errorf("after %d failures the pause is %v, not %v", n+1, a.pause, want)
		}
		a.again = time.Time{}
		i.mu.Unlock()
		if lines := strings.Count(said.String(), "level=WARN"); lines != n+1 {
			t.Errorf("after %d failures there are %d lines", n+1, lines)
		}
		want = min(2*want, longestPause)
	}
	if longest := longestPause; want != longest {
		t.Errorf("the pause is %v", want)
	}
}

// Of a CA that does not answer, only one asks; whoever goes away does not wait.
func TestHandshakesDoNotWaitForACA(t *testing.T) {
	var asked atomic.Int64
	hold := make(chan struct{})
	slow := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-hold
	}))
	defer slow.Close()
	defer close(hold)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: slow.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := newIssuer(ACME{Directory: slow.URL, Folder: t.TempDir(), Roots: roots}, func(string) bool { return true }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer i.stop()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	for range 50 {
		go func() { _, err := i.get(ctx, host); failed <- err }()
	}
	for limit := time.Now().Add(2 * time.Minute); asked.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("nobody asks the CA")
		}
	}
	cancel()
	for range 50 {
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the CA was asked %d times", n)
	}
}

// keep writes a certificate into the folder as autocert does.
func keep(t *testing.T, i *issuer, from, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b := append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := i.folder.Put(t.Context(), host, b); err != nil {
		t.Fatal(err)
	}
}

// A certificate that is not renewed in time goes on serving, and the log says so, but not at once and not each minute.
func TestACertificateThatIsNotRenewed(t *testing.T) {
	i, said := issuerAt(t, awayCA(t), t.TempDir())
	const day = 24 * time.Hour
	keep(t, i, time.Now().Add(-88*day), time.Now().Add(2*day))
	warns := func(want int) {
		t.Helper()
		i.look(t.Context(), host)
		if n := strings.Count(said.String(), "was not renewed"); n != want {
			t.Fatalf("%d lines, not %d: %s", n, want, said)
		}
	}
	warns(0)
	i.hosts[host].warned = time.Now().Add(-complainEvery - time.Second)
	warns(1)
	warns(1)
	if _, err := i.get(t.Context(), host); err != nil {
		t.Error(err)
	}
	for life, want := range map[time.Duration]time.Duration{90 * day: 22*day + 12*time.Hour, 6 * day: 36 * time.Hour, 365 * day: 22*day + 12*time.Hour} {
		now := time.Now()
		if got := overdue(&x509.Certificate{NotBefore: now, NotAfter: now.Add(life)}); got != want {
			t.Errorf("of %v: %v", life, got)
		}
	}
}

// Certificates of a CA for tests do not serve once another one is asked, nor do those that have run out.
func TestWhichCertificatesAreKept(t *testing.T) {
	folder := t.TempDir()
	first, _ := issuerAt(t, awayCA(t), folder)
	keep(t, first, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if _, err := first.get(t.Context(), host); err != nil {
		t.Error(err)
	}
	second, _ := issuerAt(t, awayCA(t), folder)
	if _, err := second.get(t.Context(), host); err == nil {
		t.Error("the certificate of another CA serves")
	}
	third, _ := issuerAt(t, awayCA(t), folder)
	keep(t, third, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if _, err := third.get(t.Context(), host); err == nil {
		t.Error("a certificate serves that has run out")
	}
}

// Nothing is read or written for what strangers choose, nor after the end.
func TestTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "acme")
	f := &folder{path: dir}
	for _, name := range []string{"x+token", "y+http-01"} {
		if err := f.Put(t.Context(), name, []byte("secret")); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("answers to challenges are written: %v", err)
	}
	if err := f.Put(t.Context(), host, []byte("kept")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x+token"), []byte("other"), 0o600); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"x+token", "../acme/" + host, "other"} {
		if b, err := f.Get(t.Context(), name); err != autocert.ErrCacheMiss {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if b, err := f.Get(t.Context(), host); err != nil || string(b) != "kept" {
		t.Errorf("%q, %v", b, err)
	}
	for name, want := range map[string]fs.FileMode{"": fs.ModeDir | 0o700, host: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%q: %v, %v", name, info, err)
		}
	}
	f.close()
	if err := f.Put(t.Context(), host, []byte("late")); err == nil {
		t.Error("it is written after the end")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}

// A CA for whose directory no certificate is in the file is not trusted.
func TestTheFileOfTheCA(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{empty: "there is no certificate in", empty + "x": "tls.acme_ca: open"} {
		if _, err := newIssuer(ACME{Directory: "https://ca.example.com/", Roots: file}, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
