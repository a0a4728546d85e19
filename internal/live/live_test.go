package live

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func snapshot(seq int64, account exeunt.AccountID, generation int64) Snapshot {
	return Snapshot{Snapshot: exeunt.Snapshot{
		Seq: seq, Hash: exeunt.NewToken(exeunt.UseSession).Hash(), AccountGeneration: generation,
		Profile: exeunt.Profile{Version: 1, Handle: "ada"},
		Session: exeunt.Session{ID: exeunt.NewSessionID(), Account: account, Kind: exeunt.KindKept, Started: epoch,
			Seen: epoch,
			Idle: time.Hour, ExpiresAt: epoch.Add(24 * time.Hour), Generation: generation},
	}}
}

// withApp returns a snapshot of an app session of the session.
func withApp(s Snapshot) Snapshot {
	s.App = &exeunt.AppSession{ID: exeunt.NewAppSessionID(), Session: s.Session.ID, Account: s.Session.Account,
		Client: "chirp", Started: epoch, Seen: epoch}
	s.AppHash = exeunt.NewToken(exeunt.UseApp).Hash()
	return s
}

func event(seq int64, scope exeunt.Scope, account exeunt.AccountID, session exeunt.SessionID,
	generation int64) exeunt.Event {
	return exeunt.Event{Seq: seq, Generation: generation, Kind: exeunt.EventEnded,
		Target: exeunt.Target{Account: account, Scope: scope, Session: session}}
}

func apply(t *testing.T, x *Index, events ...exeunt.Event) {
	t.Helper()
	if err := x.Apply(events); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, x *Index, h exeunt.TokenHash, now time.Time, state State) {
	t.Helper()
	if got := x.Check(h, now).State; got != state {
		t.Errorf("the token is %v, want %v", got, state)
	}
}

func TestEventsEndWhatTheyCover(t *testing.T) {
	acc := exeunt.NewAccountID()
	one, two, foreign := snapshot(0, acc, 1), withApp(snapshot(0, acc, 1)), snapshot(0, exeunt.NewAccountID(), 1)
	fill := func() *Index {
		x := New(0, Options{})
		for _, s := range []Snapshot{one, two, foreign} {
			if !x.Insert(s) {
				t.Fatal("not inserted")
			}
		}
		return x
	}
	appEnd := event(1, exeunt.ScopeSession, acc, two.Session.ID, 0)
	appEnd.AppSession = two.App.ID
	for name, c := range map[string]struct {
		event                       exeunt.Event
		one, two, twosApp, foreign_ State
	}{
		"session": {event(1, exeunt.ScopeSession, acc, two.Session.ID, 0), Usable, Ended, Ended, Usable},
		"app":     {appEnd, Usable, Usable, Ended, Usable},
		"others":  {event(1, exeunt.ScopeOthers, acc, two.Session.ID, 2), Ended, Usable, Usable, Usable},
		"account": {event(1, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2), Ended, Ended, Ended, Usable},
		// The store must be asked: its token has changed.
		"renewed": {exeunt.Event{Seq: 1, Kind: exeunt.EventRenewed,
			Target: exeunt.Target{Account: acc, Session: two.Session.ID}}, Usable, Absent, Absent, Usable},
		// Nobody's session is forgotten for that.
		"groups changed": {exeunt.Event{Seq: 1, Kind: exeunt.EventGroupsChanged, Target: exeunt.Target{Account: acc},
			Version: 2}, Usable, Usable, Usable, Usable},
		"a client changed": {exeunt.Event{Seq: 1, Kind: exeunt.EventClientChanged,
			Target: exeunt.Target{Client: "chirp"}}, Usable, Usable, Usable, Usable},
	} {
		t.Run(name, func(t *testing.T) {
			x := fill()
			apply(t, x, c.event)
			apply(t, x, c.event) // again changes nothing
			check := func() {
				for _, w := range []struct {
					h     exeunt.TokenHash
					state State
				}{{one.Hash, c.one}, {two.Hash, c.two}, {two.AppHash, c.twosApp}, {foreign.Hash, c.foreign_}} {
					if got := x.Check(w.h, epoch).State; got != w.state && !(w.state == Ended && got == Absent) {
						t.Errorf("%v, want %v", got, w.state)
					}
				}
			}
			check()
			x.Forget() // forgotten is not revived
			check()
			for _, s := range []Snapshot{one, two, foreign} {
				x.Insert(s) // nor is it by a snapshot from before the event
			}
			check()
		})
	}
}

func TestAGapInTheLogIsRefused(t *testing.T) {
	x := New(7, Options{})
	acc := exeunt.NewAccountID()
	if err := x.Apply([]exeunt.Event{event(9, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2)}); err == nil ||
		x.Applied() != 7 {
		t.Errorf("a gap was accepted: %v, applied %d", err, x.Applied())
	}
	apply(t, x, event(7, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2),
		event(8, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2))
	if x.Applied() != 8 {
		t.Errorf("applied %d", x.Applied())
	}
}

