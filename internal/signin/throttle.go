package signin

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Failures are counted by identifier and by address. Somebody who guesses at an
// account uses up its permits, and each new one as it becomes free; so each network
// has a few permits of its own for each account, which nobody elsewhere can use up,
// and the owner can sign in from anywhere. Somebody who has many networks has many of
// those, so all networks together have a bounded number for each account; those that it
// was used from lately do not need them. Identifiers that nobody has are counted in the
// same way.
var (
	perAccount = throttle.Rate{Burst: 10, Every: 30 * time.Second}
	perReserve = throttle.Twice{ // an account from one network
		Near: throttle.Rate{Burst: 5, Every: 5 * time.Minute},
		Wide: throttle.Rate{Burst: 20, Every: 75 * time.Second},
	}
	// With perAccount, 60 wrong passwords at once: fewer than 100 (NIST SP 800-63B-4, 3.2.2).
	perStrangers = throttle.Rate{Burst: 50, Every: time.Minute} // an account from all networks that are not regular
	perAddress   = throttle.Twice{
		Near: throttle.Rate{Burst: 50, Every: 5 * time.Second},
		Wide: throttle.Rate{Burst: 500, Every: 500 * time.Millisecond},
	}
	perRegular = throttle.Rate{Burst: 5, Every: 5 * time.Minute} // see attempt
	// perDevice is what a device has for an account that it is used with, whatever strangers have used up ("Slow Down
	// Online Guessing Attacks with Device Cookies", OWASP). A copied device cookie gains a guesser no more than this.
	perDevice = throttle.Rate{Burst: 5, Every: time.Minute}
)

// Successes are counted too, because each costs a hash and a session: by account, and
// by address. No person reaches these rates.
var (
	perSuccess   = throttle.Rate{Burst: 200, Every: 5 * time.Second} // an account
	perSuccesses = throttle.Twice{                                   // an address
		Near: throttle.Rate{Burst: 1000, Every: 250 * time.Millisecond},
		Wide: throttle.Rate{Burst: 4000, Every: 60 * time.Millisecond},
	}
)

// maxRegulars bounds each of the two maps of regulars.
const maxRegulars = 1 << 14

// regulars remembers which identifiers have signed in from which networks lately.
type regulars struct {
	mu          sync.Mutex
	now, before map[regular]struct{}
}

type regular struct {
	identifier string
	from       netip.Prefix
}

func (g *regulars) remember(r regular) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now == nil || len(g.now) >= maxRegulars {
		g.before, g.now = g.now, map[regular]struct{}{}
	}
	g.now[r] = struct{}{}
}

func (g *regulars) contains(r regular) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, now := g.now[r]
	_, before := g.before[r]
	return now || before
}

// attempt is one guess at a password. It is counted in advance, so that many at the
// same moment are all counted, and given back unless it fails.
type attempt struct {
	*throttle.Permits
	s          *Service
	identifier string
	from       netip.Addr
	// throttled is set if the permits of the network, or those of strangers, are used up and this is a regular.
	// Unless the password is right, the answer is the same as to anybody else.
	throttled error
}

// allowSuccess counts a success in advance. Whether the account exists must not show,
// so it is asked only by attempts that are within the rates of failures.
func (s *Service) allowSuccess(id exeunt.AccountID, from netip.Addr) (*throttle.Permits, error) {
	p := s.throttle.From(from)
	wait := p.TakeTwice("successes", perSuccesses)
	if wait == 0 && !id.IsZero() {
		wait = p.Take("success "+id.String(), perSuccess)
	}
	if wait > 0 {
		p.GiveBack()
		return nil, &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitSignIns}
	}
	return p, nil
}

// succeeded gives the permits of a failure back, and remembers a regular.
func (a *attempt) succeeded() {
	a.GiveBack()
	a.s.regulars.remember(regular{a.identifier, a.Wide()})
}

// failed returns the answer to a wrong password.
func (a *attempt) failed() error {
	if a.throttled != nil {
		return a.throttled
	}
	return exeunt.ErrWrongCredentials
}

// knownDevice tells what an attempt from a device counts by that the account is used with, and "" for any other. It reads
// the store, so it is asked only when something is used up.
type knownDevice func() (key string)

func noDevice() string { return "" }

// device looks for a device of an account. Without an account it reads the same, and finds none.
func (s *Service) device(ctx context.Context, id exeunt.AccountID, device exeunt.TokenHash) knownDevice {
	if device == (exeunt.TokenHash{}) {
		return noDevice
	}
	return func() string {
		known, err := s.Store.KnowsDevice(ctx, id, device, s.Now())
		if err != nil || !known {
			return ""
		}
		return "device " + device.String() + " " + id.String()
	}
}

// takeDevice takes a permit of a device that the account is used with.
func (a *attempt) takeDevice(device knownDevice) bool {
	key := device()
	return key != "" && a.Take(key, perDevice) == 0
}

// attempt counts a guess at an account's password from an address. It counts by what
// was typed and not by the account: otherwise somebody could use up the permits of
// one identifier and try another, to learn whether both name the same account, or any.
func (s *Service) attempt(identifier string, from netip.Addr, device knownDevice) (*attempt, error) {
	a := &attempt{Permits: s.throttle.From(from), s: s, identifier: canonical(identifier), from: from}
	known := s.regulars.contains(regular{a.identifier, a.Wide()})
	if wait := a.TakeTwice("address", perAddress); wait > 0 {
		a.GiveBack()
		err := &exeunt.ThrottledError{RetryAfter: wait}
		// Neighbours behind the same address have used its permits up, and may go on.
		// Whoever has signed in from there before has a few of their own, so the
		// number of regulars bounds how much is hashed.
		if (!known || a.Take("regular "+a.identifier+" "+a.Wide().String(), perRegular) > 0) && !a.takeDevice(device) {
			return nil, err
		}
		a.throttled = err
		return a, nil
	}
	if a.Take("account "+a.identifier, perAccount) == 0 {
		return a, nil
	}
	// Others have used up the account's permits; this network has some of its own.
	if wait := a.TakeTwice("reserve "+a.identifier, perReserve); wait > 0 {
		if a.takeDevice(device) {
			return a, nil
		}
		a.GiveBack()
		return nil, &exeunt.ThrottledError{RetryAfter: wait}
	}
	if wait := a.Take("strangers "+a.identifier, perStrangers); wait > 0 {
		a.throttled = &exeunt.ThrottledError{RetryAfter: wait}
		if !known && !a.takeDevice(device) {
			a.GiveBack()
			return nil, a.throttled
		}
	}
	return a, nil
}

// canonical returns the one spelling of an identifier, cut to the length of the
// longest that an account can have.
func canonical(identifier string) string {
	key := names.Key(identifier)
	if h, ok := exeunt.ParseHandle(key); ok {
		return h
	}
	return key[:min(len(key), exeunt.MaxEmailLen)]
}
