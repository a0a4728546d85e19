package live

import (
	"fmt"
	"time"

	"github.com/exeunt/exeunt"
)

// Apply applies events that have been committed. They must follow one another
// and what was applied before without a gap: a gap would mean an end that this
// node never learns of, so it is refused as an error and nothing is applied.
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
		x.apply(e)
		x.applied = e.Seq
		x.ring[e.Seq%ringSize] = *e
	}
	return nil
}

func (x *Index) apply(e *exeunt.Event) {
	switch e.Scope {
	case exeunt.ScopeSession:
		target := x.sessions[e.Session]
		if !e.AppSession.IsZero() {
			target = x.apps[e.AppSession]
		}
		if target != nil {
			target.ended.Store(true)
		}
	case exeunt.ScopeOthers, exeunt.ScopeAccount:
		// One store ends them all, however many there are. The kept session is
		// re-stamped first; see state for why the order matters.
		if kept := x.sessions[e.Session]; kept != nil && e.Scope == exeunt.ScopeOthers {
			atomicMax(&kept.generation, e.Generation)
		}
		if a := x.accounts[e.Account]; a != nil {
			atomicMax(&a.generation, e.Generation)
		}
	}
	if a := x.accounts[e.Account]; a != nil {
		a.arrived(e)
	}
}

// Applied returns the number of the last event applied.
func (x *Index) Applied() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.applied
}

// Snapshot is a session as one statement of the store saw it, and where in the
// log that was.
type Snapshot struct {
	Seq               int64 // the log's head at the moment of the snapshot
	Hash              exeunt.TokenHash
	Session           exeunt.Session
	AccountGeneration int64
	Profile           Profile
	App               *exeunt.AppSession // with its own hash in AppHash; nil for a session alone
	AppHash           exeunt.TokenHash
}

// Insert adds what a snapshot shows. It returns false, and adds nothing, if an
// event after the snapshot has ended it, or if the snapshot is older than the
// events remembered: then load again. A session that is already known stays as
// it is, since what is known is never older than what was applied.
func (x *Index) Insert(s Snapshot) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s.Session.End != nil || s.Session.Generation < s.AccountGeneration || !x.unaffected(&s) {
		return false
	}
	acct := x.account(s.Session.Account)
	acct.setProfile(s.Profile)
	// A snapshot may be ahead of the events applied here. A session that is
	// known already is re-stamped before its account's generation rises, as
	// apply does, so that it is never seen as ended in between.
	parent := x.insertSession(acct, &s)
	atomicMax(&acct.generation, s.AccountGeneration)
	if s.App != nil {
		x.insertApp(parent, &s)
	}
	return true
}

// unaffected reports whether no event after the snapshot covers it.
func (x *Index) unaffected(s *Snapshot) bool {
	if x.applied-s.Seq > min(ringSize, x.applied-x.base) {
		return false
	}
	for seq := s.Seq + 1; seq <= x.applied; seq++ {
		e := &x.ring[seq%ringSize]
		if e.Covers(s.Session.Account, s.Session.ID, s.Session.Generation) {
			return false
		}
		if s.App != nil && e.CoversApp(s.App.ID) {
			return false
		}
		if e.Scope == exeunt.ScopeOthers && e.Account == s.Session.Account && e.Session == s.Session.ID {
			s.Session.Generation = max(s.Session.Generation, e.Generation) // it is the one that was kept
		}
	}
	return true
}

func (x *Index) insertSession(acct *account, s *Snapshot) *entry {
	if e := x.sessions[s.Session.ID]; e != nil {
		atomicMax(&e.generation, s.Session.Generation)
		return e
	}
	e := &entry{
		hash: s.Hash, account: acct, session: s.Session.ID, kind: s.Session.Kind, label: s.Session.Label,
		issued: s.Session.Started.UnixMilli(), expires: s.Session.ExpiresAt.UnixMilli(),
		idle: s.Session.Idle.Milliseconds(), flushed: s.Session.Seen.UnixMilli(),
	}
	e.generation.Store(s.Session.Generation)
	e.seen.Store(s.Session.Seen.UnixMilli())
	x.sessions[e.session] = e
	x.put(e)
	return e
}

func (x *Index) insertApp(parent *entry, s *Snapshot) {
	if s.App.End != nil || x.apps[s.App.ID] != nil {
		return
	}
	e := &entry{
		hash: s.AppHash, account: parent.account, parent: parent, session: parent.session, app: s.App.ID,
		client: s.App.Client, issued: s.App.Started.UnixMilli(), flushed: s.App.Seen.UnixMilli(),
	}
	e.seen.Store(s.App.Seen.UnixMilli())
	x.apps[e.app] = e
	x.put(e)
}

func (x *Index) put(e *entry) {
	s := x.shard(e.hash)
	s.mu.Lock()
	s.m[e.hash] = e
	s.mu.Unlock()
}

// SetProfile replaces the account's profile unless a newer one is known. It
// remembers the profile of an account without entries too, so that a load
// already under way cannot bring the old one back.
func (x *Index) SetProfile(id exeunt.AccountID, p Profile) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.account(id).setProfile(p)
}

// account is called with mu held.
func (x *Index) account(id exeunt.AccountID) *account {
	a := x.accounts[id]
	if a == nil {
		a = &account{id: id}
		x.accounts[id] = a
	}
	return a
}

// setProfile is called with Index.mu held.
func (a *account) setProfile(p Profile) {
	if old := a.profile.Load(); old == nil || old.Version < p.Version {
		a.profile.Store(&p)
	}
}

// Activity is the last use of a session or app session, owed to the store.
type Activity struct {
	Account exeunt.AccountID
	Session exeunt.SessionID
	App     exeunt.AppSessionID
	Seen    time.Time
	entry   *entry
}

// Unflushed returns the activity the store does not know yet. Only one caller
// at a time may go through Unflushed and Flushed.
func (x *Index) Unflushed() []Activity {
	var out []Activity
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		for _, e := range s.m {
			if seen := e.seen.Load(); seen > e.flushed && !e.ended.Load() {
				out = append(out, Activity{e.account.id, e.session, e.app, time.UnixMilli(seen), e})
			}
		}
		s.mu.RUnlock()
	}
	return out
}

// Flushed records that the store has committed these.
func (x *Index) Flushed(done []Activity) {
	for _, a := range done {
		a.entry.flushed = a.Seen.UnixMilli()
	}
}

// Forget drops entries that can never be usable again, and accounts without
// entries or doubts. Their tokens are afterwards answered from the store.
func (x *Index) Forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	inUse := map[exeunt.AccountID]bool{}
	for id, e := range x.sessions {
		if e.ended.Load() || e.generation.Load() < e.account.generation.Load() {
			delete(x.sessions, id)
			x.drop(e)
			continue
		}
		inUse[e.account.id] = true
	}
	for id, e := range x.apps {
		if e.ended.Load() || x.sessions[e.session] != e.parent {
			delete(x.apps, id)
			x.drop(e)
		}
	}
	for id, a := range x.accounts {
		if !inUse[id] && a.doubted() == nil {
			delete(x.accounts, id)
		}
	}
}

func (x *Index) drop(e *entry) {
	// An answer in flight may still hold the entry; make sure it stays ended.
	e.ended.Store(true)
	s := x.shard(e.hash)
	s.mu.Lock()
	delete(s.m, e.hash)
	s.mu.Unlock()
}