// A snapshot read before events and inserted after them is judged by them.
func TestLateSnapshots(t *testing.T) {
	acc := exeunt.NewAccountID()
	s := withApp(snapshot(0, acc, 1))
	appEnd := event(1, exeunt.ScopeSession, acc, s.Session.ID, 0)
	appEnd.AppSession = s.App.ID
	for name, c := range map[string]struct {
		events   []exeunt.Event
		inserted bool
	}{
		"nothing happened": {nil, true},
		"something else": {[]exeunt.Event{event(1, exeunt.ScopeSession, acc, exeunt.NewSessionID(), 0),
			event(2, exeunt.ScopeAccount, exeunt.NewAccountID(), exeunt.SessionID{}, 9)}, true},
		"it was ended":     {[]exeunt.Event{event(1, exeunt.ScopeSession, acc, s.Session.ID, 0)}, false},
		"all were ended":   {[]exeunt.Event{event(1, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2)}, false},
		"it was kept":      {[]exeunt.Event{event(1, exeunt.ScopeOthers, acc, s.Session.ID, 2)}, true},
		"another was kept": {[]exeunt.Event{event(1, exeunt.ScopeOthers, acc, exeunt.NewSessionID(), 2)}, false},
		"kept, then ended": {[]exeunt.Event{event(1, exeunt.ScopeOthers, acc, s.Session.ID, 2),
			event(2, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 3)}, false},
		"kept, kept again": {[]exeunt.Event{event(1, exeunt.ScopeOthers, acc, s.Session.ID, 2),
			event(2, exeunt.ScopeOthers, acc, s.Session.ID, 3)}, true},
		"its app was ended": {[]exeunt.Event{appEnd}, false},
		"a newer scope":     {[]exeunt.Event{event(1, "criteria", acc, exeunt.SessionID{}, 0)}, false},
	} {
		x := New(0, Options{})
		x.Insert(snapshot(0, acc, 1)) // so that the account is known already
		apply(t, x, c.events...)
		if got := x.Insert(s); got != c.inserted {
			t.Errorf("%s: inserted %v", name, got)
		}
		if state := x.Check(s.AppHash, epoch).State; (state == Usable) != c.inserted {
			t.Errorf("%s: its app session is %v", name, state)
		}
		if state := x.Check(s.Hash, epoch).State; (state == Usable) != c.inserted {
			t.Errorf("%s: it is %v", name, state)
		}
		// What was kept is of the same generation as whoever comes now.
		if n := len(c.events); n > 0 && c.events[n-1].Scope == exeunt.ScopeOthers && c.inserted {
			x.Insert(snapshot(x.Applied(), acc, c.events[n-1].Generation))
			want(t, x, s.AppHash, epoch, Usable)
		}
	}
	for name, spoil := range map[string]func(*Snapshot){
		"ended":                 func(s *Snapshot) { s.Session.End = &exeunt.Ended{} },
		"of an old generation":  func(s *Snapshot) { s.AccountGeneration = 2 },
		"from before the index": func(s *Snapshot) { s.Seq = 4 },
	} {
		x, s := New(5, Options{}), snapshot(5, acc, 1)
		spoil(&s)
		if x.Insert(s) || x.Check(s.Hash, epoch).State != Absent {
			t.Errorf("a snapshot %s was inserted", name)
		}
	}
}

func TestASnapshotOlderThanTheRingIsRefused(t *testing.T) {
	x, s := New(0, Options{}), snapshot(0, exeunt.NewAccountID(), 1)
	stranger := exeunt.NewAccountID()
	seq := int64(0)
	for range ringSize {
		seq++
		apply(t, x, event(seq, exeunt.ScopeAccount, stranger, exeunt.SessionID{}, seq))
	}
	if !x.Insert(s) {
		t.Error("all events since are remembered, and it was refused")
	}
	apply(t, x, event(seq+1, exeunt.ScopeAccount, stranger, exeunt.SessionID{}, seq+1))
	if x.Insert(s) {
		t.Error("an event since is forgotten, and it was inserted")
	}
}

