// Package live is this node's in-memory answer to "is this token usable now?".
//
// It owns the table of known tokens and the rule by which an entry may enter
// it. It is changed only by Insert, with a snapshot that names its position in
// the event log, and by Apply, with the events of that log in order. It never
// reads or writes the store and starts nothing: whoever misses here asks the
// store (authority does).
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

const shardCount = 64

// Index is the table. The zero Index is not usable; call New.
type Index struct {
	shards [shardCount]shard

	// mu serialises writers: Apply, Insert and the sweeps. Checks take only
	// their shard's read lock.
	mu       sync.Mutex
	accounts map[exeunt.AccountID]*account
	sessions map[exeunt.SessionID]*entry
	apps     map[exeunt.AppSessionID]*entry
	base     int64 // number of the last event before this index began
	applied  int64 // number of the last event applied
	ring     [ringSize]exeunt.Event

	overdue chan Overdue
}

type shard struct {
	mu sync.RWMutex
	m  map[exeunt.TokenHash]*entry
}

// account is shared by the entries of one account.
type account struct {
	id         exeunt.AccountID
	generation atomic.Int64
	profile    atomic.Pointer[Profile]
	doubts     atomic.Pointer[[]exeunt.Revocation] // nil when there are none
}

// entry is a session, or with a parent an app session.
type entry struct {
	hash    exeunt.TokenHash
	account *account
	parent  *entry // of an app session
	session exeunt.SessionID
	app     exeunt.AppSessionID
	client  exeunt.ClientID
	kind    exeunt.SessionKind
	label   string
	issued  int64 // milliseconds since 1970, as all times here
	expires int64
	idle    int64

	generation atomic.Int64
	seen       atomic.Int64
	flushed    int64 // the activity the store knows; only FlushActivity's caller touches it
	ended      atomic.Bool
	// late is set once time has run out, and stays until the store has ruled:
	// activity that arrives afterwards must not revive the session.
	late atomic.Bool
}

// Overdue names a session whose time has run out, to be declared ended.
type Overdue struct {
	Account exeunt.AccountID
	Session exeunt.SessionID
	Reason  exeunt.Reason
}

// New returns an empty index that has applied the log up to and including seq.
func New(seq int64) *Index {
	x := &Index{
		accounts: map[exeunt.AccountID]*account{},
		sessions: map[exeunt.SessionID]*entry{},
		apps:     map[exeunt.AppSessionID]*entry{},
		base:     seq,
		applied:  seq,
		overdue:  make(chan Overdue, 1024),
	}
	for i := range x.shards {
		x.shards[i].m = map[exeunt.TokenHash]*entry{}
	}
	return x
}

func (x *Index) shard(h exeunt.TokenHash) *shard { return &x.shards[h[0]%shardCount] }

// Overdue delivers sessions whose time a check found to have run out. When
// nobody reads, notices are dropped: the sweep finds the session, see Late.
func (x *Index) Overdue() <-chan Overdue { return x.overdue }

// Check answers for a token. It allocates nothing, writes nothing to the
// session, and waits for nobody but an insertion into the same shard.
func (x *Index) Check(h exeunt.TokenHash, now time.Time) Answer {
	s := x.shard(h)
	s.mu.RLock()
	e := s.m[h]
	s.mu.RUnlock()
	if e == nil {
		return Answer{State: Absent}
	}
	return x.answer(e, now.UnixMilli())
}

func (x *Index) answer(e *entry, now int64) Answer {
	p := e
	if e.parent != nil {
		p = e.parent
	}
	return Answer{
		State:   x.state(e, p, now),
		Account: p.account.id, Session: p.session, App: e.app, Client: e.client,
		Kind: p.kind, Label: p.label,
		issued: p.issued, expires: p.expires, idleAt: p.seen.Load() + p.idle,
		profile: p.account.profile.Load(), entry: e,
	}
}

func (x *Index) state(e, p *entry, now int64) State {
	// Doubts are read first: they are lifted after the end has been applied, so
	// in this order an ending in doubt is never seen as neither.
	doubted := p.account.doubted()
	// The account's generation is read before the session's: Apply re-stamps a
	// kept session before it raises the account's generation, so in this order
	// a kept session is never seen as ended.
	generation := p.account.generation.Load()
	if e.ended.Load() || p.ended.Load() || p.generation.Load() < generation {
		return Ended
	}
	if doubted != nil && inDoubt(doubted, p.session, e.app) {
		return CannotKnow
	}
	switch idleAt := p.seen.Load() + p.idle; {
	case now >= idleAt && idleAt < p.expires:
		x.markLate(p, exeunt.ReasonIdle)
	case now >= p.expires:
		x.markLate(p, exeunt.ReasonAbsolute)
	}
	if p.late.Load() {
		return TimedOut
	}
	return Usable
}

func (x *Index) markLate(p *entry, reason exeunt.Reason) {
	if !p.late.CompareAndSwap(false, true) {
		return
	}
	select {
	case x.overdue <- Overdue{p.account.id, p.session, reason}:
	default:
	}
}

// Late returns the sessions that checks found to have run out and that the
// store has not ruled on yet.
func (x *Index) Late(now time.Time) []Overdue {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []Overdue
	for _, e := range x.sessions {
		if !e.late.Load() || e.ended.Load() {
			continue
		}
		reason := exeunt.ReasonIdle
		if now.UnixMilli() >= e.expires {
			reason = exeunt.ReasonAbsolute
		}
		out = append(out, Overdue{e.account.id, e.session, reason})
	}
	return out
}

// StillGood lifts the mark of a session that the store found not to have run
// out after all, because it knew of later activity.
func (x *Index) StillGood(id exeunt.SessionID, seen time.Time) {
	x.mu.Lock()
	e := x.sessions[id]
	x.mu.Unlock()
	if e != nil {
		atomicMax(&e.seen, seen.UnixMilli())
		e.late.Store(false)
	}
}

// Touch notes activity at now on the session of the answer, and on its app
// session. It is a store into memory; the store learns of it in batches.
func (x *Index) Touch(a Answer, now time.Time) {
	if a.entry == nil || a.State != Usable {
		return
	}
	ms := now.UnixMilli()
	atomicMax(&a.entry.seen, ms)
	if a.entry.parent != nil {
		atomicMax(&a.entry.parent.seen, ms)
	}
}

func atomicMax(v *atomic.Int64, to int64) {
	for old := v.Load(); old < to; old = v.Load() {
		if v.CompareAndSwap(old, to) {
			return
		}
	}
}

// SeenAt returns the last activity known here of a session, if it is known.
func (x *Index) SeenAt(id exeunt.SessionID) (time.Time, bool) {
	x.mu.Lock()
	e := x.sessions[id]
	x.mu.Unlock()
	if e == nil {
		return time.Time{}, false
	}
	return time.UnixMilli(e.seen.Load()), true
}

// Len returns how many tokens are known.
func (x *Index) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.sessions) + len(x.apps)
}
