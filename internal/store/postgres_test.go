package store

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testpg"
)

func refusedOpening(t *testing.T, url string, says ...string) {
	t.Helper()
	s, err := Open(t.Context(), Options{URL: url, Committed: func([]exeunt.Event) error { return nil },
		Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", url)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the refusal does not say %q: %v", text, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the refusal tells the password: %v", err)
	}
}

func TestDatabasesThatCannotBeOpened(t *testing.T) {
	const want = "use sqlite:PATH or postgres://"
	for url, says := range map[string]string{
		"":                           want,
		"mysql://root:hunter2@x/y":   `unknown engine "mysql"`,
		"sqlite:":                    "the path of a file",
		"postgres://a:hunter2@[::/y": "use postgres://",
		"postgres://a:hunter2@127.0.0.1:1/y?sslmode=disable": "postgres://a@127.0.0.1:1/y: ",
		"/var/lib/exeunt.db": want,
		// A password may stand anywhere.
		"postgres://127.0.0.1:1/y?user=a&password=hunter2&sslmode=disable":                       "postgres://a@127.0.0.1:1/y: ",
		"postgres://a:x%40hunter2@127.0.0.1:1/y":                                                 "connection refused",
		"postgres://a:x@hunter2@127.0.0.1:1/y":                                                   "use postgres://",
		"postgres://a:x@127.0.0.1:1/y?sslmode=disable&sslpassword=hunter2":                       "connection refused",
		"postgres://a:x@127.0.0.1:1/y?sslmode=verify-full&sslrootcert=/none&sslpassword=hunter2": "use postgres://",
		"postgres://a:hunter2@127.0.0.1:1,127.0.0.1:2/y?sslmode=hunter2":                         "use postgres://",
		"postgres:host=127.0.0.1 port=1 user=a password=hunter2":                                 "",
		"host=h password=hunter2:x":                                                              want,
	} {
		refusedOpening(t, url, says)
	}
}

// A server on another machine must prove who it is, unless the URL says that it need not.
func TestAServerElsewhereMustProveItself(t *testing.T) {
	const refused = "sslmode=verify-full"
	for url, ok := range map[string]bool{
		"postgres://a@db.example.com/y":                                          false,
		"postgres://a@db.example.com/y?sslmode=prefer":                           false,
		"postgres://a@db.example.com/y?sslmode=allow":                            false,
		"postgres://a@192.0.2.1/y":                                               false,
		"postgres://a@127.0.0.1,db.example.com/y":                                false,
		"postgres://a@127.0.0.1:5,[2001:db8::1]:6/y?connect_timeout=1":           false,
		"postgres:///y?host=db.example.com&user=a":                               false,
		"postgres://a@db.example.com/y?sslmode=require":                          true,
		"postgres://a@db.example.com/y?sslmode=disable":                          true,
		"postgres://a@db1.example.com:5,db2.example.com:6/y?x=1&sslmode=disable": true,
		"postgres://a@db.example.com/y?sslmode=verify-full":                      true,
		"postgres://a@db.example.com/y?sslmode=verify-ca":                        true,
		"postgres://a@db1.example.com,db2.example.com/y?sslmode=verify-full":     true,
		"postgres://a@127.0.0.1/y":                                               true,
		"postgres://a@[::1]/y":                                                   true,
		"postgres://a@localhost/y":                                               true,
		"postgres:///y?host=/var/run/postgresql&user=a":                          true,
	} {
		var said strings.Builder
		_, err := openEngine(Options{URL: url, Log: slog.New(slog.NewTextHandler(&said, nil))})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), refused) {
			t.Errorf("%s: %v", url, err)
		}
		if less := strings.Contains(url, "=require") ||
			strings.Contains(url, "=disable"); less != strings.Contains(said.String(), "level=WARN") {
			t.Errorf("%s: the log says %q", url, said.String())
		}
	}
}

func TestAServerThatForgetsIsRefused(t *testing.T) {
	server := testpg.New(t, "fsync = off")
	refusedOpening(t, server.NewDatabase(t), "fsync")
}

func TestAWeakCommitIsMadeDurable(t *testing.T) {
	server := testpg.New(t, "synchronous_commit = off")
	s := openStore(t, server.NewDatabase(t))
	s.account()
	var got string
	if err := s.tx.conn.QueryRowContext(t.Context(), `SHOW synchronous_commit`).Scan(&got); err != nil || got != "on" {
		t.Errorf("synchronous_commit is %s, %v", got, err)
	}
}

