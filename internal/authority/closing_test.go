package authority

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// tend lets time go by in the steps of maintenance, on every node, each of which saves its activity.
func tend(t *testing.T, d time.Duration, n *node, others ...*Authority) {
	t.Helper()
	for left := d; left > 0; left -= maintainEvery {
		n.clock.add(min(left, maintainEvery))
		for _, a := range append(others, n.Authority) {
			if err := a.saveDue(ctx); err != nil {
				t.Fatal(err)
			}
			if err := a.Maintain(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// open is what a page that is open does: it asks for its state.
func open(a *Authority, token exeunt.Token) {
	ans := a.check(ctx, token)
	a.PageOpen(ans)
	a.AppTells(ans)
}

const closedFor = exeunt.ClosingGrace + closingSlack

func TestTheLastPageOfASharedComputerIsClosed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, n *node) {
		b := n.other()
		token, s := n.signIn(n.account(), exeunt.KindShared)
		open(n.Authority, token)
		tend(t, time.Minute, n, b)
		n.PageClosed(n.check(ctx, token))
		tend(t, closedFor-maintainEvery, n, b)
		if e := n.endOf(s); e != nil {
			t.Fatalf("ended before its time: %+v", e)
		}
		tend(t, maintainEvery, n, b)
		if e := n.endOf(s); e == nil || e.Reason != exeunt.ReasonClosed || e.By != exeunt.ActorSystem {
			t.Fatalf("its end is %+v", e)
		}
		n.want(token, live.Ended)
		tend(t, maintainEvery, n, b)
		if list, _, err := n.store.Closings(ctx, exeunt.Closing{}); err != nil || len(list) > 0 {
			t.Errorf("marks are left: %+v, %v", list, err)
		}
	})
}

// Whatever anybody does with the session, on whichever node, lifts the deadline; for good, until a page is closed again.
func TestUseLiftsTheDeadlineOfAClosedPage(t *testing.T) {
	for name, use := range map[string]func(a *Authority, token exeunt.Token){
		"activity": func(a *Authority, token exeunt.Token) { a.Touch(a.check(ctx, token)) },
		"a page":   open,
	} {
		for where, after := range map[string]time.Duration{
			"soon": closingSettles + maintainEvery, "late": exeunt.ClosingGrace - maintainEvery,
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				onEachEngine(t, func(t *testing.T, n *node) {
					b := n.other()
					id := n.account()
					here, s := n.signIn(id, exeunt.KindShared)
					there, o := n.signIn(id, exeunt.KindShared)
					left, gone := n.signIn(id, exeunt.KindShared)
					for _, token := range []exeunt.Token{here, there, left} {
						n.PageClosed(n.check(ctx, token))
					}
					tend(t, after, n, b)
					use(n.Authority, here)
					use(b, there)
					tend(t, 3*closedFor, n, b)
					for at, v := range map[string]exeunt.Session{"on this node": s, "on another": o} {
						if e := n.endOf(v); e != nil {
							t.Errorf("used %s, it ended: %+v", at, e)
						}
					}
					if e := n.endOf(gone); e == nil {
						t.Error("one that was not used lives")
					}
					n.PageClosed(n.check(ctx, here))
					tend(t, closedFor, n, b)
					if e := n.endOf(s); e == nil || e.Reason != exeunt.ReasonClosed {
						t.Errorf("its page was closed again, and its end is %+v", e)
					}
				})
			})
		}
	}
}

// Somebody goes from page to page: each is closed as the next one is loaded.
func TestGoingFromPageToPage(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindShared)
	for range 10 {
		n.PageClosed(n.check(ctx, token))
		n.clock.add(100 * time.Millisecond)
		n.Touch(n.check(ctx, token))
		open(n.Authority, token)
		tend(t, 20*time.Second, n)
	}
	// The last one stays open, and says so.
	for range 10 {
		tend(t, 30*time.Second, n)
		open(n.Authority, token)
	}
	if e := n.endOf(s); e != nil {
		t.Errorf("it ended: %+v", e)
	}
}

func TestAClosedPageEndsOnlyWhatIsOnASharedComputer(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	n.PageClosed(n.check(ctx, token))
	tend(t, 2*closedFor, n)
	if e := n.endOf(s); e != nil {
		t.Errorf("it ended: %+v", e)
	}
}

