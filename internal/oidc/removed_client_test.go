package oidc

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// What people have in a client that is removed is refused on every node, by every endpoint, and stays so when a client of
// that ID and with the same secret is registered again.
func TestWhatARemovedClientHad(t *testing.T) {
	onOneNodeAndTwo(t, whatARemovedClientHad)
}

// onOneNodeAndTwo runs a test on a node with a file, and on two with one server.
func onOneNodeAndTwo(t *testing.T, test func(s, other *site)) {
	t.Run("sqlite", func(t *testing.T) {
		s := newSite(t)
		test(s, s)
	})
	t.Run("two nodes", func(t *testing.T) {
		url := testpg.NewDatabase(t)
		var nodes [2]*testnode.Node
		for i := range nodes {
			nodes[i] = testnode.New(t, testnode.Options{Database: url, Clients: []exeunt.Client{}})
		}
		list := clients()
		for i := range list {
			if key := exeunt.NewToken(exeunt.UseClient); !list[i].Public() {
				nodes[0].Keys[list[i].ID], list[i].Keys = key, []exeunt.TokenHash{key.Hash()}
			}
		}
		if err := nodes[0].OAuth.Reconcile(t.Context(), list, nodes[0].Now()); err != nil {
			t.Fatal(err)
		}
		one := siteOf(t, nodes[0])
		other := *one
		other.Node, other.mux = nodes[1], http.NewServeMux()
		other.Keys = one.Keys
		New(Deps{Authority: other.Authority, OAuth: other.OAuth, Log: other.Log}).Mount(other.mux)
		test(one, &other)
	})
}

// eventually waits until it is so on every node.
func eventually(t *testing.T, what string, nodes []*site, is func(*site) bool) {
	t.Helper()
	for _, n := range nodes {
		for end := time.Now().Add(2 * time.Minute); !is(n); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("a node does not know that %s", what)
			}
		}
	}
}

// Who may not use a client any more is refused on every node, also before maintenance has written anything.
func TestANarrowedClientRefusesOthers(t *testing.T) { onOneNodeAndTwo(t, aNarrowedClientRefusesOthers) }

