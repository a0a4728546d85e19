package client_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
)

func TestExchangeCode(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	_, session := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	verifier := strings.Repeat("v", 43)
	grant := func() client.CodeGrant {
		code, err := s.OAuth.GrantCode(t.Context(), session.Account, session.ID, oauth.CodeRequest{
			Client: testnode.Chirp, RedirectURI: testnode.ChirpRedirect, Challenge: testnode.Challenge(verifier),
			Scopes: exeunt.ParseScopes("openid"), Nonce: "n",
		})
		if err != nil {
			t.Fatal(err)
		}
		return client.CodeGrant{ClientID: "chirp", Key: client.NewSecret(s.Keys[testnode.Chirp].Reveal()),
			Code: client.NewSecret(code.Reveal()), RedirectURI: testnode.ChirpRedirect,
			Verifier: client.NewSecret(verifier), Nonce: "n"}
	}
	good := grant()
	token, err := s.Client.ExchangeCode(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Client.Current(t.Context(), token); err != nil || got.App == nil || got.App.Client != "chirp" ||
		got.Session.ID != session.ID.String() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Client.ExchangeCode(t.Context(), good); client.CodeOf(err) != "invalid_grant" {
		t.Errorf("a second time: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*client.CodeGrant)
		code   string
	}{
		"another's key":    {func(g *client.CodeGrant) { g.Key = client.NewSecret(s.Keys[testnode.Other].Reveal()) }, "invalid_client"},
		"no key":           {func(g *client.CodeGrant) { g.Key = client.Secret{} }, "invalid_client"},
		"no such app":      {func(g *client.CodeGrant) { g.ClientID = "nobody" }, "invalid_client"},
		"another address":  {func(g *client.CodeGrant) { g.RedirectURI += "/" }, "invalid_grant"},
		"another verifier": {func(g *client.CodeGrant) { g.Verifier = client.NewSecret(strings.Repeat("w", 43)) }, "invalid_grant"},
		"another nonce":    {func(g *client.CodeGrant) { g.Nonce = "m" }, ""},
	} {
		g := grant()
		c.change(&g)
		if token, err := s.Client.ExchangeCode(t.Context(), g); err == nil || client.CodeOf(err) != c.code || !token.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What comes back must be an answer to this request, whoever sends it.
func TestExchangeCodeChecksTheAnswer(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// RFC 6749 section 2.3.1: encoded as in a form, then as for Basic.
		user, password, _ := r.BasicAuth()
		if r.URL.Path != "/oauth/token" || user != "an+app" || password != "%2Bkey%3A%25" ||
			r.FormValue("grant_type") != "authorization_code" || r.URL.RawQuery != "" {
			t.Errorf("%s %s, %q %q, %v", r.Method, r.URL, user, password, r.Form)
		}
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(kind, iss, aud, nonce string) string {
		claims := fmt.Sprintf(`{"iss":%q,"aud":%s,"nonce":%q}`, iss, aud, nonce)
		return fmt.Sprintf(`{"access_token":"exa_x","token_type":%q,"id_token":"e30.%s.c2ln"}`, kind,
			base64.RawURLEncoding.EncodeToString([]byte(claims)))
	}
	for name, in := range map[string]struct {
		body string
		ok   bool
	}{
		"as it should be":      {answer("Bearer", server.URL, `"an app"`, "n"), true},
		"for several":          {answer("bearer", server.URL, `["other","an app"]`, "n"), true},
		"another type":         {answer("DPoP", server.URL, `"an app"`, "n"), false},
		"another issuer":       {answer("Bearer", "https://evil.example", `"an app"`, "n"), false},
		"for another app":      {answer("Bearer", server.URL, `["other"]`, "n"), false},
		"to another request":   {answer("Bearer", server.URL, `"an app"`, "m"), false},
		"without a nonce":      {answer("Bearer", server.URL, `"an app"`, ""), false},
		"without an ID token":  {`{"access_token":"exa_x","token_type":"Bearer"}`, false},
		"a malformed ID token": {`{"access_token":"exa_x","token_type":"Bearer","id_token":"a.b.c"}`, false},
		"without a token":      {strings.Replace(answer("Bearer", server.URL, `"an app"`, "n"), "exa_x", "", 1), false},
		"no JSON":              {"welcome to the hotel's network", false},
	} {
		body = in.body
		token, err := c.ExchangeCode(t.Context(), client.CodeGrant{ClientID: "an app", Key: client.NewSecret("+key:%"), Nonce: "n"})
		if (err == nil) != in.ok || token.IsZero() == in.ok || err != nil && !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "exa_x") {
			t.Errorf("%s: the error has the token: %v", name, err)
		}
	}
}
