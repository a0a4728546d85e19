package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/exeunt/exeunt"
)

// Source is a log that other nodes write to as well, seen through one connection.
type Source interface {
	// Confirm commits a heartbeat as durably as any sign-out, and returns the source's clock.
	Confirm(ctx context.Context) (time.Time, error)
	// Next returns the events from number seq on, at most limit, after waiting up to the given time for news.
	Next(ctx context.Context, seq int64, limit int, wait time.Duration) ([]exeunt.Event, error)
	// Head returns the number of the last event.
	Head(ctx context.Context) (int64, error)
	// Server identifies the server, and changes when another takes its place.
	Server() int64
	// History names the log's history as of the last confirmed heartbeat. All nodes that follow it get the same
	// name.
	History() string
	Close()
}

// Follower applies the log to a node's memory, and knows until when that memory may be believed: for Staleness after
// the moment at which a confirmed heartbeat was sent. What was recorded before that moment is in memory by then.
type Follower struct {
	Open      func(ctx context.Context) (Source, error)
	Staleness time.Duration
	Now       func() time.Time // this node's clock, compared with the source's unless nil
	Log       *slog.Logger
	// Accept, unless nil, is asked before memory goes on with a log that is not the one followed so far. After a
	// refusal no heartbeat is sent until it accepts, so the node stays stale, and vouches for nothing.
	Accept func(ctx context.Context, src Source) error
	// Confirmed, unless nil, is told the last event that was applied before a heartbeat began which is now confirmed:
	// no server that may take over lacks it.
	Confirmed func(*exeunt.Event)

	feed    *Feed
	last    *exeunt.Event // the last event applied, nil if it was not read
	lost    bool          // the log is out of reach, which has been logged
	refused bool          // Accept has refused the log

	own own
}

const (
	pollEvery   = 50 * time.Millisecond // when no wake-up comes
	readStep    = 1000
	firstPause  = 50 * time.Millisecond
	longPause   = time.Second
	clockLeeway = 2 * time.Second
)

// errDiverged says that the log is not the one that was followed so far.
var errDiverged = errors.New("the log's history has changed")

// GoOn says that memory begins with what an earlier run left, up to this event (nil before the first). It is called
// before Run, which drops memory if the log has another event there.
func (f *Follower) GoOn(last *exeunt.Event) { f.last = last }

// Run follows until ctx is done.
func (f *Follower) Run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := f.connected(ctx)
		if ctx.Err() != nil {
			return
		}
		if !f.lost {
			f.Log.Warn("the event log is out of reach; memory is not used once it is no longer fresh", "err", err)
		}
		f.lost = true
		f.refuse(err)
		if time.Since(began) > longPause {
			pause = firstPause
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-f.feed.ask:
		case <-ctx.Done():
		}
		wait.Stop()
		pause = min(2*pause, longPause)
	}
}

// connected follows on one connection until it breaks.
func (f *Follower) connected(ctx context.Context) error {
	src, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	if f.refused {
		if err := f.accept(ctx, src); err != nil {
			return err
		}
	}
	awake := newAwake()
	for next := time.Now(); ; {
		if awake.slept() {
			f.feed.freshUntil.Store(0)
			next = time.Now()
		}
		if asked := f.feed.takeWaiting(); len(asked) > 0 || !time.Now().Before(next) {
			next = time.Now().Add(f.Staleness / 4)
			err := f.beat(ctx, src)
			for _, done := range asked {
				done <- err
			}
			if err != nil {
				return err
			}
		}
		wait := min(pollEvery, max(time.Until(next), 0))
		switch err := f.catchUp(ctx, src, wait); {
		case errors.Is(err, errDiverged):
			// Only what is read after a confirmed heartbeat may replace memory: a deposed server has another history
			// too.
			next = time.Now()
		case err != nil:
			return err
		}
	}
}

func (f *Follower) open(ctx context.Context) (Source, error) {
	ctx, cancel := f.limit(ctx)
	defer cancel()
	return f.Open(ctx)
}

// limit limits the time of one request: a later answer could not make memory fresh anyway.
func (f *Follower) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(f.Staleness, time.Second))
}

