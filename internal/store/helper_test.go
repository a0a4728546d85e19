package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

// onEachEngine runs a test on a new file and on a new database of a server, side by side: most of what it takes is
// waiting for the disk.
func onEachEngine(t *testing.T, test func(*testing.T, *testStore)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newStore(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, openStore(t, testpg.NewDatabase(t)))
	})
}

// epoch is where the tests' time begins.
var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// testStore is a real store on a real file, with what it announced.
type testStore struct {
	*Store
	t   testing.TB
	url string

	mu        sync.Mutex
	announced []exeunt.Event
}

func newStore(t testing.TB) *testStore {
	return openStore(t, SQLiteURL(filepath.Join(t.TempDir(), "exeunt.db")))
}

func openStore(t testing.TB, url string) *testStore {
	t.Helper()
	s := &testStore{t: t, url: url}
	var err error
	s.Store, err = Open(t.Context(), Options{URL: url, Log: slog.New(slog.DiscardHandler),
		Committed: func(list []exeunt.Event) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.announced = append(s.announced, list...)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// reopen is a restart.
func (s *testStore) reopen() *testStore {
	s.t.Helper()
	s.Close()
	return openStore(s.t, s.url)
}

func randomHandle() string {
	var b [8]byte
	rand.Read(b[:])
	return "h" + hex.EncodeToString(b[:])
}

func (s *testStore) account() exeunt.Account {
	s.t.Helper()
	a := exeunt.Account{ID: exeunt.NewAccountID(), Handle: randomHandle(), Name: "A Person", Created: epoch,
		Generation: 1, CredentialVersion: 1}
	if err := s.AddAccount(context.Background(), a, Credential{"old hash"}, nil, exeunt.System()); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// proof is what signing in to the account as it is now gives.
func (s *testStore) proof(id exeunt.AccountID) exeunt.Proof {
	s.t.Helper()
	a, err := s.Account(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return exeunt.Proof{Account: id, Methods: exeunt.Methods{exeunt.MethodPassword}, At: epoch,
		Generation: a.Generation, CredentialVersion: a.CredentialVersion}
}

func newSession(p exeunt.Proof, now time.Time) NewSession {
	id := exeunt.NewSessionID()
	return NewSession{
		Hash: exeunt.NewToken(exeunt.UseSession).Hash(), Proof: p,
		By: exeunt.Actor{Kind: exeunt.ActorPerson, Account: p.Account, Session: id},
		Session: exeunt.Session{ID: id, Account: p.Account, Kind: exeunt.KindKept, Label: "a browser",
			Methods: p.Methods, Proved: p.At,
			Started: now, Seen: now, Idle: time.Hour, ExpiresAt: now.Add(24 * time.Hour)},
	}
}

func (s *testStore) session(id exeunt.AccountID) exeunt.Session {
	s.t.Helper()
	n := newSession(s.proof(id), epoch)
	if _, err := s.StartSession(context.Background(), n); err != nil {
		s.t.Fatal(err)
	}
	return n.Session
}

func endOne(v exeunt.Session) exeunt.Revocation {
	return exeunt.Revocation{Target: exeunt.Target{Account: v.Account, Scope: exeunt.ScopeSession, Session: v.ID},
		Reason: exeunt.ReasonSignedOut}
}

func endAll(id exeunt.AccountID) exeunt.Revocation {
	return exeunt.Revocation{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonSignedOut}
}

func endOthers(keep exeunt.Session) exeunt.Revocation {
	return exeunt.Revocation{Target: exeunt.Target{Account: keep.Account, Scope: exeunt.ScopeOthers, Session: keep.ID},
		Reason: exeunt.ReasonSignedOut}
}

func (s *testStore) end(rev exeunt.Revocation) Ending {
	s.t.Helper()
	out, err := s.End(context.Background(), exeunt.System(), rev, Change{}, epoch.Add(time.Minute))
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *testStore) count(query string, args ...any) (n int64) {
	s.t.Helper()
	if err := s.read.QueryRow(query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// checkLog is asked at the end of most tests: the log is dense, what was announced is what is recorded, counters are
// true, and the file is sound.
func (s *testStore) checkLog() {
	s.t.Helper()
	head, err := s.Head(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	events, err := s.Events(context.Background(), 0, 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	if int64(len(events)) != head {
		s.t.Errorf("the log's head is %d and it has %d events", head, len(events))
	}
	for i, e := range events {
		if e.Seq != int64(i)+1 {
			s.t.Fatalf("event %d is numbered %d", i+1, e.Seq)
		}
	}
	s.mu.Lock()
	for i, e := range s.announced {
		if first := s.announced[0].Seq; e.Seq != first+int64(i) || e.Scope != events[e.Seq-1].Scope ||
			e.Session != events[e.Seq-1].Session {
			s.t.Errorf("announced %d-th: %+v", i, e)
		}
	}
	s.mu.Unlock()
	if n := s.count(`SELECT count(*) FROM accounts a WHERE live_sessions <> (SELECT count(*) FROM sessions s
		WHERE s.account_id = a.id AND s.ended_at IS NULL AND s.generation >= a.generation)
		OR live_sessions + ended_sessions <> (SELECT count(*) FROM sessions s WHERE s.account_id = a.id)`); n != 0 {
		s.t.Errorf("%d accounts count their sessions wrongly", n)
	}
	if n := s.count(`SELECT count(*) FROM (SELECT name FROM account_groups UNION SELECT name FROM group_sizes) g
		WHERE (SELECT count(*) FROM account_groups m WHERE m.name = g.name)
			<> COALESCE((SELECT members FROM group_sizes n WHERE n.name = g.name), 0)`); n != 0 {
		s.t.Errorf("%d groups count their members wrongly", n)
	}
	if !s.traits.exits {
		return // a server looks after its own files
	}
	var sound string
	if err := s.read.QueryRow(`PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		s.t.Errorf("integrity_check: %s, %v", sound, err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// writeEnds writes the rows of everything that was ended together.
func (s *testStore) writeEnds() {
	s.t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.WriteEnds(s.t.Context(), epoch); err != nil {
			s.t.Fatal(err)
		}
	}
}

// filePath is where a store in a file keeps it.
func filePath(s *testStore) string { return s.engine.(*sqliteEngine).path }

// readLog notes that apps need not be told of anything in the log.
func (s *testStore) readLog() {
	s.t.Helper()
	from, err := s.LogCursor(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	head, err := s.Head(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	moved, err := s.RecordOwed(s.t.Context(), from, LogCursor{Seq: head, Holder: from.Holder}, nil, nil, epoch)
	if err != nil || !moved {
		s.t.Fatalf("moved %v, %v", moved, err)
	}
}
