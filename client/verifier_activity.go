package client

import (
	"context"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"
)

// owed lists the sessions whose activity the authority does not know yet.
type owed struct {
	mu   sync.Mutex
	list []*kept
	wake chan struct{}
}

const (
	latestHandIn  = 5 * time.Second
	mostInOneNote = 500 // as ActivityNote allows
)

// handInEvery is how long activity may wait, in sessions that may stay unused
// for idle milliseconds. What a crash loses of it only ends a session earlier.
func handInEvery(idle int64) time.Duration {
	return min(latestHandIn, time.Duration(idle)*time.Millisecond/10)
}

func newOwed() owed { return owed{wake: make(chan struct{}, 1)} }

// add puts a session on the list, once.
func (o *owed) add(k *kept) {
	if k.owed.Load() || !k.owed.CompareAndSwap(false, true) {
		return
	}
	o.mu.Lock()
	o.list = append(o.list, k)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take takes the list. Activity from now on lists a session anew.
func (o *owed) take() []*kept {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.list
	o.list = nil
	for _, k := range out {
		k.owed.Store(false)
	}
	return out
}

// wait is how long the list may wait: as the most impatient session on it. ok
// is false when it is empty, having been handed in with what came before.
func (o *owed) wait() (d time.Duration, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d = latestHandIn
	for _, k := range o.list {
		d = min(d, handInEvery(k.facts.Load().idle))
	}
	return d, len(o.list) > 0
}

// handIn tells the authority of activity: at once after a quiet time, then in
// batches, and once more at the end.
func (v *Verifier) handIn(ctx context.Context) {
	last := -latestHandIn
	for ctx.Err() == nil {
		select {
		case <-v.owed.wake:
			if d, ok := v.owed.wait(); ok && sleep(ctx, last+d-v.now().steady) == nil {
				last = v.now().steady
				v.handInAll(ctx)
			}
		case <-ctx.Done():
		}
	}
	final, cancel := context.WithTimeout(context.WithoutCancel(ctx), latestHandIn)
	defer cancel()
	v.handInAll(final)
}

// handInAll tells what there is by now. What cannot be told is told later.
func (v *Verifier) handInAll(ctx context.Context) {
	list := v.owed.take()
	for len(list) > 0 {
		batch := list[:min(len(list), mostInOneNote)]
		seen := make([]SeenAt, len(batch))
		for i, k := range batch {
			// How long ago, not when: the two clocks need not agree.
			ago := v.now().steady - time.Duration(k.seen.Load())
			seen[i] = SeenAt{Token: hex.EncodeToString(k.hash[:]), Ago: ago.Milliseconds()}
		}
		noted, err := v.Client.noteActivity(ctx, v.Key, seen)
		if err != nil {
			if ctx.Err() == nil {
				v.Log.Warn("activity could not be handed in; trying again", "sessions", len(list), "err", err)
			}
			for _, k := range list {
				v.owed.add(k)
			}
			return
		}
		v.handedIn(batch, seen, noted)
		list = list[len(batch):]
	}
}

// handedIn lets the sessions live on as the authority does, and forgets those
// that it calls dead.
func (v *Verifier) handedIn(batch []*kept, seen []SeenAt, noted ActivityNoted) {
	gone := map[string]bool{}
	for _, token := range noted.Dead {
		gone[token] = true
	}
	for i, k := range batch {
		if gone[seen[i].Token] {
			v.forget(k.hash)
			continue
		}
		atLeast(&k.idleAt, noted.Now-seen[i].Ago+k.facts.Load().idle)
	}
}

// atLeast raises v to n, unless it is there already.
func atLeast(v *atomic.Int64, n int64) {
	for old := v.Load(); old < n; old = v.Load() {
		if v.CompareAndSwap(old, n) {
			return
		}
	}
}
