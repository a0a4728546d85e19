package fault

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/testpg"
)

// asNode says, to a copy of the test's own program, that it is to be a node.
const asNode = "TEST_AS_NODE"

// trusts says, to such a node, that it is to trust a database that it has never seen.
const trusts = "TEST_TRUSTS"

func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, "node:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testpg.Main(m)
}

// figures are what a node says of itself.
type figures struct {
	Heap       int64 // bytes in use after a collection
	Goroutines int
}

// serve does what `exeunt serve` does, and answers each line that it is sent
// with its figures.
func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	conf, err := config.Load(config.Sources{Getenv: os.LookupEnv, Environ: os.Environ()})
	if err != nil {
		return err
	}
	l, err := config.Listen(conf.Addr, "--addr")
	if err != nil {
		return err
	}
	defer l.Close()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	opt := app.Options{Log: log, Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 4}}
	if os.Getenv(trusts) != "" {
		opt.Decision = app.TrustDatabase
	}
	node, err := app.New(ctx, conf, opt)
	if err != nil {
		return err
	}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			_ = json.NewEncoder(os.Stdout).Encode(figures{int64(m.HeapAlloc), runtime.NumGoroutine()})
		}
	}()
	return errors.Join(node.Serve(ctx, l), node.Close())
}

// program is a command that becomes a node.
type program []string

// itself is this program as a node.
func itself() program { return program{os.Args[0]} }

// built compiles the program from a folder of its source.
func built(t testing.TB, source string, flags ...string) program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exeunt")
	c := exec.Command("go", append(append([]string{"build", "-buildvcs=false", "-o", path}, flags...), "./cmd/exeunt")...)
	c.Dir = source
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", source, err, out)
	}
	return program{path, "serve"}
}

const (
	bound    = time.Second // max_staleness of the nodes, unless a test says otherwise
	patience = 2 * time.Minute
	origin   = "http://exeunt.test" // the proxy's side; people see https
)

// node is a process that serves, always at the same address.
type node struct {
	t        testing.TB
	addr     string
	settings []string
	api      *client.Client

	mu     sync.Mutex
	cmd    *exec.Cmd
	in     io.Writer
	out    *bufio.Reader
	exited chan struct{}
	errs   string // the file of what it says
}

// newNode chooses an address and a data folder. Settings are variables beside
// the usual ones.
func newNode(t testing.TB, data string, settings ...string) *node {
	t.Helper()
	// A data folder is its owner's alone.
	must(t, os.MkdirAll(data, 0o700))
	must(t, os.Chmod(data, 0o700))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	n := &node{t: t, addr: l.Addr().String()}
	must(t, l.Close())
	n.settings = append([]string{
		"EXEUNT_ADDR=" + n.addr, "EXEUNT_URL=https://exeunt.test", "EXEUNT_TRUSTED_PROXIES=127.0.0.1", "EXEUNT_DATA=" + data,
		"EXEUNT_MASTER_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), // testnode's
		"EXEUNT_MAX_STALENESS=" + bound.String(), "EXEUNT_LOG_LEVEL=error", asNode + "=1",
	}, settings...)
	n.api, err = client.New(origin, client.Options{AllowPlainHTTP: true, Timeout: 15 * time.Second, CheckTimeout: 15 * time.Second, Transport: &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, n.addr)
		},
	}})
	must(t, err)
	t.Cleanup(n.kill)
	return n
}

// cluster is several running nodes on one database.
func cluster(t testing.TB, p program, url string, size int) []*node {
	t.Helper()
	out := make([]*node, size)
	for i := range out {
		out[i] = newNode(t, t.TempDir(), "EXEUNT_DATABASE="+url)
		out[i].start(p)
	}
	for _, n := range out {
		n.ready()
	}
	return out
}

// start starts the node by that program, which may be run by another.
func (n *node) start(p program) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	errs, err := os.Create(filepath.Join(n.t.TempDir(), "stderr"))
	must(n.t, err)
	defer errs.Close()
	n.cmd, n.errs = exec.Command(p[0], p[1:]...), errs.Name()
	n.cmd.Env, n.cmd.Stderr = append(os.Environ(), n.settings...), errs
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := n.cmd.StdinPipe()
	must(n.t, err)
	out, err := n.cmd.StdoutPipe()
	must(n.t, err)
	n.in, n.out, n.exited = in, bufio.NewReader(out), make(chan struct{})
	must(n.t, n.cmd.Start())
	// Not Cmd.Wait: it would close the pipes under whoever reads the last line.
	go func(p *os.Process, exited chan struct{}) {
		_, _ = p.Wait()
		close(exited)
	}(n.cmd.Process, n.exited)
}

// said is what the process has written to its standard error.
func (n *node) said() string {
	b, err := os.ReadFile(n.errs)
	must(n.t, err)
	return string(b)
}

// ready waits until requests may be sent to the node.
func (n *node) ready() {
	n.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(patience); ; {
		resp, err := http.Get("http://" + n.addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-n.exited:
			n.t.Fatalf("the node ended instead of getting ready: %s", n.said())
		case <-limit:
			n.t.Fatalf("the node did not get ready: %v", err)
		}
	}
}

// kill ends the process as a power cut does.
func (n *node) kill() { n.end(syscall.SIGKILL) }

// stop lets the process finish what it has begun.
func (n *node) stop() { n.end(syscall.SIGTERM) }

func (n *node) end(sig syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(sig) // it may have ended by itself
	<-n.exited
	n.cmd = nil
}

// suspend stops the process where it stands, and returns once it does.
func (n *node) suspend() (resume func()) {
	n.t.Helper()
	pid := n.cmd.Process.Pid
	must(n.t, n.cmd.Process.Signal(syscall.SIGSTOP))
	for {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		must(n.t, err)
		if f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])); f[0] == "T" {
			break
		}
		runtime.Gosched()
	}
	return func() { _ = n.cmd.Process.Signal(syscall.SIGCONT) }
}

// figures asks a node that is this program itself.
func (n *node) figures() (f figures, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return f, errors.New("it does not run")
	}
	if _, err = io.WriteString(n.in, "\n"); err != nil {
		return f, err
	}
	line, err := n.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &f)
	}
	return f, err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
