package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/control"
	"github.com/exeunt/exeunt/internal/password"
)

// fewDescriptors names, in the environment, the data folder of a node that this program is to serve with few file
// descriptors, instead of running tests.
const fewDescriptors = "EXEUNT_TEST_FEW_DESCRIPTORS"

// descriptors are how many the node has.
const descriptors = 200

// serveWithFew serves a node, and says "at ADDRESS". At each line that it is sent, it takes all descriptors that are
// left, and says "out of descriptors", or gives them back.
func serveWithFew(dir string) error {
	limit := syscall.Rlimit{Cur: descriptors, Max: descriptors}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	c := config.Default()
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", dir, true
	n, err := New(context.Background(), c, Options{Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return err
	}
	fmt.Println("at", l.Addr())
	go func() {
		told := make(chan bool)
		go func() {
			for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
				told <- true
			}
			os.Exit(0)
		}()
		for {
			<-told
			taken := takeAll(nil)
			fmt.Println("out of descriptors")
			for more := time.NewTicker(time.Millisecond); len(taken) > 0; {
				select {
				case <-more.C: // a connection that ends gives one back
					taken = takeAll(taken)
				case <-told:
					for _, fd := range taken {
						syscall.Close(fd)
					}
					taken = nil
				}
			}
		}
	}()
	return n.Serve(context.Background(), l)
}

// takeAll takes all descriptors that are left.
func takeAll(taken []int) []int {
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return taken
		}
		taken = append(taken, fd)
	}
}

// few is a node with few descriptors, and what it says.
type few struct {
	t         *testing.T
	dir, addr string
	from      net.IP // where its connections come from; nil is 127.0.0.1
	in        io.Writer
	out       *bufio.Scanner
	log       chan string
}

func startWithFew(t *testing.T) *few {
	t.Helper()
	f := &few{t: t, dir: site(t).Data, log: make(chan string, 1024)}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fewDescriptors+"="+f.dir)
	in, err := child.StdinPipe()
	must(t, err)
	out, err := child.StdoutPipe()
	must(t, err)
	log, err := child.StderrPipe()
	must(t, err)
	must(t, child.Start())
	t.Cleanup(func() { in.Close(); child.Process.Kill(); child.Wait() })
	f.in, f.out = in, bufio.NewScanner(out)
	go func() {
		defer close(f.log)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			f.log <- lines.Text()
		}
	}()
	if !f.out.Scan() {
		t.Fatal("the node does not start")
	}
	f.addr = strings.TrimPrefix(f.out.Text(), "at ")
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do makes a call over a new connection.
func (f *few) do(method, path, token string, body any) (*http.Response, error) {
	content, err := json.Marshal(body)
	must(f.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	r, err := http.NewRequestWithContext(ctx, method, "http://exeunt.localhost"+path, bytes.NewReader(content))
	must(f.t, err)
	if r.Header.Set("Authorization", "Bearer "+token); token == "" {
		r.Header.Del("Authorization")
		r.Header.Set("Content-Type", "application/json")
	}
	way := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return f.dialer().DialContext(ctx, "tcp", f.addr)
	}}
	resp, err := way.RoundTrip(r)
	if err != nil {
		cancel()
		return nil, err
	}
	f.t.Cleanup(func() { cancel(); resp.Body.Close() })
	return resp, nil
}

func (f *few) dialer() *net.Dialer { return &net.Dialer{LocalAddr: &net.TCPAddr{IP: f.from}} }

func (f *few) signIn() string { return f.signInAs("ada") }

func (f *few) signInAs(handle string) string {
	f.t.Helper()
	resp, err := f.do("POST", "/api/v1/signin", "", map[string]string{"identifier": handle, "password": adasPassword})
	must(f.t, err)
	var out client.SignedIn
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusCreated {
		f.t.Fatalf("sign in: %s, %v", resp.Status, err)
	}
	resp.Body.Close()
	return string(out.Token)
}

func (f *few) signOut(token string) {
	f.t.Helper()
	resp, err := f.do("DELETE", "/api/v1/session", token, nil)
	must(f.t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		f.t.Fatalf("sign out: %s", resp.Status)
	}
}

