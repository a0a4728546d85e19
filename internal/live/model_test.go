package live

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exeunt/exeunt"
)

// The plain model of the table, and the store behind it: maps of what was
// started and what has become of it.
type modelSession struct {
	snapshot Snapshot
	stored   time.Time // the last activity that the store knows of
	since    time.Time // the first that it does not know, zero if it knows all
	ended    bool      // says the store
	told     bool      // and memory has heard of it
	apps     []*modelApp
}

type modelApp struct {
	app    exeunt.AppSession
	hash   exeunt.TokenHash
	stored time.Time
	ended  bool
	told   bool
}

// committed is an event and what it ended.
type committed struct {
	event exeunt.Event
	ends  []*bool
}

type model struct {
	x           *Index
	limit       int
	crowded     bool // all in one shard, so that tables grow and get full of marks
	seq         int64
	now         time.Time
	generations map[exeunt.AccountID]int64
	accounts    []exeunt.AccountID
	sessions    []*modelSession
	log         []exeunt.Event
	held        []committed // and not yet given to Apply
	doubts      map[exeunt.Revocation]bool
	old         []Snapshot // taken some time ago, and not inserted yet
}

func newModel(t *rapid.T) *model {
	m := &model{now: epoch, generations: map[exeunt.AccountID]int64{}, doubts: map[exeunt.Revocation]bool{}}
	m.crowded = rapid.Bool().Draw(t, "crowded")
	m.limit = rapid.SampledFrom([]int{0, 0, 12}).Draw(t, "limit")
	m.x = New(0, Options{Limit: m.limit})
	for range 4 {
		id := exeunt.NewAccountID()
		m.accounts, m.generations[id] = append(m.accounts, id), 1
	}
	return m
}

func (m *model) account(t *rapid.T) exeunt.AccountID {
	return rapid.SampledFrom(m.accounts).Draw(t, "account")
}

func (m *model) pick(t *rapid.T) *modelSession {
	if len(m.sessions) == 0 {
		t.Skip("no session yet")
	}
	return rapid.SampledFrom(m.sessions).Draw(t, "session")
}

// snapshot is what the store would show now.
func (m *model) snapshot(v *modelSession, p *modelApp) Snapshot {
	s := v.snapshot
	s.Seq, s.Epoch, s.Dropped, s.AccountGeneration = m.seq, m.x.Epoch(), m.x.Dropped(), m.generations[s.Session.Account]
	if s.Session.Seen = v.stored; v.ended {
		s.Session.End = &exeunt.Ended{}
	}
	if p != nil {
		app := p.app
		app.Seen = p.stored
		if p.ended {
			app.End = &exeunt.Ended{}
		}
		s.App, s.AppHash = &app, p.hash
	}
	return s
}

// Start starts a few sessions: many in all, so that tables grow.
func (m *model) Start(t *rapid.T) {
	id := m.account(t)
	for range rapid.IntRange(1, 12).Draw(t, "how many") {
		s := snapshot(0, id, m.generations[id])
		if m.crowded {
			raw := s.Session.ID.Raw()
			raw[0], s.Hash[0] = 0, 0
			s.Session.ID.SetRaw(raw)
		}
		m.sessions = append(m.sessions, &modelSession{snapshot: s, stored: s.Session.Seen})
	}
}

func (m *model) StartApp(t *rapid.T) {
	v := m.pick(t)
	s := withApp(v.snapshot)
	v.apps = append(v.apps, &modelApp{app: *s.App, hash: s.AppHash, stored: s.App.Seen})
}

// TakeSnapshot reads the store, to be inserted when other things have happened.
func (m *model) TakeSnapshot(t *rapid.T) {
	v := m.pick(t)
	var p *modelApp
	if len(v.apps) > 0 && rapid.Bool().Draw(t, "of an app") {
		p = rapid.SampledFrom(v.apps).Draw(t, "app")
	}
	m.old = append(m.old, m.snapshot(v, p))
}

func (m *model) InsertOld(t *rapid.T) {
	if len(m.old) == 0 {
		t.Skip("none")
	}
	i := rapid.IntRange(0, len(m.old)-1).Draw(t, "which")
	m.x.Insert(m.old[i])
	m.old = append(m.old[:i], m.old[i+1:]...)
}

func (m *model) record(t *rapid.T, e exeunt.Event, ends ...*bool) {
	m.seq++
	e.Seq = m.seq
	m.log = append(m.log, e)
	m.held = append(m.held, committed{e, ends})
	if rapid.Bool().Draw(t, "committed here") {
		m.x.ApplyOwn([]exeunt.Event{e})
		tell(ends)
	}
}

