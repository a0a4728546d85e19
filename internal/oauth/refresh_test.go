package oauth_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// onEachEngine runs a test on a file and on a server.
func onEachEngine(t *testing.T, test func(t *testing.T, n *testnode.Node)) {
	t.Run("sqlite", func(t *testing.T) { test(t, testnode.New(t, testnode.Options{})) })
	t.Run("postgres", func(t *testing.T) {
		n := testnode.New(t, testnode.Options{Database: testpg.NewDatabase(t)})
		c := n.Client(t, testnode.Chirp)
		key := exeunt.NewToken(exeunt.UseClient)
		c.Keys = []exeunt.TokenHash{key.Hash()}
		if err := n.OAuth.Reconcile(t.Context(), []exeunt.Client{c}, n.Now()); err != nil {
			t.Fatal(err)
		}
		test(t, n)
	})
}

// offline gets Chirp the tokens of somebody who lets it ask again.
func offline(t *testing.T, n *testnode.Node, s exeunt.Session) oauth.Tokens {
	t.Helper()
	q := codeRequest()
	q.Scopes = "openid offline_access"
	code, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := n.OAuth.ExchangeCode(t.Context(), oauth.CodeExchange{Code: code, Client: n.Client(t, testnode.Chirp),
		RedirectURI: testnode.ChirpRedirect, Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func refresh(n *testnode.Node, c exeunt.Client, token oauth.Secret) (oauth.Tokens, error) {
	return n.OAuth.Refresh(context.Background(), c, token.Reveal())
}

// A refresh token has one successor. A lost answer can be had again for a while; then whoever presents the token has
// stolen it, or was stolen from, and everything that came of it ends.
func TestRefresh(t *testing.T) {
	onEachEngine(t, func(t *testing.T, n *testnode.Node) {
		_, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
		c := n.Client(t, testnode.Chirp)
		first := offline(t, n, s)
		if got := first.ExpiresAt().Sub(n.Now()); got > exeunt.DefaultTokenLife || got < exeunt.DefaultTokenLife-time.Minute || first.Access.Use() != exeunt.UseTimed {
			t.Errorf("%v, expires in %v", first.Access, got)
		}
		n.Clock.Pass(time.Minute)
		second, err := refresh(n, c, first.Refresh)
		if err != nil || second.Access == first.Access || !second.Usable() || second.App != first.App ||
			!second.ExpiresAt().After(first.ExpiresAt()) || second.Scopes != first.Scopes {
			t.Fatalf("%+v, %v", second, err)
		}
		if state := n.Check(t.Context(), second.Access).State; state != authority.Usable {
			t.Errorf("the new token is %v", state)
		}
		n.Forget()
		if state := n.Check(t.Context(), first.Access).State; state == authority.Usable {
			t.Error("the replaced token is still usable")
		}
		n.Clock.Pass(store.RefreshGrace / 2)
		again, err := refresh(n, c, first.Refresh)
		if err != nil || again.Access != second.Access || again.Refresh != second.Refresh {
			t.Errorf("presented again: %v, %v", again.Access == second.Access, err)
		}
		third, err := refresh(n, c, second.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		n.Clock.Pass(exeunt.DefaultTokenLife)
		if state := n.Check(t.Context(), third.Access).State; state != authority.Expired {
			t.Errorf("after its life it is %v", state)
		}
		fourth, err := refresh(n, c, third.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := refresh(n, c, first.Refresh); !errors.Is(err, exeunt.ErrCodeSpent) {
			t.Errorf("long replaced: %v", err)
		}
		if state := n.Check(t.Context(), fourth.Access).State; state != authority.Ended {
			t.Errorf("after that the app session is %v", state)
		}
		if _, err := refresh(n, c, fourth.Refresh); !errors.Is(err, exeunt.ErrCodeSpent) {
			t.Errorf("its last refresh token: %v", err)
		}
		if app, err := n.AppSession(t.Context(), s.Account, first.App); err != nil || app.End == nil ||
			app.End.Reason != exeunt.ReasonRefreshReused {
			t.Errorf("%+v, %v", app.End, err)
		}
	})
}

// Only the client that has it, with the very text, while everything it hangs on lives.
func TestRefreshTokensThatAreOfNoUse(t *testing.T) {
	n := testnode.New(t, testnode.Options{Stands: time.UnixMilli(1_800_000_000_000)})
	_, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	c, got := n.Client(t, testnode.Chirp), offline(t, n, s)
	text := got.Refresh.Reveal()
	for name, spoiled := range map[string]string{"cut": text[:len(text)-1], "longer": text + "A", "a line break": text + "\n",
		"another prefix": "exa_" + text[4:], "another count": text[:50] + "B" + text[51:], "nothing": "",
		"the access token": got.Access.Reveal()} {
		if _, err := refresh(n, c, oauth.Secret(spoiled)); !errors.Is(err, exeunt.ErrCodeSpent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := refresh(n, n.Client(t, testnode.Other), got.Refresh); !errors.Is(err, exeunt.ErrCodeSpent) {
		t.Errorf("another client's: %v", err)
	}
	if plain, _ := n.NewAppSession(t, s, testnode.Chirp); plain.Use() != exeunt.UseApp {
		t.Errorf("without offline_access the token is %v", plain)
	}
	if next, err := refresh(n, c, got.Refresh); err != nil {
		t.Fatalf("none of that should have ended it: %v", err)
	} else {
		got = next
	}
	n.SignOut(t, s)
	if _, err := refresh(n, c, got.Refresh); !errors.Is(err, exeunt.ErrCodeSpent) {
		t.Errorf("after a sign-out: %v", err)
	}
}

// However many ask at once with one token, all get the same successor.
func TestRefreshesAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, n *testnode.Node) {
		_, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
		c, got := n.Client(t, testnode.Chirp), offline(t, n, s)
		for range 4 {
			var all [16]oauth.Tokens
			var errs [16]error
			var done sync.WaitGroup
			for i := range all {
				done.Go(func() { all[i], errs[i] = refresh(n, c, got.Refresh) })
			}
			done.Wait()
			for i := range all {
				if errs[i] != nil || all[i].Access != all[0].Access || all[i].Refresh != all[0].Refresh {
					t.Fatalf("%d: another successor, %v", i, errs[i])
				}
			}
			got = all[0]
		}
	})
}

// Whatever is under way when somebody signs out, no token that a refresh brings is usable afterwards.
func TestNoRefreshSurvivesASignOut(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	c := n.Client(t, testnode.Chirp)
	proof := n.NewAccount(t, "ada")
	rounds := 300
	if testing.Short() {
		rounds = 40
	}
	for range rounds {
		_, s := n.NewSession(t, proof, exeunt.KindKept)
		got := offline(t, n, s)
		var out atomic.Bool
		var done sync.WaitGroup
		for range 8 {
			done.Go(func() {
				mine := got
				for {
					after := out.Load()
					next, err := refresh(n, c, mine.Refresh)
					if err == nil && after {
						t.Error("refreshed after the sign-out")
						return
					}
					if err != nil {
						return
					}
					mine = next
				}
			})
		}
		n.SignOut(t, s)
		out.Store(true)
		done.Wait()
		if apps, err := n.Apps(t.Context(), authority.AppFilter{Account: s.Account, Client: testnode.Chirp, Limit: 10}); err != nil || len(apps) > 0 {
			t.Fatalf("%d app sessions are left, %v", len(apps), err)
		}
	}
}

// An app on a person's device gets a session of its own, which ends by itself, and with everything else.
func TestPublicClients(t *testing.T) {
	phone := testnode.ClientAt("phone", "https://phone.example/cb")
	phone.Auth = exeunt.ClientPublic
	n := testnode.New(t, testnode.Options{Clients: []exeunt.Client{testnode.ClientAt(testnode.Chirp, testnode.ChirpRedirect), phone}})
	_, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindShared)
	signIn := func() oauth.Tokens {
		t.Helper()
		code, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, oauth.CodeRequest{Client: "phone",
			RedirectURI: "https://phone.example/cb", Challenge: testnode.Challenge(verifier), Scopes: "openid offline_access"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := n.OAuth.ExchangeCode(t.Context(), oauth.CodeExchange{Code: code, Client: phone,
			RedirectURI: "https://phone.example/cb", Verifier: verifier,
			Device: authority.Device{UserAgent: "Phone/1.0"}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	one := signIn()
	own, err := n.Authority.Session(t.Context(), s.Account, one.Session)
	if err != nil || own.ID == s.ID || own.Kind != exeunt.KindApp || own.Label != "Phone" || own.UserAgent != "Phone/1.0" ||
		own.Methods.String() != s.Methods.String() || len(own.Apps) != 1 {
		t.Fatalf("%+v, %v", own, err)
	}
	n.SignOut(t, s)
	if !n.Check(t.Context(), one.Access).Usable() {
		t.Error("it ended with the browser's session")
	}
	_, s = n.NewSession(t, n.NewAccount(t, "bob"), exeunt.KindKept)
	var all []oauth.Tokens
	for range store.MaxAppSessions + 2 {
		all = append(all, signIn())
	}
	live := 0
	for _, got := range all {
		if n.Check(t.Context(), got.Access).Usable() {
			live++
		}
	}
	if live != store.MaxAppSessions || !n.Check(t.Context(), all[len(all)-1].Access).Usable() {
		t.Errorf("%d sessions of one app live", live)
	}
	// A stolen refresh token ends the session, not only the app's part of it.
	last := all[len(all)-1]
	for range 2 {
		next, err := refresh(n, phone, last.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		last = next
	}
	if _, err := refresh(n, phone, all[len(all)-1].Refresh); !errors.Is(err, exeunt.ErrCodeSpent) {
		t.Fatal(err)
	}
	if got, err := n.Authority.Session(t.Context(), s.Account, last.Session); err != nil || got.End == nil {
		t.Errorf("%+v, %v", got.End, err)
	}
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID}
	if _, err := n.End(t.Context(), by, exeunt.Revocation{Reason: exeunt.ReasonSignedOut,
		Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeAccount}}); err != nil {
		t.Fatal(err)
	}
	for _, got := range all {
		if n.Check(t.Context(), got.Access).Usable() {
			t.Error("it survived a sign-out everywhere")
		}
	}
}
