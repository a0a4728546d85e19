package feed

import (
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// own are the latest endings that this node has committed itself, so that none
// is forgotten together with a history that turns out to be another.
type own struct {
	mu     sync.Mutex
	recent []ending
	uneasy bool // memory was replaced, and no heartbeat since has found it right
}

type ending struct {
	rev     exeunt.Revocation
	at      time.Duration // by the feed's clock, when the commit was known
	doubted bool
}

func (o *own) add(index *live.Index, events []exeunt.Event, at time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range events {
		e := ending{rev: events[i].Revocation, at: at, doubted: o.uneasy}
		if e.doubted {
			index.Doubt(e.rev)
		}
		o.recent = append(o.recent, e)
	}
}

// doubt refuses what was ended since a heartbeat began whose history replaces
// memory, and whatever is ended until settle finds memory right.
func (o *own) doubt(index *live.Index, since time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.uneasy = true
	for i := range o.recent {
		if e := &o.recent[i]; e.at >= since && !e.doubted {
			index.Doubt(e.rev)
			e.doubted = true
		}
	}
}

// settle forgets what was ended before a heartbeat began after which the log was
// read and found to go on from what is known.
func (o *own) settle(index *live.Index, began time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.uneasy = false
	left := o.recent[:0]
	for _, e := range o.recent {
		if e.at >= began {
			left = append(left, e)
		} else if e.doubted {
			index.Settled(e.rev)
		}
	}
	o.recent = left
}