func tell(all []*bool) {
	for _, told := range all {
		*told = true
	}
}

func (m *model) EndSession(t *rapid.T) {
	v := m.pick(t)
	v.ended = true
	m.record(t, event(0, exeunt.ScopeSession, v.snapshot.Session.Account, v.snapshot.Session.ID, 0), &v.told)
}

func (m *model) EndApp(t *rapid.T) {
	v := m.pick(t)
	if len(v.apps) == 0 {
		t.Skip("no app")
	}
	p := rapid.SampledFrom(v.apps).Draw(t, "app")
	p.ended = true
	e := event(0, exeunt.ScopeSession, v.snapshot.Session.Account, v.snapshot.Session.ID, 0)
	e.AppSession = p.app.ID
	m.record(t, e, &p.told)
}

func (m *model) EndMany(t *rapid.T) {
	id := m.account(t)
	m.generations[id]++
	var keep *modelSession
	if rapid.Bool().Draw(t, "all but one") {
		for _, v := range m.sessions {
			if v.snapshot.Session.Account == id && !v.ended {
				keep = v
			}
		}
	}
	var ends []*bool
	for _, v := range m.sessions {
		if v.snapshot.Session.Account == id && v != keep {
			v.ended = true
			ends = append(ends, &v.told)
		}
	}
	if keep == nil {
		m.record(t, event(0, exeunt.ScopeAccount, id, exeunt.SessionID{}, m.generations[id]), ends...)
		return
	}
	keep.snapshot.Session.Generation = m.generations[id]
	m.record(t, event(0, exeunt.ScopeOthers, id, keep.snapshot.Session.ID, m.generations[id]), ends...)
}

// Follow reads some of the log.
func (m *model) Follow(t *rapid.T) {
	n := rapid.IntRange(0, len(m.held)).Draw(t, "events")
	for _, c := range m.held[:n] {
		if err := m.x.Apply([]exeunt.Event{c.event}); err != nil {
			t.Fatal(err)
		}
		tell(c.ends)
	}
	m.held = m.held[n:]
}

func (m *model) Use(t *rapid.T) {
	v := m.pick(t)
	steps := []time.Duration{time.Second, 5 * time.Second, 15 * time.Second}
	m.now = m.now.Add(rapid.SampledFrom(steps).Draw(t, "later"))
	h, seen := v.snapshot.Hash, &v.snapshot.Session.Seen
	if len(v.apps) > 0 && rapid.Bool().Draw(t, "by an app") {
		p := rapid.SampledFrom(v.apps).Draw(t, "app")
		h, seen = p.hash, &p.app.Seen
	}
	a := m.x.Check(h, m.now)
	if m.x.Touch(a, m.now); a.Usable() {
		if *seen, v.snapshot.Session.Seen = m.now, m.now; v.since.IsZero() {
			v.since = m.now
		}
	}
}

// Save saves what is due. What is not is of the last quantum, and came soon after
// what the store knows.
func (m *model) Save(t *rapid.T) {
	due := m.x.Due(m.now)
	for _, o := range due {
		m.store(o)
	}
	m.x.MarkSaved(due)
	m.x.SavedAt(m.now)
	for _, v := range m.sessions {
		q := time.Duration(quantum(v.snapshot.Session.Idle.Milliseconds())) * time.Millisecond
		if !v.since.IsZero() && !v.ended && !v.told && (m.now.Sub(v.since) >= q || v.since.Sub(v.stored) >= q) {
			t.Fatalf("at %v the store knows of activity until %v and not of that from %v to %v", m.now, v.stored,
				v.since, v.snapshot.Session.Seen)
		}
	}
}

func (m *model) Flush(t *rapid.T) {
	unsaved := m.x.Unsaved()
	for _, o := range unsaved {
		m.store(o)
	}
	m.x.MarkSaved(unsaved)
	if unsaved := m.x.Unsaved(); len(unsaved) != 0 {
		t.Fatalf("unsaved after a save: %+v", unsaved)
	}
}

func (m *model) store(o Unsaved) {
	for _, v := range m.sessions {
		if v.snapshot.Session.ID != o.Session {
			continue
		}
		if o.App.IsZero() {
			v.stored, v.since = o.Seen, time.Time{}
		}
		for _, p := range v.apps {
			if p.app.ID == o.App {
				p.stored = o.Seen
			}
		}
	}
}

