package live

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func TestTheColdAreEvicted(t *testing.T) {
	const limit = 200
	x := New(0, Options{Limit: limit})
	hot, owed, late := withApp(snapshot(0, exeunt.NewAccountID(), 1)), withApp(snapshot(0, exeunt.NewAccountID(), 1)), snapshot(0, exeunt.NewAccountID(), 1)
	for _, s := range []Snapshot{hot, owed, late} {
		x.Insert(s)
	}
	x.Touch(x.Check(owed.AppHash, epoch), epoch.Add(time.Second))
	want(t, x, late.Hash, epoch.Add(time.Hour), TimedOut)
	var crowd []Snapshot
	for range 20 * limit {
		s := withApp(snapshot(0, exeunt.NewAccountID(), 1))
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
	want(t, x, owed.Hash, epoch, Usable)
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
	x.Flushed(x.Unflushed())
	for range 20 * limit {
		x.Insert(snapshot(0, exeunt.NewAccountID(), 1))
	}
	want(t, x, owed.Hash, epoch, Absent)
	want(t, x, owed.AppHash, epoch, Absent)
	// What was evicted is loaded again like any other.
	if !x.Insert(owed) {
		t.Error("not inserted again")
	}
	want(t, x, owed.AppHash, epoch, Usable)
}

// When the store is owed the activity of all, the limit gives way.
func TestNothingOwedIsEvicted(t *testing.T) {
	x := New(0, Options{Limit: 10})
	for range 100 {
		s := snapshot(0, exeunt.NewAccountID(), 1)
		x.Insert(s)
		x.Touch(x.Check(s.Hash, epoch), epoch.Add(time.Second))
	}
	if u := x.Unflushed(); len(u) != 100 {
		t.Errorf("%d of 100 are owed", len(u))
	}
	x.Flushed(x.Unflushed())
	for range 100 {
		x.Insert(snapshot(0, exeunt.NewAccountID(), 1))
	}
	if n := x.Len(); n > 10 {
		t.Errorf("%d are kept", n)
	}
}

// Of an account that has ended everything, memory is given back once it is
// worth looking for, and its places are used again.
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
		t.Errorf("%d places were made for 1,000 sessions at a time", made)
	}
}
