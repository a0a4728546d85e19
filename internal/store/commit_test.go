package store

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/exeunt/exeunt"
)

// hold blocks the committer, so that the next members share a transaction. The function it returns lets go, and
// waits for the committer.
func (s *testStore) hold() (release func()) {
	busy, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		done <- s.commit(context.Background(), func(*tx) error {
			once.Do(func() { close(busy) })
			<-free
			return nil
		})
	}()
	<-busy
	return func() {
		close(free)
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

// queued waits until n writes are waiting.
func (s *testStore) queued(n int) {
	for len(s.queue) < n {
		runtime.Gosched()
	}
}

// pauseCommit pauses the next transaction between its statements and its commit.
func (s *testStore) pauseCommit() (reached <-chan struct{}, release func()) {
	at, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.beforeCommit = func() error {
		once.Do(func() {
			close(at)
			<-free
		})
		return nil
	}
	return at, func() { close(free) }
}

func TestOneMemberAtFaultDoesNotFailItsNeighbours(t *testing.T) {
	onEachEngine(t, oneMemberAtFaultDoesNotFailItsNeighbours)
}

func oneMemberAtFaultDoesNotFailItsNeighbours(t *testing.T, s *testStore) {
	a := s.account()
	const n = 20
	var sessions [n]exeunt.Session
	for i := range sessions {
		sessions[i] = s.session(a.ID)
	}
	release := s.hold()
	var wg sync.WaitGroup
	var errs [n]error
	for i, v := range sessions {
		wg.Go(func() {
			if i%7 == 3 { // a statement that fails after one that would have ended the session
				errs[i] = s.commit(context.Background(), func(t *tx) error {
					if err := t.end(newEnding(exeunt.System(), endOne(v), Change{}, epoch)); err != nil {
						return err
					}
					_, err := t.exec(`INSERT INTO log_head (id, seq, touched) VALUES (2, 0, 0)`)
					return err
				})
				return
			}
			_, errs[i] = s.End(context.Background(), exeunt.System(), endOne(v), Change{}, epoch)
		})
		s.queued(i + 1) // so that they stand in the queue in this order
	}
	release()
	wg.Wait()
	for i, v := range sessions {
		got, err := s.Session(t.Context(), a.ID, v.ID)
		if err != nil {
			t.Fatal(err)
		}
		if fails := i%7 == 3; fails != (got.End == nil) || fails != errors.Is(errs[i], exeunt.ErrUnavailable) ||
			fails == (errs[i] == nil) {
			t.Errorf("member %d: error %v, end %v", i, errs[i], got.End)
		}
	}
	s.checkLog()
}

func TestACallerWhoGivesUp(t *testing.T) { onEachEngine(t, aCallerWhoGivesUp) }

func aCallerWhoGivesUp(t *testing.T, s *testStore) {
	a := s.account()
	v := s.session(a.ID)
	rev := endOne(v)
	rev.Key = "k1"
	reached, release := s.pauseCommit()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		out, err := s.End(ctx, exeunt.System(), rev, Change{}, epoch)
		if out != (Ending{}) {
			t.Errorf("nothing is confirmed, and yet: %+v", out)
		}
		done <- err
	}()
	<-reached // its statements have run
	cancel()
	wantErr(t, <-done, exeunt.ErrNotConfirmed)
	release()
	// It was committed all the same; the retry finds it by its key.
	out, err := s.End(t.Context(), exeunt.System(), rev, Change{}, epoch.Add(time.Hour))
	if err != nil || !out.Already || out.Ended != 1 || out.Seq != 1 || !out.At.Equal(epoch) {
		t.Errorf("the retry says %+v, %v", out, err)
	}
	// One who has given up beforehand changes nothing.
	w := s.session(a.ID)
	_, err = s.End(ctx, exeunt.System(), endOne(w), Change{}, epoch)
	wantErr(t, err, exeunt.ErrUnavailable)
	if got, _ := s.Session(t.Context(), a.ID, w.ID); got.End != nil {
		t.Error("ended for a caller who was not there any more")
	}
	s.checkLog()
}

func TestAFullQueueRefuses(t *testing.T) { onEachEngine(t, aFullQueueRefuses) }

