package fanout

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
)

const (
	atOnce         = 32 // attempts of this node
	atOnceTroubled = 8  // of those, to clients whose circuit is open: they cannot take all of them
	perClient      = 4
	opensAfter     = 5         // failures in a row
	longestAfter   = time.Hour // that somebody who answers may ask for with Retry-After
	longestProbe   = time.Minute
	firstBackoff   = time.Second
	longestBackoff = 15 * time.Minute
)

// places are how many attempts may be under way, of clients or of webhooks.
type places[K comparable] struct {
	mu       sync.Mutex
	circuits map[K]*circuit
	busy     int // attempts under way
	troubled int // of those, to whom the circuit is open
}

// circuit is what this node knows of a client's app, or of a webhook. It is open after several failures in a row: then
// one attempt is made at a time, and now and then.
type circuit struct {
	failures int
	busy     int
	next     time.Time // when open: no attempt before
	open     bool
	refusing bool      // it has refused the last token that it got
	pause    time.Time // no attempt before, because it has asked for that
}

// backoff is how long to wait after so many failures, more or less, so that attempts that failed together spread.
func backoff(failures int) time.Duration {
	d := longestBackoff
	if failures < 11 {
		d = min(d, firstBackoff<<max(failures-1, 0))
	}
	return d - d/4 + rand.N(d/2)
}

// begin takes places for attempts, as many as are free and at most want. end gives each back. next is when to ask again.
func (s *places[K]) begin(id K, want int, now time.Time) (places int, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.circuits[id]
	if c == nil {
		c = &circuit{}
		s.circuits[id] = c
	}
	if now.Before(c.pause) {
		return 0, c.pause
	}
	c.pause = time.Time{}
	limit := perClient
	if c.failures > 0 {
		limit = 1
	}
	places = min(want, limit-c.busy, atOnce-s.busy)
	if c.open {
		if places = min(places, atOnceTroubled-s.troubled); now.Before(c.next) {
			return 0, c.next
		}
	}
	places = max(places, 0)
	s.take(c, places)
	s.forget(id, c)
	return places, time.Time{}
}

func (s *places[K]) take(c *circuit, places int) {
	c.busy += places
	s.busy += places
	if c.open {
		s.troubled += places
	}
}

// giveBack gives places back that were not used.
func (s *places[K]) giveBack(id K, places int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.circuits[id]
	s.take(c, -places)
	s.forget(id, c)
}

func (s *places[K]) forget(id K, c *circuit) {
	if *c == (circuit{}) {
		delete(s.circuits, id)
	}
}

// turn is what an attempt has changed of a circuit.
type turn struct{ opened, closed, refuses bool }

// end gives back the place of an attempt and notes what came of it.
func (s *places[K]) end(id K, a answer, now time.Time) turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.circuits[id]
	s.take(c, -1)
	wasOpen, wasRefusing := c.open, c.refusing
	if a.confirmed || a.refused {
		if c.open {
			s.troubled -= c.busy
		}
		c.failures, c.open, c.next = 0, false, time.Time{}
		c.refusing = a.refused
	} else if c.failures++; c.failures >= opensAfter {
		if !c.open {
			c.open = true
			s.troubled += c.busy
		}
		c.next = now.Add(min(backoff(c.failures-opensAfter+1), longestProbe))
	}
	if a.after > 0 {
		c.pause = now.Add(a.after)
	}
	out := turn{opened: c.open && !wasOpen, closed: wasOpen && !c.open, refuses: c.refusing && !wasRefusing}
	s.forget(id, c)
	return out
}

// end notes what came of an attempt to tell an app. It logs one line when the app cannot be told any more, and one when
// it can again.
func (s *Service) end(id exeunt.ClientID, a answer, now time.Time) {
	is := s.places.end(id, a, now)
	switch {
	case is.opened:
		s.Log.Info("an app cannot be told of sign-outs, at its backchannel_uri or by its connector; trying now and then",
			"client", id, "err", a.err)
	case is.closed:
		s.Log.Info("an app can be told of sign-outs again", "client", id)
	}
	if is.refuses {
		s.Log.Info("an app refuses logout tokens: compare its settings of issuer, client_id and algorithm", "client", id)
	}
}

func (s *places[K]) isOpen(id K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.circuits[id] != nil && s.circuits[id].open
}
