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
	seq     int64 // 0: of an earlier history
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
		e := ending{seq: events[i].Seq, target: events[i].Target, at: at, inDoubt: o.unconfirmed}
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
	left := o.recent[:0]
	for _, e := range o.recent {
		switch {
		case e.at >= since && !e.inDoubt:
			memory.PutInDoubt(e.target)
			e.inDoubt = true
		case e.at < since && !e.inDoubt:
			continue // the heartbeat shows whether it was recorded
		}
		e.seq = 0 // it is no longer compared with the log
		left = append(left, e)
	}
	o.recent = left
}

// lost returns the number of an ending that was committed before a heartbeat began, and that the log read after it
// does not reach; 0 if there is none.
func (o *own) lost(began time.Duration, applied int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.recent {
		if e.at < began && e.seq > applied {
			return e.seq
		}
	}
	return 0
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
