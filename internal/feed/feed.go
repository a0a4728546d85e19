// Package feed takes the committed events of the log in order to this node's
// memory and wakes whoever waits for news of an account.
//
// It owns the order "apply, then wake": a listener that wakes always finds the
// new state already answered by live. A wake-up carries no event, it says
// "look again", so a slow listener misses nothing. The latest events are kept
// for readers who follow the whole log by its numbers (tail.go).
package feed

import (
	"sync"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// Feed connects the log to one node's memory and listeners.
type Feed struct {
	index *live.Index
	tail  *tail

	mu        sync.Mutex
	listeners map[exeunt.AccountID]map[*Listener]struct{}
}

// New returns a feed for the index.
func New(index *live.Index) *Feed {
	return &Feed{index: index, tail: newTail(index.Applied()), listeners: map[exeunt.AccountID]map[*Listener]struct{}{}}
}

// Advance applies committed events and wakes the listeners of their accounts.
// The store calls it after each commit, in log order, before anybody is told
// that the commit happened.
func (f *Feed) Advance(events []exeunt.Event) error {
	if err := f.index.Apply(events); err != nil {
		return err
	}
	f.tail.add(events)
	for i := range events {
		f.Wake(events[i].Account)
	}
	return nil
}

// Wake tells the account's listeners to look again.
func (f *Feed) Wake(id exeunt.AccountID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.listeners[id] {
		select {
		case l.c <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Listener waits for news of one account.
type Listener struct {
	feed    *Feed
	account exeunt.AccountID
	c       chan struct{}
}

// Listen starts to listen. Call Close when done.
func (f *Feed) Listen(id exeunt.AccountID) *Listener {
	l := &Listener{feed: f, account: id, c: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners[id] == nil {
		f.listeners[id] = map[*Listener]struct{}{}
	}
	f.listeners[id][l] = struct{}{}
	return l
}

// C receives when there may be news since the last receive.
func (l *Listener) C() <-chan struct{} { return l.c }

// Close stops listening.
func (l *Listener) Close() {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	delete(l.feed.listeners[l.account], l)
	if len(l.feed.listeners[l.account]) == 0 {
		delete(l.feed.listeners, l.account)
	}
}
