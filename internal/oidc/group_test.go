package oidc

import (
	"net/http"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
)

var operator = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

// Who is taken out of a group loses at once what they have in apps that are only for its members, and nothing else.
func TestLeavingAGroupEndsItsApps(t *testing.T) {
	onEachEngine(t, func(s *site) {
		t := s.t
		for id, groups := range map[exeunt.ClientID][]string{testnode.Chirp: {"staff"}, phone: {"staff"},
			testnode.Other: {"staff", "guests"}, legacy: nil} {
			c := s.Client(t, id)
			c.Groups = groups
			list := clients()
			for i := range list {
				if list[i] = s.Client(t, list[i].ID); list[i].ID == id {
					list[i] = c
				}
			}
			if err := s.OAuth.Reconcile(t.Context(), list, s.Now()); err != nil {
				t.Fatal(err)
			}
		}
		change := func(group string, remove bool) {
			t.Helper()
			if _, err := s.Accounts.ChangeGroup(t.Context(), operator, group, []string{"ada"}, remove); err != nil {
				t.Fatal(err)
			}
		}
		change("staff", false)
		change("guests", false)
		tokens, codes := map[exeunt.ClientID]string{}, map[exeunt.ClientID]string{}
		for _, id := range []exeunt.ClientID{testnode.Chirp, phone, testnode.Other, legacy} {
			tokens[id], codes[id] = s.signIn(id, "openid").str("access_token"), s.code(id, "openid")
		}
		own := s.state(tokens[phone])
		change("staff", true)
		for id, lost := range map[exeunt.ClientID]bool{testnode.Chirp: true, phone: true, testnode.Other: false, legacy: false} {
			if got := s.state(tokens[id]); (got == authority.Ended) != lost {
				t.Errorf("%s: %v, was %v", id, got, own)
			}
			status, code := http.StatusOK, ""
			if lost {
				status, code = http.StatusBadRequest, "invalid_grant"
			}
			s.post(Token, id, s.exchange(id, codes[id])).is(string(id), status, code)
		}
		if live, err := s.Sessions(t.Context(), exeunt.SessionFilter{Account: s.session.Account}); err != nil || len(live.Items) != 1 {
			t.Errorf("%+v, %v", live, err)
		}
		// A code that was granted in the same moment brings nothing.
		code := exeunt.NewToken(exeunt.UseCode)
		if err := s.AddCode(t.Context(), code.Hash(), store.Code{Account: s.session.Account, Session: s.session.ID,
			Client: testnode.Chirp, Registration: s.Client(t, testnode.Chirp).Registration, RedirectURI: s.redirectURI(testnode.Chirp), Challenge: testnode.Challenge(verifier),
			Scopes: "openid", Expires: s.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		s.post(Token, testnode.Chirp, s.exchange(testnode.Chirp, code.Reveal())).is("late", http.StatusBadRequest, "invalid_grant")
		apps, err := s.Apps(t.Context(), authority.AppFilter{Account: s.session.Account, Client: testnode.Chirp, Limit: 9})
		if err != nil || len(apps) > 0 {
			t.Errorf("%+v, %v", apps, err)
		}
	})
}