// Of an app that never asks for what its pages may show, nobody knows whether somebody is reading it.
func TestAnAppWhosePagesAreNotHeardOf(t *testing.T) {
	n := newNode(t)
	id := n.account()
	_, silent := n.signIn(id, exeunt.KindShared)
	n.appSession(silent)
	_, heard := n.signIn(id, exeunt.KindShared)
	app, _ := n.appSession(heard)
	tend(t, closedFor, n)
	n.PageClosed(n.check(ctx, app)) // an app's page says so, too
	browser, _ := n.signIn(id, exeunt.KindShared)
	for range 2 {
		tend(t, closedFor, n)
	}
	if e := n.endOf(heard); e != nil {
		t.Errorf("signed in to an app that nothing is known of, it ended: %+v", e)
	}
	open(n.Authority, app)
	n.clock.add(time.Millisecond)
	n.PageClosed(n.check(ctx, app))
	n.PageClosed(n.check(ctx, browser))
	tend(t, closedFor, n)
	if e := n.endOf(heard); e == nil || e.Reason != exeunt.ReasonClosed {
		t.Errorf("its end is %+v", e)
	}
	if e := n.endOf(silent); e != nil {
		t.Errorf("no page of it was closed, and it ended: %+v", e)
	}
}

// A hint that is lost in a crash costs nothing: the idle timeout is left. One that is stored waits until pages that are
// open had the time to say so.
func TestAClosedPageAndARestart(t *testing.T) {
	n := newNode(t)
	id := n.account()
	_, lost := n.signIn(id, exeunt.KindShared)
	token, stored := n.signIn(id, exeunt.KindShared)
	open(n.Authority, token)
	n.PageClosed(n.check(ctx, token))
	tend(t, closingWaits, n)
	if list, _, err := n.store.Closings(ctx, exeunt.Closing{}); err != nil || len(list) != 1 {
		t.Fatalf("stored: %+v, %v", list, err)
	}
	n.clock.add(5 * time.Minute) // the node is down
	n.restart()
	tend(t, closedFor-maintainEvery, n)
	if e := n.endOf(stored); e != nil {
		t.Fatalf("ended as soon as the node was back: %+v", e)
	}
	tend(t, maintainEvery, n)
	if e := n.endOf(stored); e == nil || e.Reason != exeunt.ReasonClosed {
		t.Errorf("its end is %+v", e)
	}
	if e := n.endOf(lost); e != nil {
		t.Errorf("the other ended: %+v", e)
	}
}

// The store decides: what another node has saved since keeps the session.
func TestTheStoreDecidesWhetherAClosedPageWasTheLast(t *testing.T) {
	onEachEngine(t, func(t *testing.T, n *node) {
		token, s := n.signIn(n.account(), exeunt.KindShared)
		n.check(ctx, token)
		closed := exeunt.Closing{Account: s.Account, Session: s.ID, At: n.Now()}
		declare := func(want error) {
			t.Helper()
			rev := exeunt.Revocation{Reason: exeunt.ReasonClosed,
				Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID}}
			if _, err := n.store.End(ctx, exeunt.System(), rev, store.Change{}, n.Now()); err != want {
				t.Fatalf("%v, want %v", err, want)
			}
		}
		n.clock.add(2 * exeunt.ClosingGrace)
		declare(store.ErrStillGood) // no mark
		closed.At = n.Now()
		mark := func() {
			t.Helper()
			if err := n.store.MarkClosing(ctx, []exeunt.Closing{closed}); err != nil {
				t.Fatal(err)
			}
		}
		mark()
		n.clock.add(exeunt.ClosingGrace - time.Millisecond)
		declare(store.ErrStillGood)
		n.clock.add(time.Millisecond)
		if err := n.store.SaveActivity(ctx, []exeunt.Activity{{Account: s.Account, Session: s.ID, Seen: n.Now()}}); err != nil {
			t.Fatal(err)
		}
		declare(store.ErrStillGood)
		closed.At = n.Now()
		mark()
		n.clock.add(exeunt.ClosingGrace)
		declare(nil)
	})
}

// Where more pages are open than a node remembers, none is taken for closed.
func TestMoreOpenPagesThanAreRemembered(t *testing.T) {
	onEachEngine(t, func(t *testing.T, n *node) {
		token, s := n.signIn(n.account(), exeunt.KindShared)
		n.PageClosed(n.check(ctx, token))
		other := n.check(ctx, token)
		tend(t, closingSettles+maintainEvery, n)
		for range maxOpen {
			other.Session = exeunt.NewSessionID()
			n.PageOpen(other)
		}
		open(n.Authority, token)
		tend(t, closedFor+maintainEvery, n)
		if e := n.endOf(s); e != nil {
			t.Errorf("an open page's session has ended: %+v", e)
		}
	})
}
