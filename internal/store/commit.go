package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
)

// member is one caller's part of a transaction that several callers share.
type member struct {
	end  *ending
	run  func(*tx) error
	done chan error
	// patient: it may take as long as it takes. It is for what runs before a node serves.
	patient bool
}

// maxBatch bounds how many members share a transaction, and so how long the first of them waits.
const maxBatch = 256

// tidyEvery is how often the engine does its housekeeping after writes.
const tidyEvery = time.Second

// commit runs a function inside a transaction and returns once the commit is durable. run may be called twice, so it
// must reset its results each time; it may be called after commit has returned because ctx was done, so its results
// may be read only when commit returned nil.
//
// run reports what its statements found through its own variables and returns an error only when a statement failed,
// since that rolls back the other members too and makes each of them run again alone. Outcomes:
//   - nil: durable, and this node's memory and feed have its events.
//   - wraps exeunt.ErrUnavailable: nothing was written.
//   - wraps exeunt.ErrNotConfirmed: it may or may not have been written.
func (s *Store) commit(ctx context.Context, run func(*tx) error) error {
	return s.submit(ctx, &member{run: run, done: make(chan error, 1)})
}

func (s *Store) submit(ctx context.Context, m *member) error {
	if s.Failed() {
		return exeunt.ErrUnavailable
	}
	if because := s.held.Load(); because != nil {
		return unavailable("commit", *because)
	}
	select {
	case <-s.stop:
		return exeunt.ErrUnavailable
	case <-ctx.Done():
		return unavailable("commit", ctx.Err())
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
		// It was queued while the store closed; the loop may still have taken it.
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

// committed is commit for a function with a result, which is the zero value unless commit returned nil.
func committed[T any](ctx context.Context, s *Store, run func(*tx) (T, error)) (T, error) {
	var out T
	err := s.commit(ctx, func(t *tx) (err error) {
		out, err = run(t)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

// CatchUp returns nil once everything queued before it has its outcome, and memory has the events: members run in
// the order in which they came, and this one does nothing.
func (s *Store) CatchUp(ctx context.Context) error {
	return s.commit(ctx, func(*tx) error { return nil })
}

func (s *Store) commitLoop() {
	defer close(s.stopped)
	defer s.tx.drop()
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	dirty := false
	for {
		select {
		case m := <-s.queue:
			s.runBatch(s.gather(m))
			dirty = true
		case <-tick.C:
			if s.writing.Load() != nil {
				// Nobody else may try while requests are sent elsewhere, so this does, with an empty transaction.
				s.runBatch([]*member{{run: func(*tx) error { return nil }, done: make(chan error, 1)}})
			}
			dirty = dirty && s.tidy()
		case <-s.stop:
			s.drain()
			return
		}
	}
}

// drain commits what was queued before the store was stopped.
func (s *Store) drain() {
	for {
		select {
		case m := <-s.queue:
			s.runBatch(s.gather(m))
		default:
			s.tidy()
			return
		}
	}
}

// gather takes what is waiting and never waits for more: the next batch fills while this one is written to disk.
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

func (s *Store) runBatch(batch []*member) {
	err := s.attempt(batch)
	if err != nil && !errors.Is(err, exeunt.ErrNotConfirmed) && s.tx.begun && s.tx.conn == nil {
		// The connection broke, which is no member's fault: retry the whole batch.
		err = s.attempt(batch)
	}
	if err != nil && len(batch) > 1 && !errors.Is(err, exeunt.ErrNotConfirmed) && s.tx.begun && s.tx.conn != nil {
		// One member's statement failed and rolled back the others. Run each alone, so that only that one fails.
		for _, m := range batch {
			m.done <- s.attempt([]*member{m})
		}
		return
	}
	for _, m := range batch {
		m.done <- err
	}
}

func (s *Store) attempt(batch []*member) error {
	if s.Failed() {
		return exeunt.ErrUnavailable
	}
	t := s.tx
	if !slices.ContainsFunc(batch, func(m *member) bool { return m.patient }) {
		defer t.limit()()
	}
	if err := t.begin(); err != nil {
		t.rollback()
		if errors.Is(err, errNotSole) {
			s.fail(err)
		}
		s.wrote(s.explain(err))
		return unavailable("begin", err)
	}
	if err := s.run(batch); err != nil {
		t.rollback()
		// A statement may fail for a reason of its own, which is no problem of the database.
		if why := s.engine.problem(err); why != nil {
			s.wrote(why)
		}
		return unavailable("statement", err)
	}
	err := s.finish()
	concluded := s.concluded(err)
	s.wrote(s.explain(err))
	return concluded
}

// explain says what is wrong with the database and what to do, where that can be told from the error.
func (s *Store) explain(err error) error {
	return cmp.Or(s.engine.problem(err), err)
}

// run runs all endings together, then the other members one by one.
func (s *Store) run(batch []*member) error {
	var endings []*ending
	for _, m := range batch {
		if m.end != nil {
			endings = append(endings, m.end)
		}
	}
	if err := s.tx.end(endings...); err != nil {
		return err
	}
	for _, m := range batch {
		if m.end == nil {
			if err := m.run(s.tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// concluded acts on the answer to COMMIT.
func (s *Store) concluded(err error) error {
	t := s.tx
	switch s.engine.judge(err) {
	case notWritten:
		t.rollback()
		return unavailable("commit", err)
	case unknown:
		// The log will tell whether it was recorded: at the next start, or once the server answers again. Until then
		// no caller is told that it was.
		t.rollback()
		if s.traits.exits {
			s.fail(fmt.Errorf("commit: %w", s.explain(err)))
		}
		return fmt.Errorf("commit: %w (%w)", exeunt.ErrNotConfirmed, cmp.Or(err, errNotReplicated))
	}
	t.head = t.seq
	// A crash from here on loses no end: the next start reads the log. No caller has been told yet, and none is
	// before memory has the events.
	if err := s.opt.Committed(t.events); err != nil {
		s.fail(fmt.Errorf("apply committed events: %w", err))
		return fmt.Errorf("apply: %w (%w)", exeunt.ErrNotConfirmed, err)
	}
	if len(t.events) > 0 {
		s.tellOthers()
	}
	if t.mailed {
		s.wakeMailer()
	}
	if t.messaged {
		s.wakeMessenger()
	}
	return nil
}

var errNotReplicated = errors.New("the wait for the standby was cancelled")

func (s *Store) finish() error {
	t := s.tx
	if err := t.closeLog(); err != nil {
		return err
	}
	if s.beforeCommit != nil {
		if err := s.beforeCommit(); err != nil {
			return err
		}
	}
	return t.commit()
}

// tidy reports whether something is left to do. It may fail because readers are in the way, which is harmless; an
// error of the disk is not.
func (s *Store) tidy() (more bool) {
	e, ok := s.engine.(tidier)
	if !ok || s.Failed() || s.tx.conn == nil {
		return false
	}
	more, err := e.tidy(s.tx)
	if err != nil && s.engine.judge(err) == unknown {
		s.fail(fmt.Errorf("tidy up: %w", err))
	}
	return more
}
