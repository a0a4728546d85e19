package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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
		var taken []int
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if len(taken) > 0 {
				for _, fd := range taken {
					syscall.Close(fd)
				}
				taken = nil
				continue
			}
			for {
				fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
				if err != nil {
					break
				}
				taken = append(taken, fd)
			}
			fmt.Println("out of descriptors")
		}
		os.Exit(0)
	}()
	return n.Serve(context.Background(), l)
}

// few is a node with few descriptors, and what it says.
type few struct {
	t         *testing.T
	dir, addr string
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
		return new(net.Dialer).DialContext(ctx, "tcp", f.addr)
	}}
	resp, err := way.RoundTrip(r)
	if err != nil {
		cancel()
		return nil, err
	}
	f.t.Cleanup(func() { cancel(); resp.Body.Close() })
	return resp, nil
}

func (f *few) signIn() string {
	f.t.Helper()
	resp, err := f.do("POST", "/api/v1/signin", "", map[string]string{"identifier": "ada", "password": adasPassword})
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

// Streams and silent connections, more than there are descriptors, leave room for sign-ins, sign-outs, the database
// and the operators.
func TestSignOutsGetThroughFloodsOfConnections(t *testing.T) {
	f := startWithFew(t)
	const most = descriptors - reserved
	open, refused := 0, 0
	for refused < 3 {
		token := f.signIn()
		for range 16 {
			resp, err := f.do("GET", "/api/v1/session/stream", token, nil)
			must(t, err)
			switch resp.StatusCode {
			case http.StatusOK:
				open++
			case http.StatusServiceUnavailable:
				refused++
				if resp.Header.Get("Retry-After") == "" {
					t.Errorf("refused without a time: %v", resp.Header)
				}
			default:
				t.Fatal(resp.Status)
			}
		}
	}
	if open != maxStreams(most) {
		t.Errorf("%d of %d connections are streams, want %d", open, most, maxStreams(most))
	}
	for range 2 * descriptors {
		conn, err := net.Dial("tcp", f.addr)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
	}
	for range 3 {
		f.signOut(f.signIn())
	}
	var status struct{ Ready bool }
	if err := control.Dial(f.dir).Get(t.Context(), "/status", nil, &status); err != nil || !status.Ready {
		t.Errorf("the operators: %+v, %v", status, err)
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	limited := newConnections(l, 2, &complaints{log: slog.New(slog.DiscardHandler)})
	hold := make(chan struct{})
	s := Server(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }), slog.New(slog.DiscardHandler),
		slog.LevelDebug)
	s.ConnState, s.IdleTimeout = limited.follow, time.Hour
	go s.Serve(limited)
	t.Cleanup(func() { s.Close() })
	get := func() chan error {
		answered := make(chan error, 1)
		go func() {
			resp, err := (&http.Transport{}).RoundTrip(mustRequest(t, "http://"+l.Addr().String()))
			if err == nil {
				resp.Body.Close()
			}
			answered <- err
		}()
		return answered
	}
	all := []chan error{get(), get(), get(), get()}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		limited.mu.Lock()
		open := limited.open
		limited.mu.Unlock()
		if open > 2 {
			t.Fatalf("%d connections are open", open)
		}
		if open == 2 || time.Now().After(deadline) {
			break
		}
	}
	close(hold)
	for _, answered := range all {
		select {
		case err := <-answered:
			must(t, err)
		case <-time.After(2 * time.Minute):
			t.Fatal("a connection still waits")
		}
	}
}

func mustRequest(t *testing.T, url string) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	return r
}