// beat makes memory fresh. The bound depends on the order: the moment is taken first, then the heartbeat is
// confirmed, then the log is read on the same connection and applied, and only then does the moment count.
func (f *Follower) beat(ctx context.Context, src Source) error {
	ctx, cancel := f.limit(ctx)
	defer cancel()
	t0 := time.Since(f.feed.start)
	before := f.last
	clock, err := src.Confirm(ctx)
	if err != nil {
		return err
	}
	if off := f.off(clock); off.Abs() > clockLeeway {
		return fmt.Errorf("this node's clock is %v off the database's: set it right, because timeouts depend on it",
			off.Round(time.Millisecond))
	}
	err = f.catchUp(ctx, src, 0)
	if lost := f.own.lost(t0, f.feed.memory.Applied()); err == nil && lost != 0 && f.Accept != nil {
		err = fmt.Errorf("%w: event %d, which this node committed, is missing", errDiverged, lost)
	}
	switch {
	case errors.Is(err, errDiverged):
		if err := f.restart(ctx, src, t0, err); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		f.own.resolve(&f.feed.memory, t0)
		if before != nil && f.Confirmed != nil {
			f.Confirmed(before)
		}
	}
	f.feed.server.Store(src.Server())
	f.feed.tail.setName(src.History())
	f.feed.freshUntil.Store(int64(t0 + f.Staleness))
	if f.lost {
		f.Log.Info("the event log is followed again")
		f.lost = false
	}
	return nil
}

// off is by how much this node's clock is ahead.
func (f *Follower) off(clock time.Time) time.Duration {
	if f.Now == nil {
		return 0
	}
	return f.Now().Sub(clock)
}

// catchUp applies everything up to the log's end. Each read begins with the last applied event: if it is missing or
// different, the history has changed, as when a server takes over that did not have all events, and catchUp returns
// errDiverged.
func (f *Follower) catchUp(ctx context.Context, src Source, wait time.Duration) error {
	ctx, cancel := f.limit(ctx)
	defer cancel()
	for {
		applied := f.feed.memory.Applied()
		events, err := src.Next(ctx, applied, readStep, wait)
		if err != nil {
			return err
		}
		switch fresh, err := f.continuation(applied, events); {
		case err != nil:
			return err
		case len(fresh) == 0:
			return nil
		default:
			if err := f.feed.advance(fresh); err != nil {
				return fmt.Errorf("%w: %w", errDiverged, err)
			}
			f.last = &fresh[len(fresh)-1]
		}
		if len(events) < readStep {
			return nil
		}
		wait = 0
	}
}

// continuation returns the new events of a read that begins at number applied.
func (f *Follower) continuation(applied int64, events []exeunt.Event) ([]exeunt.Event, error) {
	if applied == 0 {
		return events, nil
	}
	if len(events) == 0 || events[0].Seq != applied {
		return nil, fmt.Errorf("%w: event %d is missing", errDiverged, applied)
	}
	if f.last != nil && f.last.Seq == applied && !f.last.Same(&events[0]) {
		return nil, fmt.Errorf("%w: event %d is a different one", errDiverged, applied)
	}
	f.last = &events[0]
	f.feed.tail.setBase(f.last)
	return events[1:], nil
}

// restart drops memory and begins at the log's end. The server that has just confirmed may have been deposed since,
// and this node may have ended sessions on its successor: those are refused until a heartbeat that began after them
// is confirmed.
func (f *Follower) restart(ctx context.Context, src Source, t0 time.Duration, cause error) error {
	f.feed.freshUntil.Store(0)
	if err := f.accept(ctx, src); err != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	head, err := src.Head(ctx)
	if err != nil {
		return err
	}
	at, err := src.Next(ctx, head, 1, 0)
	if err != nil {
		return err
	}
	f.Log.Warn("this node's memory is dropped; every token is looked up again", "cause", cause, "head", head)
	f.own.putInDoubt(&f.feed.memory, t0)
	f.feed.Begin(head)
	f.last = nil
	if len(at) > 0 && at[0].Seq == head {
		f.last = &at[0]
		f.feed.tail.setBase(f.last)
	}
	f.feed.wakeAll()
	return nil
}

func (f *Follower) accept(ctx context.Context, src Source) error {
	if f.Accept == nil {
		return nil
	}
	err := f.Accept(ctx, src)
	f.refused = err != nil
	return err
}

// committed remembers what this node has just ended itself.
func (f *Follower) committed(events []exeunt.Event) {
	f.own.add(&f.feed.memory, events, time.Since(f.feed.start))
}

// takeWaiting returns the channels of those who wait for a confirmation and came before this call.
func (f *Feed) takeWaiting() []chan error {
	select {
	case <-f.ask:
	default:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.waiting
	f.waiting = nil
	return w
}

// refuse passes the error to those who wait for a confirmation.
func (f *Follower) refuse(err error) {
	for _, done := range f.feed.takeWaiting() {
		done <- err
	}
}
