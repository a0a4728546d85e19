package signin

import (
	"net/netip"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Failures are counted by what was typed and by address. Somebody who guesses
// at an account uses up its places and keeps up as they come back; so each
// network has a few places of its own for each account, which nobody elsewhere
// can use up, and the owner gets in from wherever they are. All of it is
// counted the same for names that nobody has.
var (
	perAccount = throttle.Rate{Burst: 10, Every: 30 * time.Second}
	perReserve = throttle.Twice{ // an account from one network
		Near: throttle.Rate{Burst: 5, Every: 5 * time.Minute},
		Wide: throttle.Rate{Burst: 20, Every: 75 * time.Second},
	}
	perAddress = throttle.Twice{
		Near: throttle.Rate{Burst: 50, Every: 5 * time.Second},
		Wide: throttle.Rate{Burst: 500, Every: 500 * time.Millisecond},
	}
	perRegular = throttle.Rate{Burst: 5, Every: 5 * time.Minute} // see attempt
)

// regularsPerHalf bounds how many regulars are remembered: two generations of
// these.
const regularsPerHalf = 1 << 14

// regulars are who has signed in from where lately.
type regulars struct {
	mu          sync.Mutex
	now, before map[regular]struct{}
}

type regular struct {
	who  string
	from netip.Prefix
}

func (g *regulars) remember(r regular) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now == nil || len(g.now) >= regularsPerHalf {
		g.before, g.now = g.now, map[regular]struct{}{}
	}
	g.now[r] = struct{}{}
}

func (g *regulars) knows(r regular) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, now := g.now[r]
	_, before := g.before[r]
	return now || before
}

// attempt is one try at a password, counted beforehand so that many at the same
// moment are all counted, and refunded unless it fails.
type attempt struct {
	*throttle.Places
	s   *Service
	who string
	// late: the network's places were used up, and this is a regular. Unless
	// the password is right, the answer is the same as to anybody else.
	late error
}

// succeeded refunds, since only failures count, and makes a regular of whoever
// it was.
func (a *attempt) succeeded() {
	a.GiveBack()
	a.s.regulars.remember(regular{a.who, a.Wide()})
}

// failed is the answer to a wrong password.
func (a *attempt) failed() error {
	if a.late != nil {
		return a.late
	}
	return exeunt.ErrWrongCredentials
}

// attempt counts a try at an account's password from an address. Unknown
// identifiers are counted exactly like known ones, by what was typed and never
// by the account it names: otherwise using up the places of one name and trying
// another would tell whether both name the same account, or any.
func (s *Service) attempt(identifier string, from netip.Addr) (*attempt, error) {
	a := &attempt{Places: s.places.From(from), s: s, who: canonical(identifier)}
	if wait := a.TakeTwice("address", perAddress); wait > 0 {
		a.GiveBack()
		err := &exeunt.ThrottledError{RetryAfter: wait}
		// Neighbours behind the same address have used its places up, and may go
		// on. Whoever has signed in from there before has some of their own; those
		// are few, so what is hashed stays bounded by how many regulars there are.
		if !s.regulars.knows(regular{a.who, a.Wide()}) || a.Take("regular "+a.who+" "+a.Wide().String(), perRegular) > 0 {
			return nil, err
		}
		a.late = err
		return a, nil
	}
	if a.Take("account "+a.who, perAccount) == 0 {
		return a, nil
	}
	// Others have used the account's places up; this network has some of its own.
	if wait := a.TakeTwice("reserve "+a.who, perReserve); wait > 0 {
		a.GiveBack()
		return nil, &exeunt.ThrottledError{RetryAfter: wait}
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
