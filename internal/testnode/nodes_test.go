package testnode_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

const staleness = time.Second

// nodes are several nodes on one new database.
func nodes(t *testing.T, url string, n int) []*testnode.Node {
	t.Helper()
	out := make([]*testnode.Node, n)
	for i := range out {
		out[i] = testnode.New(t, testnode.Options{Database: url, Staleness: staleness})
	}
	return out
}

// until waits for a node's answer. It only ever delays a failure.
func until(t *testing.T, n *testnode.Node, token exeunt.Token, want live.State) {
	t.Helper()
	limit := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		got := n.Check(t.Context(), token).State
		if got == want {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the node goes on answering %v, want %v", got, want)
		}
		<-tick.C
	}
}

func TestAnEndOnOneNodeIsOneOnAll(t *testing.T) {
	cluster := nodes(t, testpg.NewDatabase(t), 3)
	p := cluster[0].NewAccount(t, "ada")
	for name, end := range map[string]func(*testnode.Node, exeunt.Session){
		"session": func(n *testnode.Node, s exeunt.Session) { n.SignOut(t, s) },
		"account": func(n *testnode.Node, s exeunt.Session) { n.SignOutEverywhere(t, s) },
	} {
		t.Run(name, func(t *testing.T) {
			p := proof(t, cluster[0], p.Account)
			token, session := cluster[0].NewSession(t, p, exeunt.KindKept)
			app, _ := cluster[1].NewAppSession(t, session, testnode.Chirp)
			for i, n := range cluster {
				for _, tk := range []exeunt.Token{token, app} {
					if got := n.Check(t.Context(), tk).State; got != live.Usable {
						t.Fatalf("node %d answers %v for a new session", i, got)
					}
				}
			}
			end(cluster[1], session)
			answered := time.Now()
			for _, tk := range []exeunt.Token{token, app} {
				if got := cluster[1].Check(t.Context(), tk).State; got != live.Ended {
					t.Errorf("the node that ended it answers %v", got)
				}
			}
			for _, n := range cluster {
				until(t, n, token, live.Ended)
				until(t, n, app, live.Ended)
			}
			if took := time.Since(answered); took > staleness {
				t.Errorf("the last node knew after %v; the bound is %v", took, staleness)
			}
		})
	}
}

func proof(t *testing.T, n *testnode.Node, id exeunt.AccountID) exeunt.Proof {
	t.Helper()
	a, err := n.Store.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return exeunt.Proof{Account: id, Methods: exeunt.Methods{exeunt.MethodPassword}, Generation: a.Generation, CredentialVersion: a.CredentialVersion}
}

// A server that accepts and never answers: memory is believed for no longer
// than the bound, and then nobody is let in and nobody is called signed out.
func TestANodeThatHasLostTouchRefuses(t *testing.T) {
	server := testpg.New(t)
	cluster := nodes(t, server.NewDatabase(t), 2)
	token, session := cluster[0].NewSession(t, cluster[0].NewAccount(t, "ada"), exeunt.KindKept)
	ended, other := cluster[0].NewSession(t, proof(t, cluster[0], session.Account), exeunt.KindKept)
	for _, n := range cluster {
		until(t, n, token, live.Usable)
		until(t, n, ended, live.Usable)
	}
	cluster[0].SignOut(t, other)
	until(t, cluster[1], ended, live.Ended)
	thaw := server.Freeze(t)
	frozen := time.Now()
	until(t, cluster[1], token, live.Indeterminate)
	if got := cluster[1].Check(t.Context(), ended).State; got != live.Ended {
		t.Errorf("an end is final, and yet the answer is %v", got)
	}
	if took := time.Since(frozen); took < staleness/2 {
		t.Errorf("memory was given up after %v already; the bound is %v", took, staleness)
	}
	thaw()
	for _, n := range cluster {
		until(t, n, token, live.Usable)
	}
}

// The primary falls silent and a standby takes over. Once a heartbeat is confirmed
// there, the first sign-out goes there too: it does not first wait for the old
// server, to which the connection that commits still leads.
func TestTheFirstSignOutAfterAFailoverGoesToTheNewServer(t *testing.T) {
	primary, standby := servers(t)
	n := nodes(t, primary.URL("test1", standby), 1)[0]
	p := n.NewAccount(t, "ada")
	token, session := n.NewSession(t, p, exeunt.KindKept)
	until(t, n, token, live.Usable)
	primary.Freeze(t)
	standby.Promote(t)
	until(t, n, token, live.Indeterminate)
	until(t, n, token, live.Usable)
	n.SignOut(t, session)
	until(t, n, token, live.Ended)
}

