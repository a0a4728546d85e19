package live

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func TestTheColdAreEvicted(t *testing.T) {
	const limit = 200
	x := New(0, Options{Limit: limit})
	hot, unsaved := withApp(snapshot(0, exeunt.NewAccountID(), 1)), withApp(snapshot(0, exeunt.NewAccountID(), 1))
	late := snapshot(0, exeunt.NewAccountID(), 1)
	for _, s := range []Snapshot{hot, unsaved, late} {
		x.Insert(s)
	}
	x.Touch(x.Check(unsaved.AppHash, epoch), epoch.Add(time.Second))
	want(t, x, late.Hash, epoch.Add(time.Hour), TimedOut)
	var crowd []Snapshot
	for range 20 * limit {
		s := withApp(snapshot(0, exeunt.NewAccountID(), 1))
		s.Dropped = x.Dropped()
		crowd = append(crowd, s)
		if !x.Insert(s) {
			t.Fatal("not inserted")
		}
		if n := x.Len(); n > limit {
			t.Fatalf("%d tokens are kept", n)
		}
		want(t, x, s.AppHash, epoch, Usable) // it is not evicted for itself
		want(t, x, hot.AppHash, epoch, Usable)
	}
	want(t, x, unsaved.Hash, epoch, Usable)
	want(t, x, late.Hash, epoch, TimedOut)
	gone := 0
	for _, s := range crowd {
		parent, app := x.Check(s.Hash, epoch).State, x.Check(s.AppHash, epoch).State
		if parent == Absent && app != Absent {
			t.Fatal("an app session is left without its parent")
		}
		if parent == Absent {
			gone++
		}
	}
	if gone < len(crowd)-limit {
		t.Errorf("%d of %d were evicted", gone, len(crowd))
	}
	// Once the store knows their activity they are as good as any.
	x.MarkSaved(x.Unsaved())
	for range 20 * limit {
		s := snapshot(0, exeunt.NewAccountID(), 1)
		s.Dropped = x.Dropped()
		x.Insert(s)
	}
	want(t, x, unsaved.Hash, epoch, Absent)
	want(t, x, unsaved.AppHash, epoch, Absent)
	// What was evicted is loaded again like any other.
	if unsaved.Dropped = x.Dropped(); !x.Insert(unsaved) {
		t.Error("not inserted again")
	}
	want(t, x, unsaved.AppHash, epoch, Usable)
}

// A snapshot was read; then its session was used, the store learned of it, and
// memory reused its entry. To insert the snapshot now would bring back
// the older activity.
func TestASnapshotFromBeforeAnEvictionIsRefused(t *testing.T) {
	evict := func(x *Index) {
		t.Helper()
		for range 40 { // each comes by once to find it used, and then finds it cold
			s := snapshot(x.Applied(), exeunt.NewAccountID(), 1)
			s.Dropped = x.Dropped()
			x.Insert(s)
		}
	}
	use := func(x *Index, h exeunt.TokenHash) {
		t.Helper()
		x.Touch(x.Check(h, epoch.Add(time.Minute)), epoch.Add(time.Minute))
		x.MarkSaved(x.Unsaved())
	}
	for _, name := range []string{"a session", "an app session", "its session"} {
		x, s := New(0, Options{Limit: 10}), withApp(snapshot(0, exeunt.NewAccountID(), 1))
		hash := s.AppHash
		if alone := s; name == "a session" {
			alone.App, hash = nil, s.Hash
			s = alone
		}
		x.Insert(s)
		late := s // read before
		use(x, hash)
		evict(x)
		want(t, x, hash, epoch, Absent)
		if name == "its session" { // the app session was not asked for at all
			late.App = nil
		}
		if x.Insert(late) || x.Check(hash, epoch).State != Absent {
			t.Errorf("of %s, a snapshot from before it was used was inserted", name)
		}
		late.Dropped, late.Session.Seen = x.Dropped(), epoch.Add(time.Minute)
		if !x.Insert(late) {
			t.Errorf("of %s, a snapshot from after it was evicted was refused", name)
		}
	}
}

