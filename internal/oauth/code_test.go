package oauth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
)

func TestCodes(t *testing.T) {
	n := testnode.New(t, testnode.Options{Stands: time.UnixMilli(1_800_000_000_000)})
	_, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	for name, c := range map[string]struct {
		change func(*oauth.CodeRequest)
		want   error
	}{
		"unknown client":       {func(r *oauth.CodeRequest) { r.Client = "nobody" }, exeunt.ErrUnknownClient},
		"unregistered address": {func(r *oauth.CodeRequest) { r.RedirectURI += "/" }, exeunt.ErrRedirectURI},
		"no challenge":         {func(r *oauth.CodeRequest) { r.Challenge = "" }, exeunt.ErrBadRequest},
		"padded challenge":     {func(r *oauth.CodeRequest) { r.Challenge += "=" }, exeunt.ErrBadRequest},
		"a line break":         {func(r *oauth.CodeRequest) { r.Challenge += "\n" }, exeunt.ErrBadRequest},
		"a plain verifier":     {func(r *oauth.CodeRequest) { r.Challenge = verifier }, exeunt.ErrBadRequest},
	} {
		r := codeRequest()
		c.change(&r)
		if _, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	code := n.NewCode(t, s, testnode.Chirp, verifier)
	chirp, other := n.Client(t, testnode.Chirp), n.Client(t, testnode.Other)
	good := oauth.CodeExchange{Code: code, Client: chirp, RedirectURI: testnode.ChirpRedirect, Verifier: verifier}
	for name, change := range map[string]func(*oauth.CodeExchange){
		"another client":   func(x *oauth.CodeExchange) { x.Client = other },
		"another address":  func(x *oauth.CodeExchange) { x.RedirectURI += "?x" },
		"no verifier":      func(x *oauth.CodeExchange) { x.Verifier = "" },
		"another verifier": func(x *oauth.CodeExchange) { x.Verifier += "x" },
		"short verifier":   func(x *oauth.CodeExchange) { x.Verifier = "short" },
		"long verifier":    func(x *oauth.CodeExchange) { x.Verifier = strings.Repeat("v", 129) },
		"an unknown code":  func(x *oauth.CodeExchange) { x.Code = exeunt.NewToken(exeunt.UseCode) },
		"another token":    func(x *oauth.CodeExchange) { x.Code = exeunt.NewToken(exeunt.UseApp) },
		"nothing":          func(x *oauth.CodeExchange) { *x = oauth.CodeExchange{} },
	} {
		x := good
		change(&x)
		if got, err := n.OAuth.ExchangeCode(t.Context(), x); !errors.Is(err, exeunt.ErrCodeSpent) || !got.Access.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
	// None of these has spent it.
	n.Clock.Pass(time.Minute - time.Millisecond)
	got, err := n.OAuth.ExchangeCode(t.Context(), good)
	if err != nil || !got.Usable() || got.Session != s.ID || got.Answer.Client != testnode.Chirp || got.Refresh != "" {
		t.Fatalf("%+v, %v", got, err)
	}
	// A second use ends what the first one gave: somebody has stolen the code.
	if _, err = n.OAuth.ExchangeCode(t.Context(), good); !errors.Is(err, exeunt.ErrCodeSpent) {
		t.Errorf("a second time: %v", err)
	}
	if state := n.Check(t.Context(), got.Access).State; state != authority.Ended {
		t.Errorf("after a second use: %v", state)
	}
	good.Code = n.NewCode(t, s, testnode.Chirp, verifier)
	n.Clock.Pass(time.Minute)
	if _, err = n.OAuth.ExchangeCode(t.Context(), good); !errors.Is(err, exeunt.ErrCodeSpent) {
		t.Errorf("after a minute: %v", err)
	}
	n.SignOut(t, s)
	if _, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, codeRequest()); !errors.Is(err, exeunt.ErrSignedOut) {
		t.Errorf("granted to a session that has ended: %v", err)
	}
}

// A client shows that it is the client, and a code of a client that sends no challenge is good without a verifier only.
func TestAuthenticate(t *testing.T) {
	public, plain := testnode.ClientAt("phone", "https://phone.example/cb"), testnode.ClientAt("plain", "https://plain.example/cb")
	public.Auth, plain.NoPKCE = exeunt.ClientPublic, true
	n := testnode.New(t, testnode.Options{Clients: []exeunt.Client{testnode.ClientAt(testnode.Chirp, testnode.ChirpRedirect), public, plain}})
	for _, c := range []struct {
		id, secret string
		good       bool
	}{
		{"chirp", n.Keys["chirp"].Reveal(), true}, {"plain", n.Keys["plain"].Reveal(), true}, {"phone", "", true},
		{"chirp", "", false}, {"chirp", n.Keys["plain"].Reveal(), false}, {"phone", n.Keys["chirp"].Reveal(), false},
		{"chirp", exeunt.NewToken(exeunt.UseClient).Reveal(), false}, {"chirp", "secret", false}, {"nobody", "", false},
	} {
		if _, err := n.OAuth.Authenticate(c.id, c.secret); (err == nil) != c.good || !c.good && !errors.Is(err, exeunt.ErrClientKey) {
			t.Errorf("%s with %.4s…: %v", c.id, c.secret, err)
		}
	}
	_, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	q := oauth.CodeRequest{Client: "plain", RedirectURI: "https://plain.example/cb"}
	for verifier, want := range map[string]error{"": nil, verifier: exeunt.ErrCodeSpent} {
		code, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, q)
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.OAuth.ExchangeCode(t.Context(), oauth.CodeExchange{Code: code, Client: n.Client(t, "plain"),
			RedirectURI: q.RedirectURI, Verifier: verifier})
		if !errors.Is(err, want) {
			t.Errorf("verifier %q: %v", verifier, err)
		}
	}
}
