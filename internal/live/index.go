// Package live is this node's in-memory answer to "is this token usable now?".
//
// It owns the table of known tokens and the rule by which an entry may enter
// it. It is changed only by Insert, with a snapshot that names its position in
// the event log, and by the events of that log: Apply takes them in order,
// ApplyOwn those that this node has committed itself. It never reads or writes
// the store and starts nothing: whoever misses here asks the store (authority
// does). What a check need not know, an account's profile, is in a small cache
// beside the table.
package live

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
)

// ringSize is how many recent events are kept to judge late snapshots by. A
// load takes well under a millisecond; one that is overtaken by more events
// than this is simply done again.
const ringSize = 1 << 13

// Options say how an index differs from the usual one.
type Options struct {
	// Limit is how many tokens are kept; 0 is any number. Beyond it those that
	// were not asked for lately are forgotten, which costs loading them again.
	// Those whose activity the store is owed stay, even beyond the limit.
	Limit int
	// SharedActivity: other nodes may know of later activity than this one, so
	// that the store is asked before a session is taken to have run out.
	SharedActivity bool
}

// Index is the table. The zero Index is not usable; call New.
//
// Checks and notes of activity take no lock at all. They read what a writer
// may be changing, each word atomically, and read again when they may have
// read of two sessions: see core.reused and cohort.
type Index struct {
	opt  Options
	core atomic.Pointer[core]
	// saved is when what was due was last saved. Each use reads it, so it stands
	// where little is written.
	saved atomic.Int64
	// mu serialises writers: Apply, Insert, Forget and so on.
	mu      sync.Mutex
	base    int64 // number of the last event before this index began
	applied int64 // number of the last event applied in order
	changes int64 // tokens that came and events
	ring    [ringSize]past
	own     []past // applied out of order, beyond applied
	ownLost int64  // the highest number of one that was applied so and is not in own
	drops   drops

	inDoubt  atomic.Pointer[inDoubt]
	profiles profiles
	overdue  chan exeunt.Overdue
	urgent   chan struct{}
}

// New returns an empty index that has applied the log up to and including seq.
func New(seq int64, opt Options) *Index {
	x := &Index{opt: opt, base: seq, applied: seq, overdue: make(chan exeunt.Overdue, 1024), urgent: make(chan struct{}, 1)}
	x.core.Store(newCore(0))
	x.inDoubt.Store(&inDoubt{})
	return x
}

// Reset forgets everything and begins again at seq: the history that this node
// has followed is not the one that counts. Snapshots read before it are
// refused afterwards. What is in doubt stays so.
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

// Epoch changes with each Reset. A snapshot carries the epoch that it was read
// in, so it must be asked for before the store is.
func (x *Index) Epoch() int64 { return x.core.Load().epoch }

// Check answers for a token. It allocates nothing, writes nothing to the
// session, and waits for nobody.
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
		x.rule(c, &a, &s, a.asked)
		return a
	}
}

// standing is what the verdict is made from.
type standing struct {
	session, app ref
	own, state   uint64 // of the entry asked for, and of its session
	mark         uint64 // of the cohort
	limits       *limits
}

// answer reads what is known of an entry and of its session. It is not ok when
// they changed hands meanwhile.
func (c *core) answer(r ref, e *entry, a *Answer, s *standing) (ok bool) {
	s.session, s.own = r, e.state.Load()
	p, place := e, e.place.Load()
	a.issued = issuedOf(place, s.own)
	s.state = s.own
	if s.own&flagApp != 0 {
		s.app, s.session = r, ref(place)
		if p = c.entry(s.session); p == nil {
			return false
		}
		n, clients := e.number(), *c.clients.Load()
		if int(n) >= len(clients) {
			return false
		}
		a.Client = clients[n]
		a.App.SetRaw(e.id().raw())
		s.state, place = p.state.Load(), p.place.Load()
	}
	co := c.cohort(uint32(place))
	n, list := p.number(), *c.limits.Load()
	if co == nil || int(n) >= len(list) {
		return false
	}
	s.limits = &list[n]
	s.mark = co.mark.Load()
	a.Kind = s.limits.Kind
	a.Account.SetRaw(co.account().raw())
	a.Session.SetRaw(p.id().raw())
	a.expires = issuedOf(place, s.state) + s.limits.Absolute
	a.idle, a.generation = s.limits.Idle, co.generation()
	a.idleAt = int64(s.state&seenMask) + a.idle
	a.profile = int64(s.mark >> 32)
	a.epoch, a.ref, a.state = c.epoch, r, s.own
	// A kept session moves to its account's next cohort before the old one
	// ends. Had it moved before mark was read, it would be seen here.
	return p.place.Load() == place
}

func (x *Index) rule(c *core, a *Answer, s *standing, now int64) {
	switch {
	case (s.own|s.state)&flagFree != 0 || s.mark&cohortFree != 0:
		*a = Answer{State: Absent}
		return
	case (s.own|s.state)&flagEnded != 0 || s.mark&cohortEnded != 0:
		a.State = Ended
		return
	case s.mark&cohortPassed != 0:
		*a = Answer{State: Absent} // the store knows whether it was kept
		return
	case s.mark&cohortInDoubt != 0 && x.inDoubt.Load().cover(a.Account, a.Session, a.App):
		a.State = Indeterminate
		return
	}
	a.State = x.timing(c, a, s, now)
	if x.opt.Limit > 0 {
		c.use(s.session)
		if s.app != 0 {
			c.use(s.app)
		}
	}
}

// timing rules on a session that nobody has ended.
func (x *Index) timing(c *core, a *Answer, s *standing, now int64) State {
	idle := now >= a.idleAt && a.idleAt < a.expires
	switch {
	case s.state&flagLate != 0:
	case idle && (x.opt.SharedActivity || s.state&flagUnsure != 0):
		return SeemsIdle
	case idle:
		x.markLate(c, s.session, s.state, exeunt.Overdue{Account: a.Account, Session: a.Session, Reason: exeunt.ReasonIdle})
	case now >= a.expires:
		x.markLate(c, s.session, s.state, exeunt.Overdue{Account: a.Account, Session: a.Session, Reason: exeunt.ReasonAbsolute})
	default:
		return Usable
	}
	return TimedOut
}

// use notes that an entry was asked for.
func (c *core) use(r ref) {
	_, m := c.at(r)
	if i := uint32(r&localMask) % pageLen; !m.used.has(i) {
		m.used.set(i)
	}
}

// Changes grows with every token that comes and every event.
func (x *Index) Changes() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changes
}

// Len returns how many tokens are known.
func (x *Index) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.core.Load().count
}