// Streams of several accounts and networks, silent connections, and requests that never arrive whole, more than there
// are descriptors, leave room for sign-ins, sign-outs, the database and the operators.
func TestSignOutsGetThroughFloodsOfConnections(t *testing.T) {
	f := startWithFew(t)
	f.signOut(f.signIn()) // now it serves
	const most = descriptors - reserved
	const accounts = 6
	open := map[string]int{}
	for i := range accounts {
		handle := fmt.Sprint("flood", i)
		must(t, control.Dial(f.dir).Post(t.Context(), "/accounts",
			control.NewAccount{Handle: handle, Password: adasPassword}, new(control.Added)))
		f.from = net.IPv4(127, 0, 1, byte(i))
		for _, token := range []string{f.signInAs(handle), f.signInAs(handle)} {
			for range 16 {
				resp, err := f.do("GET", "/api/v1/session/stream", token, nil)
				must(t, err)
				switch resp.StatusCode {
				case http.StatusOK:
					open[handle]++
					open["all"]++
				case http.StatusServiceUnavailable, http.StatusTooManyRequests:
					if resp.Header.Get("Retry-After") == "" {
						t.Errorf("refused without a time: %v", resp.Header)
					}
				default:
					t.Fatal(resp.Status)
				}
			}
		}
		if n := open[handle]; n > maxStreams(most)/4 {
			t.Errorf("%d of %d streams are one account's", n, maxStreams(most))
		}
	}
	if open["all"] != maxStreams(most) {
		t.Errorf("%d of %d connections are streams, want %d", open["all"], most, maxStreams(most))
	}
	for i := range 2 * descriptors {
		f.from = net.IPv4(127, 0, 2, byte(i%100))
		conn, err := f.dialer().Dial("tcp", f.addr)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		begun := []string{"", "GET / HT", "POST /signin HTTP/1.1\r\nHost: exeunt.localhost\r\nSec-Fetch-Site: same-origin\r\n" +
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\na"}
		conn.Write([]byte(begun[i%len(begun)])) // it may have been closed
	}
	f.from = nil
	for range 3 {
		f.signOut(f.signIn())
	}
	var status struct{ Ready bool }
	if err := control.Dial(f.dir).Get(t.Context(), "/status", nil, &status); err != nil || !status.Ready {
		t.Errorf("the operators: %+v, %v", status, err)
	}
}

// limited serves a handler with at most a number of connections. Nothing but them ends a request.
func limited(t *testing.T, most int, exempt func(netip.Addr) bool, h http.HandlerFunc) *connections {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := newConnections(l, most, exempt, &complaints{log: slog.New(slog.DiscardHandler)})
	s := Server(h, slog.New(slog.DiscardHandler), slog.LevelDebug)
	s.IdleTimeout, s.ReadTimeout, s.ReadHeaderTimeout = time.Hour, time.Hour, time.Hour
	c.serve(s)
	go s.Serve(c)
	t.Cleanup(func() { s.Close() })
	return c
}

func nobody(netip.Addr) bool { return false }

// dial opens a connection from an address and sends the beginning of a request.
func dial(t *testing.T, c *connections, from byte, begin string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, from)}}
	conn, err := d.Dial("tcp", c.Addr().String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	_, err = conn.Write([]byte(begin))
	must(t, err)
	return conn
}

// answered reads the status of an answer, and "" if the connection was closed.
func answered(t *testing.T, conn net.Conn) string {
	t.Helper()
	line, err := bufio.NewReader(conn).ReadString('\n')
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Fatal("neither answered nor closed")
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "HTTP/1.1 "))
}

// A request that does not arrive whole keeps nobody out, wherever it stops.
func TestRequestsThatDoNotArriveGiveWay(t *testing.T) {
	for what, begin := range map[string]string{
		"headers":    "POST / HTTP/1.1\r\nHost: x\r\nX-A: ",
		"a body":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na",
		"chunks":     "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na",
		"a long one": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\na",
	} {
		c := limited(t, 2, nobody, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
		for i := range 2 {
			dial(t, c, byte(10+i), begin)
		}
		if got := answered(t, dial(t, c, 1, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")); got != "200 OK" {
			t.Errorf("%s: answered %q", what, got)
		}
	}
}

// One network has a part of the connections. Its own idle ones give way to its new ones, and a proxy that is named is
// no network.
func TestOneNetworkHasAPartOfTheConnections(t *testing.T) {
	const most = 80
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	c := limited(t, most, func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.9") },
		func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/held" {
				<-hold
			}
		})
	const held, asked = "GET /held HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	ask := func(from byte) string { return answered(t, dial(t, c, from, asked)) }
	idle := dial(t, c, 1, asked)
	if got := answered(t, idle); got != "200 OK" {
		t.Fatalf("the first: %q", got)
	}
	for range maxOfNetwork(most) - 1 {
		dial(t, c, 1, held)
	}
	if got := ask(1); got != "200 OK" {
		t.Errorf("in place of an idle one: %q", got)
	}
	if rest, err := io.ReadAll(idle); err != nil {
		t.Errorf("the idle one: %q, %v", rest, err)
	}
	dial(t, c, 1, held) // takes the place of the one before
	if got := ask(1); got != "" {
		t.Errorf("one too many is answered: %q", got)
	}
	if got := ask(2); got != "200 OK" {
		t.Errorf("another network: %q", got)
	}
	for range maxOfNetwork(most) + 5 {
		dial(t, c, 9, held)
	}
	if got := ask(9); got != "200 OK" {
		t.Errorf("the proxy: %q", got)
	}
}

