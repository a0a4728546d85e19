package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exeunt/exeunt/internal/control"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"exeunt": main})
}

// TestScripts runs the program as an operator would, a file of commands each.
// What the scripts have besides testscript's own commands:
//
//	listen NAME        puts a free loopback address into the variable NAME
//	ready              waits until the server at $ADDR answers
//	web METHOD PATH [name=value…]   one request to $ADDR as a browser would
//	                   make it; prints status, headers and body
//	api METHOD PATH [JSON]          one call to $ADDR, with $TOKEN if set
//	first NAME FILE    puts the first line of a file into the variable NAME
//	field NAME KEY     puts the first string called KEY in the JSON that was
//	                   printed last into the variable NAME
//	mode PERM FILE     fails unless the file has these permissions
//	until FILE         waits until the file has something in it
//	people FILE        writes an htpasswd file of 10,000 people, with -short of 1,000, of whom three have a broken row, and
//	                   puts how many there are and how many are good into PEOPLE and GOOD
//	is-json FILE       fails unless the file is one JSON value
//	until-listed       waits until the node has an account
//	status N COMMAND…  runs a command, and fails unless it exits with this status
//	write FILE TEXT    writes a file for its owner alone
//	term, hang-up      send SIGTERM or SIGHUP to what was started last
//	stream             opens the event stream of $TOKEN and reads its first event
//	database NAME      starts a PostgreSQL server; database-stop stops it as a
//	                   crash does, database-start starts it again
//	gate STATUS        waits until /gate at $ADDR answers $TOKEN so
//	stream-over        fails unless that stream has been ended by the server
func TestScripts(t *testing.T) {
	cert := newCertificate(t)
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: cert.setUp,
		Cmds:  cert.commands(),
	})
}

func (c *certificate) commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"listen": listen, "ready": c.ready, "web": c.web, "api": c.api,
		"stream": c.stream, "stream-over": streamOver,
		"database": database, "database-stop": databaseStop, "database-start": databaseStart,
		"gate":  c.gate,
		"first": first, "field": field, "mode": mode, "until": until, "term": sends(syscall.SIGTERM), "hang-up": sends(syscall.SIGHUP), "write": write,
		"status": status, "people": people, "until-listed": untilListed, "is-json": isJSON,
	}
}

// host is what the certificate is for; its requests go to $ADDR.
const host = "id.example.com"

type certificate struct {
	cert, key []byte // PEM
	other     []byte // a key that is not the certificate's
	roots     *x509.CertPool
}

func newCertificate(t *testing.T) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherSecret, err := x509.MarshalPKCS8PrivateKey(stranger)
	if err != nil {
		t.Fatal(err)
	}
	c := &certificate{
		other: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: otherSecret}),
		cert:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		roots: x509.NewCertPool(),
	}
	c.roots.AppendCertsFromPEM(c.cert)
	return c
}

func (c *certificate) setUp(env *testscript.Env) error {
	// A socket's path has at most 107 characters, and a test's folder is long.
	// It is made where the scripts have their folders, so that they can move files.
	data, err := os.MkdirTemp(os.Getenv("GOTMPDIR"), "exeunt-script-")
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(data) })
	env.Values[streamKey{}] = new(chan error)
	env.Values[serverKey{}] = new(*testpg.Server)
	env.Setenv("DATA", filepath.Join(data, "data"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Defer(func() { taken.Close() })
	env.Setenv("TAKEN", taken.Addr().String())
	env.Setenv("GORACE", "atexit_sleep_ms=0") // or each command would wait for a second under the race detector
	env.Setenv("HOST", host)
	env.Setenv("URL", "https://"+host)
	for name, value := range map[string][]byte{"cert.pem": c.cert, "key.pem": c.key, "other.pem": c.other} {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), value, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listen NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// client speaks to $ADDR whatever the name in the address.
func (c *certificate) client(ts *testscript.TestScript) *http.Client {
	addr := ts.Getenv("ADDR")
	return &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: c.roots},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
		},
	}
}

// patience bounds every wait; none is that long unless something is broken.
const patience = 2 * time.Minute

func (c *certificate) ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: ready")
	}
	wait(ts, "the server", func() bool {
		resp, err := c.client(ts).Get(ts.Getenv("URL") + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		// Through another proxy than its own it answers 403: it is there.
		return err == nil && resp.StatusCode != http.StatusServiceUnavailable
	})
}

func wait(ts *testscript.TestScript, what string, done func() bool) {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			ts.Fatalf("%s is not ready after %v", what, patience)
		}
		<-tick.C
	}
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: until FILE")
	}
	wait(ts, args[0], func() bool {
		info, err := os.Stat(ts.MkAbs(args[0]))
		return err == nil && info.Size() > 0
	})
}