// A commit that did not wait for the standby may be lost with this server: the store does not confirm it, and
// repeating it is harmless.
func TestACancelledWaitForTheStandbyIsNotConfirmed(t *testing.T) {
	server := testpg.New(t)
	s := openStore(t, server.NewDatabase(t))
	a := s.account()
	v := s.session(a.ID)
	rev := endOne(v)
	rev.Key = "k"
	server.Exec(t, "postgres", `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
	server.Exec(t, "postgres", `SELECT pg_reload_conf()`)
	stop := func() {
		server.Exec(t, "postgres", `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
	}
	// whileWaiting makes a commit and does something once it waits. It reports the commit's outcome, and whether it
	// waited.
	whileWaiting := func(commit func() error, do func()) (waited bool, err error) {
		done := make(chan error, 1)
		go func() { done <- commit() }()
		for {
			select {
			case err = <-done:
				return waited, err
			default:
			}
			if !waited && s.count(`SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`) > 0 {
				waited = true
				do()
			}
		}
	}
	for waited := false; !waited; { // the setting takes a moment to reach the server's processes
		waited, _ = whileWaiting(func() error { return s.CatchUp(context.Background()) }, stop)
	}
	waited, err := whileWaiting(func() error {
		_, err := s.End(context.Background(), exeunt.System(), rev, Change{}, epoch)
		return err
	}, stop)
	if !waited {
		t.Fatalf("it did not wait for the standby: %v", err)
	}
	wantErr(t, err, exeunt.ErrNotConfirmed)
	if len(s.announced) != 0 {
		t.Errorf("announced: %+v", s.announced)
	}
	server.Exec(t, "postgres", `ALTER SYSTEM RESET synchronous_standby_names`)
	server.Exec(t, "postgres", `SELECT pg_reload_conf()`)
	var out Ending
	for { // the setting takes a moment to reach the server's processes
		if out, err = s.End(t.Context(), exeunt.System(), rev, Change{}, epoch); err == nil {
			break
		}
		wantErr(t, err, exeunt.ErrNotConfirmed)
	}
	if !out.Already || out.Ended != 1 {
		t.Errorf("the retry says %+v", out)
	}
	s.announced = nil // it was announced to nobody here: the log tells
	s.checkLog()
}

// What the wait for a standby that never comes costs is the patience of one attempt; then it is unknown, not an
// endless wait.
func TestAServerThatIsAway(t *testing.T) {
	server := testpg.New(t)
	s := openStore(t, server.NewDatabase(t))
	a := s.account()
	v := s.session(a.ID)
	if err := server.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_, err := s.End(t.Context(), exeunt.System(), endOne(v), Change{}, epoch)
	if !errors.Is(err, exeunt.ErrUnavailable) && !errors.Is(err, exeunt.ErrNotConfirmed) {
		t.Errorf("while it is away: %v", err)
	}
	_, err = s.End(t.Context(), exeunt.System(), endOne(v), Change{}, epoch)
	wantErr(t, err, exeunt.ErrUnavailable)
	wantErr(t, s.Ping(t.Context()), exeunt.ErrUnavailable)
	if s.Failed() {
		t.Error("the store gave up; a server comes back")
	}
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	if out := s.end(endOne(v)); out.Ended != 1 {
		t.Errorf("after it came back: %+v", out)
	}
	// Readers find out one by one that their connections are from before.
	for limit := time.Now().Add(2 * time.Minute); s.Ping(t.Context()) != nil && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	s.checkLog()
}

// Connections are cut at random moments while several nodes end sessions. What was confirmed is recorded, what was
// refused is not, and the log has no hole.
func TestConnectionsThatBreak(t *testing.T) {
	server := testpg.New(t)
	url := server.NewDatabase(t)
	nodes := []*testStore{openStore(t, url), openStore(t, url)}
	var answers []endTold
	refused := 0
	for round := 0; refused == 0; round++ { // a quick server may be through before a connection breaks at a bad moment
		if round == 50 {
			t.Fatal("no connection broke at a bad moment: the test shows nothing")
		}
		for _, v := range endWhileConnectionsBreak(t, server, nodes) {
			if answers = append(answers, v); v.err != nil {
				refused++
			}
		}
	}
	for _, a := range answers {
		got, err := nodes[0].Session(t.Context(), a.session.Account, a.session.ID)
		switch {
		case err != nil:
			t.Fatal(err)
		case a.err == nil && got.End == nil:
			t.Errorf("%s was confirmed and has not ended", a.session.ID)
		case errors.Is(a.err, exeunt.ErrUnavailable) && got.End != nil:
			t.Errorf("%s was refused, and has ended", a.session.ID)
		}
	}
	for _, s := range nodes {
		s.announced = nil // what was unknown was not announced, so there are holes here
	}
	nodes[0].checkLog()
	t.Logf("%d of %d endings were refused or unknown", refused, len(answers))
}

// endTold is a session and what was said of its end.
type endTold struct {
	session exeunt.Session
	err     error
}

// endWhileConnectionsBreak has eight callers on each node end 30 sessions each, while the connections are cut again
// and again.
func endWhileConnectionsBreak(t *testing.T, server *testpg.Server, nodes []*testStore) (answers []endTold) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for _, s := range nodes {
		s.reconnect()
		for range 8 {
			a := s.account()
			var sessions []exeunt.Session
			for range 30 {
				sessions = append(sessions, s.session(a.ID))
			}
			wg.Go(func() {
				<-begin
				for _, v := range sessions {
					_, err := s.End(context.Background(), exeunt.System(), endOne(v), Change{}, epoch)
					mu.Lock()
					answers = append(answers, endTold{v, err})
					mu.Unlock()
				}
			})
		}
	}
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond):
				server.Exec(t, "postgres",
					`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exeunt'
					AND query NOT LIKE '%pg_terminate%'`)
			}
		}
	})
	close(begin)
	wg.Wait()
	close(stop)
	cutter.Wait()
	return answers
}

