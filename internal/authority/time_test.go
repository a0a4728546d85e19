package authority

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// drain carries out what the checks so far found to be overdue, as Run does.
func (n *node) drain() {
	n.t.Helper()
	for {
		select {
		case o := <-n.live.Overdue():
			if err := n.declare(ctx, o.Account, o.Session, o.Reason); err != nil {
				n.t.Errorf("declare: %v", err)
			}
		case q := <-n.queue:
			if _, err := n.End(ctx, q.by, q.rev); err != nil {
				n.t.Errorf("end: %v", err)
			}
		default:
			return
		}
	}
}

func (n *node) endOf(s exeunt.Session) *exeunt.Ended {
	n.t.Helper()
	got, err := n.Session(ctx, s.Account, s.ID)
	if err != nil {
		n.t.Fatalf("session: %v", err)
	}
	return got.End
}

func TestIdleEnd(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept) // idle 1 h
	app, _ := n.appSession(s)
	n.clock.add(50 * time.Minute)
	n.Touch(n.check(ctx, app)) // an app's activity counts for the session
	n.clock.add(20 * time.Minute)
	n.want(token, live.Usable)
	for range 5 { // asking does not
		n.clock.add(7 * time.Minute)
		n.want(token, live.Usable)
		n.want(app, live.Usable)
	}
	n.clock.add(5*time.Minute - time.Millisecond)
	n.want(token, live.Usable)
	n.clock.add(time.Millisecond)
	n.want(app, live.TimedOut)
	n.want(token, live.TimedOut)
	if n.endOf(s) != nil {
		t.Error("recorded before anybody recorded it")
	}
	n.drain()
	n.want(token, live.Ended)
	n.want(app, live.Ended)
	if e := n.endOf(s); e == nil || e.Reason != exeunt.ReasonIdle || e.By != exeunt.ActorSystem {
		t.Errorf("its end is %+v", e)
	}
	n.restart()
	n.want(token, live.Ended)
	n.want(app, live.Ended)
}

// Later activity does not revive a session that has timed out; only activity that the store already had does.
func TestTimedOutStaysOut(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	usable := n.check(ctx, token)
	n.clock.add(time.Hour)
	n.want(token, live.TimedOut)
	n.Touch(n.check(ctx, token)) // a request refused is no activity
	n.clock.add(-time.Minute)    // a clock set back is no excuse
	n.want(token, live.TimedOut)
	// A request that was found usable in time may still note its activity, and then the store rules for the session.
	n.Touch(usable)
	n.clock.add(time.Minute)
	n.want(token, live.TimedOut)
	n.drain()
	n.want(token, live.Usable)
	if e := n.endOf(s); e != nil {
		t.Errorf("ended: %+v", e)
	}
	n.clock.add(time.Hour)
	n.want(token, live.TimedOut)
	n.drain()
	n.want(token, live.Ended)
}

// Should the notice of a session that ran out be lost, maintenance finds it in memory, whatever the store thinks of
// it.
func TestTheSweepRulesOnWhatChecksFound(t *testing.T) {
	n := newNode(t)
	token, _ := n.signIn(n.account(), exeunt.KindKept)
	usable := n.check(ctx, token)
	n.clock.add(time.Hour)
	n.want(token, live.TimedOut)
	<-n.live.Overdue() // and nobody acts on it
	n.clock.add(-time.Minute)
	n.Touch(usable)
	n.clock.add(time.Minute)
	if err := n.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	n.want(token, live.Usable)
}

func TestAbsoluteEnd(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindShared) // absolute 2 h
	for n.clock.since() < 2*time.Hour-time.Minute {
		n.clock.add(time.Minute)
		a := n.check(ctx, token)
		if !a.Usable() {
			t.Fatalf("after %v it is %v", n.clock.since(), a.State)
		}
		n.Touch(a)
	}
	n.clock.add(time.Minute - time.Millisecond)
	n.want(token, live.Usable)
	n.clock.add(time.Millisecond)
	n.want(token, live.TimedOut)
	n.drain()
	if e := n.endOf(s); e == nil || e.Reason != exeunt.ReasonAbsolute {
		t.Errorf("its end is %+v", e)
	}
}

