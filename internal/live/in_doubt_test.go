package live

import (
	"testing"

	"github.com/exeunt/exeunt"
)

func TestInDoubt(t *testing.T) {
	acc := exeunt.NewAccountID()
	one, two, foreign := snapshot(0, acc, 1), withApp(snapshot(0, acc, 1)), snapshot(0, exeunt.NewAccountID(), 1)
	of := func(scope exeunt.Scope, s exeunt.SessionID, app exeunt.AppSessionID) exeunt.Revocation {
		return exeunt.Revocation{Target: exeunt.Target{Account: acc, Scope: scope, Session: s, AppSession: app},
			Reason: exeunt.ReasonSignedOut, Key: "k"}
	}
	for name, c := range map[string]struct {
		rev               exeunt.Revocation
		one, two, twosApp bool
	}{
		"session": {of(exeunt.ScopeSession, two.Session.ID, exeunt.AppSessionID{}), false, true, true},
		"app":     {of(exeunt.ScopeSession, two.Session.ID, two.App.ID), false, false, true},
		"others":  {of(exeunt.ScopeOthers, two.Session.ID, exeunt.AppSessionID{}), true, false, true},
		"account": {of(exeunt.ScopeAccount, exeunt.SessionID{}, exeunt.AppSessionID{}), true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(0, Options{})
			check := func(inDoubt bool) {
				t.Helper()
				for _, w := range []struct {
					h       exeunt.TokenHash
					covered bool
				}{{one.Hash, c.one}, {two.Hash, c.two}, {two.AppHash, c.twosApp}, {foreign.Hash, false}} {
					state := Usable
					if inDoubt && w.covered {
						state = Indeterminate
					}
					want(t, x, w.h, epoch, state)
				}
			}
			fill := func(epoch int64) {
				for _, s := range []Snapshot{one, two, foreign} {
					if s.Epoch = epoch; !x.Insert(s) {
						t.Fatal("not inserted")
					}
				}
			}
			x.PutInDoubt(c.rev.Target) // before its sessions are inserted
			fill(0)
			check(true)
			x.PutInDoubt(c.rev.Target) // twice, by two who asked for the same
			x.Resolve(c.rev.Target)
			check(true)
			x.Forget()
			x.Reset(0)
			fill(1)
			check(true)
			x.Resolve(c.rev.Target)
			check(false)
			x.Resolve(c.rev.Target) // once more changes nothing
			x.PutInDoubt(c.rev.Target)
			check(true)
		})
	}
}

// An event that ends the session leaves nothing to doubt. One that ends many
// may be older than what is in doubt.
func TestWhatSettlesADoubt(t *testing.T) {
	acc := exeunt.NewAccountID()
	s, born := snapshot(0, acc, 1), snapshot(1, acc, 2)
	one := exeunt.Revocation{Target: exeunt.Target{Account: acc, Scope: exeunt.ScopeSession, Session: s.Session.ID}}
	all := exeunt.Revocation{Target: exeunt.Target{Account: acc, Scope: exeunt.ScopeAccount}}
	x := New(0, Options{})
	x.Insert(s)
	x.PutInDoubt(one.Target)
	want(t, x, s.Hash, epoch, Indeterminate)
	apply(t, x, event(1, exeunt.ScopeSession, acc, s.Session.ID, 0))
	want(t, x, s.Hash, epoch, Ended)
	if len(*x.inDoubt.Load()) != 0 {
		t.Error("still in doubt")
	}
	x.PutInDoubt(all.Target)
	x.Insert(born)
	want(t, x, born.Hash, epoch, Indeterminate)
	apply(t, x, event(2, exeunt.ScopeAccount, acc, exeunt.SessionID{}, 2)) // which born came after
	want(t, x, born.Hash, epoch, Indeterminate)
}
