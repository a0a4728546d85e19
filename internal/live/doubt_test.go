package live

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// An ending whose outcome is unknown is taken for neither: what it would have
// ended is refused until the event arrives or somebody knows better.
func TestEndingsInDoubt(t *testing.T) {
	acc := exeunt.NewAccountID()
	one, two, foreign := withApp(snapshot(0, acc, 1)), withApp(snapshot(0, acc, 1)), snapshot(0, exeunt.NewAccountID(), 1)
	appEnd := event(1, exeunt.ScopeSession, acc, two.Session.ID, 0)
	appEnd.AppSession = two.App.ID
	type states struct{ one, onesApp, two, twosApp State }
	all := func(s State) states { return states{s, s, s, s} }
	for name, c := range map[string]struct {
		event          exeunt.Event
		doubted, ended states
	}{
		"session":                 {event(1, exeunt.ScopeSession, acc, two.Session.ID, 0), states{Usable, Usable, CannotKnow, CannotKnow}, states{Usable, Usable, Ended, Ended}},
		"app":                     {appEnd, states{Usable, Usable, Usable, CannotKnow}, states{Usable, Usable, Usable, Ended}},
		"others":                  {event(1, exeunt.ScopeOthers, acc, two.Session.ID, 2), states{CannotKnow, CannotKnow, Usable, Usable}, states{Ended, Ended, Usable, Usable}},
		"account":                 {event(1, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2), all(CannotKnow), all(Ended)},
		"a newer program's scope": {event(1, "client", acc, exeunt.SessionID{}, 0), all(CannotKnow), all(Usable)},
	} {
		t.Run(name, func(t *testing.T) {
			rev := c.event.Revocation
			check := func(x *Index, when string, w states) {
				t.Helper()
				for _, p := range []struct {
					h    exeunt.TokenHash
					want State
				}{{one.Hash, w.one}, {one.AppHash, w.onesApp}, {two.Hash, w.two}, {two.AppHash, w.twosApp}, {foreign.Hash, Usable}} {
					if got := x.Check(p.h, epoch).State; got != p.want {
						t.Errorf("%s: %v, want %v", when, got, p.want)
					}
				}
			}
			fill := func(x *Index) {
				for _, s := range []Snapshot{one, two, foreign} {
					if !x.Insert(s) {
						t.Fatal("not inserted")
					}
				}
			}
			x := New(0)
			fill(x)
			x.Doubt(rev)
			check(x, "in doubt", c.doubted)
			x.Forget()
			check(x, "after a sweep", c.doubted)
			x.Settled(rev)
			check(x, "not recorded", all(Usable))
			x.Settled(rev) // again changes nothing

			x = New(0)
			x.Doubt(rev)
			x.Forget()
			fill(x)
			check(x, "inserted later", c.doubted)
			apply(t, x, c.event)
			check(x, "recorded", c.ended)
			x.Settled(rev)
			check(x, "recorded and settled", c.ended)
		})
	}
}

// Two endings in doubt at once are settled each for itself, and an event lifts
// the doubt about later sessions that it does not cover.
func TestDoubtsAreSettledOneByOne(t *testing.T) {
	acc := exeunt.NewAccountID()
	s := snapshot(0, acc, 1)
	x := New(0)
	x.Insert(s)
	all := event(1, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2)
	all.Key = "first"
	second := all.Revocation
	second.Key = "second"
	x.Doubt(all.Revocation)
	x.Doubt(second)
	x.Settled(second)
	want(t, x, s.Hash, epoch, CannotKnow)
	x.Doubt(second)
	later := snapshot(1, acc, 2)
	apply(t, x, all)
	x.Insert(later)
	want(t, x, s.Hash, epoch, Ended)
	want(t, x, later.Hash, epoch, CannotKnow)
	x.Settled(second)
	want(t, x, later.Hash, epoch, Usable)
	x.Forget()
	want(t, x, later.Hash, epoch.Add(time.Minute), Usable)
	if n := testing.AllocsPerRun(100, func() { x.Check(later.Hash, epoch) }); n > 0 {
		t.Errorf("a check allocates %v times", n)
	}
}
