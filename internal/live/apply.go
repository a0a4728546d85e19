package live

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/exeunt/exeunt"
)

// Apply applies events that have been committed. They must follow one another
// and what was applied before without a gap: a gap would mean an end that this
// node never learns of, so it is refused as an error and what follows it is
// not applied. So is another event than the one that ApplyOwn was given under
// its number: this node's commit was lost, and what it did here must be too.
func (x *Index) Apply(events []exeunt.Event) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range events {
		e := &events[i]
		if e.Seq <= x.applied {
			continue // applying twice changes nothing
		}
		if e.Seq != x.applied+1 {
			return fmt.Errorf("event %d follows %d: the log has a gap", e.Seq, x.applied)
		}
		if i := slices.IndexFunc(x.own, func(p past) bool { return p.seq == e.Seq }); i >= 0 && x.own[i] != pastOf(e) {
			return fmt.Errorf("event %d is not the one that was committed here", e.Seq)
		}
		x.apply(e)
		x.applied = e.Seq
		x.ring[e.Seq%ringSize] = pastOf(e)
	}
	x.own = slices.DeleteFunc(x.own, func(p past) bool { return p.seq <= x.applied })
	return nil
}

// Replay brings a table that was loaded up to event seq by the log range since: ended are the IDs of sessions and app
// sessions that ended one by one, 16 bytes each, and events are all others. Their order does not matter, see ApplyOwn.
// Snapshots older than seq are refused from then on.
func (x *Index) Replay(seq int64, ended []byte, events []exeunt.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	var mu sync.Mutex
	var wg sync.WaitGroup
	const idLen = 16
	share := (len(ended)/idLen/runtime.GOMAXPROCS(0) + 1) * idLen
	for part := range slices.Chunk(ended, share) {
		wg.Go(func() {
			var refs []ref
			for id := range slices.Chunk(part, idLen) {
				if r := c.markEnded(wordsOf([idLen]byte(id))); r != 0 {
					refs = append(refs, r)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			c.ended = append(c.ended, refs...)
		})
	}
	wg.Wait()
	for i := range events {
		x.apply(&events[i])
	}
	x.changes += int64(len(ended) / idLen)
	x.base, x.applied = seq, seq
}

// ApplyOwn applies events that this node has committed itself, while others
// that come before them may not have been read yet. That is possible because
// applying only ever ends sessions, and moves a kept one no further back than
// it is: in any order and any number of times the outcome is the same. They
// are applied again when Apply comes to them.
func (x *Index) ApplyOwn(events []exeunt.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range events {
		e := &events[i]
		if e.Seq <= x.applied {
			continue
		}
		x.apply(e)
		if len(x.own) == ringSize {
			// The log has not been followed for long. What is forgotten here can
			// judge no snapshot any more, so older snapshots are refused.
			x.ownLost = max(x.ownLost, x.own[0].seq)
			x.own = slices.Delete(x.own, 0, 1)
		}
		x.own = append(x.own, pastOf(e))
	}
}

// past is as much of an event as snapshots are judged by.
type past struct {
	seq, generation int64
	kind            exeunt.EventKind
	target          exeunt.Target
}

func pastOf(e *exeunt.Event) past {
	return past{e.Seq, e.Generation, e.Kind, e.Target}
}

func (p *past) event() exeunt.Event {
	return exeunt.Event{Seq: p.seq, Kind: p.kind, Target: p.target, Generation: p.generation}
}

func (x *Index) apply(e *exeunt.Event) {
	x.changes++
	c := x.core.Load()
	account := wordsOf(e.Account.Raw())
	switch {
	case e.Kind == exeunt.EventProfileChanged:
		// What is kept of an older version is not believed any more.
		if n := c.current(account); n != 0 {
			c.cohort(n).setProfile(e.Version)
		}
	case e.Kind == exeunt.EventClientChanged:
		// Nothing of clients is kept here.
	case e.Kind != exeunt.EventEnded && e.Account.IsZero():
		x.forgetAll() // of a newer program
	case e.Kind != exeunt.EventEnded:
		x.passAccount(c, account)
	case e.Scope == exeunt.ScopeSession:
		target := wordsOf(e.Session.Raw())
		if !e.AppSession.IsZero() {
			target = wordsOf(e.AppSession.Raw())
		}
		c.endOne(target)
	case e.Scope == exeunt.ScopeOthers:
		c.endMany(account, e.Generation, wordsOf(e.Session.Raw()))
	case e.Scope == exeunt.ScopeAccount:
		c.endMany(account, e.Generation, words{})
	default:
		x.passAccount(c, account)
	}
	x.decided(e)
}

// passAccount has the store asked about every session of the account: what a newer
// program has ended by an event that this one does not know, only the store can
// tell.
func (x *Index) passAccount(c *core, account words) {
	if n := c.current(account); n != 0 {
		c.endCohort(n, cohortPassed)
	}
}

func (c *core) endOne(id words) {
	if r := c.markEnded(id); r != 0 {
		c.ended = append(c.ended, r)
	}
}

// markEnded returns what it has ended, 0 if nothing.
func (c *core) markEnded(id words) ref {
	if r, e := c.byID(id); e != nil && e.change(e.state.Load(), flagEnded, 0) {
		return r
	}
	return 0
}

// endMany ends the account's sessions born before the generation but the one
// that is kept, with one store, however many they are.
func (c *core) endMany(account words, generation int64, keep words) {
	n := c.current(account)
	if n == 0 || c.cohort(n).generation() >= generation {
		// They have ended already. One that was not known to be kept then, is.
		c.keep(keep, n, generation)
		return
	}
	if r, e := c.byID(keep); e != nil && uint32(e.place.Load()) == n {
		next := c.newCohort(account, generation, c.cohort(n).mark.Load()&cohortInDoubt)
		c.join(next)
		c.move(r, next)
		if c.cohort(n).mark.Load()&cohortFree == 0 {
			c.finish(n, cohortEnded)
		}
		return
	}
	c.endCohort(n, cohortEnded)
}

// keep moves a kept session out of a cohort that was passed, into the one of
// the generation that it was kept with.
func (c *core) keep(id words, current uint32, generation int64) {
	r, e := c.byID(id)
	if e == nil || current == 0 || c.cohort(current).generation() != generation {
		return
	}
	old := c.cohort(uint32(e.place.Load()))
	if old.mark.Load()&cohortPassed != 0 && old.account() == c.cohort(current).account() && old.generation() < generation {
		c.join(current)
		c.move(r, current)
	}
}

// move puts a session into another cohort, in which it has a place already.
func (c *core) move(r ref, to uint32) {
	e := c.entry(r)
	place := e.place.Load()
	e.place.Store(place&^lowHalf | uint64(to))
	c.leave(uint32(place))
}

// Applied returns the number of the last event applied in order.
func (x *Index) Applied() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.applied
}
