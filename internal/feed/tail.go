package feed

import (
	"crypto/rand"
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
	mu    sync.Mutex
	name  string        // of the history
	begun int           // how often a history was begun: places of another mean nothing
	ring  []Entry       // the event numbered n is at n % tailSize
	base  Entry         // the last event before the ring began; its digest may be unknown
	last  int64         // number of the last event
	more  chan struct{} // closed, and another put in its place, when events come
}

// Entry is an event of the log, with its digest.
type Entry struct {
	exeunt.Event
	Digest string
}

func newTail(seq int64) *tail {
	t := &tail{name: rand.Text(), ring: make([]Entry, tailSize), last: seq, more: make(chan struct{})}
	t.base.Seq = seq
	return t
}

// named says which history this is, where several nodes must agree on it.
func (t *tail) named(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// restart begins a history after the event with that number.
func (t *tail) restart(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.base, t.last = Entry{}, seq
	t.base.Seq = seq
	t.begun++
	close(t.more)
	t.more = make(chan struct{})
}

// ground tells the event after which the ring began, if it is that one.
func (t *tail) ground(e *exeunt.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Seq == t.base.Seq && t.base.Digest == "" {
		t.base.Digest = e.Digest()
	}
}

// digest is that of an event which is there still, "" if it is not known. It is
// made when somebody first asks for it. It is called with mu held.
func (t *tail) digest(seq int64) string {
	if seq == t.base.Seq {
		return t.base.Digest
	}
	e := &t.ring[seq%tailSize]
	if e.Digest == "" {
		e.Digest = e.Event.Digest()
	}
	return e.Digest
}

// floor is the lowest number whose event can be told from another's, and after
// which all are there. It is called with mu held.
func (t *tail) floor() int64 { return max(t.base.Seq, t.last-tailSize+1) }

func (t *tail) add(events []exeunt.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := false
	for _, e := range events {
		if e.Seq <= t.last {
			continue
		}
		e.By = exeunt.Actor{} // nobody who reads here needs to know
		t.ring[e.Seq%tailSize], t.last, grown = Entry{Event: e}, e.Seq, true
	}
	if grown {
		close(t.more)
		t.more = make(chan struct{})
	}
}

// Place is a reader's place in the log: after one of its events.
type Place struct {
	// Seq is the number of that event.
	Seq int64
	// Digest is the event's. It is "" before the first event, and where the event
	// is no longer there.
	Digest string

	begun int // the tail's, so that no place outlives its history
}

// Position is how far this node has come in the log.
type Position struct {
	// Epoch names the history that the numbers count in: those of another epoch
	// mean other events. A node on the embedded engine draws it at each start,
	// because the file it found may be a copy that was put back; nodes on one
	// database name it after that. There the events may be replaced while it
	// stays: then the digests are others.
	Epoch string
	// Place is after the last event that memory answers by.
	Place
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
	t := f.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	return Position{Epoch: t.name, Place: Place{t.last, t.digest(t.last), t.begun}, Age: age}
}

// age is how long ago the last confirmed heartbeat was sent.
func (f *Feed) age() time.Duration {
	if f.follower == nil {
		return 0
	}
	sent := time.Duration(f.freshUntil.Load()) - f.follower.Staleness
	return time.Since(f.start) - sent
}

// Resume returns the place after the event with that epoch, number and digest, if
// the log has that event and what follows it is kept.
func (f *Feed) Resume(epoch string, seq int64, digest string) (p Place, ok bool) {
	t := f.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	if epoch != t.name || seq > t.last || seq < t.floor() {
		return p, false
	}
	p = Place{seq, t.digest(seq), t.begun}
	return p, digest == p.Digest
}

// Diverges reports whether that event is surely none of this log's history. One
// that is not there yet, or not kept any more, may well be.
func (f *Feed) Diverges(epoch string, seq int64, digest string) bool {
	t := f.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	return epoch != t.name || seq <= t.last && seq >= t.floor() && digest != t.digest(seq)
}

// Since returns the events after a place, at most `most` of them, and a channel
// that closes when there are more than there were. ok is false when what follows
// is no longer kept, or the history that the place was in has been replaced.
func (f *Feed) Since(p Place, most int) (entries []Entry, next Place, more <-chan struct{}, ok bool) {
	t := f.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.begun != t.begun || p.Seq < max(t.base.Seq, t.last-tailSize) {
		return nil, p, t.more, false
	}
	for n := p.Seq + 1; n <= t.last && len(entries) < most; n++ {
		p.Seq, p.Digest = n, t.digest(n)
		entries = append(entries, t.ring[n%tailSize])
	}
	return entries, p, t.more, true
}
