package feed

import (
	"crypto/rand"
	"strconv"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
)

// tailSize is how many of the latest events are kept. A reader who has fallen
// further behind starts over.
const tailSize = 1 << 13

// tail is the end of the log, for readers who each keep their own place in it.
// They come and fetch, so that a slow one costs nothing and holds nobody up.
type tail struct {
	mu       sync.Mutex
	name     string // of the history
	restarts int
	ring     []exeunt.Event // the event numbered n is at n % tailSize
	base     int64          // number of the last event before the ring began
	last     int64          // number of the last event
	more     chan struct{}  // closed, and another put in its place, when events come
}

func newTail(seq int64) *tail {
	return &tail{name: rand.Text(), ring: make([]exeunt.Event, tailSize), base: seq, last: seq, more: make(chan struct{})}
}

// named says which history this is, where several nodes must agree on it.
func (t *tail) named(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// restart begins another history after the event with that number.
func (t *tail) restart(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.base, t.last = seq, seq
	t.restarts++
	close(t.more)
	t.more = make(chan struct{})
}

// epoch is called with mu held.
func (t *tail) epoch() string { return t.name + "." + strconv.Itoa(t.restarts) }

func (t *tail) add(events []exeunt.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := false
	for _, e := range events {
		if e.Seq <= t.last {
			continue
		}
		e.By = exeunt.Actor{} // nobody who reads here needs to know
		t.ring[e.Seq%tailSize], t.last, grown = e, e.Seq, true
	}
	if grown {
		close(t.more)
		t.more = make(chan struct{})
	}
}

// Position is how far this node has come in the log.
type Position struct {
	// Epoch names the history that the numbers count in: those of another epoch
	// mean other events. A node on the embedded engine draws it at each start,
	// because the file it found may be a copy that was put back; nodes on one
	// database name it after that.
	Epoch string
	// Seq is the number of the last event that memory answers by.
	Seq int64
	// Age is how long ago this node last made sure that the log had no more. It
	// is 0 where the node itself writes the log.
	Age time.Duration
}

// Position returns where the node is. Every event that anybody was told of
// before the call, Age ago, is at or before it.
func (f *Feed) Position() Position {
	// The age comes first: whatever was recorded before that moment is in the
	// log's end by now, and more.
	age := f.age()
	f.tail.mu.Lock()
	defer f.tail.mu.Unlock()
	return Position{Epoch: f.tail.epoch(), Seq: f.tail.last, Age: age}
}

// age is how long ago the last confirmed heartbeat was sent.
func (f *Feed) age() time.Duration {
	if f.follower == nil {
		return 0
	}
	sent := time.Duration(f.freshUntil.Load()) - f.follower.Staleness
	return time.Since(f.start) - sent
}

// Since returns the events after seq, at most `most` of them, and a channel
// that closes when there are more than there were. ok is false when what follows
// seq is no longer kept, or never was in this history.
func (f *Feed) Since(seq int64, most int) (events []exeunt.Event, more <-chan struct{}, ok bool) {
	t := f.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	if seq > t.last || seq < max(t.base, t.last-tailSize) {
		return nil, t.more, false
	}
	for n := seq + 1; n <= t.last && len(events) < most; n++ {
		events = append(events, t.ring[n%tailSize])
	}
	return events, t.more, true
}