// A body that does not arrive is not waited for, whoever is asked: not by what reads it, nor where it is refused unread.
func TestBodiesHaveATime(t *testing.T) {
	r := start(t, site(t))
	t.Cleanup(func() { r.stop() })
	server := Server(r.Handler(), slog.New(slog.DiscardHandler), slog.LevelDebug)
	server.ReadTimeout = 0 // only the body's own time ends the wait
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	const form, call = "Content-Type: application/x-www-form-urlencoded\r\n", "Content-Type: application/json\r\n"
	asked := map[net.Conn][2]string{}
	for request, want := range map[string]string{
		"POST /signin HTTP/1.1\r\nSec-Fetch-Site: same-origin\r\n" + form: "408 Request Timeout",
		"POST /signin HTTP/1.1\r\n" + form:                                "403 Forbidden",
		"POST /api/v1/signin HTTP/1.1\r\n" + call:                         "408 Request Timeout",
		"POST /api/v1/nothing HTTP/1.1\r\n" + call:                        "404 Not Found",
		"GET /gate HTTP/1.1\r\n":                                          "401 Unauthorized",
		"GET /livez HTTP/1.1\r\n":                                         "200 OK",
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
		fmt.Fprint(conn, request+"Host: exeunt.localhost\r\nContent-Length: 1000\r\n\r\na")
		asked[conn] = [2]string{request, want}
	}
	for conn, a := range asked {
		if got := answered(t, conn); got != a[1] {
			t.Errorf("%q: answered %q, want %q", a[0], got, a[1])
		}
	}
}

// A node without descriptors says so as an error, at most once a second, and goes on when there are some again.
func TestOutOfDescriptorsIsSaid(t *testing.T) {
	f := startWithFew(t)
	token := f.signIn()
	fmt.Fprintln(f.in, "take")
	if !f.out.Scan() || f.out.Text() != "out of descriptors" {
		t.Fatal(f.out.Text())
	}
	conn, err := net.Dial("tcp", f.addr)
	must(t, err)
	defer conn.Close()
	var said []time.Time
	for line := range f.log {
		var e struct {
			Level, Msg string
			Time       time.Time
		}
		if json.Unmarshal([]byte(line), &e) != nil || !strings.Contains(e.Msg, "no file descriptors left") {
			continue
		}
		if e.Level != "ERROR" {
			t.Errorf("said as %s", e.Level)
		}
		if said = append(said, e.Time); len(said) == 3 {
			break
		}
	}
	if len(said) < 3 {
		t.Fatal("the node has ended")
	}
	for i := range said[1:] {
		if pause := said[i+1].Sub(said[i]); pause < 900*time.Millisecond {
			t.Errorf("said again after %v", pause)
		}
	}
	fmt.Fprintln(f.in, "give back")
	f.signOut(token)
}

// Where all connections have requests, a new one waits until one of them has none any more.
func TestConnectionsWaitForRoom(t *testing.T) {
	hold := make(chan struct{})
	c := limited(t, 2, nobody, func(http.ResponseWriter, *http.Request) { <-hold })
	var all []net.Conn
	for range 4 {
		all = append(all, dial(t, c, 1, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		open := c.open
		c.mu.Unlock()
		if open > 2 {
			t.Fatalf("%d connections are open", open)
		}
		if open == 2 || time.Now().After(deadline) {
			break
		}
	}
	close(hold)
	for _, conn := range all {
		if got := answered(t, conn); got != "200 OK" {
			t.Errorf("answered %q", got)
		}
	}
}
