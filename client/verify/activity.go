package verify

import (
	"context"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt/client"
)

// dirty lists the sessions with activity that the authority does not know yet.
type dirty struct {
	mu   sync.Mutex
	list []*entry
	wake chan struct{}
}

const (
	maxReportDelay = 5 * time.Second
	maxReported    = 500 // as ActivityNote allows
)

// reportDelay is how long activity may stay unreported for an idle timeout of so many
// milliseconds. If a crash loses it, a session only ends earlier.
func reportDelay(idle int64) time.Duration {
	return min(maxReportDelay, time.Duration(idle)*time.Millisecond/10)
}

func newDirty() dirty { return dirty{wake: make(chan struct{}, 1)} }

// add puts a session on the list, once.
func (d *dirty) add(k *entry) {
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

// take empties the list and returns it. Later activity adds a session again.
func (d *dirty) take() []*entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.list
	d.list = nil
	for _, k := range out {
		k.dirty.Store(false)
	}
	return out
}

// wait is how long the list may wait: the shortest delay of its sessions. ok is
// false when the list is empty because an earlier report included it.
func (d *dirty) wait() (t time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t = maxReportDelay
	for _, k := range d.list {
		t = min(t, reportDelay(k.idle))
	}
	return t, len(d.list) > 0
}

// reportActivity reports activity to the authority: the first after a quiet time at
// once, then in batches, and once more at the end.
func (v *Verifier) reportActivity(ctx context.Context) {
	last := -maxReportDelay
	for ctx.Err() == nil {
		select {
		case <-v.dirty.wake:
			if t, ok := v.dirty.wait(); ok && sleep(ctx, last+t-v.now().steady) == nil {
				last = v.now().steady
				v.reportAll(ctx)
			}
		case <-ctx.Done():
		}
	}
	final, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxReportDelay)
	defer cancel()
	v.reportAll(final)
}

// reportAll reports the whole list. It puts back what could not be reported.
func (v *Verifier) reportAll(ctx context.Context) {
	list := v.dirty.take()
	for len(list) > 0 {
		batch := list[:min(len(list), maxReported)]
		seen := make([]client.SeenAt, len(batch))
		for i, k := range batch {
			// How long ago, not when, because the two clocks may differ.
			ago := v.now().steady - time.Duration(k.seen.Load())
			seen[i] = client.SeenAt{Token: hex.EncodeToString(k.hash[:]), Ago: ago.Milliseconds()}
		}
		noted, err := v.Client.NoteActivity(ctx, v.Key, seen)
		if err != nil {
			if ctx.Err() == nil {
				v.Log.Warn("activity could not be reported; trying again", "sessions", len(list), "err", err)
			}
			for _, k := range list {
				v.dirty.add(k)
			}
			return
		}
		v.reported(batch, seen, noted)
		list = list[len(batch):]
	}
}

// reported extends the sessions' idle timeout as the authority did, and forgets
// those that are not usable any more.
func (v *Verifier) reported(batch []*entry, seen []client.SeenAt, noted client.ActivityNoted) {
	gone := map[string]bool{}
	for _, token := range noted.Dead {
		gone[token] = true
	}
	for i, k := range batch {
		if gone[seen[i].Token] {
			v.forget(k.hash)
			continue
		}
		if k = v.table.find(&k.hash); k != nil { // may be a newer entry
			atLeast(&k.idleAt, noted.Now-seen[i].Ago+k.idle)
		}
	}
}

// atLeast raises v to n, unless it is as high already.
func atLeast(v *atomic.Int64, n int64) {
	for old := v.Load(); old < n; old = v.Load() {
		if v.CompareAndSwap(old, n) {
			return
		}
	}
}
