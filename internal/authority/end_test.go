package authority

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// A sign-in or code exchange that was under way does not slip past an end.
func TestSignInsInFlight(t *testing.T) {
	for name, meanwhile := range map[string]func(n *node, s exeunt.Session){
		"everything ended": func(n *node, s exeunt.Session) { n.end(endAll(s.Account)) },
		"others ended": func(n *node, s exeunt.Session) {
			_, keep := n.signIn(s.Account, exeunt.KindKept)
			n.end(endOthers(keep))
		},
		"password changed": func(n *node, s exeunt.Session) {
			token, keep := n.signIn(s.Account, exeunt.KindKept)
			if _, _, err := n.ReplacePassword(ctx, personIn(keep), token, "", "another hash", 1); err != nil {
				n.t.Fatalf("%v", err)
			}
		},
		"disabled": func(n *node, s exeunt.Session) {
			if _, err := n.Disable(ctx, operator, s.Account); err != nil {
				n.t.Fatalf("%v", err)
			}
		},
		"disabled and enabled": func(n *node, s exeunt.Session) {
			if _, err := n.Disable(ctx, operator, s.Account); err != nil {
				n.t.Fatalf("%v", err)
			}
			if err := n.store.Enable(ctx, s.Account, operator, n.Now()); err != nil {
				n.t.Fatalf("%v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			_, s := n.signIn(n.account(), exeunt.KindKept)
			proof, code := n.proof(s.Account), n.grant(s)
			meanwhile(n, s)
			token, _, err := n.Start(ctx, SignIn{Proof: proof, Kind: exeunt.KindKept})
			wantErr(t, err, exeunt.ErrSignInAgain)
			if !token.IsZero() {
				t.Error("refused, and yet a token")
			}
			token, _, err = n.StartApp(ctx, exchange(code))
			wantErr(t, err, exeunt.ErrCodeSpent)
			if !token.IsZero() {
				t.Error("refused, and yet a token")
			}
			// Nor can a code be granted for a session that has ended.
			wantErr(t, n.addCode(s, exeunt.NewToken(exeunt.UseCode)), exeunt.ErrSignedOut)
		})
	}
}

// App sessions of the session that stays go on.
func TestAKeptSessionsCodeStaysGood(t *testing.T) {
	n := newNode(t)
	_, s := n.signIn(n.account(), exeunt.KindKept)
	code := n.grant(s)
	n.end(endOthers(s))
	token, ans, err := n.StartApp(ctx, exchange(code))
	if err != nil || !ans.Usable() || ans.Session != s.ID || ans.Client != chirp.ID || ans.App.IsZero() {
		t.Errorf("%+v, %v", ans, err)
	}
	n.want(token, live.Usable)
}

func TestCodes(t *testing.T) {
	n := newNode(t)
	_, s := n.signIn(n.account(), exeunt.KindKept)
	good := n.grant(s)
	for name, change := range map[string]func(*AppSignIn){
		"another client":   func(x *AppSignIn) { x.Client = "other" },
		"another address":  func(x *AppSignIn) { x.RedirectURI += "?x" },
		"another verifier": func(x *AppSignIn) { x.Challenge += "x" },
		"an unknown code":  func(x *AppSignIn) { x.Code = exeunt.NewToken(exeunt.UseCode).Hash() },
		"nothing":          func(x *AppSignIn) { *x = AppSignIn{} },
	} {
		x := exchange(good)
		change(&x)
		if token, _, err := n.StartApp(ctx, x); !errors.Is(err, exeunt.ErrCodeSpent) || !token.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
	// None of these has spent it; a minute has.
	n.clock.add(codeLife - time.Millisecond)
	app, ans, err := n.StartApp(ctx, exchange(good))
	if err != nil || !ans.Usable() {
		t.Fatalf("%v, %v", ans.State, err)
	}
	// A second use ends what the first one gave: somebody has stolen the code.
	_, _, err = n.StartApp(ctx, exchange(good))
	wantErr(t, err, exeunt.ErrCodeSpent)
	n.want(app, live.Ended)
	if _, reason, known, err := n.WhyEnded(ctx, app); reason != exeunt.ReasonCodeReused || !known || err != nil {
		t.Errorf("it ended for %q, %v, %v", reason, known, err)
	}
	late := n.grant(s)
	n.clock.add(codeLife)
	_, _, err = n.StartApp(ctx, exchange(late))
	wantErr(t, err, exeunt.ErrCodeSpent)
}

func TestOneEventEndsAThousandSessions(t *testing.T) {
	t.Parallel()
	const many = 1000
	n := newNode(t)
	id := n.account()
	tokens := make([]exeunt.Token, many)
	var wg sync.WaitGroup
	for part := range 15 {
		wg.Go(func() {
			for i := part; i < many; i += 15 {
				tokens[i], _ = n.signIn(id, exeunt.KindKept)
				n.want(tokens[i], live.Usable)
			}
		})
	}
	wg.Wait()
	_, gone := n.signIn(id, exeunt.KindKept)
	n.end(endOne(gone)) // one that ended before has its own reason
	before, err := n.store.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rev := endAll(id)
	rev.Reason = exeunt.ReasonAdministrator
	out, err := n.End(ctx, operator, rev)
	if err != nil || out.Ended != many || out.Seq != before+1 {
		t.Errorf("%+v, %v; the head was %d", out, err, before)
	}
	for _, token := range tokens {
		n.want(token, live.Ended)
	}
	if head, _ := n.store.Head(ctx); head != before+1 {
		t.Errorf("%d events for one action", head-before)
	}
	audit, err := n.Audit(ctx, exeunt.AuditFilter{Account: id, Limit: 2})
	if err != nil || audit.Items[0].Action != exeunt.AuditEnd || audit.Items[0].Detail != "account administrator" ||
		audit.Items[1].Detail != "session signed_out" {
		t.Errorf("the audit says %+v, %v", audit.Items, err)
	}
	check := func(when string) {
		t.Helper()
		if a, err := n.Account(ctx, id); err != nil || a.LiveSessions != 0 {
			t.Errorf("%s: the account counts %d sessions, %v", when, a.LiveSessions, err)
		}
		list, err := n.sessions(id, exeunt.SessionsEnded)
		if count, _ := n.CountSessions(ctx,
			exeunt.SessionFilter{Account: id, State: exeunt.SessionsEnded}); err != nil || len(list) != many+1 ||
			count != many+1 {
			t.Fatalf("%s: %d listed, %d counted, %v", when, len(list), count, err)
		}
		reasons := map[exeunt.Reason]int{}
		for _, s := range list {
			reasons[s.End.Reason]++
			if s.End.Reason == exeunt.ReasonAdministrator &&
				(s.End.By != exeunt.ActorOperator || s.End.ByLabel != operator.Label || !s.End.At.Equal(out.At)) {
				t.Fatalf("%s: ended by %+v", when, s.End)
			}
		}
		if reasons[exeunt.ReasonAdministrator] != many || reasons[exeunt.ReasonSignedOut] != 1 {
			t.Errorf("%s: the reasons are %v", when, reasons)
		}
		if list, err := n.sessions(id, exeunt.SessionsActive); err != nil || len(list) != 0 {
			t.Errorf("%s: %d are listed as active, %v", when, len(list), err)
		}
		at, reason, known, err := n.WhyEnded(ctx, tokens[0])
		if err != nil || !known || reason != exeunt.ReasonAdministrator || !at.Equal(out.At) {
			t.Errorf("%s: a dead token learns %v, %q, %v, %v", when, at, reason, known, err)
		}
	}
	check("before the rows are written")
	n.restart()
	check("after a restart")
	if more, err := n.store.WriteEnds(ctx, n.now()); err != nil || !more {
		t.Errorf("one step writes a bounded number and says that there is more: %v, %v", more, err)
	}
	check("half written")
	if err := n.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	check("written")
	for _, token := range tokens {
		n.want(token, live.Ended)
	}
}

func TestWhoMayEnd(t *testing.T) {
	n := newNode(t)
	token, mine := n.signIn(n.account(), exeunt.KindKept)
	theirs, other := n.signIn(n.account(), exeunt.KindKept)
	app, appID := n.appSession(mine)
	inApp := personIn(mine)
	inApp.App = appID
	for name, c := range map[string]struct {
		by   exeunt.Actor
		rev  exeunt.Revocation
		want error
	}{
		"another's session reads as not there": {personIn(mine), endOne(other), exeunt.ErrNotFound},
		"so does another's account":            {personIn(mine), endAll(other.Account), exeunt.ErrNotFound},
		"an app reaches only itself":           {inApp, endOne(mine), exeunt.ErrForbidden},
		"and not all":                          {inApp, endAll(mine.Account), exeunt.ErrForbidden},
		"nobody ends nothing":                  {exeunt.Actor{}, endOne(mine), exeunt.ErrForbidden},
	} {
		if _, err := n.End(ctx, c.by, c.rev); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := n.Disable(ctx, personIn(mine), mine.Account); !errors.Is(err, exeunt.ErrForbidden) {
		t.Errorf("a person disables: %v", err)
	}
	for _, x := range []exeunt.Token{token, theirs, app} {
		n.want(x, live.Usable)
	}
	if out, err := n.End(ctx, inApp, endApp(mine, appID)); err != nil || out.Ended != 1 {
		t.Errorf("an app ends itself: %+v, %v", out, err)
	}
	n.want(app, live.Ended)
	n.want(token, live.Usable)
	if out, err := n.End(ctx, personIn(mine), endOne(mine)); err != nil || out.Ended != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := n.End(ctx, personIn(mine), endOne(mine)); err != nil || !out.Already {
		t.Errorf("twice is harmless: %+v, %v", out, err)
	}
}

// A credential is always a new one, and a browser's old session goes.
func TestEverySignInHasItsOwnCredential(t *testing.T) {
	n := newNode(t)
	id := n.account()
	first, s := n.signIn(id, exeunt.KindKept)
	second, again, err := n.Start(ctx, SignIn{Proof: n.proof(id), Kind: exeunt.KindShared, Replaces: s.ID,
		Label: " Fire\x00fox \u202e on\n Linux ", UserAgent: string(make([]byte, 1000)) + "\xff"})
	if err != nil || first == second || again.ID == s.ID {
		t.Fatalf("%v, %v", again.ID, err)
	}
	n.want(first, live.Ended)
	n.want(second, live.Usable)
	if again.Label != "Firefox on Linux" || len(again.UserAgent) > maxUserAgent {
		t.Errorf("the label is %q, the user agent has %d bytes", again.Label, len(again.UserAgent))
	}
	if again.Idle != testPolicy.Shared.Idle || !again.ExpiresAt.Equal(epoch.Add(testPolicy.Shared.Absolute)) {
		t.Errorf("its limits are %v and %v", again.Idle, again.ExpiresAt)
	}
	if _, reason, _, _ := n.WhyEnded(ctx, first); reason != exeunt.ReasonReplaced {
		t.Errorf("the first ended for %q", reason)
	}
}

// Tokens of other uses, and tokens nobody was given.
func TestStrangeTokens(t *testing.T) {
	n := newNode(t)
	_, s := n.signIn(n.account(), exeunt.KindKept)
	code := n.grant(s)
	for _, token := range []exeunt.Token{{}, code, exeunt.NewToken(exeunt.UseInvite),
		exeunt.NewToken(exeunt.UseSession), exeunt.NewToken(exeunt.UseApp)} {
		for range 2 {
			a := n.check(ctx, token)
			if a.State != live.NoSuch || !a.Session.IsZero() {
				t.Errorf("%v: %+v", token, a)
			}
		}
		if _, reason, known, err := n.WhyEnded(ctx, token); known || reason != "" || err != nil {
			t.Errorf("%v: why is %q, %v, %v", token, reason, known, err)
		}
	}
}

// When memory can no longer follow the log, checks are indeterminate: neither "signed in" nor "signed out".
func TestAFailedStoreKnowsNothing(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	dead, d := n.signIn(s.Account, exeunt.KindKept)
	n.end(endOne(d))
	n.want(token, live.Usable)
	n.fault.Store(true)
	_, err := n.End(ctx, personIn(s), endOne(s))
	wantErr(t, err, exeunt.ErrNotConfirmed)
	for _, x := range []exeunt.Token{token, dead, exeunt.NewToken(exeunt.UseSession), {}} {
		n.want(x, live.Indeterminate)
	}
	if err := <-n.store.Fatal(); err == nil {
		t.Error("nobody is told to exit")
	}
	_, _, err = n.Start(ctx, SignIn{Proof: n.proof(s.Account), Kind: exeunt.KindKept})
	wantErr(t, err, exeunt.ErrUnavailable)
	_, err = n.End(ctx, personIn(s), endOne(s))
	wantErr(t, err, exeunt.ErrUnavailable)
	// The next start reads what is durable.
	n.restart()
	n.want(token, live.Ended)
	n.want(dead, live.Ended)
}

// Somebody who signs out and closes the window before the answer has signed out.
func TestSignOutOfSomebodyWhoHasGone(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	gone, leave := context.WithCancel(t.Context())
	leave()
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID}
	if _, err := n.End(gone, by, exeunt.Revocation{Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession,
		Session: s.ID}, Reason: exeunt.ReasonSignedOut}); err != nil {
		t.Fatal(err)
	}
	n.want(token, live.Ended)
}

// The request of a person whose own session has ended meanwhile is not carried out.
func TestTheSignedOutEndNothingMore(t *testing.T) {
	n := newNode(t)
	id := n.account()
	_, thief := n.signIn(id, exeunt.KindKept)
	token, mine := n.signIn(id, exeunt.KindKept)
	n.end(exeunt.Revocation{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeSession, Session: thief.ID},
		Reason: exeunt.ReasonSignedOut})
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: id, Session: thief.ID}
	for _, rev := range []exeunt.Revocation{{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeSession,
		Session: mine.ID}, Reason: exeunt.ReasonSignedOut},
		{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeOthers, Session: thief.ID},
			Reason: exeunt.ReasonSignedOut},
		{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeAccount}, Reason: exeunt.ReasonSignedOut}} {
		if _, err := n.End(t.Context(), by, rev); !errors.Is(err, exeunt.ErrSignedOut) {
			t.Errorf("%s: %v", rev.Scope, err)
		}
	}
	if err := n.rename(t.Context(), by, token, "Mallory"); !errors.Is(err, exeunt.ErrSignedOut) {
		t.Errorf("profile: %v", err)
	}
	n.want(token, live.Usable)
}