func people(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: people FILE")
	}
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	broken := map[int]string{7: "no colon here", n / 2: "p0:$apr1$MPPH5US0$hyUyXFePWLo4itd6zdt0j0", n - 1: "-x:$2y$05$"}
	var text strings.Builder
	for line := 1; line <= n; line++ {
		if row, is := broken[line]; is {
			fmt.Fprintln(&text, row)
			continue
		}
		fmt.Fprintf(&text, "person%d:$2y$05$dTvvy9a0wRbzeVpr.1jAUOOWDzESdsX6Ezv20WI/kqKBjJIvB5Uq6\n", line)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
	ts.Setenv("PEOPLE", strconv.Itoa(n))
	ts.Setenv("GOOD", strconv.Itoa(n-len(broken)))
	ts.Setenv("HALF", strconv.Itoa(n/2))
	ts.Setenv("LAST", strconv.Itoa(n-1))
}

func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: is-json FILE")
	}
	if !json.Valid([]byte(ts.ReadFile(args[0]))) {
		ts.Fatalf("%s is no JSON", args[0])
	}
}

func untilListed(ts *testscript.TestScript, neg bool, args []string) {
	wait(ts, "an account", func() bool {
		var p control.Page[control.Account]
		err := control.Dial(ts.Getenv("DATA")).Get(context.Background(), "/accounts", url.Values{"limit": {"1"}}, &p)
		return err == nil && len(p.Items) > 0
	})
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := "0"
	if errors.As(err, &exit) {
		got, err = strconv.Itoa(exit.ExitCode()), nil
	}
	if err != nil || got != args[0] {
		ts.Fatalf("it exits with %s, not %s (%v)", got, args[0], err)
	}
}

func write(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: write FILE TEXT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+"\n"), 0o600))
}

func sends(s syscall.Signal) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		running := ts.BackgroundCmds()
		if neg || len(args) != 0 || len(running) == 0 {
			ts.Fatalf("usage: term or hang-up, with something running")
		}
		ts.Check(running[len(running)-1].Process.Signal(s))
	}
}

type streamKey struct{}

func (c *certificate) stream(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: stream")
	}
	req, err := http.NewRequest(http.MethodGet, ts.Getenv("URL")+"/api/v1/session/stream", nil)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.Getenv("TOKEN"))
	client := c.client(ts)
	client.Timeout = patience
	resp, err := client.Do(req)
	ts.Check(err)
	r := bufio.NewReader(resp.Body)
	line, err := r.ReadString('\n')
	ts.Check(err)
	if line != "event: state\n" {
		ts.Fatalf("the stream begins with %q", line)
	}
	over := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, r)
		over <- errors.Join(err, resp.Body.Close())
	}()
	*ts.Value(streamKey{}).(*chan error) = over
}

func streamOver(ts *testscript.TestScript, neg bool, args []string) {
	select {
	case err := <-*ts.Value(streamKey{}).(*chan error):
		ts.Check(err) // it was ended, not cut off
	default:
		ts.Fatalf("the stream is still open")
	}
}

func (c *certificate) web(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: web METHOD PATH [name=value...]")
	}
	form := url.Values{}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		form.Add(name, value)
	}
	to := args[1]
	if strings.HasPrefix(to, "/") {
		to = ts.Getenv("URL") + to
	}
	req, err := http.NewRequest(args[0], to, strings.NewReader(form.Encode()))
	ts.Check(err)
	if args[0] == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", ts.Getenv("URL"))
		req.Header.Set("Cookie", "__Host-exeunt-device=new") // which the form had set
	}
	if name := ts.Getenv("AS_HOST"); name != "" {
		req.Host = name
	}
	c.print(ts, req)
}

func (c *certificate) api(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: api METHOD PATH [JSON]")
	}
	body := strings.NewReader(strings.Join(args[2:], " "))
	req, err := http.NewRequest(args[0], ts.Getenv("URL")+args[1], body)
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	if token := ts.Getenv("TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	c.print(ts, req)
}

func (c *certificate) print(ts *testscript.TestScript, req *http.Request) {
	resp, err := c.client(ts).Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "status %d\n", resp.StatusCode)
	ts.Check(resp.Header.Write(ts.Stdout()))
	fmt.Fprintf(ts.Stdout(), "\n%s\n", body)
}

func first(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: first NAME FILE")
	}
	line, _, _ := strings.Cut(ts.ReadFile(args[1]), "\n")
	ts.Setenv(args[0], line)
}

func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME KEY")
	}
	_, rest, ok := strings.Cut(ts.ReadFile("stdout"), `"`+args[1]+`":`)
	_, rest, quoted := strings.Cut(rest, `"`)
	value, _, closed := strings.Cut(rest, `"`)
	if !ok || !quoted || !closed {
		ts.Fatalf("there is no %q in what was printed", args[1])
	}
	ts.Setenv(args[0], value)
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode PERM FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, not %s", args[1], got, args[0])
	}
}

// What is in the database from before must not command a terminal either.
func TestTablesCommandNoTerminal(t *testing.T) {
	if got := forTerminal("@ada  A\x1b[2Jda\u202e\u009b\n@bob  Bø\r\n"); got != "@ada  A[2Jda\n@bob  Bø\n" {
		t.Errorf("%q", got)
	}
}
