package store

import (
	"cmp"
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
	// URL of the database: sqlite:PATH, where the file is created if it is not there, or
	// postgres://USER:PASSWORD@HOST/NAME.
	URL string
	// Committed is called after each commit with the events it recorded, in log order and before any caller learns
	// of its outcome. An error means that memory no longer follows the log: the store stops.
	Committed func([]exeunt.Event) error
	// Server returns the identity of the server, of several that replace each other, that is current: no other is
	// read from. 0, or a nil func, is any.
	Server func() int64
	// Started, unless nil, returns what webhooks are told of a session that starts, which is recorded with it. client is
	// whose it is, if it is the session of an app on a person's device.
	Started func(s *exeunt.Session, client exeunt.ClientID) []exeunt.Message
	Log     *slog.Logger
}

// Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	opt    Options
	engine engine
	traits traits
	read   reader
	tx     *tx // the committing goroutine's

	// The first check of each token runs these. Parsing them anew each time would take longer than answering.
	load, loadOfApp *sql.Stmt

	together togetherRound // progress of WriteEnds

	queue      chan *member
	news       chan struct{} // wakes the announcer; nil for a single node
	stop       chan struct{}
	stopOnce   sync.Once
	stopped    chan struct{}
	announcing sync.WaitGroup
	failed     atomic.Bool
	fatal      chan error
	mailed     chan struct{}         // see MailQueued
	messaged   chan struct{}         // see MessageQueued
	writing    atomic.Pointer[error] // why the last write failed; nil when it did not
	held       atomic.Pointer[error] // see Hold

	beforeCommit func() error // for tests: a fault
}

// queueLen bounds how many writes may wait; more are refused.
const queueLen = 4096

// Open opens the database, brings its schema up to date and starts to commit.
func Open(ctx context.Context, opt Options) (*Store, error) {
	e, err := openEngine(opt)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	s := &Store{
		opt: opt, engine: e, traits: e.traits(), queue: make(chan *member, queueLen),
		stop: make(chan struct{}), stopped: make(chan struct{}), fatal: make(chan error, 1),
		mailed: make(chan struct{}, 1), messaged: make(chan struct{}, 1),
	}
	s.tx = newTx(e, s.traits)
	s.tx.started = opt.Started
	if err := s.open(ctx); err != nil {
		s.closeDatabases()
		return nil, fmt.Errorf("database %s: %w", e.name(), cmp.Or(e.problem(err), err))
	}
	if e, ok := s.engine.(shared); ok {
		s.news = make(chan struct{}, 1)
		s.announcing.Go(func() { s.announceLoop(e) })
	}
	go s.commitLoop()
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	s.read.patience = s.traits.patience
	if s.read.DB, err = s.engine.open(ctx); err != nil {
		return err
	}
	if s.load, err = s.read.PrepareContext(ctx, loadSession); err != nil {
		return err
	}
	s.loadOfApp, err = s.read.PrepareContext(ctx, loadAppSession)
	return err
}

// Close finishes the writes that wait, then closes the database.
func (s *Store) Close() error {
	s.stopOnce.Do(func() { close(s.stop) })
	<-s.stopped
	s.announcing.Wait()
	return s.closeDatabases()
}

func (s *Store) closeDatabases() error {
	var errs []error
	for _, st := range []*sql.Stmt{s.load, s.loadOfApp} {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	if s.read.DB != nil {
		errs = append(errs, s.read.Close())
	}
	return errors.Join(append(errs, s.engine.close())...)
}

// Fatal delivers the error after which this process no longer knows what is durable. It must exit: the next start
// replays the write-ahead log and finds out.
func (s *Store) Fatal() <-chan error { return s.fatal }

// Failed reports whether Fatal has an error. It never waits.
func (s *Store) Failed() bool { return s.failed.Load() }

func (s *Store) fail(err error) {
	if s.failed.CompareAndSwap(false, true) {
		s.opt.Log.Error("the database is no longer reliable; this process must exit", "err", err)
		s.fatal <- err
	}
}

// Ping reads one row, to tell whether the database answers. It returns an error also when the last write failed.
func (s *Store) Ping(ctx context.Context) error {
	if s.Failed() {
		return exeunt.ErrUnavailable
	}
	if err := s.WriteProblem(); err != nil {
		return unavailable("last write", err)
	}
	_, err := s.Head(ctx)
	return err
}

// WriteProblem is why the last write failed, or why writes are refused; nil when they succeed.
func (s *Store) WriteProblem() error {
	if err := s.Held(); err != nil {
		return err
	}
	if p := s.writing.Load(); p != nil {
		return *p
	}
	return nil
}

// Hold refuses all writes from now on, because of an error; nil lets them through again. Heartbeats go on.
func (s *Store) Hold(because error) {
	if because == nil {
		s.held.Store(nil)
		return
	}
	s.held.Store(&because)
}

// Held returns the error of Hold, nil if writes are let through.
func (s *Store) Held() error {
	if p := s.held.Load(); p != nil {
		return *p
	}
	return nil
}

// wrote notes the outcome of a write. What fails is logged once, not for each write, and so is the first success
// after that.
func (s *Store) wrote(err error) {
	before := s.writing.Load()
	switch {
	case err == nil && before != nil:
		s.writing.Store(nil)
		s.opt.Log.Info("the database can be written again")
	case err != nil:
		s.writing.Store(&err)
		if before == nil && !s.Failed() {
			s.opt.Log.Error("the database cannot be written, so nobody can sign in or out; trying again each second",
				"err", err)
		}
	}
}

// Head returns the number of the last event of the log, 0 when it is empty.
func (s *Store) Head(ctx context.Context) (seq int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT seq FROM log_head WHERE id = 1`).Scan(&seq)
	return seq, unavailable("log head", err)
}

// unavailable wraps an error of the database as ErrUnavailable, which may be shown to people; the cause stays
// wrapped for the log.
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

// flag is a boolean as the databases store it.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
