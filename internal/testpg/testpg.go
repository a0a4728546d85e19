// Package testpg runs a real PostgreSQL server for tests: Debian's package, in a
// temporary folder, under a user that is not root, on a free loopback port. The tests of
// a binary share one server, and each has a database of its own.
//
// It owns starting and stopping the server, and its faults. It is imported by tests only.
package testpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// Server is a running server.
type Server struct {
	Port int

	dir, bin string
	cred     *syscall.Credential // nil: as whoever runs the tests
	process  *exec.Cmd
	stdin    interface{ Close() error }
	exited   chan struct{}
	log      log
	under    []string // what the server is run by
	made     atomic.Int64
}

var shared struct {
	once sync.Once
	*Server
	err error
}

// NewDatabase makes an empty database on the server that a test binary's tests
// share, and returns its URL. TestMain must call Main.
func NewDatabase(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.Server, shared.err = Start() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.NewDatabase(t)
}

// Main runs a test binary's tests, stops the shared server, and fails if they
// have left goroutines behind, but for those that are ignored.
func Main(m *testing.M, ignored ...goleak.Option) {
	code := m.Run()
	if shared.Server != nil {
		shared.Close()
	}
	if code == 0 {
		if err := goleak.Find(ignored...); err != nil {
			fmt.Fprintln(os.Stderr, "left behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// New starts a server that is closed at the end of the test.
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := Start(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start creates a server and waits until it answers. Extra settings are lines of
// postgresql.conf.
func Start(settings ...string) (*Server, error) {
	return prepare(func(s *Server) error {
		return s.run("initdb", "--pgdata", s.data(), "--username", "exeunt", "--auth", "trust",
			"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	}, append([]string{
		"listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "max_connections = 400", "shared_buffers = 64MB",
		"log_min_messages = warning",
	}, settings...))
}

// Standby creates a server that follows this one, whose commits then wait for it.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby, err := prepare(func(n *Server) error {
		return n.run("pg_basebackup", "--pgdata", n.data(), "--dbname", s.URL("postgres"),
			"--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Close)
	s.Exec(t, "postgres", `ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'`)
	s.Exec(t, "postgres", `SELECT pg_reload_conf()`)
	s.await(t, `SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'quorum'`)
	return standby
}

// Promote makes a standby the primary and waits until it takes writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, "postgres", `SELECT pg_promote()`)
	s.await(t, `SELECT NOT pg_is_in_recovery()`)
	// It was copied from a server that waits for a standby; it has none yet.
	s.Exec(t, "postgres", `ALTER SYSTEM RESET synchronous_standby_names`)
	s.Exec(t, "postgres", `SELECT pg_reload_conf()`)
}

// await waits until a query returns true.
func (s *Server) await(t testing.TB, q string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(2 * time.Minute); ; <-tick.C {
		var yes bool
		if err := c.QueryRow(t.Context(), q).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		if yes {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("waited in vain for: %s", q)
		}
	}
}

// prepare makes a server's folder, fills it, and starts the server.
func prepare(fill func(*Server) error, settings []string) (s *Server, err error) {
	s = &Server{}
	if s.bin, err = binaries(); err != nil {
		return nil, err
	}
	if s.cred, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "exeunt-pg-"); err != nil {
		return nil, err
	}
	if s.cred != nil {
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, err
		}
	}
	if err := fill(s); err != nil {
		return nil, s.gone(err)
	}
	if s.Port, err = freePort(); err != nil {
		return nil, s.gone(err)
	}
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("\n" + strings.Join(append(settings, "port = "+strconv.Itoa(s.Port)), "\n") + "\n")
		f.Close()
	}
	if err != nil {
		return nil, s.gone(err)
	}
	if err := s.Up(); err != nil {
		return nil, s.gone(err)
	}
	return s, nil
}

func (s *Server) gone(err error) error {
	s.Close()
	return err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// log is the server's log.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Log returns the server's log.
func (s *Server) Log() string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.buf.String()
}

// UpUnder is Up with the server run by another program, such as one that makes its disk
// fail.
func (s *Server) UpUnder(command ...string) error {
	s.under = command
	defer func() { s.under = nil }()
	return s.Up()
}

// Up starts the server and waits until it answers.
func (s *Server) Up() error {
	// The shell stops the server when its standard input closes, also if the tests are
	// killed.
	args := append(slices.Clone(s.under), filepath.Join(s.bin, "postgres"), "-D", s.data())
	s.process = exec.Command("/bin/sh", append([]string{"-c", `exec 3<&0; "$@" 3<&- </dev/null & pid=$!
		(cat <&3; kill -INT $pid) >/dev/null 2>&1 & exec 3<&-; wait $pid`, "sh"}, args...)...)
	s.process.Dir, s.process.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	in, err := s.process.StdinPipe()
	if err != nil {
		return err
	}
	s.stdin, s.exited = in, make(chan struct{})
	if err := s.process.Start(); err != nil {
		return err
	}
	go func(p *exec.Cmd, exited chan struct{}) { _ = p.Wait(); close(exited) }(s.process, s.exited)
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		c, err := pgx.Connect(ctx, s.URL("postgres"))
		cancel()
		if err == nil {
			return c.Close(context.Background())
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgres ended at once: %s", s.Log())
		case <-limit.C:
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Pid returns the postmaster's process ID.
func (s *Server) Pid() (int, error) {
	b, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(strings.TrimSpace(first))
}

// Signal sends a signal to the postmaster and, if the signal ends it, waits for that:
// SIGINT is a fast shutdown, SIGQUIT an immediate one, like a crash.
func (s *Server) Signal(sig syscall.Signal) error {
	pid, err := s.Pid()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return err
	}
	if slices.Contains([]syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}, sig) {
		<-s.exited
	}
	return nil
}

// Freeze suspends every process of the server: its connections stay open and nothing
// answers. The function that it returns resumes them.
func (s *Server) Freeze(t testing.TB) (thaw func()) {
	t.Helper()
	thaw, err := s.Pause()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(thaw)
	return thaw
}

// Pause is Freeze for programs that are not tests.
func (s *Server) Pause() (resume func(), err error) {
	pids, err := s.pids()
	if err != nil {
		return nil, err
	}
	send := func(sig syscall.Signal) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, sig) // one may have ended meanwhile
		}
	}
	send(syscall.SIGSTOP)
	var once sync.Once
	return func() { once.Do(func() { send(syscall.SIGCONT) }) }, nil
}

