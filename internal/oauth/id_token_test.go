package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
)

// idToken signs in to a client and returns its ID token and what that says.
func idToken(t *testing.T, n *testnode.Node, s exeunt.Session, c exeunt.Client, scopes exeunt.Scopes) (string, map[string]any) {
	t.Helper()
	q := codeRequest()
	q.Scopes, q.Nonce = scopes, "n-1"
	code, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := n.OAuth.ExchangeCode(t.Context(), oauth.CodeExchange{Code: code, Client: n.Client(t, testnode.Chirp),
		RedirectURI: testnode.ChirpRedirect, Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := n.OAuth.IDToken(t.Context(), c, got)
	if err != nil {
		t.Fatal(err)
	}
	token := secret.Reveal()
	if token == "" {
		return "", nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return token, claims
}

// An app learns no more of a person than its scopes say, and an address only once it is confirmed.
func TestClaims(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	p := n.NewAccount(t, "ada")
	_, s := n.NewSession(t, p, exeunt.KindKept)
	always := []string{"acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "session_expiry", "sid", "sub"}
	for _, c := range []struct {
		scopes exeunt.Scopes
		more   []string
	}{
		{"openid", nil},
		{"openid profile", []string{"name", "preferred_username"}},
		{"openid groups", []string{"groups"}},
		{"openid email", nil}, // it is not confirmed
	} {
		_, claims := idToken(t, n, s, n.Client(t, testnode.Chirp), c.scopes)
		var names []string
		for name := range claims {
			names = append(names, name)
		}
		slices.Sort(names)
		if want := slices.Sorted(slices.Values(append(c.more, always...))); !slices.Equal(names, want) {
			t.Errorf("%s: %v, want %v", c.scopes, names, want)
		}
	}
	if token, _ := idToken(t, n, s, n.Client(t, testnode.Chirp), "profile"); token != "" {
		t.Error("an ID token without openid")
	}
	if with := n.OAuth.PersonClaims(s.Account, exeunt.Profile{Picture: "NAME"}, "openid profile"); with["picture"] != n.OAuth.Issuer+"/pictures/NAME" {
		t.Errorf("with a picture: %v", with)
	}
	if with := n.OAuth.PersonClaims(s.Account, exeunt.Profile{Picture: "NAME"}, "openid email"); with["picture"] != nil {
		t.Errorf("without the scope: %v", with)
	}
	person := n.OAuth.PersonClaims(s.Account, exeunt.Profile{Email: "ada@example.com"}, "openid email")
	if person["email"] != "ada@example.com" || person["email_verified"] != true {
		t.Errorf("%v", person)
	}
}

// An ID token that comes back is read as long as our keys are published, also when it has expired. Nothing else is.
func TestHints(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	_, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	for _, alg := range exeunt.Algorithms {
		c := n.Client(t, testnode.Chirp)
		c.Algorithm = alg
		token, _ := idToken(t, n, s, c, "openid")
		n.Clock.Pass(c.LifeOfTokens() + time.Minute)
		want := oauth.Hint{Account: s.Account, Session: s.ID, Client: c.ID}
		if got, ok := n.OAuth.ReadHint(token); !ok || got != want {
			t.Errorf("%s: %+v, %v", alg, got, ok)
		}
		parts := strings.Split(token, ".")
		_, others := idToken(t, n, s, c, "openid")
		others["sub"] = exeunt.NewAccountID()
		forged, err := json.Marshal(others)
		if err != nil {
			t.Fatal(err)
		}
		sign := func(typ string, claims map[string]any) string {
			payload, err := json.Marshal(claims)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := n.OAuth.Signers.Sign(alg, typ, payload)
			if err != nil {
				t.Fatal(err)
			}
			return signed
		}
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
		elsewhere := map[string]any{"iss": "https://other.example", "sub": s.Account, "sid": s.ID, "aud": c.ID}
		for name, text := range map[string]string{
			"nothing": "", "nonsense": "sesame", "two parts": parts[0] + "." + parts[1],
			"another payload":    parts[0] + "." + base64.RawURLEncoding.EncodeToString(forged) + "." + parts[2],
			"unsigned":           none + "." + parts[1] + ".",
			"a signature on it":  none + "." + parts[1] + "." + parts[2],
			"a logout token":     sign("logout+jwt", map[string]any{"iss": testnode.Issuer, "sub": s.Account, "sid": s.ID, "aud": c.ID}),
			"another issuer's":   sign("JWT", elsewhere),
			"no account":         sign("JWT", map[string]any{"iss": testnode.Issuer, "sub": "ada", "sid": s.ID, "aud": c.ID}),
			"several audiences":  sign("JWT", map[string]any{"iss": testnode.Issuer, "sub": s.Account, "aud": []string{"chirp", "x"}}),
			"a signature cut":    token[:len(token)-4],
			"an access token":    exeunt.NewToken(exeunt.UseApp).Reveal(),
			"with another break": token + "\n.",
		} {
			if got, ok := n.OAuth.ReadHint(text); ok {
				t.Errorf("%s, %s: %+v", alg, name, got)
			}
		}
	}
}
