package live

import (
	"time"

	"github.com/exeunt/exeunt"
)

// Snapshot is what the store said, and how memory stood before it was asked.
type Snapshot struct {
	exeunt.Snapshot
	Epoch   int64     // Index.Epoch
	Dropped int64     // Index.Dropped
	Asked   time.Time // when it was asked; zero: do not judge by it whether time has run out
}

// maxGeneration is the last generation an entry can hold: one "sign out
// everywhere" a second for 136 years. Sessions beyond are not taken.
const maxGeneration = 1<<32 - 2

// Insert adds what a snapshot shows. It returns false, and adds nothing, if an
// event after the snapshot has ended it, if what it shows was in memory and was
// dropped after the store was asked, or if the snapshot is of another epoch or
// older than what is remembered of events and drops: then load again. A session
// that is already known stays as it is, since what is known is never older than
// what was applied; only later activity is taken over.
func (x *Index) Insert(s Snapshot) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	if s.Epoch != c.epoch || s.Session.End != nil || s.Session.Generation < s.AccountGeneration || !x.unaffected(&s) || x.outlived(&s) {
		return false
	}
	if s.Session.Generation < 0 || s.Session.Generation > maxGeneration {
		return false
	}
	x.changes++
	session, app := s.ids()
	x.makeRoom(c, session, app)
	x.profiles.put(s.Session.Account, s.Profile)
	parent, ok := x.insertSession(c, &s)
	if !ok {
		return false
	}
	c.cohort(uint32(c.entry(parent).place.Load())).setProfile(x.profiles.version(s.Session.Account, s.Profile.Version))
	if s.App != nil && s.App.End == nil {
		ok = c.insertApp(parent, &s)
	}
	x.judge(c, parent, s.Asked)
	return ok
}

// ids are what the snapshot shows: the session twice when there is no app session.
func (s *Snapshot) ids() (session, app words) {
	session = wordsOf(s.Session.ID.Raw())
	if s.App == nil {
		return session, session
	}
	return session, wordsOf(s.App.ID.Raw())
}

// unaffected reports whether no event after the snapshot covers it.
func (x *Index) unaffected(s *Snapshot) bool {
	if x.applied-s.Seq > min(ringSize, x.applied-x.base) || s.Seq < x.ownLost {
		return false
	}
	for seq := s.Seq + 1; seq <= x.applied; seq++ {
		if !s.survives(&x.ring[seq%ringSize]) {
			return false
		}
	}
	for i := range x.own {
		if p := &x.own[i]; p.seq > s.Seq && !s.survives(p) {
			return false
		}
	}
	return true
}

// survives reports whether the event has not ended what the snapshot shows. A
// session that it kept is taken to be of its generation.
func (s *Snapshot) survives(p *past) bool {
	e := p.event()
	if e.Covers(s.Session.Account, s.Session.ID, s.Session.Generation) || s.App != nil && e.CoversApp(s.App.ID) {
		return false
	}
	if e.Keeps(s.Session.Account, s.Session.ID) {
		s.Session.Generation = max(s.Session.Generation, e.Generation)
	}
	return true
}

func (x *Index) insertSession(c *core, s *Snapshot) (ref, bool) {
	k := keyOf(&s.Hash)
	if r, e := c.find(&k); e != nil {
		return r, x.renew(c, r, e, s)
	}
	absolute := s.Session.ExpiresAt.UnixMilli() - s.Session.Started.UnixMilli()
	number, ok := number(&c.limits, limits{s.Session.Kind, s.Session.Idle.Milliseconds(), absolute})
	if !ok {
		return 0, false
	}
	cohort, passed := x.cohortFor(c, s)
	if cohort == 0 {
		return 0, false
	}
	c.pass(passed)
	r := c.add(&k, wordsOf(s.Session.ID.Raw()), number, s.Session.Seen.UnixMilli(), s.Session.Started.UnixMilli(), 0, cohort)
	if r == 0 {
		c.leave(cohort)
	}
	return r, r != 0
}

// cohortFor returns the cohort of the snapshot's generation, with a place in it
// for the session, and 0 if the account is known to be of a later one. passed
// is the one that was current so far: the account's generation has risen by an
// event that has not been applied here, so which of its sessions were kept only
// the store can tell. It is for the caller to pass.
func (x *Index) cohortFor(c *core, s *Snapshot) (cohort, passed uint32) {
	account := wordsOf(s.Session.Account.Raw())
	n := c.current(account)
	switch {
	case n == 0 || c.cohort(n).generation() < s.Session.Generation:
		cohort, passed = c.newCohort(account, s.Session.Generation, x.inDoubtFlag(s.Session.Account)), n
	case c.cohort(n).generation() > s.Session.Generation:
		return 0, 0
	default:
		cohort = n
	}
	c.join(cohort)
	return cohort, passed
}

func (c *core) pass(n uint32) {
	if n != 0 && c.cohort(n).mark.Load()&cohortFree == 0 {
		c.finish(n, cohortPassed)
	}
}

// renew takes over what a snapshot knows of a known session. It is not ok when
// the snapshot is too old to tell whether the session is still there.
func (x *Index) renew(c *core, r ref, e *entry, s *Snapshot) bool {
	place := uint32(e.place.Load())
	if over := c.cohort(place).mark.Load() & (cohortEnded | cohortPassed); over == cohortEnded {
		return true // and it has ended
	}
	if cohort, passed := x.cohortFor(c, s); cohort == 0 {
		// The snapshot is the older one. That is no matter unless the store
		// was asked because its cohort was passed.
		if c.cohort(place).mark.Load()&cohortPassed != 0 {
			return false
		}
	} else {
		// It moves before the other is marked, so that it is not refused in
		// between: see answer.
		c.move(r, cohort)
		c.pass(passed)
	}
	state := e.state.Load()
	e.raise(state, s.Session.Seen.UnixMilli())
	e.change(state, 0, flagUnsure)
	return true
}

func (c *core) insertApp(parent ref, s *Snapshot) bool {
	k := keyOf(&s.AppHash)
	if _, e := c.find(&k); e != nil {
		e.raise(e.state.Load(), s.App.Seen.UnixMilli())
		return true
	}
	number, ok := number(&c.clients, s.App.Client)
	if !ok {
		return false
	}
	r := c.add(&k, wordsOf(s.App.ID.Raw()), number, s.App.Seen.UnixMilli(), s.App.Started.UnixMilli(), flagApp, uint32(parent))
	if r != 0 {
		c.adopt(parent, r)
	}
	return r != 0
}

// judge marks a session late if its time had run out when the store was asked:
// the store does not know of later activity either.
func (x *Index) judge(c *core, r ref, asked time.Time) {
	if asked.IsZero() {
		return
	}
	var a Answer
	var s standing
	if c.answer(r, c.entry(r), &a, &s) && asked.UnixMilli() >= a.idleAt && a.idleAt < a.expires {
		x.markLate(c, r, s.state, exeunt.Overdue{Account: a.Account, Session: a.Session, Reason: exeunt.ReasonIdle})
	}
}
