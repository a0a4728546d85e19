package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exeunt/exeunt/client"
)

func TestVerifierAsksOnceAndEndsAtOnce(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada, phone, grace := f.person("ada", "1"), f.person("ada", "2"), f.person("grace", "3")
		for _, p := range []client.Secret{ada, phone, grace} {
			f.expect(t, v, p, "valid", 1)
			f.expect(t, v, p, "valid", 0)
		}
		p, err := v.Check(t.Context(), ada, false)
		if err != nil || p.Account != "acc_ada" || p.Handle != "ada" || p.AppSession != "app_0" ||
			p.IdleAt.Sub(p.WarnAt) != 2*time.Minute ||
			p.IdleAt.Sub(p.AskedAt) > 15*time.Minute || p.AskedAt.Sub(time.Now()).Abs() > time.Second {
			t.Errorf("%+v, %v", p, err)
		}
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_2"})
		synctest.Wait()
		f.expect(t, v, phone, "ended", 1)
		f.expect(t, v, ada, "valid", 0)
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_ada", Generation: 2})
		synctest.Wait()
		f.expect(t, v, ada, "ended", 1)
		f.expect(t, v, grace, "valid", 0)
	})
}

func TestVerifierKeepsWhomAnEventKeeps(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		kept, other, app := f.person("ada", "1"), f.person("ada", "2"), f.person("ada", "1")
		for _, p := range []client.Secret{kept, other, app} {
			f.expect(t, v, p, "valid", 1)
		}
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "others", Account: "acc_ada", Session: "ses_1",
			Generation: 2})
		synctest.Wait()
		f.expect(t, v, kept, "valid", 0)
		f.expect(t, v, other, "ended", 1)
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1",
			AppSession: "app_2"})
		synctest.Wait()
		f.expect(t, v, kept, "valid", 0)
		f.expect(t, v, app, "ended", 1)
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "others", Account: "acc_ada", Session: "ses_9",
			Generation: 3})
		synctest.Wait()
		f.expect(t, v, kept, "ended", 1)
		// What a newer authority means is not guessed at.
		grace := f.person("grace", "3")
		f.expect(t, v, grace, "valid", 1)
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "criteria", Account: "acc_grace"})
		synctest.Wait()
		f.expect(t, v, grace, "ended", 1)
		// An event that ends nobody for sure has the gate asked again, about the account
		// or about everybody.
		alan, alice := f.person("alan", "4"), f.person("alice", "5")
		for _, e := range []client.LogEvent{{Kind: client.EventProfileChanged, Account: "acc_alan"},
			{Kind: client.EventGroupsChanged, Account: "acc_alan"},
			{Kind: "moved", Account: "acc_alan"}, {Kind: "moved", Client: "chirp"}} {
			f.expect(t, v, alan, "valid", 1)
			f.expect(t, v, alice, "valid", 1)
			f.tell(e)
			synctest.Wait()
			f.expect(t, v, alan, "valid", 1)
			f.expect(t, v, alice, "valid", map[bool]int{true: 1, false: 0}[e.Account == ""])
			v.table.clear()
		}
		// App sessions of a client have ended: of this one, or of another.
		for app, questions := range map[string]int{"chirp": 1, "other": 0} {
			f.expect(t, v, alan, "valid", 1)
			f.tell(client.LogEvent{Kind: client.EventAppsEnded, Client: app})
			synctest.Wait()
			f.expect(t, v, alan, "valid", questions)
			v.table.clear()
		}
	})
}

// A gate's answer that is overtaken on its way by the event that ends the
// session is not kept, and not believed either.
func TestAnAnswerIsNotKeptAgainstAnEvent(t *testing.T) {
	for scope, e := range map[string]client.LogEvent{
		"session": {Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"},
		"app": {Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1",
			AppSession: "app_0"},
		"account": {Kind: client.EventEnded, Scope: "account", Account: "acc_ada", Generation: 2},
		"others":  {Kind: client.EventEnded, Scope: "others", Account: "acc_ada", Session: "ses_2", Generation: 2},
	} {
		t.Run(scope, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				ada := f.person("ada", "1")
				once := sync.OnceFunc(func() { f.end(e); synctest.Wait() })
				v.afterAsk = once
				f.expect(t, v, ada, "ended", 2)
				if v.table.count != 0 {
					t.Error("it was kept")
				}
			})
		})
	}
}

