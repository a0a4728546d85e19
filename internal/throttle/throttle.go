// Package throttle limits how often something may be done, for a bounded number of
// keys.
//
// Its callers (signin, account and authority) decide what is counted and who is
// exempt. The counts are in memory: a restart forgets them, and each node has its own.
package throttle

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Rate is how many permits a key has, and how long it takes until one that was
// taken is free again.
type Rate struct {
	Burst int
	Every time.Duration
}

// maxKeys bounds the memory of a Throttle.
const maxKeys = 100_000

// Throttle counts by the generic cell rate algorithm: for each key it stores only the
// time at which all its permits are free again. It is safe for concurrent use.
type Throttle struct {
	now     func() time.Time
	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	free time.Time
	from netip.Prefix // the wide network that took the first permit
}

// New returns a throttle.
func New(now func() time.Time) *Throttle {
	return &Throttle{now: now, buckets: map[string]bucket{}}
}

// Take takes a permit, or returns how long until one is free. from is the wide network
// of the request.
func (t *Throttle) Take(key string, r Rate, from netip.Prefix) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	b, there := t.buckets[key]
	if !there {
		b.from = from
	}
	if b.free.Before(now) {
		b.free = now
	}
	if wait = b.free.Add(r.Every).Sub(now) - time.Duration(r.Burst)*r.Every; wait > 0 {
		return wait
	}
	if !there && len(t.buckets) >= maxKeys {
		t.prune(now)
	}
	b.free = b.free.Add(r.Every)
	t.buckets[key] = b
	return 0
}

// GiveBack gives back a permit that was taken: the request does not count.
func (t *Throttle) GiveBack(key string, r Rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.buckets[key]
	if !ok {
		return
	}
	if b.free = b.free.Add(-r.Every); b.free.After(t.now()) {
		t.buckets[key] = b
	} else {
		delete(t.buckets, key)
	}
}

// prune drops keys whose permits are all free, and if that is not enough, those of
// the networks with the most keys: a dropped count lets a guesser try again, so
// nobody may have the counts of others dropped by causing many of their own.
func (t *Throttle) prune(now time.Time) {
	made := map[netip.Prefix]int{}
	for k, b := range t.buckets {
		if b.free.Before(now) {
			delete(t.buckets, k)
		} else {
			made[b.from]++
		}
	}
	const enough = maxKeys / 8 * 7
	forget, excess := map[netip.Prefix]bool{}, len(t.buckets)-enough
	for _, p := range slices.SortedFunc(maps.Keys(made), func(a, b netip.Prefix) int { return made[b] - made[a] }) {
		if excess <= 0 {
			break
		}
		forget[p], excess = true, excess-made[p]
	}
	for k, b := range t.buckets {
		if len(t.buckets) <= enough {
			return
		}
		if forget[b.from] {
			delete(t.buckets, k)
		}
	}
}

// Network returns the network that counts as one address: for IPv6 the /64 that a
// single customer gets.
func Network(a netip.Addr) netip.Prefix { return prefix(a, 64) }

// WideNetwork returns the wider network that is counted as well: for IPv6 the /48
// that a customer may have.
func WideNetwork(a netip.Addr) netip.Prefix { return prefix(a, 48) }

func prefix(a netip.Addr, bits int) netip.Prefix {
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address
	}
	return p
}
