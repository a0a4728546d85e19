package authority

import (
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testpg"
)

// savesLater lets time pass, and does what Run does of saving: a save every 5 s. Of a long time it leaves out the
// middle.
func (n *node) savesLater(d time.Duration) {
	n.t.Helper()
	for end := n.clock.since() + d; n.clock.since() < end; {
		next := n.clock.since().Truncate(maxSaveEvery) + maxSaveEvery
		if gone := n.clock.since() - (end - d); gone > 2*time.Minute {
			next = max(next, end.Truncate(maxSaveEvery))
		}
		n.clock.add(min(next, end) - n.clock.since())
		if n.clock.since() == next {
			n.saveDueNow()
		}
	}
}

func (n *node) saveDueNow() {
	n.t.Helper()
	if err := n.saveDue(ctx); err != nil {
		n.t.Fatalf("save: %v", err)
	}
}

// A killed node loses a session's activity of the last quantum and the last interval between saves. The session then
// ends earlier, never later.
func TestAKilledNodeLosesAQuantumOfActivityAtMost(t *testing.T) {
	for kind, quantum := range map[exeunt.SessionKind]time.Duration{exeunt.KindShared: 9 * time.Second,
		exeunt.KindKept: 36 * time.Second} {
		t.Run(string(kind), func(t *testing.T) {
			n := newNode(t)
			most := time.Duration(0)
			for range 16 {
				token, s := n.signIn(n.account(), kind)
				used := n.Now()
				for range 150 + rand.IntN(100) { // all the time, then killed
					n.savesLater(700 * time.Millisecond)
					n.Touch(n.check(ctx, token))
					used = n.Now()
				}
				n.restart()
				got, err := n.Session(ctx, s.Account, s.ID)
				if err != nil {
					t.Fatal(err)
				}
				lost := used.Sub(got.Seen)
				if most = max(most, lost); lost < 0 || lost >= quantum+maxSaveEvery {
					t.Errorf("used until %v, and the store knows of %v", used, got.Seen)
				}
				n.clock.add(got.IdleAt().Sub(n.Now()) - time.Millisecond)
				n.want(token, live.Usable)
				n.clock.add(time.Millisecond)
				n.want(token, live.TimedOut)
			}
			if most < maxSaveEvery {
				t.Errorf("at most %v was lost: the test shows little", most)
			}
		})
	}
}

// What is used once, after a pause, is lost for no longer than until the next save.
func TestAKilledNodeKnowsOfUseAfterAPause(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindShared)
	n.want(token, live.Usable)
	n.savesLater(10 * time.Minute)
	n.Touch(n.check(ctx, token))
	used := n.Now()
	n.savesLater(maxSaveEvery)
	n.restart()
	if got, err := n.Session(ctx, s.Account, s.ID); err != nil || !got.Seen.Equal(used) {
		t.Errorf("used at %v, and the store knows of %v, %v", used, got.Seen, err)
	}
}

// other is another node on the same store, which shares its time.
func (n *node) other() *Authority {
	index := live.New(0, live.Options{SharedActivity: true})
	return New(Config{
		Store: n.store, Live: index, Feed: feed.New(Memory(index), nil), Policy: n.policy, Retention: n.retention,
		Now: n.now, Log: n.log,
	})
}

// onEachEngine runs a test on a file and on a server. Activity is shared on both: the nodes meet in one store.
func onEachEngine(t *testing.T, test func(*testing.T, *node)) {
	for name, url := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return store.SQLiteURL(filepath.Join(t.TempDir(), "exeunt.db")) },
		"postgres": func(t *testing.T) string { return testpg.NewDatabase(t) },
	} {
		t.Run(name, func(t *testing.T) {
			index := live.New(0, live.Options{SharedActivity: true})
			f, clock, log := feed.New(Memory(index), nil), newClock(), slog.New(slog.DiscardHandler)
			s, err := store.Open(ctx, store.Options{URL: url(t), Log: log, Committed: f.Own})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			test(t, &node{t: t, clock: clock, Authority: New(Config{
				Store: s, Live: index, Feed: f, Policy: testPolicy, Now: clock.Now, Log: log,
				Retention: store.Retention{Ended: 1000 * time.Hour, Audit: 1000 * time.Hour},
			})})
		})
	}
}

// Another node does its maintenance all the time, and is asked now and then. It hears of activity by the store
// alone, which is told of it as late as may be, and yet takes no session for idle that is in use; and one that is
// not it ends at its very moment.
func TestNoOtherNodeEndsASessionInUse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, n *node) {
		b := n.other()
		const idle = 15 * time.Minute
		n.policy.Shared.Absolute = 1000 * time.Hour
		token, s := n.signIn(n.account(), exeunt.KindShared)
		if !b.check(ctx, token).Usable() {
			t.Fatal("not usable at first")
		}
		pauses := []time.Duration{time.Second, 4 * time.Second, 5 * time.Second, 8999 * time.Millisecond,
			9 * time.Second, 14 * time.Second, time.Minute, idle - 11*time.Second, idle - 2*time.Second,
			idle - 2*time.Millisecond}
		used := n.Now()
		for range 120 {
			n.savesLater(pauses[rand.IntN(len(pauses))])
			if err := b.Maintain(ctx); err != nil {
				t.Fatal(err)
			}
			a := n.check(ctx, token)
			if !a.Usable() {
				t.Fatalf("used until %v, and at %v it is %v: %+v", used.Sub(epoch), n.clock.since(), a.State,
					n.endOf(s))
			}
			n.Touch(a)
			used = n.Now()
			select {
			case <-n.live.Urgent():
				n.saveDueNow()
			default:
			}
			if rand.IntN(2) == 0 {
				if state := b.check(ctx, token).State; state != live.Usable {
					t.Fatalf("used until %v, and at %v another node says %v", used.Sub(epoch), n.clock.since(), state)
				}
			}
			// The next use may come at once, before any save.
			n.clock.add(time.Millisecond)
		}
		n.savesLater(used.Add(idle - time.Millisecond).Sub(n.Now()))
		for range 2 {
			if err := b.Maintain(ctx); err != nil {
				t.Fatal(err)
			}
			if e := n.endOf(s); (e != nil) != (n.Now().Sub(used) >= idle) || e != nil &&
				(e.Reason != exeunt.ReasonIdle || !e.At.Equal(used.Add(idle))) {
				t.Fatalf("%v after its last use, its end is %+v", n.Now().Sub(used), e)
			}
			n.clock.add(time.Millisecond)
		}
	})
}
