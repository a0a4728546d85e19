package signin

import (
	"net/netip"
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
var (
	perAccount = rate{10, 30 * time.Second}
	perReserve = rate{5, 5 * time.Minute} // an account from one network
	perAddress = rate{50, 5 * time.Second}
	perSignUp  = rate{10, time.Minute} // new accounts from one address
)

// maxBuckets bounds the memory of the throttle.
const maxBuckets = 100_000

// throttle counts by the generic cell rate algorithm: of each key it keeps only
// the time at which all its places would be free again.
type throttle struct {
	now func() time.Time
	mu  sync.Mutex
	tat map[string]time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, tat: map[string]time.Time{}}
}

// take takes a place, or says how long until there is one.
func (t *throttle) take(key string, r rate) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	free := t.tat[key]
	if free.Before(now) {
		free = now
	}
	if wait = free.Add(r.every).Sub(now) - time.Duration(r.burst)*r.every; wait > 0 {
		return wait
	}
	if len(t.tat) >= maxBuckets {
		t.prune(now)
	}
	t.tat[key] = free.Add(r.every)
	return 0
}

func (t *throttle) giveBack(key string, r rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if free, ok := t.tat[key]; ok {
		t.tat[key] = free.Add(-r.every)
	}
}

// prune drops what is free again, and if that is not enough half of the rest:
// forgetting a count lets a guesser try again, refusing everybody would let
// them lock everybody out.
func (t *throttle) prune(now time.Time) {
	for k, free := range t.tat {
		if free.Before(now) {
			delete(t.tat, k)
		}
	}
	for k := range t.tat {
		if len(t.tat) < maxBuckets/2 {
			return
		}
		delete(t.tat, k)
	}
}

// attempt is one try at a password, counted beforehand so that many at the same
// moment are all counted, and refunded unless it fails.
type attempt struct {
	t     *throttle
	taken []taken
}

type taken struct {
	key  string
	rate rate
}

func (a *attempt) refund() {
	for _, p := range a.taken {
		a.t.giveBack(p.key, p.rate)
	}
}

func (a *attempt) take(key string, r rate) error {
	if wait := a.t.take(key, r); wait > 0 {
		a.refund()
		return &exeunt.ThrottledError{RetryAfter: wait}
	}
	a.taken = append(a.taken, taken{key, r})
	return nil
}

// attempt counts a try at an account's password from an address. Unknown
// identifiers are counted exactly like known ones, by what was typed and never
// by the account it names: otherwise using up the places of one name and trying
// another would tell whether both name the same account, or any.
func (s *Service) attempt(identifier string, from netip.Addr) (*attempt, error) {
	a, who, where := &attempt{t: s.throttle}, canonical(identifier), network(from).String()
	if err := a.take("address "+where, perAddress); err != nil {
		return nil, err
	}
	if s.throttle.take("account "+who, perAccount) == 0 {
		a.taken = append(a.taken, taken{"account " + who, perAccount})
		return a, nil
	}
	// Others have used the account's places up; this network has some of its own.
	if err := a.take("reserve "+who+" "+where, perReserve); err != nil {
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
func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // it is not known where the request came from
	}
	return p
}
