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
//
// Whoever has one IPv6 network often has many more, so what is counted by
// network is counted a second time by the wide one, more generously.
var (
	perAccount = throttle.Rate{Burst: 10, Every: 30 * time.Second}
	perReserve = twice{ // an account from one network
		near: throttle.Rate{Burst: 5, Every: 5 * time.Minute},
		wide: throttle.Rate{Burst: 20, Every: 75 * time.Second},
	}
	perAddress = twice{
		near: throttle.Rate{Burst: 50, Every: 5 * time.Second},
		wide: throttle.Rate{Burst: 500, Every: 500 * time.Millisecond},
	}
	perSignUp = twice{ // new accounts from one address
		near: throttle.Rate{Burst: 10, Every: time.Minute},
		wide: throttle.Rate{Burst: 50, Every: 12 * time.Second},
	}
	perRegular = throttle.Rate{Burst: 5, Every: 5 * time.Minute} // see attempt
)

// twice is a rate for a network and one for the wide network around it.
type twice struct{ near, wide throttle.Rate }

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
	s          *Service
	who        string
	near, wide netip.Prefix
	taken      []taken
	// late: the network's places were used up, and this is a regular. Unless
	// the password is right, the answer is the same as to anybody else.
	late error
}

type taken struct {
	key  string
	rate throttle.Rate
}

func (a *attempt) refund() {
	for _, p := range a.taken {
		a.s.places.GiveBack(p.key, p.rate)
	}
	a.taken = nil
}

// succeeded refunds, since only failures count, and makes a regular of whoever
// it was.
func (a *attempt) succeeded() {
	a.refund()
	a.s.regulars.remember(regular{a.who, a.wide})
}

// failed is the answer to a wrong password.
func (a *attempt) failed() error {
	if a.late != nil {
		return a.late
	}
	return exeunt.ErrWrongCredentials
}

func (a *attempt) take(key string, r throttle.Rate) error {
	if wait := a.s.places.Take(key, r, a.wide); wait > 0 {
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
	return &attempt{s: s, near: throttle.Network(from), wide: throttle.WideNetwork(from)}
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
		if !s.regulars.knows(regular{a.who, a.wide}) || a.take("regular "+a.who+" "+a.wide.String(), perRegular) != nil {
			return nil, err
		}
		a.late = err
		return a, nil
	}
	if s.places.Take("account "+a.who, perAccount, a.wide) == 0 {
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
