package live

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// What this node has committed itself counts at once, before what others have
// committed earlier has been read, and is met again later without harm.
func TestOwnEventsCountAtOnce(t *testing.T) {
	acc := exeunt.NewAccountID()
	one, kept, theirs := snapshot(0, acc, 1), withApp(snapshot(0, acc, 1)), snapshot(0, exeunt.NewAccountID(), 1)
	x := New(0, Options{})
	for _, s := range []Snapshot{one, kept, theirs} {
		x.Insert(s)
	}
	log := []exeunt.Event{
		event(1, exeunt.ScopeAccount, theirs.Session.Account, exeunt.SessionID{}, 2),
		event(2, exeunt.ScopeOthers, acc, kept.Session.ID, 2), // by another node
		event(3, exeunt.ScopeOthers, acc, kept.Session.ID, 3),
	}
	x.ApplyOwn(log[2:])
	for range 2 {
		want(t, x, one.Hash, epoch, Ended)
		want(t, x, kept.Hash, epoch, Usable)
		want(t, x, kept.AppHash, epoch, Usable)
		want(t, x, theirs.Hash, epoch, Usable)
		x.ApplyOwn(log[2:])
	}
	if x.Applied() != 0 {
		t.Errorf("applied in order up to %d", x.Applied())
	}
	apply(t, x, log...)
	x.ApplyOwn(log)
	want(t, x, one.Hash, epoch, Ended)
	want(t, x, kept.Hash, epoch, Usable)
	want(t, x, kept.AppHash, epoch, Usable)
	want(t, x, theirs.Hash, epoch, Ended)
	if len(x.own) != 0 {
		t.Errorf("%d events are still kept apart", len(x.own))
	}
}

// A snapshot read before an own event and inserted after it is judged by it.
func TestOwnEventsJudgeLateSnapshots(t *testing.T) {
	acc := exeunt.NewAccountID()
	s := withApp(snapshot(0, acc, 1))
	appEnd := event(7, exeunt.ScopeSession, acc, s.Session.ID, 0)
	appEnd.AppSession = s.App.ID
	for name, c := range map[string]struct {
		event    exeunt.Event
		inserted bool
	}{
		"it was ended":      {event(7, exeunt.ScopeSession, acc, s.Session.ID, 0), false},
		"all were ended":    {event(7, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2), false},
		"another was kept":  {event(7, exeunt.ScopeOthers, acc, exeunt.NewSessionID(), 2), false},
		"it was kept":       {event(7, exeunt.ScopeOthers, acc, s.Session.ID, 2), true},
		"its app was ended": {appEnd, false},
		"something else":    {event(7, exeunt.ScopeAccount, exeunt.NewAccountID(), exeunt.SessionID{}, 2), true},
	} {
		x := New(0, Options{})
		x.ApplyOwn([]exeunt.Event{c.event})
		if got := x.Insert(s); got != c.inserted {
			t.Errorf("%s: inserted %v", name, got)
		}
		if state := x.Check(s.AppHash, epoch).State; (state == Usable) != c.inserted {
			t.Errorf("%s: its app session is %v", name, state)
		}
		newer := s
		if newer.Seq = 7; !x.Insert(newer) {
			t.Errorf("%s: a snapshot that knows of the event is refused", name)
		}
	}
}

// A node that has not followed the log for long cannot remember all its own events.
func TestOwnEventsThatAreForgottenRefuseOldSnapshots(t *testing.T) {
	s, stranger := snapshot(0, exeunt.NewAccountID(), 1), exeunt.NewAccountID()
	x := New(0, Options{})
	for i := range int64(ringSize) {
		x.ApplyOwn([]exeunt.Event{event(i+2, exeunt.ScopeAccount, stranger, exeunt.SessionID{}, i+2)})
	}
	if !x.Insert(s) {
		t.Error("all own events are remembered, and it was refused")
	}
	x.ApplyOwn([]exeunt.Event{event(ringSize+2, exeunt.ScopeAccount, stranger, exeunt.SessionID{}, ringSize+2)})
	if x.Insert(s) {
		t.Error("an own event is forgotten, and it was inserted")
	}
	if s.Seq = 2; !x.Insert(s) {
		t.Error("it is newer than what is forgotten, and was refused")
	}
}

func TestResetForgetsEverything(t *testing.T) {
	s := withApp(snapshot(5, exeunt.NewAccountID(), 1))
	x := New(5, Options{})
	x.Insert(s)
	before := x.Check(s.AppHash, epoch)
	x.Touch(before, epoch.Add(time.Second))
	unsaved := x.Unsaved()
	x.ApplyOwn([]exeunt.Event{event(9, exeunt.ScopeAccount, exeunt.NewAccountID(), exeunt.SessionID{}, 2)})
	x.Reset(3)
	if x.Applied() != 3 || x.Len() != 0 || x.Epoch() == s.Epoch {
		t.Errorf("applied %d, %d tokens, epoch %d", x.Applied(), x.Len(), x.Epoch())
	}
	want(t, x, s.Hash, epoch, Absent)
	if _, ok := x.Profile(before); ok {
		t.Error("a profile is still there")
	}
	if x.Insert(s) {
		t.Error("a snapshot of the other history was inserted")
	}
	s.Epoch, s.Seq = x.Epoch(), 3
	if !x.Insert(s) {
		t.Error("a snapshot of this history was refused")
	}
	// What was answered in the other history touches nobody in this one.
	x.Touch(before, epoch.Add(time.Minute))
	x.MarkSaved(unsaved)
	if u := x.Unsaved(); len(u) != 0 {
		t.Errorf("unsaved is %+v", u)
	}
	apply(t, x, event(4, exeunt.ScopeSession, s.Session.Account, s.Session.ID, 0))
	want(t, x, s.AppHash, epoch, Ended)
}

// This node's commit was lost, and its number has gone to another event: what
// it has done to memory must be undone, which only a reset can.
func TestAnOwnEventThatWasLostIsNoticed(t *testing.T) {
	acc := exeunt.NewAccountID()
	s := snapshot(0, acc, 1)
	x := New(0, Options{})
	x.Insert(s)
	x.ApplyOwn([]exeunt.Event{event(1, exeunt.ScopeSession, acc, s.Session.ID, 0)})
	if err := x.Apply([]exeunt.Event{event(1, exeunt.ScopeSession, acc, exeunt.NewSessionID(), 0)}); err == nil {
		t.Error("another event was taken for the one that was committed here")
	}
}