// pids are the server's processes: the postmaster and its children.
func (s *Server) pids() ([]int, error) {
	postmaster, err := s.Pid()
	if err != nil {
		return nil, err
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	pids := []int{postmaster}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …: the name may hold anything but ends last.
		_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(postmaster) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// Close stops the server and removes its files.
func (s *Server) Close() {
	if s.process != nil && s.process.Process != nil {
		s.stdin.Close()
		<-s.exited
	}
	os.RemoveAll(s.dir)
}

// URL is the address of a database: on this server or, when it does not answer
// or is no primary, on one of the others.
func (s *Server) URL(name string, others ...*Server) string {
	hosts := "127.0.0.1:" + strconv.Itoa(s.Port)
	for _, o := range others {
		hosts += ",127.0.0.1:" + strconv.Itoa(o.Port)
	}
	return "postgres://exeunt@" + hosts + "/" + name + "?sslmode=disable"
}

// Kill ends every process of the server at once, as a power cut does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	pids, err := s.pids()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.exited
}

// NewDatabase creates an empty database and returns its URL. It lasts as long as the
// server.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := "test" + strconv.FormatInt(s.made.Add(1), 10)
	s.Exec(t, "postgres", "CREATE DATABASE "+name)
	return s.URL(name)
}

// Exec runs a statement as the server's owner.
func (s *Server) Exec(t testing.TB, database, q string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

// Copy copies a database's rows with pg_dump, and returns a function that restores them
// in one transaction.
func (s *Server) Copy(t testing.TB, database string) (putBack func()) {
	t.Helper()
	file := filepath.Join(s.dir, fmt.Sprintf("%s.%d.sql", database, s.made.Add(1)))
	if err := s.run("pg_dump", "--data-only", "--file", file, s.URL(database)); err != nil {
		t.Fatal(err)
	}
	const empty = `DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ')
		FROM pg_tables WHERE schemaname = 'public'); END $$`
	return func() {
		t.Helper()
		err := s.run("psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1",
			"--command", empty, "--file", file, s.URL(database))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Try runs a statement that may fail, as on a server that has a fault.
func (s *Server) Try(q string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, q)
	return err
}

func (s *Server) run(name string, args ...string) error {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir, c.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.cred}
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// binaries finds the newest installed server.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed: install Debian's package postgresql, as script/test does")
	}
	version := func(p string) int {
		n, _ := strconv.Atoi(strings.Split(p, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// unprivileged is whom the server runs as: it refuses to be root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("no user to run PostgreSQL as: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