// Nobody asks for these sessions any more; maintenance ends them.
func TestTheSweepEndsWhatNobodyAsksFor(t *testing.T) {
	n := newNode(t)
	id := n.account()
	_, idle := n.signIn(id, exeunt.KindShared)
	token, used := n.signIn(id, exeunt.KindKept)
	n.want(token, live.Usable)
	n.clock.add(40 * time.Minute)
	n.Touch(n.check(ctx, token))
	n.clock.add(40 * time.Minute)
	if err := n.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	if e := n.endOf(idle); e == nil || e.Reason != exeunt.ReasonIdle {
		t.Errorf("the unused one's end is %+v", e)
	}
	if e := n.endOf(used); e != nil {
		t.Errorf("the used one's end is %+v", e)
	}
	n.want(token, live.Usable)
	if n.live.Len() != 1 {
		t.Errorf("%d tokens are remembered", n.live.Len())
	}
}

// More sessions than one step of maintenance takes.
func TestMaintenanceEndsThemAll(t *testing.T) {
	n := newNode(t)
	id := n.account()
	for range 300 {
		n.signIn(id, exeunt.KindShared)
	}
	n.clock.add(15 * time.Minute)
	if err := n.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	if a, err := n.Account(ctx, id); err != nil || a.LiveSessions != 0 {
		t.Errorf("%d are left, %v", a.LiveSessions, err)
	}
}

// No list shows a session as active that has timed out.
func TestListsDeclare(t *testing.T) {
	n := newNode(t)
	id := n.account()
	old, _ := n.signIn(id, exeunt.KindShared)
	n.clock.add(10 * time.Minute)
	token, s := n.signIn(id, exeunt.KindShared)
	n.clock.add(5 * time.Minute)
	n.Touch(n.check(ctx, token))
	active, err := n.sessions(id, exeunt.SessionsActive)
	if err != nil || len(active) != 1 || active[0].ID != s.ID || !active[0].Seen.Equal(n.Now()) {
		t.Errorf("active: %+v, %v", active, err)
	}
	ended, err := n.sessions(id, exeunt.SessionsEnded)
	if err != nil || len(ended) != 1 || ended[0].End.Reason != exeunt.ReasonIdle {
		t.Errorf("ended: %+v, %v", ended, err)
	}
	n.want(old, live.Ended)
	if _, err := n.Session(ctx, n.account(), s.ID); err == nil {
		t.Error("another account sees the session")
	}
}

// The holder of a dead token learns when and why it ended, and the end is recorded first.
func TestWhyEndedRecordsWhatItSays(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindShared)
	if at, reason, known, err := n.WhyEnded(ctx, token); !at.IsZero() || reason != "" || !known || err != nil {
		t.Errorf("of a live one: %v, %q, %v, %v", at, reason, known, err)
	}
	n.clock.add(15 * time.Minute)
	at, reason, known, err := n.WhyEnded(ctx, token)
	if !at.Equal(n.Now()) || reason != exeunt.ReasonIdle || !known || err != nil {
		t.Errorf("%v, %q, %v, %v", at, reason, known, err)
	}
	if e := n.endOf(s); e == nil || e.Reason != exeunt.ReasonIdle {
		t.Errorf("recorded is %+v", e)
	}
	// One that is active in memory is not declared ended.
	token, s = n.signIn(n.account(), exeunt.KindShared)
	n.want(token, live.Usable)
	n.clock.add(14 * time.Minute)
	n.Touch(n.check(ctx, token))
	n.clock.add(2 * time.Minute)
	if _, reason, _, err := n.WhyEnded(ctx, token); reason != "" || err != nil || n.endOf(s) != nil {
		t.Errorf("a session in use ended for %q, %v", reason, err)
	}
	n.want(token, live.Usable)
}

// What a crash loses of activity only makes a session end earlier.
func TestACrashLosesActivityAndNothingElse(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	n.want(token, live.Usable)
	n.clock.add(30 * time.Minute)
	n.Touch(n.check(ctx, token))
	n.restart() // without a flush
	n.want(token, live.Usable)
	n.clock.add(30 * time.Minute)
	n.want(token, live.TimedOut)
	n.drain()
	if e := n.endOf(s); e == nil || e.Reason != exeunt.ReasonIdle {
		t.Errorf("its end is %+v", e)
	}
}

