package authority

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// wantThrottled fails unless the error says to wait so long.
func wantThrottled(t *testing.T, err error, wait time.Duration) {
	t.Helper()
	wantLimit(t, err, exeunt.LimitEndings, wait)
}

func wantLimit(t *testing.T, err error, limit exeunt.Limit, wait time.Duration) {
	t.Helper()
	var e *exeunt.ThrottledError
	if !errors.As(err, &e) || e.Limit != limit || e.RetryAfter != wait {
		t.Fatalf("got %v, want to be told to wait %v", err, wait)
	}
}

// recorded is how far the log, the audit and the account are.
func (n *node) recorded(id exeunt.AccountID) string {
	n.t.Helper()
	a, err := n.Account(ctx, id)
	if err != nil {
		n.t.Fatalf("account: %v", err)
	}
	head, err := n.store.Head(ctx)
	if err != nil {
		n.t.Fatalf("head: %v", err)
	}
	audit, err := n.Audit(ctx, exeunt.AuditFilter{Account: id})
	if err != nil {
		n.t.Fatalf("audit: %v", err)
	}
	return fmt.Sprintf("event %d, generation %d, %d entries", head, a.Generation, len(audit.Items))
}

// Endings of many, of either scope and from any session, are counted per account; a refused one writes nothing.
func TestEndingsOfManyAreThrottledByAccount(t *testing.T) {
	n := newNode(t)
	id := n.account()
	token, s := n.signIn(id, exeunt.KindKept)
	others := func(s exeunt.Session) error { _, err := n.End(ctx, personIn(s), endOthers(s)); return err }
	for range perAccount.Burst - 1 {
		wantErr(t, others(s), nil)
	}
	_, err := n.End(ctx, personIn(s), endAll(id))
	wantErr(t, err, nil)
	n.want(token, live.Ended)

	token, s = n.signIn(id, exeunt.KindKept)
	otherToken, other := n.signIn(id, exeunt.KindKept)
	before := n.recorded(id)
	for range 3 {
		wantThrottled(t, others(s), perAccount.Every)
		_, err := n.End(ctx, personIn(other), endAll(id))
		wantThrottled(t, err, perAccount.Every)
	}
	if after := n.recorded(id); after != before {
		t.Errorf("what was refused has written: %s, and before %s", after, before)
	}
	n.want(token, live.Usable)
	n.want(otherToken, live.Usable)

	_, stranger := n.signIn(n.account(), exeunt.KindKept)
	wantErr(t, others(stranger), nil)

	n.clock.add(perAccount.Every - time.Millisecond)
	wantThrottled(t, others(s), time.Millisecond)
	n.clock.add(time.Millisecond)
	wantErr(t, others(s), nil)
	wantThrottled(t, others(s), perAccount.Every)
	n.want(otherToken, live.Ended)
}

// useUp uses up the account's limit.
func (n *node) useUp(s exeunt.Session) {
	n.t.Helper()
	for i := 0; ; i++ {
		_, err := n.End(ctx, personIn(s), endOthers(s))
		if errors.As(err, new(*exeunt.ThrottledError)) && i >= perAccount.Burst {
			return
		}
		if err != nil {
			n.t.Fatalf("ending %d: %v", i+1, err)
		}
	}
}