// A snapshot may be newer than what was applied: its own events come after it.
func TestASnapshotAheadOfTheEvents(t *testing.T) {
	acc := exeunt.NewAccountID()
	kept, other := snapshot(0, acc, 1), snapshot(0, acc, 1)
	x := New(0, Options{})
	x.Insert(kept)
	x.Insert(other)
	ahead := kept
	ahead.Seq, ahead.AccountGeneration, ahead.Session.Generation = 1, 2, 2
	if !x.Insert(withApp(ahead)) {
		t.Error("refused")
	}
	want(t, x, kept.Hash, epoch, Usable)
	want(t, x, other.Hash, epoch, Absent) // it may be the one that was kept: only the store can tell
	apply(t, x, event(1, exeunt.ScopeOthers, acc, kept.Session.ID, 2))
	want(t, x, kept.Hash, epoch, Usable)
	if other.Seq = 1; x.Insert(other) {
		t.Error("the one that was not kept was inserted")
	}
	want(t, x, other.Hash, epoch, Absent)
}

// The kept session stays usable at every moment, whether an event re-stamps it
// or a snapshot that is ahead of that event.
func TestTheKeptSessionIsNeverInterrupted(t *testing.T) {
	acc := exeunt.NewAccountID()
	kept := snapshot(0, acc, 1)
	x := New(0, Options{})
	x.Insert(kept)
	var stop atomic.Bool
	var wrong atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				if x.Check(kept.Hash, epoch).State != Usable {
					wrong.Add(1)
				}
			}
		})
	}
	for seq := int64(1); seq <= 30_000; seq++ {
		if seq%2 == 0 {
			// One that is not kept: its cohort stays, and the next is a fresh one.
			x.Insert(snapshot(seq-1, acc, seq))
		}
		if seq%4 == 0 {
			ahead := kept
			ahead.Seq, ahead.AccountGeneration, ahead.Session.Generation = seq, seq+1, seq+1
			x.Insert(ahead)
		}
		apply(t, x, event(seq, exeunt.ScopeOthers, acc, kept.Session.ID, seq+1))
	}
	stop.Store(true)
	wg.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("the kept session was refused %d times", n)
	}
}

func TestTimeLimits(t *testing.T) {
	s := withApp(snapshot(0, exeunt.NewAccountID(), 1)) // idle 1 h, absolute 24 h
	x := New(0, Options{})
	x.Insert(s)
	want(t, x, s.Hash, epoch.Add(time.Hour-time.Millisecond), Usable)
	// Polling is no activity.
	a := x.Check(s.AppHash, epoch.Add(59*time.Minute))
	if !a.IdleAt().Equal(epoch.Add(time.Hour)) || !a.ExpiresAt().Equal(epoch.Add(24*time.Hour)) ||
		!a.IssuedAt().Equal(epoch) {
		t.Errorf("the answer says idle %v, expires %v, issued %v", a.IdleAt(), a.ExpiresAt(), a.IssuedAt())
	}
	// Activity in an app counts for the session.
	x.Touch(a, epoch.Add(59*time.Minute))
	want(t, x, s.Hash, epoch.Add(time.Hour+58*time.Minute), Usable)
	if u := x.Unsaved(); len(u) != 2 {
		t.Errorf("activity of the app and its parent must be unsaved: %+v", u)
	}
	// Older activity does not set it back.
	x.Touch(a, epoch.Add(time.Minute))
	if seen, ok := x.SeenAt(s.Session.ID); !ok || !seen.Equal(epoch.Add(59*time.Minute)) {
		t.Errorf("seen %v, %v", seen, ok)
	}

	want(t, x, s.AppHash, epoch.Add(time.Hour+59*time.Minute), TimedOut)
	if o := <-x.Overdue(); o.Session != s.Session.ID || o.Reason != exeunt.ReasonIdle {
		t.Errorf("overdue: %+v", o)
	}
	// Neither a clock set back nor late activity revives it; only the store can.
	want(t, x, s.Hash, epoch, TimedOut)
	x.Touch(a, epoch.Add(time.Hour+59*time.Minute))
	want(t, x, s.Hash, epoch.Add(2*time.Hour), TimedOut)
	x.StillGood(s.Session.ID, epoch.Add(time.Hour+59*time.Minute))
	want(t, x, s.Hash, epoch.Add(2*time.Hour), Usable)

	for now := epoch; now.Before(epoch.Add(22 * time.Hour)); now = now.Add(30 * time.Minute) {
		x.Touch(x.Check(s.Hash, now.Add(2*time.Hour)), now.Add(2*time.Hour))
	}
	want(t, x, s.Hash, epoch.Add(24*time.Hour-time.Millisecond), Usable)
	want(t, x, s.Hash, epoch.Add(24*time.Hour), TimedOut)
	if o := <-x.Overdue(); o.Reason != exeunt.ReasonAbsolute {
		t.Errorf("overdue: %+v", o)
	}
	x.StillGood(exeunt.NewSessionID(), epoch) // a session that is not in memory
}

