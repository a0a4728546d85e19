package throttle

import (
	"net/netip"
	"time"
)

// Twice is a rate for a network and one for the wide network around it. Whoever has
// one IPv6 network often has many more, so what is counted by network is counted a
// second time by the wide one, with a more generous rate.
type Twice struct{ Near, Wide Rate }

// Permits are those that one request takes, one after another. If it cannot have one
// of them, it gives the others back. They are for one goroutine.
type Permits struct {
	t          *Throttle
	near, wide netip.Prefix
	taken      []taken
}

type taken struct {
	key  string
	rate Rate
}

// From returns the permits of a request from an address; none is taken yet.
func (t *Throttle) From(a netip.Addr) *Permits {
	return &Permits{t: t, near: Network(a), wide: WideNetwork(a)}
}

// Wide returns the wide network that the request came from.
func (p *Permits) Wide() netip.Prefix { return p.wide }

// Take takes a permit, or returns how long until one is free.
func (p *Permits) Take(key string, r Rate) (wait time.Duration) {
	if wait = p.t.Take(key, r, p.wide); wait == 0 {
		p.taken = append(p.taken, taken{key, r})
	}
	return wait
}

// TakeTwice takes a permit of the network and one of the wide network around it.
func (p *Permits) TakeTwice(key string, r Twice) (wait time.Duration) {
	if wait = p.Take(key+" "+p.near.String(), r.Near); wait > 0 || p.near == p.wide {
		return wait
	}
	return p.Take(key+" around "+p.wide.String(), r.Wide)
}

// GiveBack gives back all that were taken: the request does not count.
func (p *Permits) GiveBack() {
	for _, x := range p.taken {
		p.t.GiveBack(x.key, x.rate)
	}
	p.taken = nil
}