// reconnect waits until the store writes again, after its connections were cut.
func (s *testStore) reconnect() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(2 * time.Minute); s.CatchUp(context.Background()) != nil; <-tick.C {
		if time.Now().After(limit) {
			s.t.Fatal("the store does not find its server again")
		}
	}
}

// A node that stops in the middle of a transaction delays the others only for a short while.
func TestANodeThatStopsDoesNotStopTheOthers(t *testing.T) {
	server := testpg.New(t)
	url := server.NewDatabase(t)
	stopped, other := openStore(t, url), openStore(t, url)
	a := other.account()
	v := other.session(a.ID)
	reached, release := stopped.pauseCommit()
	done := make(chan error, 1)
	go func() {
		_, err := stopped.End(context.Background(), exeunt.System(), endAll(a.ID), Change{}, epoch)
		done <- err
	}()
	<-reached
	if out := other.end(endOne(v)); out.Ended != 1 || out.Seq != 1 {
		t.Errorf("the other node: %+v", out)
	}
	release()
	if err := <-done; err == nil {
		t.Error("the stopped one's transaction was given up, and yet it says that it is recorded")
	}
	stopped.announced = nil
	other.checkLog()
}

// Endings that share a transaction share its outcome: when its commit has not waited for the standby, none of them
// is told that it is recorded.
func TestManyEndingsWhoseCommitDidNotWait(t *testing.T) {
	s := openStore(t, testpg.NewDatabase(t))
	a := s.account()
	list := []exeunt.Session{s.session(a.ID), s.session(a.ID), s.session(a.ID)}
	release := s.hold()
	var wg sync.WaitGroup
	errs := make([]error, len(list))
	for i, v := range list {
		wg.Go(func() { _, errs[i] = s.End(context.Background(), exeunt.System(), endOne(v), Change{}, epoch) })
	}
	s.queued(len(list))
	calls := 0
	s.beforeCommit = func() error {
		if calls++; calls == 2 { // the first is that of hold
			s.engine.(*postgresEngine).unreplicated.Store(true)
		}
		return nil
	}
	release()
	wg.Wait()
	for _, err := range errs {
		wantErr(t, err, exeunt.ErrNotConfirmed)
	}
	if len(s.announced) != 0 || calls != 2 {
		t.Errorf("announced %+v in %d commits", s.announced, calls)
	}
	// They are recorded here; asked again, the server says so, each once.
	for _, v := range list {
		if out := s.end(endOne(v)); !out.Already {
			t.Errorf("ended twice: %+v", out)
		}
	}
	if n := s.count(`SELECT count(*) FROM events`); n != 3 || s.count(`SELECT seq FROM log_head`) != 3 {
		t.Errorf("%d events", n)
	}
}

// When the database has moved, many endings at once go to where it is, as one does: they are not sent to a server
// that may have fallen silent.
func TestManyEndingsFollowTheDatabase(t *testing.T) {
	s := openStore(t, testpg.NewDatabase(t))
	a := s.account()
	list := []exeunt.Session{s.session(a.ID), s.session(a.ID), s.session(a.ID)}
	pid := func() (pid int) {
		if err := s.tx.conn.QueryRowContext(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	before := pid()
	release := s.hold()
	var wg sync.WaitGroup
	errs := make([]error, len(list))
	for i, v := range list {
		wg.Go(func() { _, errs[i] = s.End(context.Background(), exeunt.System(), endOne(v), Change{}, epoch) })
	}
	s.queued(len(list))
	s.engine.(*postgresEngine).server = func() int64 { return 1 } // the committer waits in hold
	release()
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if pid() == before {
		t.Error("they went to the server that was there before")
	}
	s.engine.(*postgresEngine).server = func() int64 { return 0 } // any may be read again
	s.checkLog()
}

// The log is followed whatever the URL says of how to ask.
func TestTheLogIsReadInEveryModeOfAsking(t *testing.T) {
	for _, mode := range []string{"simple_protocol", "exec", "cache_describe"} {
		url := testpg.NewDatabase(t)
		separator := "?"
		if strings.Contains(url, "?") {
			separator = "&"
		}
		s := openStore(t, url+separator+"default_query_exec_mode="+mode)
		a := s.account()
		v := s.session(a.ID)
		s.end(endOne(v))
		f, err := s.Follow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		events, err := f.Next(t.Context(), 1, 10, 0)
		f.Close()
		if err != nil || len(events) != 1 || events[0].Session != v.ID || events[0].Row == 0 {
			t.Errorf("%s: %+v, %v", mode, events, err)
		}
	}
}
