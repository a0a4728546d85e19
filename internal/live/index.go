// Package live is this node's in-memory answer to "is this token usable now?".
//
// It owns the table of tokens and the rule by which an entry may enter it. The
// table is changed only by Insert, with a snapshot that has a position in the
// event log, and by the events of that log: Apply takes them in order, ApplyOwn
// those that this node committed itself. The package never reads or writes the
// store and starts no goroutine that outlives a call: on a miss the caller asks
// the store (authority does). Accounts' profiles, which checks do not need, are
// in a small cache beside the table.
package live

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
)

// ringSize is how many recent events are remembered to check late snapshots against. A load takes well under a
// millisecond; if there are more events than this meanwhile, it is repeated.
const ringSize = 1 << 13

type Options struct {
	// Limit is the largest number of tokens in memory; 0 means no limit. Beyond it, tokens that were not used lately
	// are evicted, and loaded again when they are used. Tokens with unsaved activity stay, even beyond the limit.
	Limit int
	// SharedActivity: other nodes may know of later activity, so the store must be asked whether a session is idle.
	SharedActivity bool
}

// Index is the table. The zero Index is not usable; call New.
//
// Check and Touch take no lock. They read each word atomically while writers may change the table, and read again when
// they may have read parts of two sessions: see core.reused and cohort.
type Index struct {
	opt  Options
	core atomic.Pointer[core]
	// saved is when due activity was last saved. Touch reads it, so it must not share a cache line with what changes
	// often.
	saved atomic.Int64
	// mu serialises writers: Apply, Insert, Forget and so on.
	mu      sync.Mutex
	base    int64 // number of the last event before this index began
	applied int64 // number of the last event applied in order
	changes int64 // insertions and events
	ring    [ringSize]pastEvent
	own     []pastEvent // applied out of order, after applied
	ownLost int64       // the highest number that was removed from own because it was full
	drops   drops

	inDoubt  atomic.Pointer[inDoubt]
	profiles profiles
	overdue  chan exeunt.Overdue
	urgent   chan struct{}
}

// New returns an empty index that has applied the log up to and including seq.
func New(seq int64, opt Options) *Index {
	x := &Index{opt: opt, base: seq, applied: seq}
	x.overdue, x.urgent = make(chan exeunt.Overdue, 1024), make(chan struct{}, 1)
	x.core.Store(newCore(0))
	x.inDoubt.Store(&inDoubt{})
	return x
}

// Reset forgets everything and begins again at seq, because the log that this node has followed is not the valid one.
// Snapshots read before it are refused afterwards. What is in doubt stays in doubt.
func (x *Index) Reset(seq int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.base, x.applied, x.own, x.ownLost = seq, seq, nil, 0
	x.forgetAll()
}

// forgetAll empties the table. It is called with mu held.
func (x *Index) forgetAll() {
	x.profiles.forget()
	x.core.Store(newCore(x.core.Load().epoch + 1))
}

// Epoch changes with each Reset. It must be read before the store is, for the snapshot.
func (x *Index) Epoch() int64 { return x.core.Load().epoch }

// Check answers for a token. It does not allocate, write to the session, or wait.
func (x *Index) Check(h exeunt.TokenHash, now time.Time) (a Answer) {
	c, k := x.core.Load(), keyOf(&h)
	for {
		reused := c.reused.Load()
		r, e := c.find(&k)
		if e == nil {
			return a
		}
		var s standing
		if ok := c.answer(r, e, &a, &s); !ok || c.reused.Load() != reused {
			a = Answer{}
			continue
		}
		a.asked = now.UnixMilli()
		x.decide(c, &a, &s, a.asked)
		return a
	}
}

// standing is what a verdict depends on.
type standing struct {
	session, app ref
	own, state   uint64 // states of the token's entry and of its session
	mark         uint64 // of the cohort
	limits       *limits
}

// answer reads an entry and its session. It is not ok when one of them was reused meanwhile.
func (c *core) answer(r ref, e *entry, a *Answer, s *standing) (ok bool) {
	s.session, s.own = r, e.state.Load()
	p, owner := e, e.owner.Load()
	a.issued = issuedOf(owner, s.own)
	s.state = s.own
	if s.own&flagApp != 0 {
		s.app, s.session = r, ref(owner)
		if p = c.entry(s.session); p == nil {
			return false
		}
		n, clients := e.number(), *c.clients.Load()
		if int(n) >= len(clients) {
			return false
		}
		a.Client = clients[n]
		a.App.SetRaw(e.id().raw())
		s.state, owner = p.state.Load(), p.owner.Load()
	}
	co := c.cohort(uint32(owner))
	n, list := p.number(), *c.limits.Load()
	if co == nil || int(n) >= len(list) {
		return false
	}
	s.limits = &list[n]
	s.mark = co.mark.Load()
	a.Kind = s.limits.Kind
	a.Account.SetRaw(co.account().raw())
	a.Session.SetRaw(p.id().raw())
	a.expires = issuedOf(owner, s.state) + s.limits.Absolute
	a.idle, a.generation = s.limits.Idle, co.generation()
	a.idleAt = int64(s.state&seenMask) + a.idle
	a.profile = int64(s.mark >> 32)
	a.epoch, a.ref, a.state = c.epoch, r, s.own
	// A kept session moves to its account's next cohort before the old one
	// ends. If it moved before mark was read, owner has changed.
	return p.owner.Load() == owner
}

func (x *Index) decide(c *core, a *Answer, s *standing, now int64) {
	switch {
	case (s.own|s.state)&flagFree != 0 || s.mark&cohortFree != 0:
		*a = Answer{State: Absent}
		return
	case (s.own|s.state)&flagEnded != 0 || s.mark&cohortEnded != 0:
		a.State = Ended
		return
	case s.mark&cohortSuperseded != 0, s.app != 0 && a.Client == noClient:
		*a = Answer{State: Absent} // the store knows whether it was kept
		return
	case s.mark&cohortInDoubt != 0 && x.inDoubt.Load().cover(a.Account, a.Session, a.App):
		a.State = Indeterminate
		return
	}
	a.State = x.checkTime(c, a, s, now)
	if x.opt.Limit > 0 {
		c.use(s.session)
		if s.app != 0 {
			c.use(s.app)
		}
	}
}

// checkTime gives the verdict on a session that was not ended.
func (x *Index) checkTime(c *core, a *Answer, s *standing, now int64) State {
	idle := now >= a.idleAt && a.idleAt < a.expires
	switch {
	case s.state&flagLate != 0:
	case idle && (x.opt.SharedActivity || s.state&flagUnsure != 0):
		return SeemsIdle
	case idle:
		x.markLate(c, s.session, s.state, a, exeunt.ReasonIdle)
	case now >= a.expires:
		x.markLate(c, s.session, s.state, a, exeunt.ReasonAbsolute)
	default:
		return Usable
	}
	return TimedOut
}

// use marks an entry as used, for eviction.
func (c *core) use(r ref) {
	_, m := c.at(r)
	if i := uint32(r&localMask) % pageLen; !m.used.has(i) {
		m.used.set(i)
	}
}

// Changes grows with every insertion and every event.
func (x *Index) Changes() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changes
}

// Len returns how many tokens are in memory.
func (x *Index) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.core.Load().count
}