// One that is overtaken by events about others is.
func TestAnAnswerIsKeptBesideOtherEvents(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		v.afterAsk = func() {
			f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
			f.end(client.LogEvent{Kind: client.EventEnded, Scope: "others", Account: "acc_ada", Session: "ses_1",
				Generation: 2})
			synctest.Wait()
			v.afterAsk = nil
		}
		f.expect(t, v, ada, "valid", 1)
		f.expect(t, v, ada, "valid", 0)
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_ada", Generation: 3})
		synctest.Wait()
		f.expect(t, v, ada, "ended", 1)
	})
}

// An answer by the numbers of another history is good for this once.
func TestAnAnswerOfAnotherHistoryIsNotKept(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.set(func() { f.epoch = "e2" })
		f.expect(t, v, ada, "valid", 1)
		f.expect(t, v, ada, "valid", 1)
	})
}

// An answer that more events have overtaken than are remembered is asked for
// again, and given up in the end.
func TestAnAnswerOlderThanWhatIsRemembered(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		flood := func() {
			for n := range recentEvents + 1 {
				f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: fmt.Sprint("acc_", n),
					Generation: 2})
			}
			synctest.Wait()
		}
		times := 0
		v.afterAsk = func() {
			if times++; times == 1 {
				flood()
			}
		}
		f.expect(t, v, ada, "valid", 2)
		v.Forget(ada)
		v.afterAsk = flood
		f.expect(t, v, ada, "unavailable", maxReasks)
	}, func(o *Options) { o.MaxStaleness = time.Hour })
}

// With the stream held back, the verifier is stale at MaxStaleness after it
// last knew, to the nanosecond, and not later; it asks from then on.
func TestAHeldStreamMakesStale(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.held = true })
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		ended := time.Now()
		f.asks()
		for valid(t, v, ada) == "valid" {
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(ended); d > v.MaxStaleness {
			t.Errorf("valid for %v after the end", d)
		}
		f.expect(t, v, ada, "ended", 1)
		grace := f.person("grace", "2")
		for range 3 {
			f.expect(t, v, grace, "valid", 1) // each time
		}
		f.set(func() { f.held = false })
		time.Sleep(v.MaxStaleness)
		f.expect(t, v, grace, "valid", 1) // what was said ahead of the stream was not kept
		f.expect(t, v, grace, "valid", 0)
	})
}

// An answer to "how far is the log?" that is held back opens no longer window
// for that: it counts from the question.
func TestTheWindowCountsFromTheQuestion(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.slowEcho = v.MaxStaleness / 2 })
		n := f.questions()
		for f.questions() == n {
			time.Sleep(time.Millisecond)
		}
		// The answer is made and on its way; now the session ends, and nothing
		// else arrives any more.
		f.set(func() { f.held = true })
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		ended := time.Now()
		for valid(t, v, ada) == "valid" {
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(ended); d > v.MaxStaleness {
			t.Errorf("valid for %v after the end", d)
		}
	})
}

// Whoever looked, was stopped, and goes on when the verifier has long heard of
// the end must not answer by what it has confirmed since.
func TestAPauseAfterLooking(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		v.afterLook = func() {
			f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
			time.Sleep(10 * v.MaxStaleness)
		}
		f.expect(t, v, ada, "ended", 1)
	})
}

// The age of the node's own confirmation comes off the window.
func TestTheNodesAgeCounts(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.age = 1500 })
		time.Sleep(2 * time.Second)
		f.set(func() { f.held, f.noEcho = true, true })
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		time.Sleep(500 * time.Millisecond)
		f.expect(t, v, ada, "ended", 1)
		if v.Fresh() {
			t.Error("fresh for longer than the node itself is")
		}
	})
}

