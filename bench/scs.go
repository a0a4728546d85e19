package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/testpg"
)

const (
	besideSessions    = 10_000
	besideConnections = 16
	besideCallers     = 256
	besideRounds      = 7
	undoneSessions    = 200
	undoneTraffic     = 8 // requests of one session at a time
	// handlerWork is how long an app's handler takes over a request.
	handlerWork = time.Millisecond
)

// contender is Exeunt or a session library: it answers whether a request is signed in,
// and signs out.
type contender struct {
	row     string
	handler http.Handler // answers 200 with Remote-User, or 401
	start   func(context.Context) (token string, err error)
	end     func(ctx context.Context, token string) error
	header  func(token string) (name, value string)
	// app returns an app's handler that takes so long over a signed-in request.
	app func(work time.Duration) http.Handler
	// without is app without an idle timeout, if that makes a difference.
	without func(work time.Duration) http.Handler
}

// beside measures Exeunt and the session library scs under the same load.
func beside(b *bench, ctx context.Context, _ int) (err error) {
	pg, err := testpg.Start("max_connections = 200")
	if err != nil {
		return err
	}
	defer pg.Close()
	redisAddr, stop, err := startRedis(b)
	if err != nil {
		return err
	}
	defer stop()
	pool, err := pgxpool.New(ctx, pg.URL("postgres")+"&pool_max_conns=32")
	if err != nil {
		return err
	}
	defer pool.Close()
	// The table that scs's documentation asks for.
	if _, err := pool.Exec(ctx, `CREATE TABLE sessions (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL);
		CREATE INDEX sessions_expiry_idx ON sessions (expiry)`); err != nil {
		return err
	}
	if err := pool.QueryRow(ctx, `SHOW server_version`).Scan(&b.machine.postgres); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, `CREATE DATABASE exeunt`); err != nil {
		return err
	}
	connections := &redis.Pool{MaxIdle: 64, Dial: func() (redis.Conn, error) { return redis.Dial("tcp", redisAddr) }}
	defer connections.Close()
	contenders := []contender{
		ofScs(rowScsMemory, memstore.New()),
		ofScs(rowScsRedis, redisstore.New(connections)),
		ofScs(rowScsPostgres, pgxstore.New(pool)),
	}
	for _, ours := range []struct{ row, database string }{{rowOursFile, ""}, {rowOursPostgres, pg.URL("exeunt")}} {
		n, proof, err := openNode(ctx, filepath.Join(b.dir, strconv.Itoa(len(contenders))), ours.database)
		if err != nil {
			return err
		}
		defer n.Close()
		contenders = append(contenders, ofExeunt(ours.row, &bench{node: n, proof: proof}))
	}
	l, err := newLoader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for _, k := range contenders {
		if err := b.measureContender(ctx, l, k); err != nil {
			return fmt.Errorf("%s: %w", k.row, err)
		}
	}
	return nil
}

// ofScs returns the library as its documentation shows it, with an idle timeout like
// Exeunt's.
func ofScs(row string, store scs.Store) contender {
	m, without := scs.New(), scs.New()
	m.Store, without.Store = store, store
	m.IdleTimeout = 30 * time.Minute
	who := func(m *scs.SessionManager, work time.Duration) http.Handler {
		return m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user := m.GetString(r.Context(), "user")
			if user == "" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			time.Sleep(work)
			h := w.Header()
			h["Remote-User"] = []string{user}
			h["Exeunt-Account"] = []string{m.GetString(r.Context(), "account")}
			w.WriteHeader(http.StatusOK)
		}))
	}
	return contender{
		row: row, handler: who(m, 0),
		app:     func(work time.Duration) http.Handler { return who(m, work) },
		without: func(work time.Duration) http.Handler { return who(without, work) },
		start: func(ctx context.Context) (string, error) {
			ctx, err := m.Load(ctx, "")
			if err != nil {
				return "", err
			}
			m.Put(ctx, "user", "bench")
			m.Put(ctx, "account", exeunt.NewAccountID().String())
			token, _, err := m.Commit(ctx)
			return token, err
		},
		end: func(ctx context.Context, token string) error {
			ctx, err := m.Load(ctx, token)
			if err != nil {
				return err
			}
			return m.Destroy(ctx)
		},
		header: func(token string) (string, string) { return "Cookie", m.Cookie.Name + "=" + token },
	}
}

func ofExeunt(row string, b *bench) contender {
	var sessions sync.Map // by token
	return contender{
		row: row, handler: b.node.Handler(),
		app: func(work time.Duration) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b.node.Handler().ServeHTTP(w, r)
				time.Sleep(work)
			})
		},
		start: func(ctx context.Context) (string, error) {
			t, s, err := b.start(ctx)
			sessions.Store(t.Reveal(), s)
			return t.Reveal(), err
		},
		end: func(ctx context.Context, token string) error {
			s, _ := sessions.Load(token)
			return end(ctx, b.node, s.(exeunt.Session))
		},
		header: func(token string) (string, string) { return "Authorization", "Bearer " + token },
	}
}

