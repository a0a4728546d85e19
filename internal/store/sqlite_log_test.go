package store

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"
)

// The write-ahead log shrinks again after heavy load, although there is never a moment without a reader.
func TestTheWriteAheadLogShrinks(t *testing.T) {
	s := newStore(t)
	a := s.account()
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	for i := range 2 {
		readers.Go(func() {
			time.Sleep(time.Duration(i) * 10 * time.Millisecond) // so that one has always begun before the other ends
			for ctx.Err() == nil {
				tx, err := s.read.BeginTx(context.Background(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if err := tx.QueryRow(`SELECT 1 FROM accounts`).Scan(new(int)); err != nil {
					t.Error(err)
				}
				time.Sleep(20 * time.Millisecond)
				tx.Rollback()
			}
		})
	}
	size := func() int64 {
		info, err := os.Stat(filePath(s) + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	write := func(bytes int) {
		t.Helper()
		if err := s.commit(t.Context(), func(tx *tx) error {
			_, err := tx.exec(`UPDATE accounts SET name = hex(randomblob($1)) WHERE id = $2`, bytes/2, a.ID.Bytes())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for size() <= walLimit {
		write(4 << 20)
	}
	began := time.Now()
	for size() > walLimit {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the log is still %d bytes long", size())
		}
		write(1)
		time.Sleep(10 * time.Millisecond)
	}
	if n, err := s.pragma("busy_timeout"); err != nil || n != busyTimeout {
		t.Errorf("then the committer waits %d ms for a lock, want %d (%v)", n, busyTimeout, err)
	}
	s.checkLog()
}

// After a burst during which a slow reader kept the log from starting again, it is cut although nothing is written
// any more, once that reader has gone.
func TestTheWriteAheadLogShrinksAfterABurst(t *testing.T) {
	s := newStore(t)
	a := s.account()
	slow, err := s.read.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.QueryRow(`SELECT 1 FROM accounts`).Scan(new(int)); err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		info, err := os.Stat(filePath(s) + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for size() < 2*walLimit {
		if err := s.commit(t.Context(), func(tx *tx) error {
			_, err := tx.exec(`UPDATE accounts SET name = hex(randomblob($1)) WHERE id = $2`, 2<<20, a.ID.Bytes())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * tidyEvery) // the reader is in the way of the housekeeping that follows the burst
	if size() < 2*walLimit {
		t.Fatal("the slow reader was in nobody's way")
	}
	if err := slow.Rollback(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); size() > walLimit; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("the log is still %d bytes long", size())
		}
	}
	if n, err := s.pragma("busy_timeout"); err != nil || n != busyTimeout {
		t.Errorf("then the committer waits %d ms for a lock, want %d (%v)", n, busyTimeout, err)
	}
	s.checkLog()
}

// pragma asks the committer's connection.
func (s *testStore) pragma(name string) (n int, err error) {
	err = s.commit(s.t.Context(), func(tx *tx) error { return tx.row(`PRAGMA ` + name).Scan(&n) })
	return n, err
}
