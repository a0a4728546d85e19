// Package feed applies the committed events of the log in order to this node's memory, knows how fresh that memory
// is, and wakes those who wait for news of an account.
//
// It owns the order "apply, then wake": when a listener wakes, live already answers by the new state. It owns the
// rule of freshness: until when memory may be believed. A wake-up has no event, it only says "look again", so a slow
// listener misses nothing. The latest events stay here for readers who follow the whole log by its numbers
// (tail.go).
package feed

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
)

// Feed connects the log to one node's memory and listeners.
type Feed struct {
	memory Memory
	tail   *tail
	// follower is nil when this process is the log's only writer: then memory is always up to date.
	follower *Follower

	start      time.Time
	freshUntil atomic.Int64 // since start, by the monotonic clock
	server     atomic.Int64 // that confirmed last

	mu        sync.Mutex
	listeners map[exeunt.AccountID]map[*Listener]struct{}
	all       map[*Listener]struct{} // that wait for any event
	waiting   []chan error           // for a confirmation that has not begun
	ask       chan struct{}
}

// Memory is this node's memory. All fields are needed.
type Memory struct {
	// Apply applies events in the order of the log; ApplyOwn those that this node has committed itself, which may be
	// ahead of it.
	Apply    func([]exeunt.Event) error
	ApplyOwn func([]exeunt.Event)
	Applied  func() int64    // number of the last event applied in order
	Reset    func(seq int64) // forgets everything and begins after that event
	// PutInDoubt has the target's sessions refused until Resolve is called as often.
	PutInDoubt, Resolve func(exeunt.Target)
}

// New returns a feed for a memory. With a follower, whose Run must be called, memory is believed only while it is
// fresh.
func New(memory Memory, follower *Follower) *Feed {
	f := &Feed{
		memory: memory, tail: newTail(memory.Applied()), follower: follower, start: time.Now(),
		listeners: map[exeunt.AccountID]map[*Listener]struct{}{}, all: map[*Listener]struct{}{},
		ask: make(chan struct{}, 1),
	}
	if follower != nil {
		follower.feed = f
	}
	return f
}

// Begin restarts memory and the tail after the event with that number.
func (f *Feed) Begin(seq int64) {
	f.memory.Reset(seq)
	f.tail.restart(seq)
}

// Window is how long memory may be believed. The bound on staleness depends on the order of use: take the window,
// then look into memory, then ask whether the window is still open. If it were taken after the look, a heartbeat in
// between could make an old answer seem fresh.
type Window struct {
	feed  *Feed
	until int64
}

// Window returns the current one.
func (f *Feed) Window() Window {
	if f.follower == nil {
		return Window{f, math.MaxInt64}
	}
	return Window{f, f.freshUntil.Load()}
}

// Open reports whether what memory has answered since the window was taken is still fresh.
func (w Window) Open() bool {
	return w.until == math.MaxInt64 || int64(time.Since(w.feed.start)) < w.until
}

// Fresh reports whether memory may be believed now.
func (f *Feed) Fresh() bool { return f.Window().Open() }

// Server is the database server that memory follows, 0 without a follower. A snapshot that was read from another
// server must not enter memory.
func (f *Feed) Server() int64 { return f.server.Load() }

// Confirm waits until a heartbeat that began after the call has been confirmed and everything recorded before it is
// in memory. Call it when memory is not fresh, then look again.
func (f *Feed) Confirm(ctx context.Context) error {
	if f.follower == nil {
		return nil
	}
	done := make(chan error, 1)
	f.mu.Lock()
	f.waiting = append(f.waiting, done)
	f.mu.Unlock()
	select {
	case f.ask <- struct{}{}:
	default:
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Own applies events that this node has just committed. The store calls it after each commit, before any caller
// learns of the commit.
func (f *Feed) Own(events []exeunt.Event) error {
	if f.follower != nil {
		f.follower.committed(events)
		f.memory.ApplyOwn(events)
		f.wake(events)
		return nil
	}
	return f.advance(events)
}

// advance applies committed events in the order of the log and wakes the listeners of their accounts.
func (f *Feed) advance(events []exeunt.Event) error {
	if err := f.memory.Apply(events); err != nil {
		return err
	}
	f.tail.add(events)
	f.wake(events)
	return nil
}

func (f *Feed) wake(events []exeunt.Event) {
	for i := range events {
		if events[i].Kind == exeunt.EventAppsEnded { // of any account
			f.wakeAll()
			return
		}
	}
	for i := range events {
		f.Wake(events[i].Account)
	}
	if len(events) > 0 {
		f.wakeThose(func() map[*Listener]struct{} { return f.all })
	}
}

// wakeAll tells every listener to look again.
func (f *Feed) wakeAll() {
	f.mu.Lock()
	accounts := make([]exeunt.AccountID, 0, len(f.listeners))
	for id := range f.listeners {
		accounts = append(accounts, id)
	}
	f.mu.Unlock()
	for _, id := range accounts {
		f.Wake(id)
	}
	f.wakeThose(func() map[*Listener]struct{} { return f.all })
}

// Wake tells the account's listeners to look again.
func (f *Feed) Wake(id exeunt.AccountID) {
	f.wakeThose(func() map[*Listener]struct{} { return f.listeners[id] })
}

func (f *Feed) wakeThose(of func() map[*Listener]struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range of() {
		select {
		case l.c <- struct{}{}:
		default: // it is awake already
		}
	}
}