func (b *bench) measureContender(ctx context.Context, l *loader, k contender) error {
	tokens, _, err := manyTimes(besideSessions, func(int) (string, error) { return k.start(ctx) })
	if err != nil {
		return err
	}
	requests := make([][]byte, len(tokens))
	for i, t := range tokens {
		name, value := k.header(t)
		requests[i] = []byte("GET /gate HTTP/1.1\r\nHost: exeunt.localhost\r\nUser-Agent: bench\r\n" +
			name + ": " + value + "\r\n\r\n")
	}
	if err := l.send(requests); err != nil {
		return err
	}
	rate, err := besideRate(l, k.handler)
	if err != nil {
		return err
	}
	value := thousands(rate) + "/s"
	if k.without != nil {
		if rate, err = besideRate(l, k.without(0)); err != nil {
			return err
		}
		value += " (" + thousands(rate) + "/s without an idle timeout)"
	}
	_, took, err := manyTimes(len(tokens), func(i int) (string, error) { return "", k.end(ctx, tokens[i]) })
	if err != nil {
		return err
	}
	undone, err := k.undone(ctx, k.app)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%d of %d", undone, undoneSessions)
	if k.without != nil {
		if undone, err = k.undone(ctx, k.without); err != nil {
			return err
		}
		note += fmt.Sprintf(" (%d without an idle timeout)", undone)
	}
	b.add(figure{row: k.row, value: value, limit: thousands(perSecond(len(tokens), took)) + "/s", note: note})
	return nil
}

func besideRate(l *loader, h http.Handler) (float64, error) {
	s, err := serveBoth(h)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	var rates []float64
	// Every session's first sight is before the rounds.
	for seen := 0; seen < besideSessions || len(rates) < besideRounds; {
		t, err := l.round(order{Addr: s.addr, Connections: besideConnections, For: gateRound, Holds: "Remote-User: bench\r\n"})
		if err != nil {
			return 0, err
		}
		if seen >= besideSessions {
			rates = append(rates, t.rate())
		}
		seen += t.Answers
	}
	return median(rates), nil
}

// undone counts the sessions that are still signed in after their sign-out.
func (k contender) undone(ctx context.Context, app func(time.Duration) http.Handler) (n int, err error) {
	for range undoneSessions {
		t, err := k.start(ctx)
		if err != nil {
			return 0, err
		}
		usable, err := k.usableAfterEnd(ctx, t, app)
		if err != nil {
			return 0, err
		}
		if usable {
			n++
		}
	}
	return n, nil
}

// usableAfterEnd signs a session out while requests of it are under way, and
// reports whether its token is still good for a request that begins when all of
// them are over.
func (k contender) usableAfterEnd(ctx context.Context, token string, app func(time.Duration) http.Handler) (bool, error) {
	request := func(work time.Duration) int {
		r := httptest.NewRequest(http.MethodGet, "/gate", nil)
		r.Header.Set(k.header(token))
		w := httptest.NewRecorder()
		app(work).ServeHTTP(w, r)
		return w.Code
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	var underWay sync.WaitGroup
	underWay.Add(undoneTraffic)
	for range undoneTraffic {
		wg.Go(func() {
			request(handlerWork)
			underWay.Done()
			for !stop.Load() {
				request(handlerWork)
			}
		})
	}
	underWay.Wait()
	err := k.end(ctx, token)
	stop.Store(true)
	wg.Wait()
	return request(0) == http.StatusOK, err
}

// manyTimes calls f with many callers at once, and tells how long all took.
func manyTimes(n int, f func(int) (string, error)) ([]string, time.Duration, error) {
	out, errs := make([]string, n), make([]error, besideCallers)
	var wg sync.WaitGroup
	begun := time.Now()
	for c := range besideCallers {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += besideCallers {
				out[i], errs[c] = f(i)
			}
		})
	}
	wg.Wait()
	return out, time.Since(begun), errors.Join(errs...)
}

// openNode opens a node of its own with an account.
func openNode(ctx context.Context, dir, database string) (*app.Node, exeunt.Proof, error) {
	c := config.Default()
	c.MaxSessions = 0 // of the one account that is measured
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", dir, true
	if database != "" {
		master := exeunt.NewToken(exeunt.UseInvite).Hash()
		c.Database, c.MasterKey = config.Secret(database), config.Secret(base64.StdEncoding.EncodeToString(master[:]))
	}
	n, err := app.New(ctx, c, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Hashing: password.Hashing{MemoryKiB: 1024, Iterations: 1, AtOnce: 2}})
	if err != nil {
		return nil, exeunt.Proof{}, err
	}
	proof, err := newAccount(ctx, n, "bench")
	if err != nil {
		err = errors.Join(err, n.Close())
	}
	return n, proof, err
}

// startRedis starts a server from the system's package on a free port, with its default
// settings except that it saves nothing to disk.
func startRedis(b *bench) (addr string, stop func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, errors.New("redis-server is missing: install the package redis-server, or choose other parts with --only")
	}
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", nil, err
	}
	if _, err := fmt.Sscanf(string(version), "Redis server v=%s", &b.machine.redis); err != nil {
		return "", nil, fmt.Errorf("ask redis-server for its version: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	server := exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", b.dir)
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { server.Process.Kill(); server.Wait() }
	addr = net.JoinHostPort("127.0.0.1", port)
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := redis.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr, stop, nil
		}
		if time.Now().After(limit) {
			stop()
			return "", nil, fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}