func aNarrowedClientRefusesOthers(s, other *site) {
	t := s.t
	both := []*site{s, other}
	change := func(group string, remove bool) {
		t.Helper()
		if _, err := s.Accounts.ChangeGroup(t.Context(), operator, group, []string{"ada"}, remove); err != nil {
			t.Fatal(err)
		}
	}
	groups := func(of ...string) {
		t.Helper()
		list := clients()
		for i := range list {
			if list[i] = s.Client(t, list[i].ID); list[i].ID == testnode.Chirp || list[i].ID == phone {
				list[i].Groups = of
			}
		}
		if err := s.OAuth.Reconcile(t.Context(), list, s.Now()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the clients are registered", both, func(n *site) bool { return len(n.OAuth.Clients()) == len(clients()) })
	ids := []exeunt.ClientID{testnode.Chirp, phone}
	tokens, late := map[exeunt.ClientID]answered{}, map[exeunt.ClientID]string{}
	for _, id := range ids {
		tokens[id], late[id] = s.signIn(id, "openid offline_access"), s.code(id, "openid")
	}
	want := func(when string, state authority.State) {
		t.Helper()
		for _, id := range ids {
			token := tokens[id].str("access_token")
			eventually(t, when+": "+string(id)+" has "+state.String(), both, func(n *site) bool { return n.state(token) == state })
		}
	}
	want("for everybody", authority.Usable)
	groups("staff", "guests")
	for _, id := range ids { // at once where it was done
		s.userInfo(tokens[id].str("access_token")).is("for some", http.StatusUnauthorized, "invalid_token")
	}
	want("for some", authority.Ended)
	for _, n := range both {
		for _, id := range ids {
			n.refresh(id, tokens[id].str("refresh_token")).is("refresh", http.StatusBadRequest, "invalid_grant")
		}
	}
	for _, id := range ids {
		s.post(Token, id, s.exchange(id, late[id])).is("a code from before", http.StatusBadRequest, "invalid_grant")
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	change("guests", false)
	want("written", authority.Ended)
	for _, id := range ids {
		tokens[id] = s.signIn(id, "openid")
	}
	want("let in", authority.Usable)
	groups("staff")
	want("for fewer", authority.Ended)
	if list, err := s.Sessions(t.Context(), exeunt.SessionFilter{Account: s.session.Account}); err != nil {
		t.Error(err)
	} else if s.Maintain(t.Context()); len(list.Items) != 2 {
		t.Errorf("%d sessions before maintenance", len(list.Items))
	}
	if list, err := s.Sessions(t.Context(), exeunt.SessionFilter{Account: s.session.Account}); err != nil || len(list.Items) != 1 {
		t.Errorf("%+v, %v", list.Items, err)
	}
}

func whatARemovedClientHad(s, other *site) {
	t := s.t
	both := []*site{s, other}
	knows := func(id exeunt.ClientID, want bool) func(*site) bool {
		return func(n *site) bool { _, err := n.OAuth.Client(id); return (err == nil) == want }
	}
	gone := []exeunt.ClientID{testnode.Chirp, phone}
	for _, id := range gone {
		eventually(t, "it is registered", both, knows(id, true))
	}
	had, codes := map[exeunt.ClientID]answered{}, map[exeunt.ClientID]string{}
	for _, id := range gone {
		had[id], codes[id] = s.signIn(id, "openid offline_access"), s.code(id, "openid")
		for _, n := range both {
			n.userInfo(had[id].str("access_token")).is(string(id), http.StatusOK, "")
		}
	}
	stays := s.signIn(testnode.Other, "openid").str("access_token")
	device, typed, err := s.OAuth.StartDevice(t.Context(), s.Client(t, phone), "openid", authority.Device{})
	if err != nil {
		t.Fatal(err)
	}
	all := []exeunt.Client{s.Client(t, testnode.Chirp), s.Client(t, phone), s.Client(t, testnode.Other),
		s.Client(t, legacy), s.Client(t, tv)}
	if err := s.OAuth.Reconcile(t.Context(), all[2:], s.Now()); err != nil {
		t.Fatal(err)
	}
	// On this node it has ended by the time that the removal is answered.
	for _, id := range gone {
		s.userInfo(had[id].str("access_token")).is(string(id), http.StatusUnauthorized, "invalid_token")
	}
	refused := func(when string) {
		t.Helper()
		for _, id := range gone {
			token := had[id].str("access_token")
			eventually(t, when+": it has ended", both, func(n *site) bool { return n.state(token) == authority.Ended })
			for _, n := range both {
				n.userInfo(token).is(when, http.StatusUnauthorized, "invalid_token")
				parsed, _ := exeunt.ParseToken(token)
				if at, why, known, err := n.WhyEnded(t.Context(), parsed); err != nil || !known ||
					why != exeunt.ReasonClientRemoved || at.IsZero() {
					t.Errorf("%s: it ended by %q at %v, %v, %v", when, why, at, known, err)
				}
			}
		}
		for _, n := range both {
			if got := n.state(stays); got != authority.Usable {
				t.Errorf("%s: another client's is %v", when, got)
			}
		}
	}
	refused("removed")
	if err := s.OAuth.Reconcile(t.Context(), all, s.Now()); err != nil {
		t.Fatal(err)
	}
	for _, id := range gone {
		eventually(t, "it is registered again", both, knows(id, true))
	}
	again := func(when string) {
		t.Helper()
		refused(when)
		for _, n := range both {
			for _, id := range gone {
				n.refresh(id, had[id].str("refresh_token")).is(when+", refresh", http.StatusBadRequest, "invalid_grant")
				n.post(Token, id, n.exchange(id, codes[id])).is(when+", code", http.StatusBadRequest, "invalid_grant")
			}
			got := n.post(Introspect, testnode.Chirp, url.Values{"token": {had[testnode.Chirp].str("access_token")}})
			if active, _ := got.body["active"].(bool); got.status != http.StatusOK || active {
				t.Errorf("%s: introspection says %s", when, got.text)
			}
			if _, err := n.OAuth.FindDevice(t.Context(), n.visitor(), typed); exeunt.CodeOf(err) != "user_code" {
				t.Errorf("%s: the device is found: %v", when, err)
			}
			if _, err := n.OAuth.ExchangeDevice(t.Context(), n.Client(t, phone), device, authority.Device{}); exeunt.CodeOf(err) !=
				exeunt.ErrCodeSpent.Code {
				t.Errorf("%s: the device's code is good: %v", when, err)
			}
		}
	}
	again("registered again")
	fresh := s.signIn(testnode.Chirp, "openid").str("access_token")
	for _, n := range both {
		if err := n.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	again("cleaned up")
	for _, n := range both {
		if got := n.state(fresh); got != authority.Usable {
			t.Errorf("what the new client has is %v", got)
		}
	}
	if list, err := s.Sessions(t.Context(), exeunt.SessionFilter{Account: s.session.Account}); err != nil ||
		len(list.Items) != 1 || list.Items[0].AppCount != 2 {
		t.Errorf("listed: %+v, %v", list, err)
	}
}

// A request that a person was shown before its client was removed is of no use to the next client of that ID.
func TestARequestForARemovedClient(t *testing.T) {
	onEachEngine(t, func(s *site) {
		t := s.t
		q, err := s.OAuth.ParseRequest(url.Values{"client_id": {string(testnode.Chirp)}, "response_type": {"code"},
			"redirect_uri": {s.redirectURI(testnode.Chirp)}, "scope": {"openid"},
			"code_challenge": {testnode.Challenge(verifier)}, "code_challenge_method": {"S256"}})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := s.OAuth.Seal(q, "a browser")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.OAuth.OpenRequest(sealed, "a browser"); err != nil {
			t.Fatal(err)
		}
		chirp := s.Client(t, testnode.Chirp)
		for _, list := range [][]exeunt.Client{nil, {chirp}} {
			if err := s.OAuth.Reconcile(t.Context(), list, s.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.OAuth.OpenRequest(sealed, "a browser"); exeunt.CodeOf(err) != exeunt.ErrRequestExpired.Code {
			t.Errorf("the request is good: %v", err)
		}
	})
}