// While endings of many are throttled, everything else goes on.
func TestWhatIsNeverThrottled(t *testing.T) {
	n := newNode(t)
	id := n.account()
	var token exeunt.Token
	_, s := n.signIn(id, exeunt.KindKept)
	n.useUp(s)
	for name, end := range map[string]func(s, other exeunt.Session) error{
		"this session": func(s, _ exeunt.Session) error { _, err := n.End(ctx, personIn(s), endOne(s)); return err },
		"another session": func(s, other exeunt.Session) error {
			_, err := n.End(ctx, personIn(s), endOne(other))
			return err
		},
		"an app session": func(s, _ exeunt.Session) error {
			_, app := n.appSession(s)
			_, err := n.End(ctx, personIn(s), endApp(s, app))
			return err
		},
		"an operator": func(s, _ exeunt.Session) error {
			_, err := n.End(ctx, operator, endAll(s.Account))
			return err
		},
		"the authority itself": func(s, _ exeunt.Session) error {
			_, err := n.End(ctx, exeunt.System(), endAll(s.Account))
			return err
		},
		"a new password": func(s, _ exeunt.Session) error {
			a, err := n.Account(ctx, id)
			if err != nil {
				return err
			}
			_, _, err = n.ReplacePassword(ctx, personIn(s), token, "", "another hash", a.CredentialVersion)
			return err
		},
		"the disabling": func(s, _ exeunt.Session) error {
			_, err := n.Disable(ctx, operator, s.Account)
			return errors.Join(err, n.store.Enable(ctx, s.Account, operator, n.Now()))
		},
	} {
		for range perAccount.Burst + 2 {
			var s exeunt.Session
			token, s = n.signIn(id, exeunt.KindKept)
			_, other := n.signIn(id, exeunt.KindKept)
			if err := end(s, other); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	_, s = n.signIn(id, exeunt.KindKept)
	_, err := n.End(ctx, personIn(s), endAll(id))
	wantThrottled(t, err, perAccount.Every) // all the while
}

// A repeated request that has an outcome gets it, however often, and counts against nobody's limit.
func TestARetryIsNeverThrottled(t *testing.T) {
	n := newNode(t)
	id := n.account()
	_, s := n.signIn(id, exeunt.KindKept)
	n.signIn(id, exeunt.KindKept)
	rev := endOthers(s)
	rev.Key = "a form's key"
	again := func() {
		t.Helper()
		out, err := n.End(ctx, personIn(s), rev)
		if err != nil || !out.Already || out.Ended != 1 {
			t.Fatalf("again: %+v, %v", out, err)
		}
	}
	first, err := n.End(ctx, personIn(s), rev)
	if err != nil || first.Already || first.Ended != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	for range 3 * perAccount.Burst {
		again()
	}
	for range perAccount.Burst - 1 {
		_, err := n.End(ctx, personIn(s), endOthers(s))
		wantErr(t, err, nil)
	}
	_, err = n.End(ctx, personIn(s), endOthers(s))
	wantThrottled(t, err, perAccount.Every)
	again()
	n.clock.add(perAccount.Every)
	again()
	_, err = n.End(ctx, personIn(s), endOthers(s))
	wantErr(t, err, nil)

	// The key is the actor's, and good for that request only.
	_, other := n.signIn(id, exeunt.KindKept)
	foreign := endOthers(other)
	foreign.Key = rev.Key
	_, err = n.End(ctx, personIn(other), foreign)
	wantThrottled(t, err, perAccount.Every)
	rev.Scope, rev.Session = exeunt.ScopeAccount, exeunt.SessionID{}
	_, err = n.End(ctx, personIn(s), rev)
	wantErr(t, err, exeunt.ErrKeyReused)
}

// An ending in doubt may be repeated: the throttle's "nothing was changed" might not be true of it. It counts
// against the limit; one that has failed does not.
func TestAnEndingInDoubtMayBeRepeated(t *testing.T) {
	n := newNode(t)
	id := n.account()
	_, s := n.signIn(id, exeunt.KindKept)
	_, gone := n.signIn(id, exeunt.KindKept)
	n.end(endOne(gone))
	for range 2 * perAccount.Burst {
		_, err := n.End(ctx, personIn(gone), endOthers(gone))
		wantErr(t, err, exeunt.ErrSignedOut)
	}
	n.patience = 50 * time.Millisecond
	n.held.Lock() // of the commit before, so that these are not even begun
	before, commits := make(chan error, 1), n.done.Load()
	go func() { before <- n.store.CatchUp(ctx) }()
	defer func() { n.held.Unlock(); <-before }()
	for n.done.Load() == commits {
		runtime.Gosched()
	}
	rev := endOthers(s)
	rev.Key = "a form's key"
	_, err := n.End(ctx, personIn(s), rev)
	wantErr(t, err, exeunt.ErrNotConfirmed)
	for range perAccount.Burst - 1 {
		_, err := n.End(ctx, personIn(s), endOthers(s))
		wantErr(t, err, exeunt.ErrNotConfirmed)
	}
	_, err = n.End(ctx, personIn(s), endOthers(s))
	wantThrottled(t, err, perAccount.Every)
	_, err = n.End(ctx, personIn(s), rev)
	wantErr(t, err, exeunt.ErrNotConfirmed)
}

// Ending other single sessions has a rate of its own, whether or not there was anything to end; signing out of the
// own session, and of the own app session, has none. What was ended before stores no outcome.
func TestSingleEndingsAreThrottledBySession(t *testing.T) {
	n := newNode(t)
	id := n.account()
	_, s := n.signIn(id, exeunt.KindKept)
	_, gone := n.signIn(id, exeunt.KindKept)
	n.end(endOne(gone))
	before := n.recorded(id)
	again := func(i int) error {
		rev := endOne(gone)
		rev.Key = fmt.Sprint("key ", i)
		out, err := n.End(ctx, personIn(s), rev)
		if err == nil && !out.Already {
			t.Errorf("%+v", out)
		}
		return err
	}
	for i := range perSessionSingle.Burst - 1 {
		wantErr(t, again(i), nil)
	}
	unknown := endOne(s)
	unknown.Session = exeunt.NewSessionID()
	_, err := n.End(ctx, personIn(s), unknown)
	wantErr(t, err, exeunt.ErrNotFound)
	wantLimit(t, again(-1), exeunt.LimitSingleEndings, perSessionSingle.Every)
	wantLimit(t, again(0), exeunt.LimitSingleEndings, perSessionSingle.Every)
	if has, err := n.store.HasOutcome(ctx, personIn(s), "key 0"); has || err != nil {
		t.Errorf("an ending of what had ended has stored an outcome (%v)", err)
	}
	if after := n.recorded(id); after != before {
		t.Errorf("recorded: %s, and before %s", after, before)
	}
	_, app := n.appSession(s)
	inApp := personIn(s)
	inApp.App = app
	for name, err := range map[string]error{
		"an app":    func() error { _, err := n.End(ctx, inApp, endApp(s, app)); return err }(),
		"a browser": func() error { _, err := n.End(ctx, personIn(s), endOne(s)); return err }(),
	} {
		if err != nil {
			t.Errorf("the sign-out of %s: %v", name, err)
		}
	}
	_, s = n.signIn(id, exeunt.KindKept)
	_, other := n.signIn(id, exeunt.KindKept)
	// A copied session that has used its limit up does not keep the owner from ending it.
	_, err = n.End(ctx, personIn(s), endOne(other))
	wantErr(t, err, nil)
	n.clock.add(perSessionSingle.Every)
	_, err = n.End(ctx, personIn(s), endOne(other))
	wantErr(t, err, nil)
}

// Codes for apps, and so app sessions, have a rate.
func TestCodesAreThrottledBySession(t *testing.T) {
	n := newNode(t)
	_, s := n.signIn(n.account(), exeunt.KindKept)
	code := func(s exeunt.Session) error {
		return n.AddCode(ctx, exeunt.NewToken(exeunt.UseCode).Hash(), n.codeOf(s))
	}
	for range perSessionCode.Burst {
		wantErr(t, code(s), nil)
	}
	wantLimit(t, code(s), exeunt.LimitAppSignIns, perSessionCode.Every)
	_, stranger := n.signIn(n.account(), exeunt.KindKept)
	wantErr(t, code(stranger), nil)
	n.clock.add(perSessionCode.Every)
	wantErr(t, code(s), nil)
}

// However often a session is used, its activity is written once in a while.
func TestActivityIsWrittenOnceInAWhile(t *testing.T) {
	n := newNode(t)
	token, _ := n.signIn(n.account(), exeunt.KindKept)
	n.clock.add(10 * time.Minute)
	before := n.done.Load()
	for range 10_000 {
		n.Touch(n.Check(ctx, Credential{Token: token, Use: AsPair}))
		n.clock.add(time.Millisecond)
	}
	for range 3 {
		if err := n.saveDue(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if commits := n.done.Load() - before; commits > 1 {
		t.Errorf("10,000 notes of activity in 10 s made %d commits", commits)
	}
}

// Whoever has no other session cannot write without end by ending all others.
func TestEndingNothingHasARate(t *testing.T) {
	n := newNode(t)
	id := n.account()
	token, s := n.signIn(id, exeunt.KindKept)
	seconds, done := 2000, 0
	for range seconds {
		_, next, err := n.EndOthers(ctx, personIn(s), token, "")
		n.clock.add(time.Second)
		if errors.As(err, new(*exeunt.ThrottledError)) {
			continue
		}
		wantErr(t, err, nil)
		token = next
		done++
	}
	if most := perAccountAlone.Burst + int(time.Duration(seconds)*time.Second/perAccountAlone.Every) + 1; done > most {
		t.Errorf("%d of %d were carried out, at most %d should be", done, seconds, most)
	}
	// What ends something is not held up by that.
	n.signIn(id, exeunt.KindKept)
	out, _, err := n.EndOthers(ctx, personIn(s), token, "")
	if err != nil || out.Ended != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}
