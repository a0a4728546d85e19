package live

import (
	"time"

	"github.com/exeunt/exeunt"
)

// Snapshot is what the store said, and the state of memory before the store was asked.
type Snapshot struct {
	exeunt.Snapshot
	Epoch   int64     // Index.Epoch
	Dropped int64     // Index.Dropped
	Asked   time.Time // when the store was asked; zero: the snapshot cannot show that the session is idle
}

// maxGeneration is the last generation that a cohort can hold: one "sign out everywhere" a second for 136 years.
const maxGeneration = 1<<32 - 2

// Insert adds a snapshot's session and app session. It returns false, and the caller must load again, if an event after
// the snapshot has ended them, if they were dropped from memory after the store was asked, or if the snapshot is of
// another epoch or older than the remembered events and drops. A session that is already in memory only takes over
// later activity, because memory has every event that was applied.
func (x *Index) Insert(s Snapshot) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	if s.Epoch != c.epoch || s.Session.End != nil || s.Session.Generation < s.AccountGeneration {
		return false
	}
	if !x.unaffected(&s) || x.droppedSince(&s) || s.Session.Generation < 0 || s.Session.Generation > maxGeneration {
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
	profile, _ := x.profiles.get(s.Session.Account)
	c.cohort(uint32(c.entry(parent).owner.Load())).setProfile(max(profile.Version, s.Profile.Version))
	if s.App != nil && s.App.End == nil {
		ok = c.insertApp(parent, &s)
	}
	x.markIfIdle(c, parent, s.Asked)
	return ok
}

// ids returns the session twice when there is no app session.
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

// survives reports whether the event does not end the snapshot's session or app session. A session that the event keeps
// gets its generation.
func (s *Snapshot) survives(p *pastEvent) bool {
	e := p.event()
	if e.Covers(s.Session.Account, s.Session.ID, s.Session.Generation) || s.App != nil && e.CoversApp(s.App.ID, s.App.Client) {
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
	cohort, superseded := x.cohortFor(c, s)
	if cohort == 0 {
		return 0, false
	}
	c.supersede(superseded)
	seen, started := s.Session.Seen.UnixMilli(), s.Session.Started.UnixMilli()
	r := c.add(&k, wordsOf(s.Session.ID.Raw()), number, seen, started, 0, cohort)
	if r == 0 {
		c.leave(cohort)
	}
	return r, r != 0
}

// cohortFor returns the cohort of the snapshot's generation, which the session has joined, or 0 if the account has a
// later one. superseded is the former current cohort if the snapshot shows that an event not applied here yet has
// raised the generation: only the store can tell which of its sessions were kept. The caller must call supersede with
// it.
func (x *Index) cohortFor(c *core, s *Snapshot) (cohort, superseded uint32) {
	account := wordsOf(s.Session.Account.Raw())
	n := c.current(account)
	switch {
	case n == 0 || c.cohort(n).generation() < s.Session.Generation:
		cohort, superseded = c.newCohort(account, s.Session.Generation, x.inDoubtFlag(s.Session.Account)), n
	case c.cohort(n).generation() > s.Session.Generation:
		return 0, 0
	default:
		cohort = n
	}
	c.join(cohort)
	return cohort, superseded
}

func (c *core) supersede(n uint32) {
	if n != 0 && c.cohort(n).mark.Load()&cohortFree == 0 {
		c.finish(n, cohortSuperseded)
	}
}

// renew updates a session in memory from a snapshot. It fails when the snapshot is too old to tell whether the session
// has ended.
func (x *Index) renew(c *core, r ref, e *entry, s *Snapshot) bool {
	owner := uint32(e.owner.Load())
	if over := c.cohort(owner).mark.Load() & (cohortEnded | cohortSuperseded); over == cohortEnded {
		return true // it has ended
	}
	if cohort, superseded := x.cohortFor(c, s); cohort == 0 {
		// The snapshot is older than memory. That matters only if the store was asked because the cohort is superseded.
		if c.cohort(owner).mark.Load()&cohortSuperseded != 0 {
			return false
		}
	} else {
		// It moves before its old cohort is marked, so that no check refuses it in between: see answer.
		c.move(r, cohort)
		c.supersede(superseded)
	}
	state := e.state.Load()
	e.raise(state, s.Session.Seen.UnixMilli())
	e.change(state, 0, flagUnsure)
	return true
}

func (c *core) insertApp(parent ref, s *Snapshot) bool {
	k := keyOf(&s.AppHash)
	if _, e := c.find(&k); e != nil && !c.isDropped(e) {
		e.raise(e.state.Load(), s.App.Seen.UnixMilli())
		return true
	}
	// Its client has asked for another token, or an event has dropped what the client had. The former entry goes, so that
	// an event finds the one that counts.
	if r, e := c.byID(wordsOf(s.App.ID.Raw())); e != nil {
		if e.state.Load()&flagEnded != 0 {
			return true
		}
		c.drop(r)
	}
	number, ok := number(&c.clients, s.App.Client)
	if !ok {
		return false
	}
	seen, started := s.App.Seen.UnixMilli(), s.App.Started.UnixMilli()
	r := c.add(&k, wordsOf(s.App.ID.Raw()), number, seen, started, flagApp, uint32(parent))
	if r != 0 {
		c.adopt(parent, r)
	}
	return r != 0
}

// markIfIdle marks a session late if it was idle when the store was asked, which knew of no later activity either.
func (x *Index) markIfIdle(c *core, r ref, asked time.Time) {
	if asked.IsZero() {
		return
	}
	var a Answer
	var s standing
	if c.answer(r, c.entry(r), &a, &s) && asked.UnixMilli() >= a.idleAt && a.idleAt < a.expires {
		x.markLate(c, r, s.state, &a, exeunt.ReasonIdle)
	}
}