// The next check returns a profile that was changed in another tab.
func TestChangedProfilesAreTold(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	n.want(token, live.Usable)
	name := "Ada Lovelace"
	if err := n.rename(ctx, personIn(s), token, name); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a := n.check(ctx, token)
		if p, err := n.Profile(ctx, a); err != nil || p.Name != name || p.Email != "" ||
			p.Version != a.ProfileVersion() {
			t.Errorf("the profile is %+v, %v; the answer says version %d", p, err, a.ProfileVersion())
		}
		n.restart()
	}
	if p, err := n.Profile(ctx, Answer{Account: s.Account}); err != nil || p.Name != name {
		t.Errorf("read from the store, the profile is %+v, %v", p, err)
	}
}

// Run ends sessions that were queued or have timed out, saves activity, and saves the rest when it is stopped.
func TestRun(t *testing.T) {
	n := newNode(t)
	id := n.account()
	half, h := n.signIn(id, exeunt.KindKept)
	late, l := n.signIn(id, exeunt.KindShared)
	used, u := n.signIn(id, exeunt.KindKept)
	n.want(half, live.Usable)
	n.want(late, live.Usable)
	n.want(used, live.Usable)
	news := n.Listen(id)
	defer news.Close()
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { n.Run(run); close(done) }()
	n.EndSoon(exeunt.Revocation{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeSession, Session: h.ID},
		Reason: exeunt.ReasonIncomplete})
	<-news.C()
	n.want(half, live.Ended)
	n.clock.add(15 * time.Minute)
	n.want(late, live.TimedOut)
	<-news.C()
	n.want(late, live.Ended)
	n.Touch(n.check(ctx, used))
	stop()
	<-done
	if e := n.endOf(h); e == nil || e.Reason != exeunt.ReasonIncomplete {
		t.Errorf("half a pair: %+v", e)
	}
	if e := n.endOf(l); e == nil || e.Reason != exeunt.ReasonIdle {
		t.Errorf("run out: %+v", e)
	}
	if s, err := n.store.Session(ctx, id, u.ID); err != nil || !s.Seen.Equal(n.Now()) {
		t.Errorf("the last activity was lost: seen %v, %v", s.Seen, err)
	}
}

// A duty of maintenance is done once for each interval, and in growing intervals while it fails.
func TestADutyThatFailsIsRepeatedWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop, stop := context.WithCancel(t.Context())
		var mu sync.Mutex // the race detector sees no bubble
		var done []time.Duration
		var fails bool
		began, over := time.Now(), make(chan struct{})
		a := &Authority{log: slog.New(slog.DiscardHandler)}
		go func() {
			defer close(over)
			a.keepDoing(loop, duty{"do it", func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				done = append(done, time.Since(began))
				if fails {
					return errors.New("the store is away")
				}
				return nil
			}})
		}()
		check := func(what string, until time.Duration, want ...time.Duration) {
			t.Helper()
			time.Sleep(until - time.Since(began)) // the bubble's time, which passes at once
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(done, want) {
				t.Errorf("%s: done after %v, want %v", what, done, want)
			}
			done = nil
		}
		fail := func(yes bool) {
			mu.Lock()
			defer mu.Unlock()
			fails = yes
		}
		const s = time.Second
		check("all is well", 11*s, 5*s, 10*s)
		fail(true)
		check("it fails", 100*s, 15*s, 20*s, 30*s, 50*s, 90*s)
		fail(false)
		check("it works again", 182*s, 170*s, 175*s, 180*s)
		fail(true)
		check("it fails for long", 1100*s, 185*s, 190*s, 200*s, 220*s, 260*s, 340*s, 500*s, 800*s, 1100*s)
		stop()
		<-over
	})
}

