package authority

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// overtake checks a token, and lets something happen between the reading of its snapshot and the insertion.
func (n *node) overtake(token exeunt.Token, meanwhile func()) Answer {
	var once sync.Once
	read, free := make(chan struct{}), make(chan struct{})
	n.afterLoad = func() {
		once.Do(func() {
			close(read)
			<-free
		})
	}
	got := make(chan Answer)
	go func() { got <- n.check(ctx, token) }()
	<-read
	meanwhile()
	close(free)
	return <-got
}

func TestASlowLoadCannotOvertakeAnEnd(t *testing.T) {
	type made struct {
		token, app exeunt.Token
		s          exeunt.Session
		appID      exeunt.AppSessionID
	}
	for name, c := range map[string]struct {
		meanwhile  func(n *node, m made)
		token, app live.State
	}{
		"nothing":        {func(*node, made) {}, live.Usable, live.Usable},
		"session ended":  {func(n *node, m made) { n.end(endOne(m.s)) }, live.Ended, live.Ended},
		"account ended":  {func(n *node, m made) { n.end(endAll(m.s.Account)) }, live.Ended, live.Ended},
		"app ended":      {func(n *node, m made) { n.end(endApp(m.s, m.appID)) }, live.Usable, live.Ended},
		"client removed": {func(n *node, m made) { n.register() }, live.Usable, live.Ended},
		"client registered anew": {func(n *node, m made) {
			n.register()
			n.register(chirp)
		}, live.Usable, live.Ended},
		"client for others": {func(n *node, m made) {
			narrow := chirp
			narrow.Groups = []string{"staff"}
			n.register(narrow)
			if err := n.Maintain(ctx); err != nil { // a restart registers the client for everybody again
				n.t.Fatalf("maintain: %v", err)
			}
		}, live.Usable, live.Ended},
		"client changed": {func(n *node, m made) {
			renamed := chirp
			renamed.Name = "Another"
			n.register(renamed)
		}, live.Usable, live.Usable},
		"it was kept": {func(n *node, m made) { n.end(endOthers(m.s)) }, live.Usable, live.Usable},
		"another's kept": {func(n *node, m made) {
			_,
				s := n.signIn(m.s.Account, exeunt.KindKept)
			n.end(endOthers(s))
		}, live.Ended, live.Ended},
		"kept, then ended": {func(n *node, m made) {
			n.end(endOthers(m.s))
			n.end(endOne(m.s))
		}, live.Ended, live.Ended},
		"disabled": {func(n *node, m made) {
			if _, err := n.Disable(ctx, operator, m.s.Account); err != nil {
				n.t.Fatalf("%v", err)
			}
		}, live.Ended, live.Ended},
		"replaced": {func(n *node, m made) {
			if _, _, err := n.Start(ctx,
				SignIn{Proof: n.proof(m.s.Account), Kind: exeunt.KindKept, Replaces: m.s.ID}); err != nil {
				n.t.Fatalf("%v", err)
			}
		}, live.Ended, live.Ended},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			for _, which := range []string{"token", "app"} {
				var m made
				m.token, m.s = n.signIn(n.account(), exeunt.KindKept)
				m.app, m.appID = n.appSession(m.s)
				n.restart() // memory knows neither
				token, want := m.token, c.token
				if which == "app" {
					token, want = m.app, c.app
				}
				if got := n.overtake(token, func() { c.meanwhile(n, m) }); got.State != want {
					t.Errorf("the %s's check that was under way says %v, want %v", which, got.State, want)
				}
				n.want(m.token, c.token)
				n.want(m.app, c.app)
				n.restart()
				n.want(m.token, c.token)
				n.want(m.app, c.app)
			}
		})
	}
}

// The first check of a new sign-in is a load like any other.
func TestTheFirstCheckOfANewSignIn(t *testing.T) {
	n := newNode(t)
	id := n.account()
	token, _ := n.signIn(id, exeunt.KindKept)
	if got := n.overtake(token, func() { n.end(endAll(id)) }); got.State != live.Ended {
		t.Errorf("it is %v", got.State)
	}
	n.want(token, live.Ended)
}

// A snapshot overtaken by more events than are remembered is read again.
func TestMoreEventsThanAreRemembered(t *testing.T) {
	t.Parallel()
	const many = 1<<13 + 1
	for _, want := range []live.State{live.Usable, live.Ended} {
		n := newNode(t)
		token, v := n.signIn(n.account(), exeunt.KindKept)
		stranger := n.account()
		got := n.overtake(token, func() {
			if want == live.Ended {
				n.end(endOne(v))
			}
			n.manyEvents(stranger, many)
		})
		if got.State != want {
			t.Errorf("it is %v, want %v", got.State, want)
		}
	}
}

// manyEvents records events and has memory follow them, without a commit for each.
func (n *node) manyEvents(account exeunt.AccountID, many int64) {
	n.t.Helper()
	db, err := sql.Open("sqlite", n.path)
	if err != nil {
		n.t.Fatalf("open: %v", err)
	}
	defer db.Close()
	for _, q := range []string{
		`INSERT INTO events (seq, at, kind, account_id, scope, client_id, generation, version, reason, by_kind,
		by_label, by_address)
			WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $2)
			SELECT (SELECT seq FROM log_head) + i, 0, 'ended', $1, 'account', '', 1, 0, 'signed_out', 'system', '', ''
			FROM c`,
		`UPDATE log_head SET seq = seq + $2 WHERE $1 <> ''`,
	} {
		if _, err := db.Exec(q, account.Bytes(), many); err != nil {
			n.t.Fatalf("%s: %v", q, err)
		}
	}
	events, err := n.store.Events(ctx, n.live.Applied(), 1<<20)
	if err != nil || int64(len(events)) != many {
		n.t.Fatalf("%d events, %v", len(events), err)
	}
	if err := n.feed.Own(events); err != nil {
		n.t.Fatalf("advance: %v", err)
	}
}

// An overtaken snapshot is read again, and shows what overtook it.
func TestAnOvertakenSnapshotIsReadAgain(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	app, appID := n.appSession(s)
	n.restart()
	loads := 0
	n.afterLoad = func() {
		if loads++; loads == 1 {
			n.end(endApp(s, appID))
		}
	}
	n.want(app, live.Ended)
	if loads != 2 {
		t.Errorf("read %d times", loads)
	}
	n.want(token, live.Usable)
}