func TestWindow(t *testing.T) {
	const s = 2 * time.Second
	asked := instant{steady: 10 * time.Second, wall: 1000 * time.Second}
	w := newWindow(asked, client.Position{Age: 500, Now: 7_000_000}, s)
	at := func(steady, wall time.Duration) instant { return instant{asked.steady + steady, asked.wall + wall} }
	for name, c := range map[string]struct {
		at   instant
		open bool
	}{
		"at once":                {at(0, 0), true},
		"just before":            {at(s-500*time.Millisecond-1, s-500*time.Millisecond-1), true},
		"at its end":             {at(s-500*time.Millisecond, s-500*time.Millisecond), false},
		"the machine slept":      {at(time.Second, time.Hour), false},
		"the wall's was set":     {at(time.Second, -time.Hour), false},
		"the wall's is adjusted": {at(time.Second, time.Second+50*time.Millisecond), true},
	} {
		if got := w.open(c.at); got != c.open {
			t.Errorf("%s: open is %v", name, got)
		}
	}
	if got := w.serverTime(at(time.Second, time.Second)); got != 7_001_000 {
		t.Errorf("the authority's time is %d", got)
	}
	if (*window)(nil).open(asked) {
		t.Error("no window is open")
	}
}

func TestVerifierRefusesWhenTheAuthorityIsAway(t *testing.T) {
	var mu sync.Mutex
	var states []State
	told := func() []State { mu.Lock(); defer mu.Unlock(); return states }
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada, grace := f.person("ada", "1"), f.person("grace", "2")
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.away = true })
		f.breakStreams()
		synctest.Wait()
		f.expect(t, v, ada, "valid", 0)         // for as long as it may
		f.expect(t, v, grace, "unavailable", 0) // never seen
		time.Sleep(v.MaxStaleness)
		f.expect(t, v, ada, "unavailable", 0)
		time.Sleep(time.Second)
		if s := told(); len(s) != 2 || !s[0].Fresh || s[1].Fresh || s[1].Err == nil {
			t.Errorf("told %+v", s)
		}
		f.set(func() { f.away = false })
		time.Sleep(10 * time.Second)
		f.expect(t, v, ada, "valid", 0) // nothing was missed, so nothing was forgotten
		if s := told(); len(s) != 3 || !s[2].Fresh || s[2].Err != nil {
			t.Errorf("told %+v", s)
		}
	}, func(o *Options) {
		o.OnState = func(s State) { mu.Lock(); defer mu.Unlock(); states = append(states, s) }
	})
}

// An answer of the gate that was held back is too old to be believed.
func TestALateAnswerIsNotBelieved(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.set(func() { f.slowGate = v.MaxStaleness })
		f.expect(t, v, ada, "unavailable", 1)
		f.set(func() { f.slowGate = v.MaxStaleness / 2 })
		f.expect(t, v, ada, "valid", 1)
		v.Forget(ada)
		time.AfterFunc(v.MaxStaleness/4, func() { f.slept.Store(int64(time.Hour)) })
		f.expect(t, v, ada, "unavailable", 1)
	})
}

// A machine that slept cannot know what it missed, although its steady clock
// stood still: nothing is answered from memory until the log was asked about.
func TestASleepOfTheMachineMakesStale(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.held = true })
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		f.slept.Store(int64(time.Hour))
		f.expect(t, v, ada, "ended", 1)
		f.set(func() { f.held = false })
		synctest.Wait()
		grace := f.person("grace", "2")
		f.expect(t, v, grace, "valid", 1)
		time.Sleep(v.MaxStaleness / 2)
		f.expect(t, v, grace, "valid", 0)
	})
}

func TestVerifierLeavesTimeToTheAuthority(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		time.Sleep(15*time.Minute - 20*time.Second)
		f.expect(t, v, ada, "valid", 0)
		time.Sleep(11 * time.Second) // the last ten seconds
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.people[ada.Reveal()].IdleAt = time.Now().Add(15 * time.Minute) }) // activity elsewhere
		f.expect(t, v, ada, "valid", 1)
		f.expect(t, v, ada, "valid", 0)
		f.set(func() { f.people[ada.Reveal()].expires = time.Now().Add(time.Minute).UnixMilli() })
		v.Forget(ada)
		f.expect(t, v, ada, "valid", 1)
		time.Sleep(49 * time.Second)
		f.expect(t, v, ada, "valid", 0)
		time.Sleep(2 * time.Second)
		f.expect(t, v, ada, "valid", 1)
	}, func(o *Options) { o.MaxAge = time.Hour })
}