// Another server takes over that has not got everything: what was remembered of
// the lost history is dropped, and the database is asked anew.
func TestAHistoryThatChangedIsReadAnew(t *testing.T) {
	server, n, other, token, session := aloneWithTwo(t)
	n.SignOut(t, session)
	until(t, n, token, live.Ended)
	// The end is lost, and its number given to another session's.
	server.Exec(t, "test1", `BEGIN;
		UPDATE sessions SET ended_at = NULL, ended_reason = NULL, ended_by = NULL, ended_by_session = NULL, ended_by_label = NULL;
		UPDATE events SET session_id = (SELECT id FROM sessions WHERE id <> session_id);
		UPDATE sessions SET ended_at = 1, ended_reason = 'administrator', ended_by = 'operator', ended_by_label = '' WHERE id = (SELECT session_id FROM events);
		COMMIT`)
	until(t, n, other, live.Ended)
	until(t, n, token, live.Usable)
}

// Three nodes write and check at once. No node accepts what it has itself
// reported ended, and all end up knowing everything.
func TestNodesThatWriteAtOnce(t *testing.T) {
	cluster := nodes(t, testpg.NewDatabase(t), 3)
	const each = 60
	type held struct {
		token   exeunt.Token
		session exeunt.Session
	}
	var sessions [][]held
	for i, n := range cluster {
		p := n.NewAccount(t, []string{"ada", "grace", "mary"}[i])
		var list []held
		for range each {
			token, s := n.NewSession(t, p, exeunt.KindApp)
			list = append(list, held{token, s})
		}
		sessions = append(sessions, list)
	}
	for _, list := range sessions {
		for _, h := range list {
			for _, n := range cluster {
				until(t, n, h.token, live.Usable)
			}
		}
	}
	var wg sync.WaitGroup
	for i, list := range sessions {
		n := cluster[(i+1)%len(cluster)]
		for k := range 4 {
			wg.Go(func() {
				for _, h := range list[k*each/4 : (k+1)*each/4] {
					endIt(t, n, h.session)
					if got := n.Check(context.Background(), h.token).State; got != live.Ended {
						t.Errorf("reported ended, and then %v", got)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, list := range sessions {
		for _, h := range list {
			for _, n := range cluster {
				until(t, n, h.token, live.Ended)
			}
		}
	}
	head, err := cluster[0].Store.Head(t.Context())
	if err != nil || head != 2+3*each { // two are the clients'
		t.Errorf("the log's head is %d, %v", head, err)
	}
}

func endIt(t *testing.T, n *testnode.Node, s exeunt.Session) {
	target := exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID}
	rev := exeunt.Revocation{Target: target, Reason: exeunt.ReasonSignedOut}
	_, err := n.End(context.Background(), testnode.PersonIn(s), rev)
	if err != nil {
		t.Error(err)
	}
}

// What a check tells of an account is the same on every node, soon after it was
// changed on one.
func TestAChangedProfileIsOneOnAllNodes(t *testing.T) {
	cluster := nodes(t, testpg.NewDatabase(t), 2)
	token, session := cluster[0].NewSession(t, cluster[0].NewAccount(t, "ada"), exeunt.KindKept)
	until(t, cluster[1], token, live.Usable)
	name := "Countess"
	if err := cluster[0].Accounts.ChangeProfile(t.Context(), testnode.PersonIn(session), token, account.Profile{Name: name}, nil); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(2 * time.Minute); ; runtime.Gosched() {
		p, err := cluster[1].Profile(t.Context(), cluster[1].Check(t.Context(), token))
		if err != nil {
			t.Fatal(err)
		}
		if p.Name == name {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("the other node goes on saying %q", p.Name)
		}
	}
	if _, err := cluster[0].Accounts.ChangeGroup(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, "staff",
		[]string{"ada"}, false); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(2 * time.Minute); ; runtime.Gosched() {
		p, err := cluster[1].Profile(t.Context(), cluster[1].Check(t.Context(), token))
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Groups) == 1 {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("the other node goes on saying that there are no groups")
		}
	}
}
