package live

import (
	"fmt"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// saved does what a save does, and returns what it wrote.
func (x *Index) save(now time.Time) []Unsaved {
	due := x.Due(now)
	x.MarkSaved(due)
	x.SavedAt(now)
	return due
}

func idleAfter(idle time.Duration) Snapshot {
	s := snapshot(0, exeunt.NewAccountID(), 1)
	s.Session.Idle = idle
	return s
}

// However often a session is used, it is written once in its quantum.
func TestABusySessionIsWrittenOnceInItsQuantum(t *testing.T) {
	for _, c := range []struct {
		idle   time.Duration
		every  time.Duration // of saves
		writes int           // in a minute
	}{
		{30 * 24 * time.Hour, 5 * time.Second, 1},
		{50 * time.Minute, 5 * time.Second, 2},
		{25 * time.Minute, 5 * time.Second, 4},
		{10 * time.Minute, 5 * time.Second, 10},
		{time.Minute, 5 * time.Second, 12}, // each save, as its quantum is 5 s
		{20 * time.Second, 2 * time.Second, 30},
		{time.Second, 100 * time.Millisecond, 600},
	} {
		t.Run(c.idle.String(), func(t *testing.T) {
			x := New(0, Options{})
			for range 5 { // of different moments
				x.Insert(idleAfter(c.idle))
			}
			s := idleAfter(c.idle)
			x.Insert(s)
			x.SavedAt(epoch)
			const uses = 1000
			writes, next, step := 0, epoch.Add(c.every), time.Minute/uses
			for i := 1; i <= uses; i++ {
				now := epoch.Add(time.Duration(i) * step)
				x.Touch(x.Check(s.Hash, now), now)
				for ; !now.Before(next); next = next.Add(c.every) {
					writes += len(x.save(next))
				}
			}
			if writes != c.writes {
				t.Errorf("%d uses in a minute cost %d writes, want %d", uses, writes, c.writes)
			}
			if seen, _ := x.SeenAt(s.Session.ID); !seen.Equal(epoch.Add(time.Minute)) {
				t.Errorf("memory says that it was seen at %v", seen)
			}
		})
	}
}

// What many sessions write is spread over the quantum.
func TestWritesAreSpread(t *testing.T) {
	const sessions = 3000
	x := New(0, Options{})
	all := make([]Snapshot, sessions)
	for i := range all {
		all[i] = idleAfter(30 * 24 * time.Hour)
		x.Insert(all[i])
	}
	x.SavedAt(epoch)
	total := 0
	for i := 1; i <= 12; i++ {
		now := epoch.Add(time.Duration(i) * 5 * time.Second)
		for _, s := range all {
			x.Touch(x.Check(s.Hash, now), now)
		}
		n := len(x.save(now))
		if total += n; n < sessions/12/2 || n > sessions/12*2 {
			t.Errorf("one save of 12 wrote %d of %d", n, sessions)
		}
	}
	if total != sessions {
		t.Errorf("%d writes for %d sessions", total, sessions)
	}
}

// After a pause the store is told with the next save, and of what a client tells
// late, too.
func TestActivityThatIsDue(t *testing.T) {
	const idle, q = 15 * time.Minute, 9 * time.Second
	for name, c := range map[string]struct {
		saved, at time.Duration // after the session was last seen
		due       bool
	}{
		"after a pause":       {8 * time.Second, q, true},
		"soon":                {8 * time.Second, q - time.Millisecond, false},
		"told late":           {2 * q, q - 2*time.Millisecond, true},
		"told a little later": {q + 5*time.Second, 5 * time.Second, false},
	} {
		x, s := New(0, Options{}), withApp(idleAfter(idle))
		x.Insert(s)
		x.SavedAt(epoch.Add(c.saved))
		x.Touch(x.Check(s.AppHash, epoch.Add(c.at)), epoch.Add(c.at))
		// At the very moment of the last save nobody's turn has come.
		if n := len(x.Due(epoch.Add(c.saved))); (n == 2) != c.due || n == 1 {
			t.Errorf("%s: %d are due", name, n)
		}
		if n := len(x.Unsaved()); n != 2 {
			t.Errorf("%s: %d are unsaved", name, n)
		}
		if own := x.UnsavedOf(s.Session.ID); len(own) != 1 || !own[0].App.IsZero() ||
			!own[0].Seen.Equal(epoch.Add(c.at)) {
			t.Errorf("%s: unsaved of the session is %+v", name, own)
		}
		if due := x.Due(epoch.Add(c.saved + q)); len(due) != 2 {
			t.Errorf("%s: %d are due a quantum later", name, len(due))
		}
		x.MarkSaved(x.Unsaved())
		if len(x.Due(epoch.Add(time.Hour))) != 0 || len(x.UnsavedOf(s.Session.ID)) != 0 {
			t.Errorf("%s: something is due after all was saved", name)
		}
	}
	if New(0, Options{}).UnsavedOf(exeunt.NewSessionID()) != nil {
		t.Error("a session that is not in memory has unsaved activity")
	}
}

// A save that fails puts nothing off to the next turn.
func TestASaveThatFailsIsMadeUpFor(t *testing.T) {
	x, s := New(0, Options{}), idleAfter(15*time.Minute)
	x.Insert(s)
	x.SavedAt(epoch)
	x.Touch(x.Check(s.Hash, epoch.Add(time.Second)), epoch.Add(time.Second))
	failed := 0
	for at := 5 * time.Second; at <= 10*time.Second; at += 5 * time.Second {
		failed += len(x.Due(epoch.Add(at)))
	}
	if due := x.Due(epoch.Add(14 * time.Second)); failed == 0 || len(due) != 1 {
		t.Errorf("it was due %d times, and then %+v is", failed, due)
	}
}

// What comes while a save is being committed is not due because of that, unless
// it came after a pause.
func TestActivityDuringASave(t *testing.T) {
	for after, want := range map[time.Duration]int{time.Second: 0, 9 * time.Second: 1} {
		x, s := New(0, Options{}), idleAfter(15*time.Minute)
		x.Insert(s)
		now := epoch.Add(time.Minute)
		x.Touch(x.Check(s.Hash, now), now)
		due := x.Due(now)
		x.Touch(x.Check(s.Hash, now), now.Add(after))
		x.MarkSaved(due)
		x.SavedAt(now)
		if n := len(x.Due(now)); n != want || len(x.Unsaved()) != 1 {
			t.Errorf("%v after it, %d are due, want %d", after, n, want)
		}
	}
}

// Unsaved activity prevents eviction, so a table beyond its limit saves all of it.
func TestATableBeyondItsLimitSavesAll(t *testing.T) {
	x := New(0, Options{Limit: 10})
	x.SavedAt(epoch)
	for i := range 30 {
		s := idleAfter(30 * 24 * time.Hour)
		x.Insert(s)
		x.Touch(x.Check(s.Hash, epoch.Add(time.Millisecond)), epoch.Add(time.Millisecond))
		if n := len(x.Due(epoch)); n != 0 && i < 10 || n != i+1 && i >= 10 {
			t.Errorf("of %d, %d are due", i+1, n)
		}
	}
}

// Where other nodes judge by the store, it hears at once of a session that was
// used at the last moment.
func TestActivityAtTheLastMomentIsUrgent(t *testing.T) {
	for _, c := range []struct {
		idle, left time.Duration
		shared     bool
		urgent     bool
	}{
		{15 * time.Minute, 10*time.Second - time.Millisecond, true, true},
		{15 * time.Minute, 10 * time.Second, true, false},
		{15 * time.Minute, time.Second, false, false},
		{time.Second, 200*time.Millisecond - time.Millisecond, true, true},
		{time.Second, 200 * time.Millisecond, true, false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			x, s := New(0, Options{SharedActivity: c.shared}), idleAfter(c.idle)
			x.Insert(s)
			now := epoch.Add(c.idle - c.left)
			x.Touch(x.Check(s.Hash, now), now)
			if urgent := len(x.Urgent()) == 1; urgent != c.urgent {
				t.Errorf("urgent: %v", urgent)
			}
			if len(x.Due(now)) != 1 {
				t.Error("it is not due")
			}
		})
	}
}
