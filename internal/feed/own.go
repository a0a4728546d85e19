package feed

import (
	"sync"
	"time"

	"github.com/exeunt/exeunt"
)

// own are the latest endings that this node has committed itself, so that none is forgotten when memory is dropped
// with a history.
type own struct {
	mu          sync.Mutex
	recent      []ending
	unconfirmed bool // memory was dropped, and no heartbeat has been confirmed since
}

type ending struct {
	target  exeunt.Target
	at      time.Duration // when the commit was known, by the feed's clock
	inDoubt bool
}

func (o *own) add(memory *Memory, events []exeunt.Event, at time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range events {
		if events[i].Kind != exeunt.EventEnded {
			continue
		}
		e := ending{target: events[i].Target, at: at, inDoubt: o.unconfirmed}
		if e.inDoubt {
			memory.PutInDoubt(e.target)
		}
		o.recent = append(o.recent, e)
	}
}

// putInDoubt refuses what was ended since the heartbeat began whose history replaces memory, and whatever is ended
// until resolve.
func (o *own) putInDoubt(memory *Memory, since time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unconfirmed = true
	for i := range o.recent {
		if e := &o.recent[i]; e.at >= since && !e.inDoubt {
			memory.PutInDoubt(e.target)
			e.inDoubt = true
		}
	}
}

// resolve forgets what was ended before a heartbeat began, once the log read after it continues what memory has.
func (o *own) resolve(memory *Memory, began time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unconfirmed = false
	left := o.recent[:0]
	for _, e := range o.recent {
		if e.at >= began {
			left = append(left, e)
		} else if e.inDoubt {
			memory.Resolve(e.target)
		}
	}
	o.recent = left
}
