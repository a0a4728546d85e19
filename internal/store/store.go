package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
)

// Options configure a Store.
type Options struct {
	// Path of the database file; it is created if it is not there.
	Path string
	// Committed is called after each commit with the events it recorded, in
	// log order and before any caller learns of its outcome. An error means
	// that memory and log have parted: the store stops.
	Committed func([]exeunt.Event) error
	Log       *slog.Logger
}

// Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	opt   Options
	read  *sql.DB
	write *sql.DB
	conn  *sql.Conn // the committer's, and nobody else's

	// What every first sight of a token asks. Parsing it anew each time would
	// take longer than answering it.
	load, loadOfApp *sql.Stmt

	queue    chan *member
	stop     chan struct{}
	stopOnce sync.Once
	stopped  chan struct{}
	failed   atomic.Bool
	fatal    chan error

	beforeCommit func() error // a fault, in tests only
}

// queueLen bounds how many writes may wait; beyond it they are refused.
const queueLen = 4096

// Open opens the database, brings its schema up to date and starts to commit.
func Open(ctx context.Context, opt Options) (*Store, error) {
	s := &Store{
		opt: opt, queue: make(chan *member, queueLen),
		stop: make(chan struct{}), stopped: make(chan struct{}), fatal: make(chan error, 1),
	}
	if err := s.open(ctx); err != nil {
		s.closeDatabases()
		return nil, fmt.Errorf("database %s: %w", opt.Path, err)
	}
	go s.commitLoop()
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.write, s.read, err = openSQLite(s.opt.Path); err != nil {
		return err
	}
	if s.conn, err = s.write.Conn(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, s.write, s.conn); err != nil {
		return err
	}
	if s.load, err = s.read.PrepareContext(ctx, loadSession); err != nil {
		return err
	}
	s.loadOfApp, err = s.read.PrepareContext(ctx, loadAppSession)
	return err
}

// Close lets the writes that wait finish, then closes the database.
func (s *Store) Close() error {
	s.stopOnce.Do(func() { close(s.stop) })
	<-s.stopped
	return s.closeDatabases()
}

func (s *Store) closeDatabases() error {
	var errs []error
	for _, st := range []*sql.Stmt{s.load, s.loadOfApp} {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	for _, db := range []*sql.DB{s.write, s.read} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Fatal delivers the error after which this process can no longer tell what is
// durable and what is not. The only remedy is to exit: the next start replays
// the write-ahead log and finds out.
func (s *Store) Fatal() <-chan error { return s.fatal }

// Failed reports whether that has happened. It never waits.
func (s *Store) Failed() bool { return s.failed.Load() }

func (s *Store) fail(err error) {
	if s.failed.CompareAndSwap(false, true) {
		s.opt.Log.Error("the database can no longer be relied on; this process must exit", "err", err)
		s.fatal <- err
	}
}

// Ping reads one row, to tell whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if s.Failed() {
		return exeunt.ErrUnavailable
	}
	_, err := s.Head(ctx)
	return err
}

// Head returns the number of the last event of the log, 0 when it is empty.
func (s *Store) Head(ctx context.Context) (seq int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT seq FROM log_head WHERE id = 1`).Scan(&seq)
	return seq, unavailable("log head", err)
}

// Position says how far the database has come: every transaction moves it, also
// one that records no event. Two databases at the same position, with the same
// last event, are one.
type Position struct{ Seq, Touched int64 }

// Position returns it.
func (s *Store) Position(ctx context.Context) (p Position, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT seq, touched FROM log_head WHERE id = 1`).Scan(&p.Seq, &p.Touched)
	return p, unavailable("log head", err)
}

// unavailable marks an error of the database as one that people may read about
// as "unavailable"; the cause stays wrapped for the log.
func unavailable(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w (%w)", what, exeunt.ErrUnavailable, err)
}

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
