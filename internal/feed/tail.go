package feed

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
)

// tailSize is how many of the latest events stay in memory. A reader who is further behind starts over.
const tailSize = 1 << 13

// tail is the end of the log, for readers who each follow it at their own pace. They fetch, so a slow one delays
// nobody.
type tail struct {
	mu    sync.Mutex
	name  string        // of the history
	begun int           // how often a history was begun: places of an earlier one are invalid
	ring  []Entry       // the event numbered n is at n % tailSize
	base  Entry         // the last event before the ring began; its digest may be unknown
	last  int64         // number of the last event
	more  chan struct{} // closed and replaced when events come
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

// setName names the history, where several nodes must agree on it.
func (t *tail) setName(name string) {
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

// setBase records the digest of the event after which the ring began, if it is that one.
func (t *tail) setBase(e *exeunt.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Seq == t.base.Seq && t.base.Digest == "" {
		t.base.Digest = e.Digest()
	}
}

// digest is the digest of an event that is still in the ring, "" if it is unknown. It is computed on first use, with
// mu held.
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

// floor is the lowest number whose event can be identified, and after which all events are here. It is called with
// mu held.
func (t *tail) floor() int64 { return max(t.base.Seq, t.last-tailSize+1) }

func (t *tail) add(events []exeunt.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := false
	for _, e := range events {
		if e.Seq <= t.last {
			continue
		}
		e.By = exeunt.Actor{} // readers do not need the actor
		t.ring[e.Seq%tailSize], t.last, grown = Entry{Event: e}, e.Seq, true
	}
	if grown {
		close(t.more)
		t.more = make(chan struct{})
	}
}

// Place is a reader's position in the log: after one of its events.
type Place struct {
	// Seq is the number of that event.
	Seq int64
	// Digest is the event's. It is "" before the first event, and where the event is no longer in memory.
	Digest string

	begun int // the tail's, so that a place is invalid after its history
}

// Position is how far this node has read the log.
type Position struct {
	// Epoch names the history that the numbers belong to: those of another epoch mean other events. A node on SQLite
	// draws it at each start, because the file may be a restored copy; nodes on one PostgreSQL database derive it
	// from that. The events may be replaced there under the same epoch: then the digests differ.
	Epoch string
	// Place is after the last event that memory has.
	Place
	// Age is how long ago this node last confirmed that it has the whole log. It is 0 where the node itself writes
	// the log.
	Age time.Duration
}

// Position returns where the node is. It includes every event that was recorded before the call, Age ago.
func (f *Feed) Position() Position {
	// The age comes first: whatever was recorded before that moment is in the tail by now.
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

// Resume returns the place after the event with that epoch, number and digest, if the log has that event and all
// events after it are in memory.
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

// Diverges reports whether the event is certainly not part of this log's history. It returns false for one that is
// not there yet, or no longer in memory.
func (f *Feed) Diverges(epoch string, seq int64, digest string) bool {
	t := f.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	return epoch != t.name || seq <= t.last && seq >= t.floor() && digest != t.digest(seq)
}

// Since returns at most `most` events after a place, and a channel that closes when there are newer ones. ok is
// false when events after the place are no longer in memory, or its history has been replaced.
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
