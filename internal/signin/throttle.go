package signin

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// A rate is how many failures are let through at once, and how long it takes
// until one more is.
type rate struct {
	burst int
	every time.Duration
}

// Failures are counted by what was typed and by address. Somebody who guesses
// at an account uses up its places and keeps up as they come back; so each
// network has a few places of its own for each account, which nobody elsewhere
// can use up, and the owner gets in from wherever they are. All of it is
// counted the same for names that nobody has.
//
// Whoever has one IPv6 network often has many more, so what is counted by
// network is counted a second time by the wide one, more generously.
var (
	perAccount = rate{10, 30 * time.Second}
	perReserve = twice{rate{5, 5 * time.Minute}, rate{20, 75 * time.Second}} // an account from one network
	perAddress = twice{rate{50, 5 * time.Second}, rate{500, 500 * time.Millisecond}}
	perSignUp  = twice{rate{10, time.Minute}, rate{50, 12 * time.Second}} // new accounts from one address
	perRegular = rate{5, 5 * time.Minute}                                 // see attempt
)

// twice is a rate for a network and one for the wide network around it.
type twice struct{ near, wide rate }

const (
	// maxBuckets bounds the memory of the throttle.
	maxBuckets = 100_000
	// regularsPerHalf bounds how many regulars are remembered: two generations
	// of these.
	regularsPerHalf = 1 << 14
)

// throttle counts by the generic cell rate algorithm: of each key it keeps only
// the time at which all its places would be free again.
type throttle struct {
	now     func() time.Time
	mu      sync.Mutex
	buckets map[string]bucket
	// regulars are who has signed in from where lately.
	regulars, regularsBefore map[regular]struct{}
}

type bucket struct {
	free time.Time
	from netip.Prefix // the wide network of whoever took the first place
}

type regular struct {
	who  string
	from netip.Prefix
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, buckets: map[string]bucket{}, regulars: map[regular]struct{}{}}
}

// take takes a place for somebody, or says how long until there is one.
func (t *throttle) take(key string, r rate, from netip.Prefix) (wait time.Duration) {
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
	if wait = b.free.Add(r.every).Sub(now) - time.Duration(r.burst)*r.every; wait > 0 {
		return wait
	}
	if !there && len(t.buckets) >= maxBuckets {
		t.prune(now)
	}
	b.free = b.free.Add(r.every)
	t.buckets[key] = b
	return 0
}

func (t *throttle) giveBack(key string, r rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.buckets[key]
	if !ok {
		return
	}
	if b.free = b.free.Add(-r.every); b.free.After(t.now()) {
		t.buckets[key] = b
	} else {
		delete(t.buckets, key)
	}
}

// prune drops what is free again, and if that is not enough the counts of the
// networks that have made most of them: forgetting a count lets a guesser try
// again, and nobody shall have others' counts forgotten by making many.
func (t *throttle) prune(now time.Time) {
	made := map[netip.Prefix]int{}
	for k, b := range t.buckets {
		if b.free.Before(now) {
			delete(t.buckets, k)
		} else {
			made[b.from]++
		}
	}
	const enough = maxBuckets / 8 * 7
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

func (t *throttle) remember(r regular) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.regulars) >= regularsPerHalf {
		t.regularsBefore, t.regulars = t.regulars, map[regular]struct{}{}
	}
	t.regulars[r] = struct{}{}
}

func (t *throttle) knows(r regular) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, now := t.regulars[r]
	_, before := t.regularsBefore[r]
	return now || before
}

// attempt is one try at a password, counted beforehand so that many at the same
// moment are all counted, and refunded unless it fails.
type attempt struct {
	t          *throttle
	who        string
	near, wide netip.Prefix
	taken      []taken
	// late: the network's places were used up, and this is a regular. Unless
	// the password is right, the answer is the same as to anybody else.
	late error
}

type taken struct {
	key  string
	rate rate
}

func (a *attempt) refund() {
	for _, p := range a.taken {
		a.t.giveBack(p.key, p.rate)
	}
	a.taken = nil
}

// succeeded refunds, since only failures count, and makes a regular of whoever
// it was.
func (a *attempt) succeeded() {
	a.refund()
	a.t.remember(regular{a.who, a.wide})
}

// failed is the answer to a wrong password.
func (a *attempt) failed() error {
	if a.late != nil {
		return a.late
	}
	return exeunt.ErrWrongCredentials
}

func (a *attempt) take(key string, r rate) error {
	if wait := a.t.take(key, r, a.wide); wait > 0 {
		a.refund()
		return &exeunt.ThrottledError{RetryAfter: wait}
	}
	a.taken = append(a.taken, taken{key, r})
	return nil
}

// takeTwice takes a place of the network and one of the wide network around it.
func (a *attempt) takeTwice(key string, r twice) error {
	if err := a.take(key+" "+a.near.String(), r.near); err != nil || a.near == a.wide {
		return err
	}
	return a.take(key+" around "+a.wide.String(), r.wide)
}

func (s *Service) from(from netip.Addr) *attempt {
	return &attempt{t: s.throttle, near: network(from), wide: wideNetwork(from)}
}

// attempt counts a try at an account's password from an address. Unknown
// identifiers are counted exactly like known ones, by what was typed and never
// by the account it names: otherwise using up the places of one name and trying
// another would tell whether both name the same account, or any.
func (s *Service) attempt(identifier string, from netip.Addr) (*attempt, error) {
	a := s.from(from)
	a.who = canonical(identifier)
	if err := a.takeTwice("address", perAddress); err != nil {
		// Neighbours behind the same address have used its places up, and may go
		// on. Whoever has signed in from there before has some of their own; those
		// are few, so what is hashed stays bounded by how many regulars there are.
		if !s.throttle.knows(regular{a.who, a.wide}) || a.take("regular "+a.who+" "+a.wide.String(), perRegular) != nil {
			return nil, err
		}
		a.late = err
		return a, nil
	}
	if s.throttle.take("account "+a.who, perAccount, a.wide) == 0 {
		a.taken = append(a.taken, taken{"account " + a.who, perAccount})
		return a, nil
	}
	// Others have used the account's places up; this network has some of its own.
	if err := a.takeTwice("reserve "+a.who, perReserve); err != nil {
		return nil, err
	}
	return a, nil
}

// canonical is the one spelling of what was typed as an identifier, cut to the
// longest that can name anything.
func canonical(identifier string) string {
	if h, ok := exeunt.ParseHandle(identifier); ok {
		return h
	}
	key := store.EmailKey(identifier)
	return key[:min(len(key), exeunt.MaxEmailLen)]
}

// network is what is counted as one address: for IPv6 the /64 that a single
// customer gets.
func network(a netip.Addr) netip.Prefix { return prefix(a, 64) }

// wideNetwork is what is counted beside it: for IPv6 the /48 that a customer may
// have as well.
func wideNetwork(a netip.Addr) netip.Prefix { return prefix(a, 48) }

func prefix(a netip.Addr, bits int) netip.Prefix {
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // it is not known where the request came from
	}
	return p
}
