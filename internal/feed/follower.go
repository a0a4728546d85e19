package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/exeunt/exeunt"
)

// Source is a log that other nodes write too, seen through one connection.
type Source interface {
	// Confirm commits a heartbeat as durably as any sign-out, and returns the
	// source's clock.
	Confirm(ctx context.Context) (time.Time, error)
	// Next returns the events from number seq on, at most limit, after waiting
	// up to the given time for news.
	Next(ctx context.Context, seq int64, limit int, wait time.Duration) ([]exeunt.Event, error)
	// Head returns the number of the last event.
	Head(ctx context.Context) (int64, error)
	// Server tells one server from another that has taken its place.
	Server() int64
	// History names the log's history as of the last confirmation, the same for
	// every node that follows it.
	History() string
	Close()
}

// Follower keeps a node's memory up with the log, and knows until when that
// memory may be believed: from the moment a heartbeat was sent that has been
// confirmed, for Staleness. What was recorded before that moment is in memory
// by then; what is recorded later is at most so much later.
type Follower struct {
	Open      func(ctx context.Context) (Source, error)
	Staleness time.Duration
	Now       func() time.Time // this node's clock, to be compared with the source's; nil is not compared
	Log       *slog.Logger

	feed *Feed
	last *exeunt.Event // the last event applied, nil when it has not been seen
	lost bool          // it has been said that the log is out of reach

	own own
}

const (
	pollEvery   = 50 * time.Millisecond // the floor when no wake-up comes
	readStep    = 1000
	firstPause  = 50 * time.Millisecond
	longPause   = time.Second
	clockLeeway = 2 * time.Second
)

// errDiverged says that the log is not the one that was followed so far.
var errDiverged = errors.New("the log's history has changed")

// GoOn says that memory begins with what an earlier run left, brought up to this
// event (nil before the first). It is called before Run: if the log that is
// followed then has another event there, memory is dropped.
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
			f.Log.Warn("the event log is out of reach; answering from memory ends when it is no longer fresh", "err", err)
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
	awake := newAwake()
	for next := time.Now(); ; {
		if awake.slept() {
			f.feed.freshUntil.Store(0)
			next = time.Now()
		}
		if asked := f.feed.taken(); len(asked) > 0 || !time.Now().Before(next) {
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
			// Only what is read after a confirmed heartbeat may replace memory: a
			// server that counts no more has another history too.
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

// limit bounds what one question may take: an answer that comes later could not
// make memory fresh anyway.
func (f *Follower) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(f.Staleness, time.Second))
}

// beat makes memory fresh. The order is what the bound rests on: the moment is
// taken first, then the heartbeat is confirmed, then the log is read on the
// same connection and applied, and only then does the moment count.
func (f *Follower) beat(ctx context.Context, src Source) error {
	ctx, cancel := f.limit(ctx)
	defer cancel()
	t0 := time.Since(f.feed.start)
	clock, err := src.Confirm(ctx)
	if err != nil {
		return err
	}
	if off := f.off(clock); off.Abs() > clockLeeway {
		return fmt.Errorf("this node's clock is %v off the database's; set it right: idle and absolute timeouts depend on it", off.Round(time.Millisecond))
	}
	switch err := f.catchUp(ctx, src, 0); {
	case errors.Is(err, errDiverged):
		if err := f.restart(ctx, src, t0, err); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		f.own.resolve(&f.feed.memory, t0)
	}
	f.feed.server.Store(src.Server())
	f.feed.tail.named(src.History())
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

// catchUp applies everything up to the log's end. Each reading begins with the
// last event that is known already: if it is not there, or is another, history
// has changed under us, as when a server takes over that had not got everything:
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

// continuation returns what is new of a reading that begins at number applied.
func (f *Follower) continuation(applied int64, events []exeunt.Event) ([]exeunt.Event, error) {
	if applied == 0 {
		return events, nil // nothing is before the first event
	}
	if len(events) == 0 || events[0].Seq != applied {
		return nil, fmt.Errorf("%w: event %d is not there", errDiverged, applied)
	}
	if f.last != nil && f.last.Seq == applied && !f.last.Same(&events[0]) {
		return nil, fmt.Errorf("%w: event %d is another one", errDiverged, applied)
	}
	f.last = &events[0]
	f.feed.tail.ground(f.last)
	return events[1:], nil
}

// restart forgets what memory holds and begins at the log's end. The server that
// has just confirmed may have been deposed since, and this node may have ended
// sessions on the one that took its place: those are refused until a heartbeat
// is confirmed that began after them.
func (f *Follower) restart(ctx context.Context, src Source, t0 time.Duration, cause error) error {
	head, err := src.Head(ctx)
	if err != nil {
		return err
	}
	at, err := src.Next(ctx, head, 1, 0)
	if err != nil {
		return err
	}
	f.Log.Warn("what this node remembered is dropped; every token is looked up again", "cause", cause, "head", head)
	f.feed.freshUntil.Store(0)
	f.own.putInDoubt(&f.feed.memory, t0)
	f.feed.Begin(head)
	f.last = nil
	if len(at) > 0 && at[0].Seq == head {
		f.last = &at[0]
		f.feed.tail.ground(f.last)
	}
	f.feed.wakeAll()
	return nil
}

// committed notes what this node has just ended itself.
func (f *Follower) committed(events []exeunt.Event) {
	f.own.add(&f.feed.memory, events, time.Since(f.feed.start))
}

// taken returns who waits for a confirmation, all of whom came before this call.
func (f *Feed) taken() []chan error {
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

// refuse tells whoever waits that there is no confirmation now.
func (f *Follower) refuse(err error) {
	for _, done := range f.feed.taken() {
		done <- err
	}
}