func TestTouchingTheDeadDoesNothing(t *testing.T) {
	s := snapshot(0, exeunt.NewAccountID(), 1)
	x := New(0, Options{})
	x.Insert(s)
	a := x.Check(s.Hash, epoch)
	apply(t, x, event(1, exeunt.ScopeSession, s.Session.Account, s.Session.ID, 0))
	x.Touch(a, epoch.Add(time.Minute)) // a request that was under way
	x.Touch(x.Check(s.Hash, epoch), epoch.Add(time.Minute))
	x.Touch(Answer{}, epoch)
	want(t, x, s.Hash, epoch.Add(time.Minute), Ended)
	if u := x.Unsaved(); len(u) != 0 {
		t.Errorf("activity of an ended session is unsaved: %+v", u)
	}
}

// A request that was under way when its session was dropped touches no session that
// reuses its entry.
func TestTouchingAReusedEntry(t *testing.T) {
	x := New(0, Options{})
	var answers []Answer
	for i := range int64(3) {
		s := withApp(snapshot(i, exeunt.NewAccountID(), 1))
		s.Hash[0], s.AppHash[0] = 0, 1
		if !x.Insert(s) {
			t.Fatal("not inserted")
		}
		a := x.Check(s.AppHash, epoch)
		for _, before := range answers {
			x.Touch(before, epoch.Add(time.Minute))
			if before.ref != a.ref {
				t.Fatal("its entry was not reused")
			}
		}
		answers = append(answers, a)
		if u := x.Unsaved(); len(u) != 0 || !x.Check(s.Hash, epoch).IdleAt().Equal(epoch.Add(time.Hour)) {
			t.Errorf("touched by another: unsaved is %+v", u)
		}
		apply(t, x, event(i+1, exeunt.ScopeSession, s.Session.Account, s.Session.ID, 0))
		x.Forget()
	}
}

func TestMarkSaved(t *testing.T) {
	s := snapshot(0, exeunt.NewAccountID(), 1)
	x := New(0, Options{})
	x.Insert(s)
	x.Touch(x.Check(s.Hash, epoch), epoch.Add(time.Second))
	unsaved := x.Unsaved()
	x.Touch(x.Check(s.Hash, epoch), epoch.Add(2*time.Second)) // while they are being written
	x.MarkSaved(unsaved)
	if u := x.Unsaved(); len(u) != 1 || !u[0].Seen.Equal(epoch.Add(2*time.Second)) {
		t.Errorf("unsaved is %+v", u)
	}
	x.MarkSaved(x.Unsaved())
	if u := x.Unsaved(); len(u) != 0 {
		t.Errorf("unsaved is %+v", u)
	}
}

func TestForgetDropsTheDeadAlone(t *testing.T) {
	acc := exeunt.NewAccountID()
	living, dead := withApp(snapshot(0, acc, 1)), withApp(snapshot(0, acc, 1))
	x := New(0, Options{})
	x.Insert(living)
	x.Insert(dead)
	before := x.Check(dead.AppHash, epoch)
	apply(t, x, event(1, exeunt.ScopeSession, acc, dead.Session.ID, 0))
	x.Forget()
	if x.Len() != 2 {
		t.Errorf("%d tokens are in memory", x.Len())
	}
	want(t, x, living.AppHash, epoch, Usable)
	want(t, x, dead.AppHash, epoch, Absent)
	x.Touch(before, epoch.Add(time.Minute))
	if u := x.Unsaved(); len(u) != 0 {
		t.Errorf("unsaved is %+v", u)
	}
}

func TestTheNewerProfileStays(t *testing.T) {
	s := snapshot(0, exeunt.NewAccountID(), 1)
	x := New(0, Options{})
	x.SetProfile(s.Session.Account, exeunt.Profile{Version: 3, Handle: "newest"})
	x.Insert(s) // whose profile is version 1: a load that was under way
	x.SetProfile(s.Session.Account, exeunt.Profile{Version: 2, Handle: "older"})
	a := x.Check(s.Hash, epoch)
	if p, ok := x.Profile(a); !ok || p.Handle != "newest" || a.ProfileVersion() != 3 {
		t.Errorf("the profile is %+v, %v; the answer says version %d", p, ok, a.ProfileVersion())
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	s := withApp(snapshot(0, exeunt.NewAccountID(), 1))
	x := New(0, Options{})
	x.Insert(s)
	usable := 0
	if n := testing.AllocsPerRun(200, func() {
		a := x.Check(s.AppHash, epoch)
		if a.Usable() {
			usable++
		}
		x.Touch(a, epoch)
	}); n != 0 || usable == 0 {
		t.Errorf("%v allocations, usable %d times", n, usable)
	}
}

func TestStateNames(t *testing.T) {
	seen := map[string]bool{}
	for s := Absent; s <= Indeterminate; s++ {
		if s.String() == "" || seen[s.String()] {
			t.Errorf("state %d is called %q", s, s)
		}
		seen[s.String()] = true
	}
}