func TestAFullQueueOfEndingsLeavesThemRefused(t *testing.T) {
	n := newNode(t)
	_, s := n.signIn(n.account(), exeunt.KindKept)
	for range cap(n.queue) + 5 {
		n.EndSoon(endOne(s)) // waits for nobody
	}
	n.drain()
	if n.endOf(s) == nil {
		t.Error("not ended")
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	app, _ := n.appSession(s)
	for c, state := range map[Credential]live.State{
		{token, AsPair}: live.Usable, {token, AsIncomplete}: live.Incomplete, {token, AsBearer}: live.WrongUse,
		{app, AsBearer}: live.Usable, {app, AsAppCookie}: live.Usable,
	} {
		if k := testing.AllocsPerRun(200, func() {
			if got := n.Check(ctx, c).State; got != state {
				t.Errorf("as %d: %v, want %v", c.Use, got, state)
			}
		}); k != 0 {
			t.Errorf("as %d: a check allocates %v times", c.Use, k)
		}
	}
}

// Where other nodes share the store, this one asks it before it refuses a session as idle, and is not asked again
// once it has.
func TestActivityElsewhereCounts(t *testing.T) {
	n := newNode(t)
	n.live = live.New(0, live.Options{SharedActivity: true})
	token, s := n.signIn(n.account(), exeunt.KindKept) // idle 1 h
	app, _ := n.appSession(s)
	n.want(token, live.Usable)
	n.want(app, live.Usable)
	n.clock.add(40 * time.Minute)
	elsewhere := []exeunt.Activity{{Account: s.Account, Session: s.ID, Seen: n.Now()}}
	if err := n.store.SaveActivity(ctx, elsewhere); err != nil {
		t.Fatal(err)
	}
	n.clock.add(40 * time.Minute)
	n.want(app, live.Usable)
	n.want(token, live.Usable)
	n.clock.add(20*time.Minute - time.Millisecond)
	n.want(token, live.Usable)
	n.clock.add(time.Millisecond)
	n.want(app, live.TimedOut)
	n.want(token, live.TimedOut)
	n.drain()
	if e := n.endOf(s); e == nil || e.Reason != exeunt.ReasonIdle {
		t.Errorf("its end is %+v", e)
	}
	// While the store is unavailable the check is indeterminate.
	late, _ := n.signIn(s.Account, exeunt.KindKept)
	n.want(late, live.Usable)
	n.clock.add(time.Hour)
	n.store.Close()
	n.want(late, live.Indeterminate)
}

// Maintenance deletes what its retention is over of, however many steps that takes.
func TestTheSweepPurgesThemAll(t *testing.T) {
	n := newNode(t)
	id := n.account()
	for range 100 {
		_, s := n.signIn(id, exeunt.KindShared)
		n.end(endOne(s))
		n.end(endAll(id)) // an event that ends nobody
	}
	var wg sync.WaitGroup
	for range 15 { // few enough that none waits for longer than a caller does
		wg.Go(func() {
			for range 40 {
				_, s := n.signIn(id, exeunt.KindShared)
				n.end(endOne(s))
			}
		})
	}
	wg.Wait()
	head, err := n.store.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// No app has to be told of any of it.
	if moved, err := n.store.RecordOwed(ctx, store.LogCursor{}, store.LogCursor{Seq: head}, nil, nil, n.Now()); err != nil || !moved {
		t.Fatal(moved, err)
	}
	n.clock.add(n.retention.Ended + time.Hour)
	if err := n.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	if left, err := n.CountSessions(ctx, exeunt.SessionFilter{Account: id, State: exeunt.SessionsEnded}); err != nil ||
		left != 0 {
		t.Errorf("%d ended sessions are left, %v", left, err)
	}
	// But for the last event, by which other nodes know the log again.
	if list, err := n.Audit(ctx, exeunt.AuditFilter{Account: id, Limit: 10}); err != nil || len(list.Items) > 1 {
		t.Errorf("the audit still has %d entries or more, %v", len(list.Items), err)
	}
}

// While the store is unavailable, only memory has what has ended.
func TestASweepWithoutTheStoreForgetsNothing(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	n.want(token, live.Usable) // so that memory knows it
	n.end(endOne(s))
	away, cancel := context.WithCancel(ctx)
	cancel()
	if err := n.Maintain(away); err == nil {
		t.Fatal("it has swept")
	}
	if got := n.live.Check(token.Hash(), n.Now()).State; got != live.Ended {
		t.Errorf("after maintenance that failed memory says %v", got)
	}
	if err := n.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	if got := n.live.Check(token.Hash(), n.Now()).State; got != live.Absent {
		t.Errorf("after maintenance memory says %v", got)
	}
}
