package verify

import (
	"context"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt/client"
)

// dirty lists the sessions whose activity the authority does not know yet.
type dirty struct {
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

func newDirty() dirty { return dirty{wake: make(chan struct{}, 1)} }

// add puts a session on the list, once.
func (d *dirty) add(k *kept) {
	if k.dirty.Load() || !k.dirty.CompareAndSwap(false, true) {
		return
	}
	d.mu.Lock()
	d.list = append(d.list, k)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// take takes the list. Activity from now on lists a session anew.
func (d *dirty) take() []*kept {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.list
	d.list = nil
	for _, k := range out {
		k.dirty.Store(false)
	}
	return out
}

// wait is how long the list may wait: as the most impatient session on it. ok
// is false when it is empty, having been handed in with what came before.
func (d *dirty) wait() (t time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t = latestHandIn
	for _, k := range d.list {
		t = min(t, handInEvery(k.idle))
	}
	return t, len(d.list) > 0
}

// handIn tells the authority of activity: at once after a quiet time, then in
// batches, and once more at the end.
func (v *Verifier) handIn(ctx context.Context) {
	last := -latestHandIn
	for ctx.Err() == nil {
		select {
		case <-v.dirty.wake:
			if t, ok := v.dirty.wait(); ok && sleep(ctx, last+t-v.now().steady) == nil {
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
	list := v.dirty.take()
	for len(list) > 0 {
		batch := list[:min(len(list), mostInOneNote)]
		seen := make([]client.SeenAt, len(batch))
		for i, k := range batch {
			// How long ago, not when: the two clocks need not agree.
			ago := v.now().steady - time.Duration(k.seen.Load())
			seen[i] = client.SeenAt{Token: hex.EncodeToString(k.hash[:]), Ago: ago.Milliseconds()}
		}
		noted, err := v.Client.NoteActivity(ctx, v.Key, seen)
		if err != nil {
			if ctx.Err() == nil {
				v.Log.Warn("activity could not be handed in; trying again", "sessions", len(list), "err", err)
			}
			for _, k := range list {
				v.dirty.add(k)
			}
			return
		}
		v.handedIn(batch, seen, noted)
		list = list[len(batch):]
	}
}

// handedIn lets the sessions live on as the authority does, and forgets those
// that it calls dead.
func (v *Verifier) handedIn(batch []*kept, seen []client.SeenAt, noted client.ActivityNoted) {
	gone := map[string]bool{}
	for _, token := range noted.Dead {
		gone[token] = true
	}
	for i, k := range batch {
		if gone[seen[i].Token] {
			v.forget(k.hash)
			continue
		}
		if k = v.table.find(&k.hash); k != nil { // a newer answer, perhaps
			atLeast(&k.idleAt, noted.Now-seen[i].Ago+k.idle)
		}
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