func aFullQueueRefuses(t *testing.T, s *testStore) {
	a := s.account()
	v := s.session(a.ID)
	release := s.hold()
	var last *member
	for range queueLen {
		last = &member{run: func(*tx) error { return nil }, done: make(chan error, 1)}
		s.queue <- last
	}
	_, err := s.End(t.Context(), exeunt.System(), endOne(v), Change{}, epoch)
	wantErr(t, err, exeunt.ErrUnavailable)
	release()
	if err := <-last.done; err != nil {
		t.Error(err)
	}
	if got, _ := s.Session(t.Context(), a.ID, v.ID); got.End != nil {
		t.Error("refused, and yet ended")
	}
	if out := s.end(endOne(v)); out.Already || out.Ended != 1 {
		t.Errorf("trying again: %+v", out)
	}
	s.checkLog()
}

// The engine's error at COMMIT shows whether it is known what is on the disk. If not, the store says so and stops;
// the next start finds out.
func TestUnknownOutcomeAtCommit(t *testing.T) {
	for name, committed := range map[string]bool{"it was not committed": false, "it was committed": true} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			a := s.account()
			v, w := s.session(a.ID), s.session(a.ID)
			s.beforeCommit = func() error {
				if committed {
					if _, err := s.tx.conn.ExecContext(context.Background(), `COMMIT`); err != nil {
						t.Error(err)
					}
				}
				return errors.New("input/output error")
			}
			_, err := s.End(t.Context(), exeunt.System(), endOne(v), Change{}, epoch)
			wantErr(t, err, exeunt.ErrNotConfirmed)
			if !s.Failed() {
				t.Fatal("the store goes on as if nothing had happened")
			}
			if err := <-s.Fatal(); err == nil {
				t.Error("nobody is told why")
			}
			if len(s.announced) != 0 {
				t.Errorf("announced what is not known to be durable: %+v", s.announced)
			}
			_, err = s.End(t.Context(), exeunt.System(), endOne(w), Change{}, epoch)
			wantErr(t, err, exeunt.ErrUnavailable)
			wantErr(t, s.Ping(t.Context()), exeunt.ErrUnavailable)

			s = s.reopen()
			if got, err := s.Session(t.Context(), a.ID, v.ID); err != nil || (got.End != nil) != committed {
				t.Errorf("after the restart the session's end is %+v, %v", got.End, err)
			}
			if got, err := s.Session(t.Context(), a.ID, w.ID); err != nil || got.End != nil {
				t.Errorf("the refused one's end is %+v, %v", got.End, err)
			}
			s.checkLog()
		})
	}
}

func TestNeighboursOfAnUnknownOutcome(t *testing.T) {
	s := newStore(t)
	a := s.account()
	v, w := s.session(a.ID), s.session(a.ID)
	release := s.hold()
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, x := range []exeunt.Session{v, w} {
		wg.Go(func() { _, errs[i] = s.End(context.Background(), exeunt.System(), endOne(x), Change{}, epoch) })
	}
	s.queued(2)
	calls := 0
	s.beforeCommit = func() error {
		if calls++; calls == 1 {
			return nil // that of hold
		}
		return errors.New("input/output error")
	}
	release()
	wg.Wait()
	wantErr(t, errs[0], exeunt.ErrNotConfirmed)
	wantErr(t, errs[1], exeunt.ErrNotConfirmed)
	if calls != 2 {
		t.Errorf("after an unknown outcome the batch was tried again: %d commits", calls)
	}
}

func TestAFullDiskChangesNothing(t *testing.T) {
	s := newStore(t)
	a := s.account()
	v := s.session(a.ID)
	if _, err := s.tx.conn.ExecContext(t.Context(),
		`PRAGMA max_page_count = 1`); err != nil { // it becomes the present size
		t.Fatal(err)
	}
	var err error
	started := int64(0)
	for ; err == nil; started++ {
		n := newSession(s.proof(a.ID), epoch)
		_, err = s.StartSession(t.Context(), n)
	}
	wantErr(t, err, exeunt.ErrUnavailable)
	var full *sqlite.Error
	if !errors.As(err, &full) || s.engine.judge(full) == unknown {
		t.Fatalf("a full disk is no unknown outcome: %v", err)
	}
	if s.Failed() || s.count(`SELECT count(*) FROM sessions`) != started {
		t.Errorf("failed: %v, sessions: %d, started: %d", s.Failed(), s.count(`SELECT count(*) FROM sessions`), started)
	}
	// The same error at COMMIT itself.
	s.beforeCommit = func() error { return full }
	_, err = s.End(t.Context(), exeunt.System(), endOne(v), Change{}, epoch)
	wantErr(t, err, exeunt.ErrUnavailable)
	if got, _ := s.Session(t.Context(), a.ID, v.ID); got.End != nil || s.Failed() ||
		errors.Is(err, exeunt.ErrNotConfirmed) {
		t.Errorf("said that nothing was changed, and yet: %+v, failed %v, %v", got.End, s.Failed(), err)
	}
	s.beforeCommit = nil
	if _, err := s.tx.conn.ExecContext(t.Context(), `PRAGMA max_page_count = 1000000`); err != nil {
		t.Fatal(err)
	}
	s.end(endOne(v))
	s.checkLog()
}