// Names may change without an event: so they are asked about again in time.
func TestVerifierLearnsOfNames(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.people[ada.Reveal()].Handle = "countess" })
		time.Sleep(59 * time.Second)
		f.expect(t, v, ada, "valid", 0)
		time.Sleep(time.Second)
		p, err := v.Check(t.Context(), ada, false)
		if err != nil || p.Handle != "countess" {
			t.Errorf("%+v, %v", p, err)
		}
		f.expect(t, v, ada, "valid", 0)
	})
}

func TestVerifierForgetsRatherThanGrows(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		for n := range 1000 {
			f.expect(t, v, f.person(fmt.Sprint("a", n%300), fmt.Sprint(n)), "valid", 1)
		}
		most, listed := 128, 0
		for _, of := range v.table.accounts {
			listed += len(of)
		}
		held := 0
		for i := range *v.table.slots.Load() {
			if (*v.table.slots.Load())[i].Load() != nil {
				held++
			}
		}
		if held != most || held != listed || held != v.table.count || len(v.table.accounts) > held {
			t.Errorf("%d sessions, %d listed under %d accounts", held, listed, len(v.table.accounts))
		}
		for n := range 300 {
			f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: fmt.Sprint("acc_a", n),
				Generation: 2})
		}
		synctest.Wait()
		if v.table.count != 0 || len(v.table.accounts) != 0 {
			t.Errorf("%d are left", v.table.count)
		}
	}, func(o *Options) { o.MaxSessions = 128 })
}

func TestVerifierBoundsItsQuestions(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.set(func() { f.slowGate = v.MaxStaleness - time.Millisecond })
		var wg sync.WaitGroup
		outcomes := make(chan string, 3*maxAsking)
		for n := range 3 * maxAsking {
			token := f.person("ada", fmt.Sprint(n))
			wg.Go(func() { outcomes <- valid(t, v, token) })
		}
		synctest.Wait()
		if n := f.asks(); n != maxAsking {
			t.Errorf("%d questions at once", n)
		}
		wg.Wait()
		close(outcomes)
		count := map[string]int{}
		for o := range outcomes {
			count[o]++
		}
		if count["valid"] != maxAsking || count["unavailable"] != 2*maxAsking {
			t.Errorf("%v", count)
		}
	})
}

func TestVerifierWithAWrongKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var states int
		v := f.verifier(t, func(o *Options) {
			o.Key = client.NewSecret("exk_other")
			o.OnState = func(State) { states++ }
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		token := f.person("ada", "1")
		if err := v.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if v.Fresh() || states != 0 || len(f.places()) > 20 {
			t.Errorf("fresh %v, told %d times, %d streams in a minute", v.Fresh(), states, len(f.places()))
		}
		f.expect(t, v, token, "unavailable", 1) // a wrong key signs nobody out
	})
}

func TestVerifierOptions(t *testing.T) {
	c := newFake().verifier(t).Client
	for name, o := range map[string]Options{
		"no client": {Key: client.NewSecret("k")}, "no key": {Client: c},
		"too short": {Client: c, Key: client.NewSecret("k"), MaxStaleness: time.Millisecond},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	v := newFake().verifier(t)
	for _, token := range []client.Secret{{}, client.NewSecret(strings.Repeat("x", 10_000))} {
		if got := valid(t, v, token); got != "ended" {
			t.Errorf("%s", got)
		}
	}
}

// A broken authority, or a proxy that is none of ours, opens no window for good
// and brings no app down.
func TestNumbersThatMeanNothing(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.set(func() { f.age = 10_000_000_000_000 })
		synctest.Wait()
		time.Sleep(2 * v.MaxStaleness)
		if v.Fresh() {
			t.Error("an age beyond all reason opened a window")
		}
	})
}
