package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/exeunt/exeunt"
)

// member is one caller's part of a transaction shared with its neighbours.
type member struct {
	run  func(*tx) error
	done chan error
}

// maxBatch bounds how many members share a transaction, and so how long the
// first of them waits.
const maxBatch = 256

// checkpointEvery is how often the write-ahead log is moved into the file.
const checkpointEvery = time.Second

// commit has run executed inside a transaction and returns after the commit
// is durable. run may be called twice, so it must set its results afresh each
// time; it may be called after commit has returned because ctx was done, so
// its results may be read only when commit returned nil.
//
// run reports what its statements found through its own variables and returns
// an error only when a statement failed, since that undoes the neighbours too
// and makes each of them run again alone. Three things might happen:
//   - nil: durably committed, and live and feed know of its events.
//   - wraps exeunt.ErrUnavailable: nothing was written.
//   - wraps exeunt.ErrNotConfirmed: it may or may not have been written.
func (s *Store) commit(ctx context.Context, run func(*tx) error) error {
	if s.Failed() {
		return exeunt.ErrUnavailable
	}
	m := &member{run: run, done: make(chan error, 1)}
	select {
	case <-s.stop:
		return exeunt.ErrUnavailable
	case <-ctx.Done():
		return unavailable("not begun", ctx.Err())
	default:
	}
	select {
	case s.queue <- m:
	default:
		return unavailable("commit", errors.New("too many writes are waiting"))
	}
	select {
	case err := <-m.done:
		return err
	case <-s.stopped:
		// It was queued as the store closed; see whether it was still taken.
		select {
		case err := <-m.done:
			return err
		default:
			return exeunt.ErrUnavailable
		}
	case <-ctx.Done():
		return fmt.Errorf("commit: %w (%w)", exeunt.ErrNotConfirmed, ctx.Err())
	}
}

// CatchUp returns nil when it is decided what became of everything queued
// before, and memory has the events of it: members are run in the order in which
// they came, and this is a member that does nothing.
func (s *Store) CatchUp(ctx context.Context) error {
	return s.commit(ctx, func(*tx) error { return nil })
}

func (s *Store) commitLoop() {
	defer close(s.stopped)
	t := &tx{conn: s.conn, stmts: map[string]*sql.Stmt{}}
	defer t.close()
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	dirty := false
	for {
		select {
		case m := <-s.queue:
			s.runBatch(t, s.gather(m))
			dirty = true
		case <-tick.C:
			if dirty {
				s.checkpoint(t)
			}
			dirty = false
		case <-s.stop:
			s.drain(t)
			return
		}
	}
}

// drain commits what was queued before the stop.
func (s *Store) drain(t *tx) {
	for {
		select {
		case m := <-s.queue:
			s.runBatch(t, s.gather(m))
		default:
			s.checkpoint(t)
			return
		}
	}
}

// gather takes what is waiting; it never waits for more. While one batch is
// being written to disk the next one fills by itself.
func (s *Store) gather(first *member) []*member {
	batch := []*member{first}
	for len(batch) < maxBatch {
		select {
		case m := <-s.queue:
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

func (s *Store) runBatch(t *tx, batch []*member) {
	err := s.attempt(t, batch)
	if err != nil && len(batch) > 1 && !errors.Is(err, exeunt.ErrNotConfirmed) {
		// Somebody's statement failed and undid everybody's. Alone, only the
		// one at fault fails.
		for _, m := range batch {
			m.done <- s.attempt(t, []*member{m})
		}
		return
	}
	for _, m := range batch {
		m.done <- err
	}
}

func (s *Store) attempt(t *tx, batch []*member) error {
	if s.Failed() {
		return exeunt.ErrUnavailable
	}
	if err := t.begin(); err != nil {
		t.rollback()
		return unavailable("begin", err)
	}
	for _, m := range batch {
		if err := m.run(t); err != nil {
			t.rollback()
			return unavailable("statement", err)
		}
	}
	if err := s.finish(t); err != nil {
		if !outcomeUnknown(err) {
			t.rollback()
			return unavailable("commit", err)
		}
		s.fail(fmt.Errorf("commit: %w", err))
		return fmt.Errorf("commit: %w (%w)", exeunt.ErrNotConfirmed, err)
	}
	// A crash from here on loses no end: the next start reads the log. Nobody
	// has been told yet, and nobody is told before memory agrees.
	if err := s.opt.Committed(t.events); err != nil {
		s.fail(fmt.Errorf("apply committed events: %w", err))
		return fmt.Errorf("apply: %w (%w)", exeunt.ErrNotConfirmed, err)
	}
	return nil
}

func (s *Store) finish(t *tx) error {
	if len(t.events) > 0 {
		if _, err := t.exec(`UPDATE log_head SET seq = $1 WHERE id = 1`, t.seq); err != nil {
			return err
		}
	}
	if s.beforeCommit != nil {
		if err := s.beforeCommit(); err != nil {
			return err
		}
	}
	_, err := t.exec(`COMMIT`)
	return err
}

// checkpoint moves the write-ahead log into the database file without waiting
// for readers. It fails harmlessly when readers are in the way; an error of
// the disk is another matter.
func (s *Store) checkpoint(t *tx) {
	if s.Failed() {
		return
	}
	var busy, logged, moved int
	if err := t.row(`PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &logged, &moved); err != nil && outcomeUnknown(err) {
		s.fail(fmt.Errorf("checkpoint: %w", err))
	}
}

// tx is the transaction being built. It belongs to the committing goroutine.
type tx struct {
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt
	seq    int64 // number of the last event, those of this transaction included
	events []exeunt.Event
}

func (t *tx) begin() error {
	t.events = nil
	if _, err := t.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	// The head row is touched by every transaction, also by one that records no
	// event, so that a replicated commit always waits for its standby.
	return t.row(`UPDATE log_head SET touched = touched + 1 WHERE id = 1 RETURNING seq`).Scan(&t.seq)
}

func (t *tx) rollback() {
	t.events = nil
	// An error means that the engine has rolled back by itself.
	_, _ = t.exec(`ROLLBACK`)
}

func (t *tx) close() {
	for _, st := range t.stmts {
		st.Close()
	}
}

// Statements run to their end once begun: a caller who gives up must not tear
// a transaction that its neighbours share.
func (t *tx) stmt(q string) (*sql.Stmt, error) {
	if st := t.stmts[q]; st != nil {
		return st, nil
	}
	st, err := t.conn.PrepareContext(context.Background(), q)
	if err == nil {
		t.stmts[q] = st
	}
	return st, err
}

func (t *tx) exec(q string, args ...any) (affected int64, err error) {
	st, err := t.stmt(q)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

type rowScanner interface{ Scan(...any) error }

type rowError struct{ err error }

func (r rowError) Scan(...any) error { return r.err }

func (t *tx) row(q string, args ...any) rowScanner {
	st, err := t.stmt(q)
	if err != nil {
		return rowError{err}
	}
	return st.QueryRowContext(context.Background(), args...)
}

// found turns "no row" into false and passes other errors on.
func found(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
