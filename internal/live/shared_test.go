package live

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// Where others may know of later activity, the store is asked before a session
// is refused as idle, and what it says then stands.
func TestSharedActivity(t *testing.T) {
	s := withApp(snapshot(0, exeunt.NewAccountID(), 1)) // idle 1 h, absolute 24 h
	x := New(0, Options{SharedActivity: true})
	x.Insert(s)
	now := epoch.Add(time.Hour)
	want(t, x, s.AppHash, now, SeemsIdle)
	want(t, x, s.Hash, now, SeemsIdle)
	if len(x.Late(now)) != 0 || len(x.Overdue()) != 0 {
		t.Error("it is taken to be overdue before the store was asked")
	}
	// It was used elsewhere.
	s.Asked, s.Session.Seen, s.App.Seen = now, epoch.Add(30*time.Minute), epoch.Add(30*time.Minute)
	x.Insert(s)
	want(t, x, s.AppHash, now, Usable)
	if u := x.Unsaved(); len(u) != 0 {
		t.Errorf("what came from the store is unsaved: %+v", u)
	}
	want(t, x, s.Hash, epoch.Add(90*time.Minute), SeemsIdle)
	// It was not: and from now on only the store's ruling revives it.
	s.Asked = epoch.Add(90 * time.Minute)
	x.Insert(s)
	want(t, x, s.AppHash, s.Asked, TimedOut)
	if o := <-x.Overdue(); o.Session != s.Session.ID || o.Reason != exeunt.ReasonIdle {
		t.Errorf("overdue: %+v", o)
	}
	s.Session.Seen = epoch.Add(89 * time.Minute)
	x.Insert(s)
	want(t, x, s.Hash, s.Asked, TimedOut)
	x.StillGood(s.Session.ID, s.Session.Seen)
	want(t, x, s.Hash, s.Asked, Usable)
	// The absolute end is the same everywhere.
	for at := epoch.Add(time.Hour); at.Before(epoch.Add(24 * time.Hour)); at = at.Add(30 * time.Minute) {
		x.Touch(x.Check(s.Hash, at), at)
	}
	want(t, x, s.Hash, epoch.Add(24*time.Hour), TimedOut)
}

// A session found to have run out when it is seen for the first time.
func TestSharedActivityAtFirstSight(t *testing.T) {
	s := snapshot(0, exeunt.NewAccountID(), 1)
	s.Asked = epoch.Add(time.Hour)
	x := New(0, Options{SharedActivity: true})
	x.Insert(s)
	want(t, x, s.Hash, s.Asked, TimedOut)
	if l := x.Late(s.Asked); len(l) != 1 || l[0].Session != s.Session.ID {
		t.Errorf("late: %+v", l)
	}
	x.StillGood(s.Session.ID, epoch)
	if l := x.Late(s.Asked); len(l) != 0 {
		t.Errorf("late after the ruling: %+v", l)
	}
}
