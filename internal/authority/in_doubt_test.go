package authority

import (
	"context"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// A sign-out that could not be confirmed in time is in doubt: its sessions are refused at once, and stay ended when
// it turns out to be recorded. It is recorded once.
func TestASignOutInDoubt(t *testing.T) {
	t.Parallel()
	type people struct {
		n          *node
		token      exeunt.Token
		here, away exeunt.Session
		app        exeunt.AppSessionID
	}
	for name, c := range map[string]struct {
		end                func(people) error
		here, hisApp, away bool // which it ends
		renewed            bool // here goes on with another token
		password, status   bool // which it changes
		generation         int64
	}{
		"session": {end: func(p people) error { _, err := p.n.End(ctx, personIn(p.here), endOne(p.here)); return err },
			here: true, hisApp: true, generation: 1},
		"app session": {end: func(p people) error {
			_,
				err := p.n.End(ctx, personIn(p.here), endApp(p.here, p.app))
			return err
		},
			hisApp: true, generation: 1},
		"another session": {end: func(p people) error {
			_,
				err := p.n.End(ctx, personIn(p.here), endOne(p.away))
			return err
		},
			away: true, generation: 1},
		"others": {end: func(p people) error {
			_, _, err := p.n.EndOthers(ctx, personIn(p.here), p.token, "")
			return err
		}, renewed: true, hisApp: true, away: true, generation: 2},
		"account": {end: func(p people) error {
			_,
				err := p.n.End(ctx, personIn(p.here), endAll(p.here.Account))
			return err
		},
			here: true, hisApp: true, away: true, generation: 2},
		"account, with a key": {end: func(p people) error {
			rev := endAll(p.here.Account)
			rev.Key = "a form's key"
			_, err := p.n.End(ctx, personIn(p.here), rev)
			return err
		}, here: true, hisApp: true, away: true, generation: 2},
		"password": {end: func(p people) error {
			_, _, err := p.n.ReplacePassword(ctx, personIn(p.here), p.token, "", "another hash", 1)
			return err
		}, renewed: true, hisApp: true, away: true, generation: 2, password: true},
		"disabled": {end: func(p people) error { _, err := p.n.Disable(ctx, operator, p.here.Account); return err },
			here: true, hisApp: true, away: true, generation: 2, status: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.patience = 50 * time.Millisecond
			id := n.account()
			hereToken, here := n.signIn(id, exeunt.KindKept)
			appToken, app := n.appSession(here)
			awayToken, away := n.signIn(id, exeunt.KindKept) // not seen before it is in doubt
			n.want(hereToken, live.Usable)
			tend, stop := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() { defer close(done); n.Run(tend) }()
			defer func() { stop(); <-done }()

			n.held.Lock() // of the commit before, so that this one is not even begun
			before, commits := make(chan error, 1), n.done.Load()
			go func() { before <- n.store.CatchUp(ctx) }()
			for n.done.Load() == commits {
				time.Sleep(time.Millisecond)
			}
			wantErr(t, c.end(people{n, hereToken, here, away, app}), exeunt.ErrNotConfirmed)
			check := func(when string, then live.State) {
				t.Helper()
				for who, x := range map[string]struct {
					token exeunt.Token
					hit   bool
				}{"here": {hereToken, c.here}, "its app": {appToken, c.hisApp}, "away": {awayToken, c.away}} {
					want := live.Usable
					if x.hit {
						want = then
					}
					if who == "here" && c.renewed && then == live.Ended {
						want = live.Renewed
					}
					if got := n.check(ctx, x.token).State; got != want {
						t.Errorf("%s: %s is %v, want %v", when, who, got, want)
					}
				}
			}
			check("in doubt", live.Indeterminate)
			n.live.Forget()
			check("after maintenance of memory", live.Indeterminate)
			time.Sleep(2 * n.patience) // and it is tried again
			check("still in doubt", live.Indeterminate)
			n.held.Unlock()
			if err := <-before; err != nil {
				t.Fatal(err)
			}
			for until := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
				if _, waiting := n.inDoubt.oldest(); !waiting || time.Now().After(until) {
					break
				}
			}
			check("settled", live.Ended)
			events, err := n.store.Events(ctx, 1, 10) // after the client's
			want := 1
			if c.renewed {
				want = 2
			}
			if err != nil || len(events) != want {
				t.Errorf("%d events, %v", len(events), err)
			}
			a, credential, err := n.store.Credential(ctx, id)
			if err != nil || a.Generation != c.generation ||
				(credential.PasswordHash == "another hash") != c.password ||
				(a.CredentialVersion == 2) != c.password || a.CredentialVersion > 2 ||
				(a.Status == exeunt.AccountDisabled) != c.status {
				t.Errorf("%+v, %v", a, err)
			}
			if c.status {
				return
			}
			// Later sign-ins are not in doubt.
			token, _ := n.signIn(id, exeunt.KindKept)
			n.want(token, live.Usable)
		})
	}
}

// Sessions are usable again once it is certain that their end was not recorded.
func TestADoubtThatWasNone(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	n.want(token, live.Usable)
	u := inDoubtEnding{by: personIn(s), rev: endOthers(s), change: true}
	u.rev.Session = exeunt.NewSessionID() // of another sign-in, say
	n.putInDoubt(u)
	n.want(token, live.Indeterminate)
	if !n.resolve(ctx, u) {
		t.Fatal("not settled")
	}
	n.want(token, live.Usable)
	if a, err := n.Account(ctx, s.Account); err != nil || a.Generation != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	// While the store does not answer, everybody is refused.
	n.putInDoubt(u)
	n.store.Close()
	if n.resolve(ctx, u) {
		t.Error("settled by a store that is closed")
	}
	n.want(token, live.Indeterminate)
}
