package feed

import "github.com/exeunt/exeunt"

// Listener waits for news of one account, or, with the zero ID, for events without an account; or for all events.
type Listener struct {
	feed    *Feed
	account exeunt.AccountID
	c       chan struct{}
}

// ListenAll starts to listen to all events. Call Close when done.
func (f *Feed) ListenAll() *Listener {
	l := &Listener{feed: f, c: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[l] = struct{}{}
	return l
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
	delete(l.feed.all, l)
	delete(l.feed.listeners[l.account], l)
	if len(l.feed.listeners[l.account]) == 0 {
		delete(l.feed.listeners, l.account)
	}
}
