package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// While the file cannot grow, writes are refused, the store says why, once, and it recovers by itself.
func TestAFullDiskIsAProblem(t *testing.T) {
	said := &lines{}
	path := filepath.Join(t.TempDir(), "exeunt.db")
	s, err := Open(t.Context(), Options{URL: SQLiteURL(path), Committed: func([]exeunt.Event) error { return nil },
		Log: slog.New(slog.NewTextHandler(said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	limit := func(pages string) {
		if err := s.commit(t.Context(), func(tx *tx) error {
			var n int64
			return tx.row(`PRAGMA max_page_count = ` + pages).Scan(&n)
		}); err != nil {
			t.Fatal(err)
		}
	}
	fill := func() error {
		return s.commit(t.Context(), func(tx *tx) error {
			_, err := tx.exec(`INSERT INTO marks (id, at) VALUES (randomblob(100000), 1)`)
			return err
		})
	}
	limit("1") // no fewer than there are
	for range 3 {
		if err := fill(); !errors.Is(err, exeunt.ErrUnavailable) {
			t.Fatalf("a full disk: %v", err)
		}
	}
	var problem error
	for limit := time.Now().Add(2 * time.Minute); problem == nil && time.Now().Before(limit); problem = s.Ping(t.Context()) {
		_ = fill() // what the store tries by itself needs no more pages, so it may have succeeded since
	}
	if problem == nil || !strings.Contains(problem.Error(), "no space left on the disk of "+filepath.Dir(path)) {
		t.Errorf("the problem is %v", problem)
	}
	if n, over := said.count("level=ERROR"), said.count("can be written again"); n != over && n != over+1 {
		t.Errorf("%d errors were logged, and %d times that it is over", n, over)
	}
	limit("1000000")
	if err := fill(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.WriteProblem(), s.Ping(t.Context())); err != nil {
		t.Error(err)
	}
}

// Nobody else writes while a node is not ready, so the store itself tries again.
func TestAProblemEndsByItself(t *testing.T) {
	s, err := Open(t.Context(), Options{URL: SQLiteURL(filepath.Join(t.TempDir(), "exeunt.db")),
		Committed: func([]exeunt.Event) error { return nil }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.wrote(errors.New("no space"))
	for limit := time.Now().Add(2 * time.Minute); s.WriteProblem() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it is not tried again")
		}
	}
}

// What is held back is refused with the reason, and goes on after that.
func TestHeldWrites(t *testing.T) {
	s, err := Open(t.Context(), Options{URL: SQLiteURL(filepath.Join(t.TempDir(), "exeunt.db")),
		Committed: func([]exeunt.Event) error { return nil }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	because := errors.New("restored")
	s.Hold(because)
	if err := s.CatchUp(t.Context()); !errors.Is(err, because) || !errors.Is(err, exeunt.ErrUnavailable) {
		t.Error(err)
	}
	s.Hold(nil)
	if err := s.CatchUp(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDiskProblems(t *testing.T) {
	for errno, words := range map[error]string{
		syscall.ENOSPC: "no space left on the disk of /data: free some", syscall.EROFS: "the disk of /data is read-only",
		syscall.EDQUOT: "the disk quota of this user is used up in /data", syscall.EACCES: "may not write in /data/x",
	} {
		err := diskProblem("/data/x", fmt.Errorf("open: %w", &os.PathError{Op: "open", Path: "/data/x", Err: errno}))
		if err == nil || !strings.Contains(err.Error(), words) || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := diskProblem("/data/x", errors.New("other")); err != nil {
		t.Error(err)
	}
}