// An insertion makes room first, and leaves the very session that it brings:
// the snapshot may know less of it than memory.
func TestAnInsertionDoesNotEvictWhatItBrings(t *testing.T) {
	x := New(0, Options{Limit: 2})
	s := snapshot(0, exeunt.NewAccountID(), 1)
	x.Insert(s)
	late := withApp(s)
	x.Touch(x.Check(s.Hash, epoch.Add(time.Minute)), epoch.Add(time.Minute))
	x.MarkSaved(x.Unsaved())
	for range 3 { // the first time it has been used lately
		if !x.Insert(late) {
			t.Error("not inserted")
		}
		if a := x.Check(s.Hash, epoch); !a.IdleAt().Equal(epoch.Add(time.Hour + time.Minute)) {
			t.Fatalf("it is %v until %v: activity was lost", a.State, a.IdleAt())
		}
	}
}

func TestASnapshotOlderThanTheDropsRememberedIsRefused(t *testing.T) {
	x, s := New(0, Options{Limit: 2}), snapshot(0, exeunt.NewAccountID(), 1)
	for {
		one := snapshot(0, exeunt.NewAccountID(), 1)
		one.Dropped = x.Dropped()
		if x.Insert(one); x.Dropped() == recentDrops {
			break
		}
	}
	if !x.Insert(s) { // which drops one more
		t.Error("all drops since are remembered, and it was refused")
	}
	if other := snapshot(0, exeunt.NewAccountID(), 1); x.Insert(other) {
		t.Error("a drop since is forgotten, and it was inserted")
	}
}

// Forget drops what may have been kept, too.
func TestASnapshotFromBeforeForgetIsRefused(t *testing.T) {
	acc := exeunt.NewAccountID()
	kept := snapshot(0, acc, 1)
	x := New(0, Options{})
	x.Insert(kept)
	late := kept
	x.Touch(x.Check(kept.Hash, epoch.Add(time.Minute)), epoch.Add(time.Minute))
	x.MarkSaved(x.Unsaved())
	x.Insert(snapshot(1, acc, 2)) // ahead of the event: the other's cohort is superseded
	x.Forget()
	apply(t, x, event(1, exeunt.ScopeOthers, acc, kept.Session.ID, 2))
	want(t, x, kept.Hash, epoch, Absent)
	if x.Insert(late) {
		t.Error("a snapshot from before it was used was inserted")
	}
	late.Dropped, late.Seq, late.AccountGeneration, late.Session.Generation = x.Dropped(), 1, 2, 2
	if !x.Insert(late) {
		t.Error("a snapshot from afterwards was refused")
	}
}

// When all sessions have unsaved activity, the table exceeds its limit.
func TestNothingOwedIsEvicted(t *testing.T) {
	x := New(0, Options{Limit: 10})
	for range 100 {
		s := snapshot(0, exeunt.NewAccountID(), 1)
		x.Insert(s)
		x.Touch(x.Check(s.Hash, epoch), epoch.Add(time.Second))
	}
	if u := x.Unsaved(); len(u) != 100 {
		t.Errorf("%d of 100 are unsaved", len(u))
	}
	x.MarkSaved(x.Unsaved())
	for range 100 {
		x.Insert(snapshot(0, exeunt.NewAccountID(), 1))
	}
	if n := x.Len(); n > 10 {
		t.Errorf("%d are kept", n)
	}
}

// Of an account that has ended everything, memory is given back once it is
// worth looking for, and its entries are reused.
func TestForgetFindsWhatEndedTogether(t *testing.T) {
	x := New(0, Options{})
	acc, bystander := exeunt.NewAccountID(), withApp(snapshot(0, exeunt.NewAccountID(), 1))
	x.Insert(bystander)
	generation := int64(1)
	for seq := range int64(20) {
		var last Snapshot
		for range 500 {
			last = withApp(snapshot(seq, acc, generation))
			x.Insert(last)
		}
		generation++
		apply(t, x, event(seq+1, exeunt.ScopeAccount, acc, exeunt.SessionID{}, generation))
		want(t, x, last.AppHash, epoch, Ended)
		x.Forget()
		want(t, x, last.AppHash, epoch, Absent)
		if n := x.Len(); n != 2 {
			t.Fatalf("%d tokens are left", n)
		}
	}
	want(t, x, bystander.AppHash, epoch, Usable)
	made := uint32(0)
	for i := range x.core.Load().shards {
		made += x.core.Load().shards[i].count
	}
	if made > 3000 {
		t.Errorf("%d entries were allocated for 1,000 sessions at a time", made)
	}
}