func (m *model) PutInDoubt(t *rapid.T) {
	v := m.pick(t)
	s := v.snapshot.Session
	r := rapid.SampledFrom([]exeunt.Revocation{
		{Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID}},
		{Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeOthers, Session: s.ID}},
		{Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeAccount}},
	}).Draw(t, "in doubt")
	if len(v.apps) > 0 && rapid.Bool().Draw(t, "of an app") {
		r = exeunt.Revocation{Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID,
			AppSession: v.apps[0].app.ID}}
	}
	if m.doubts[r] {
		m.x.Resolve(r.Target)
		delete(m.doubts, r)
		return
	}
	m.x.PutInDoubt(r.Target)
	m.doubts[r] = true
}

func (m *model) Forget(*rapid.T) { m.x.Forget() }

func (m *model) Reset(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
		t.Skip("not now")
	}
	m.x.Reset(m.seq)
	m.held = nil
	for _, v := range m.sessions { // the store's word is all that is left
		v.snapshot.Session.Seen, v.since = v.stored, time.Time{}
		for _, p := range v.apps {
			p.app.Seen = p.stored
		}
	}
	for _, s := range m.old {
		if m.x.Insert(s) {
			t.Fatal("a snapshot from before the reset was inserted")
		}
	}
}

// Reload carries the table over to another index by a file, while other things
// happen. What has happened since is in the log.
func (m *model) Reload(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 || len(m.doubts) > 0 {
		t.Skip("not now")
	}
	m.reload(t, rapid.IntRange(0, 4).Draw(t, "disturbances"))
}

func (m *model) reload(t *rapid.T, disturbances int) {
	m.Flush(t)
	d := &disturbed{at: map[int]bool{}, do: func() { m.meanwhile(t) }}
	where := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "before which parts"), 0)) // evenly, which rapid does not
	for range disturbances {
		d.at[1+where.IntN(shardCount+3)] = true
	}
	if err := m.x.Save(d, noCaller); err != nil {
		t.Fatal(err)
	}
	m.x = New(0, Options{Limit: m.limit})
	if err := m.x.loadBytes(d.file.Bytes(), anyMark); err != nil {
		t.Fatal(err)
	}
	m.x.sound(t)
	m.replay(t)
	for _, c := range m.held {
		tell(c.ends)
	}
	m.held, m.old = nil, nil
	m.x.makeRoom(m.x.core.Load(), words{}, words{}) // the file may have what was evicted after its part was written
}

// replay brings memory up to the log, in no order.
func (m *model) replay(t *rapid.T) {
	var ended []byte
	var others []exeunt.Event
	for _, e := range rapid.Permutation(m.log[m.x.Applied():]).Draw(t, "replayed") {
		switch {
		case e.Scope != exeunt.ScopeSession:
			others = append(others, e)
		case e.AppSession.IsZero():
			ended = append(ended, e.Session.Bytes()...)
		default:
			ended = append(ended, e.AppSession.Bytes()...)
		}
	}
	m.x.Replay(m.seq, ended, others)
	if m.x.Applied() != m.seq {
		t.Fatalf("brought up to %d, not %d", m.x.Applied(), m.seq)
	}
	for _, s := range m.old {
		if s.Seq < m.seq && m.x.Insert(s) {
			t.Fatal("a snapshot from before the replay was inserted")
		}
	}
}

// disturbed is a file during whose writing things happen.
type disturbed struct {
	file bytes.Buffer
	n    int
	at   map[int]bool
	do   func()
}

func (d *disturbed) Write(b []byte) (int, error) {
	if d.n++; d.at[d.n] {
		d.do()
	}
	return d.file.Write(b)
}

func (m *model) meanwhile(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "things") {
		do := []func(*rapid.T){m.Start, m.Follow, m.Forget, m.LookUp}
		if len(m.sessions) > 0 {
			do = append(do, m.EndSession, m.EndMany, m.EndMany, m.StartApp)
		}
		rapid.SampledFrom(do).Draw(t, "meanwhile")(t)
	}
	m.LookUp(t)
}

// LookUp asks for every token.
func (m *model) LookUp(t *rapid.T) {
	for _, v := range m.sessions {
		m.agreeOn(t, v, nil)
		for _, p := range v.apps {
			m.agreeOn(t, v, p)
		}
	}
}

func (m *model) inDoubt(v *modelSession, p *modelApp) bool {
	s := v.snapshot.Session
	for r := range m.doubts {
		switch {
		case r.Account != s.Account:
		case r.Scope == exeunt.ScopeAccount, r.Scope == exeunt.ScopeOthers && (r.Session != s.ID || p != nil),
			r.Scope == exeunt.ScopeSession && r.Session == s.ID &&
				(r.AppSession.IsZero() || p != nil && r.AppSession == p.app.ID):
			return true
		}
	}
	return false
}

