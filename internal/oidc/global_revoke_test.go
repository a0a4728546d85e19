package oidc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/testnode"
)

// revoke asks for the end of everything of somebody. as returns the Authorization header.
func (s *site) revoke(as, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodPost, GlobalRevoke, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = "192.0.2.7:1234"
	if as != "" {
		r.Header.Set("Authorization", as)
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

func basic(id exeunt.ClientID, secret string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(string(id), secret)
	return r.Header.Get("Authorization")
}

// A client that may revoke ends everything of somebody whom it names in one of the known ways, as often as it asks. Nobody
// else does, and what is not understood changes nothing.
func TestGlobalTokenRevocation(t *testing.T) { onEachEngine(t, globalTokenRevocation) }

func globalTokenRevocation(s *site) {
	t, ctx := s.t, context.Background()
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
	for _, n := range []struct {
		handle    string
		confirmed bool
	}{{"grace", true}, {"mary", false}} {
		if _, err := s.Accounts.AddAccount(ctx, operator, account.NewAccount{Handle: n.handle, Name: n.handle,
			Email: n.handle + "@example.com", Password: testnode.Password}, n.confirmed); err != nil {
			t.Fatal(err)
		}
	}
	grace, err := s.AccountByHandle(ctx, "grace")
	if err != nil {
		t.Fatal(err)
	}
	as := basic(directory, s.Keys[directory].Reveal())
	id := grace.ID.String()
	for _, c := range []struct {
		what, as, body string
		status         int
	}{
		{"a confirmed address", as, `{"sub_id":{"format":"email","email":"grace@example.com"}}`, 204},
		{"the same again", as, `{"sub_id":{"format":"email","email":"grace@example.com"}}`, 204},
		{"an address in other letters", as, `{"sub_id":{"format":"email","email":"Grace@Example.COM"}}`, 204},
		{"an address as a bearer", "Bearer " + s.Keys[directory].Reveal(), `{"sub_id":{"format":"email","email":"grace@example.com"}}`, 204},
		{"our issuer and subject", as, `{"sub_id":{"format":"iss_sub","iss":"` + testnode.Issuer + `","sub":"` + id + `"}}`, 204},
		{"the account's ID", as, `{"sub_id":{"format":"opaque","id":"` + id + `"},"more":[1]}`, 204},
		{"an account here", as, `{"sub_id":{"format":"account","uri":"acct:grace@id.example.com"}}`, 204},

		{"an address that is not confirmed", as, `{"sub_id":{"format":"email","email":"mary@example.com"}}`, 404},
		{"an address of nobody", as, `{"sub_id":{"format":"email","email":"nobody@example.com"}}`, 404},
		{"another issuer's subject", as, `{"sub_id":{"format":"iss_sub","iss":"https://other.example","sub":"` + id + `"}}`, 404},
		{"a subject of nobody", as, `{"sub_id":{"format":"opaque","id":"` + exeunt.NewAccountID().String() + `"}}`, 404},
		{"no ID", as, `{"sub_id":{"format":"opaque","id":"grace"}}`, 404},
		{"an account elsewhere", as, `{"sub_id":{"format":"account","uri":"acct:grace@other.example.com"}}`, 404},
		{"an account of nobody", as, `{"sub_id":{"format":"account","uri":"acct:nobody@id.example.com"}}`, 404},

		{"a handle for an address", as, `{"sub_id":{"format":"email","email":"grace"}}`, 400},
		{"a handle with its sign", as, `{"sub_id":{"format":"email","email":"@grace"}}`, 400},
		{"no address", as, `{"sub_id":{"format":"email"}}`, 400},
		{"half of a subject", as, `{"sub_id":{"format":"iss_sub","sub":"` + id + `"}}`, 400},
		{"no URI of an account", as, `{"sub_id":{"format":"account","uri":"grace@id.example.com"}}`, 400},
		{"another format", as, `{"sub_id":{"format":"phone_number","phone_number":"+12065550100"}}`, 400},
		{"no format", as, `{"sub_id":{}}`, 400},
		{"no subject", as, `{}`, 400},
		{"a text", as, `{"sub_id":"grace"}`, 400},
		{"no JSON", as, `sub_id=grace`, 400},
		{"nothing", as, ``, 400},

		{"nobody", "", `{"sub_id":{"format":"email","email":"grace@example.com"}}`, 401},
		{"a wrong secret", basic(directory, exeunt.NewToken(exeunt.UseClient).Reveal()), `{"sub_id":{"format":"opaque","id":"` + id + `"}}`, 401},
		{"another client's secret", basic(directory, s.Keys[testnode.Chirp].Reveal()), `{"sub_id":{"format":"opaque","id":"` + id + `"}}`, 401},
		{"a client without a secret", basic(phone, ""), `{"sub_id":{"format":"opaque","id":"` + id + `"}}`, 401},
		{"a session's token", "Bearer " + s.token.Reveal(), `{"sub_id":{"format":"opaque","id":"` + id + `"}}`, 401},
		{"an unknown bearer", "Bearer " + exeunt.NewToken(exeunt.UseClient).Reveal(), `{"sub_id":{"format":"opaque","id":"` + id + `"}}`, 401},
		{"a client that may not", basic(testnode.Chirp, s.Keys[testnode.Chirp].Reveal()), `{"sub_id":{"format":"opaque","id":"` + id + `"}}`, 403},
	} {
		a, err := s.AccountByHandle(ctx, "grace")
		if err != nil {
			t.Fatal(err)
		}
		token, _ := s.NewSession(t, exeunt.Proof{Account: a.ID, Methods: exeunt.Methods{exeunt.MethodPassword}, At: s.Now(),
			Generation: a.Generation, CredentialVersion: a.CredentialVersion}, exeunt.KindKept)
		before := lastEvent(s)
		w := s.revoke(c.as, c.body)
		if w.Code != c.status || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s %v, want %d", c.what, w.Code, w.Body, w.Header(), c.status)
		}
		if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") || w.Code == 204 && w.Body.Len() > 0 {
			t.Errorf("%s: %v %s", c.what, w.Header(), w.Body)
		}
		if usable := s.Node.Check(ctx, token).Usable(); usable != (c.status != 204) {
			t.Errorf("%s: the session is usable: %v", c.what, usable)
		}
		if e := lastEvent(s); c.status == 204 {
			by := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "client directory", Address: e.By.Address}
			if e.Seq == before.Seq || e.By != by || e.Reason != exeunt.ReasonRevoked || e.Scope != exeunt.ScopeAccount || e.Account != grace.ID {
				t.Errorf("%s: %+v", c.what, e)
			}
		} else if e.Seq != before.Seq {
			t.Errorf("%s: %+v", c.what, e)
		}
		if !s.Node.Check(ctx, s.token).Usable() {
			t.Fatalf("%s: somebody else is signed out", c.what)
		}
	}
	if r := s.do(httptest.NewRequest(http.MethodGet, GlobalRevoke, nil)); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != http.MethodPost {
		t.Errorf("GET: %d %v", r.status, r.header)
	}
	// Its secret gets it no further than that: 429 says when to come back.
	var last *httptest.ResponseRecorder
	for range 400 {
		if last = s.revoke(as, `{"sub_id":{"format":"opaque","id":"nobody"}}`); last.Code != 404 {
			break
		}
	}
	if last.Code != http.StatusTooManyRequests || last.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", last.Code, last.Header())
	}
}

// lastEvent is the end of something that was recorded last.
func lastEvent(s *site) (last exeunt.Event) {
	s.t.Helper()
	list, err := s.Store.Events(context.Background(), 0, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range list {
		if e.Kind == exeunt.EventEnded {
			last = e
		}
	}
	return last
}

// What cannot be recorded is not confirmed.
func TestGlobalTokenRevocationIsDurable(t *testing.T) {
	s := newSite(t)
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	w := s.revoke(basic(directory, s.Keys[directory].Reveal()), `{"sub_id":{"format":"opaque","id":"`+s.session.Account.String()+`"}}`)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "temporarily_unavailable") {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
}
