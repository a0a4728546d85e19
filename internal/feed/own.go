package feed

import (
	"sync"
	"time"

	"github.com/exeunt/exeunt"
)

// own are the latest endings that this node has committed itself, so that none
// is forgotten together with a history that turns out to be another.
type own struct {
	mu     sync.Mutex
	recent []ending
	unsure bool // memory was replaced, and no heartbeat since has found it right
}

type ending struct {
	target  exeunt.Target
	at      time.Duration // by the feed's clock, when the commit was known
	inDoubt bool
}

func (o *own) add(memory *Memory, events []exeunt.Event, at time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range events {
		if events[i].Kind != exeunt.EventEnded {
			continue
		}
		e := ending{target: events[i].Target, at: at, inDoubt: o.unsure}
		if e.inDoubt {
			memory.PutInDoubt(e.target)
		}
		o.recent = append(o.recent, e)
	}
}

// putInDoubt refuses what was ended since a heartbeat began whose history replaces
// memory, and whatever is ended until resolve finds memory right.
func (o *own) putInDoubt(memory *Memory, since time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unsure = true
	for i := range o.recent {
		if e := &o.recent[i]; e.at >= since && !e.inDoubt {
			memory.PutInDoubt(e.target)
			e.inDoubt = true
		}
	}
}

// resolve forgets what was ended before a heartbeat began after which the log was
// read and found to go on from what is known.
func (o *own) resolve(memory *Memory, began time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unsure = false
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