// Check holds memory against the model: what is in it may lag behind events
// that nobody has told it of, and never lets in what it has been told has
// ended. Asked for, it knows everything that lives.
func (m *model) Check(t *rapid.T) {
	if m.limit > 0 && m.x.Len() > m.limit && len(m.x.Unsaved()) == 0 {
		t.Fatalf("%d tokens are kept, the limit is %d", m.x.Len(), m.limit)
	}
	m.LookUp(t)
	m.x.sound(t)
}

func (m *model) agreeOn(t *rapid.T, v *modelSession, p *modelApp) {
	h, over, told := v.snapshot.Hash, v.ended, v.told
	if p != nil {
		h, over, told = p.hash, over || p.ended, told || p.told
	}
	a := m.x.Check(h, m.now)
	asked := false
	if a.State == Absent {
		asked = true
		if m.x.Insert(m.snapshot(v, p)) {
			a = m.x.Check(h, m.now)
		} else if !over {
			t.Fatal("what the store shows to be live was not inserted")
		}
	}
	switch {
	case over && a.Usable() && (asked || told):
		t.Fatal("an ended session is usable")
	case over:
	case m.inDoubt(v, p) != (a.State == Indeterminate):
		t.Fatalf("a session in doubt (%v) is %v", m.inDoubt(v, p), a.State)
	case a.State != Usable && a.State != Indeterminate:
		t.Fatalf("a live session is %v", a.State)
	case a.Session != v.snapshot.Session.ID || a.Account != v.snapshot.Session.Account ||
		!a.ExpiresAt().Equal(v.snapshot.Session.ExpiresAt) || a.Kind != v.snapshot.Session.Kind:
		t.Fatalf("the answer is about something else: %+v", a)
	case p == nil && !a.IdleAt().Equal(v.snapshot.Session.Seen.Add(v.snapshot.Session.Idle)):
		t.Fatalf("idle at %v, seen %v", a.IdleAt(), v.snapshot.Session.Seen)
	case p != nil && (a.App != p.app.ID || a.Client != p.app.Client):
		t.Fatalf("the answer is about another app: %+v", a)
	case p != nil:
		_, e := m.x.core.Load().byID(wordsOf(p.app.ID.Raw()))
		if seen := int64(e.state.Load() & seenMask); seen != p.app.Seen.UnixMilli() {
			t.Fatalf("an app session was seen at %v, not %v", time.UnixMilli(seen), p.app.Seen)
		}
	}
}

// sound counts again what the table counts of itself.
func (x *Index) sound(t rapid.TB) {
	c := x.core.Load()
	members, entries, stale, current := map[uint32]int{}, 0, 0, 0
	for shard := range uint32(shardCount) {
		found := 0
		c.each(shard, func(r ref, e *entry, _ *marks) {
			entries++
			found++
			if got, _ := c.byID(e.id()); got != r {
				t.Fatalf("entry %x is found by its ID as %x", r, got)
			}
			if e.state.Load()&flagEnded != 0 && !slices.Contains(c.ended, r) {
				t.Fatalf("entry %x has ended and will not be forgotten", r)
			}
			if e.state.Load()&flagApp == 0 {
				members[uint32(e.owner.Load())]++
			}
		})
		if full := c.shards[shard].full; full != found {
			t.Fatalf("%d tokens in a shard of %d", full, found)
		}
	}
	for n, k := range members {
		co := c.cohort(n)
		if mark := co.mark.Load(); mark&cohortFree != 0 || int(co.birth.Load()&lowHalf) != k {
			t.Fatalf("a cohort of %d says %d, marks %x", k, co.birth.Load()&lowHalf, mark)
		} else if mark&(cohortEnded|cohortSuperseded) != 0 {
			stale += k
		} else if current++; c.current(co.account()) != n {
			t.Fatal("a cohort that has not ended is not its account's")
		}
	}
	named := 0
	for i := range c.accounts {
		named += c.accounts[i].full
	}
	if entries != c.count || stale != c.stale || named != current {
		t.Fatalf("%d entries, counted %d; %d stale, counted %d; %d accounts named of %d", entries, c.count, stale,
			c.stale, named, current)
	}
}

// Whatever happens in whatever order, the table answers as the model does.
func TestTheTableAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		t.Repeat(rapid.StateMachineActions(newModel(t)))
	})
}

// A file that was written while everything changed is as good as one that was
// written at rest.
func TestSavingBesideChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		m.meanwhile(t)
		m.reload(t, rapid.IntRange(1, 6).Draw(t, "disturbances"))
		m.Check(t)
	})
}