// Memory that cannot follow the log must not go on answering.
func TestMemoryThatCannotFollowStopsTheStore(t *testing.T) {
	s := newStore(t)
	a := s.account()
	v := s.session(a.ID)
	s.opt.Committed = func([]exeunt.Event) error { return errors.New("a gap") }
	_, err := s.End(t.Context(), exeunt.System(), endOne(v), Change{}, epoch)
	wantErr(t, err, exeunt.ErrNotConfirmed)
	if !s.Failed() {
		t.Error("the store goes on")
	}
}

// Whoever writes to the file beside this process might number an event as this process does.
func TestAnotherWriterIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		writes string
		err    error
		failed bool
	}{
		{`UPDATE log_head SET seq = seq + 1`, errNotSole, true},
		{`INSERT INTO events (seq, at, kind, account_id, scope, client_id, generation, version, reason, by_kind,
		by_label, by_address)
			SELECT 2, at, 'profile_changed', account_id, '', '', 0, 1, '', 'system', '', '' FROM events;
			UPDATE log_head SET seq = 2`, exeunt.ErrUnavailable, false},
	} {
		s := newStore(t)
		a := s.account()
		v, w := s.session(a.ID), s.session(a.ID)
		s.end(endOne(v))
		other, err := sql.Open("sqlite", "file:"+filePath(s))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := other.Exec(c.writes); err != nil {
			t.Fatal(err)
		}
		_, err = s.End(t.Context(), exeunt.System(), endOne(w), Change{}, epoch)
		wantErr(t, err, c.err)
		if got, err := s.Session(t.Context(), a.ID, w.ID); err != nil || got.End != nil || s.Failed() != c.failed {
			t.Errorf("%s: the session's end is %+v, %v; the store failed: %v", c.writes, got.End, err, s.Failed())
		}
		if c.failed {
			continue
		}
		_, err = s.End(t.Context(), exeunt.System(), endOne(w), Change{}, epoch)
		wantErr(t, err, errNotSole)
		if !s.Failed() {
			t.Error("the store goes on")
		}
	}
}

func TestWritesUnderWayWhenTheStoreCloses(t *testing.T) {
	onEachEngine(t, writesUnderWayWhenTheStoreCloses)
}

func writesUnderWayWhenTheStoreCloses(t *testing.T, s *testStore) {
	a := s.account()
	const n = 40
	var sessions [n]exeunt.Session
	for i := range sessions {
		sessions[i] = s.session(a.ID)
	}
	var errs [n]error
	var wg sync.WaitGroup
	release := s.hold()
	for i, v := range sessions {
		wg.Go(func() { _, errs[i] = s.End(context.Background(), exeunt.System(), endOne(v), Change{}, epoch) })
	}
	s.queued(n / 2)
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	release()
	wg.Wait()
	<-closed
	_, err := s.End(t.Context(), exeunt.System(), endOne(sessions[0]), Change{}, epoch)
	wantErr(t, err, exeunt.ErrUnavailable)
	r := openStore(t, s.url)
	for i, v := range sessions {
		got, err := r.Session(t.Context(), a.ID, v.ID)
		if err != nil || (errs[i] == nil) != (got.End != nil) || errs[i] != nil &&
			!errors.Is(errs[i], exeunt.ErrUnavailable) {
			t.Errorf("session %d: told %v, is %+v, %v", i, errs[i], got.End, err)
		}
	}
	r.checkLog()
}

// Every transaction touches the head, also one without an event, so that a replicated commit always waits for its
// standby.
func TestTheHeadIsTouchedByEveryTransaction(t *testing.T) {
	onEachEngine(t, theHeadIsTouchedByEveryTransaction)
}

func theHeadIsTouchedByEveryTransaction(t *testing.T, s *testStore) {
	before := s.count(`SELECT touched FROM log_head`)
	s.account()
	if after := s.count(`SELECT touched FROM log_head`); after != before+1 || s.count(`SELECT seq FROM log_head`) != 0 {
		t.Errorf("touched went from %d to %d", before, after)
	}
}
