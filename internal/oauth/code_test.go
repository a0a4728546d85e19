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
		"no challenge":         {func(r *oauth.CodeRequest) { r.Challenge = "" }, exeunt.ErrBadChallenge},
		"padded challenge":     {func(r *oauth.CodeRequest) { r.Challenge += "=" }, exeunt.ErrBadChallenge},
		"a line break":         {func(r *oauth.CodeRequest) { r.Challenge += "\n" }, exeunt.ErrBadChallenge},
		"a plain verifier":     {func(r *oauth.CodeRequest) { r.Challenge = verifier }, exeunt.ErrBadChallenge},
	} {
		r := codeRequest()
		c.change(&r)
		if _, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	code := n.NewCode(t, s, testnode.Chirp, verifier)
	good := oauth.CodeExchange{Code: code, Client: testnode.Chirp, RedirectURI: testnode.ChirpRedirect, Verifier: verifier,
		Key: n.Keys[testnode.Chirp]}
	for name, key := range map[string]exeunt.Token{
		"no key": {}, "another client's key": n.Keys[testnode.Other], "an unknown key": exeunt.NewToken(exeunt.UseClient),
		"its code as a key": code,
	} {
		x := good
		x.Key = key
		if token, _, err := n.OAuth.ExchangeCode(t.Context(), x); !errors.Is(err, exeunt.ErrClientKey) || !token.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*oauth.CodeExchange){
		"another client":   func(x *oauth.CodeExchange) { x.Client, x.Key = testnode.Other, n.Keys[testnode.Other] },
		"another address":  func(x *oauth.CodeExchange) { x.RedirectURI += "?x" },
		"another verifier": func(x *oauth.CodeExchange) { x.Verifier += "x" },
		"short verifier":   func(x *oauth.CodeExchange) { x.Verifier = "short" },
		"long verifier":    func(x *oauth.CodeExchange) { x.Verifier = strings.Repeat("v", 129) },
		"an unknown code":  func(x *oauth.CodeExchange) { x.Code = exeunt.NewToken(exeunt.UseCode) },
		"another token":    func(x *oauth.CodeExchange) { x.Code = exeunt.NewToken(exeunt.UseApp) },
		"nothing":          func(x *oauth.CodeExchange) { *x = oauth.CodeExchange{} },
	} {
		x := good
		change(&x)
		if token, _, err := n.OAuth.ExchangeCode(t.Context(), x); !errors.Is(err, exeunt.ErrCodeSpent) || !token.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
	// None of these has spent it.
	n.Clock.Pass(time.Minute - time.Millisecond)
	token, ans, err := n.OAuth.ExchangeCode(t.Context(), good)
	if err != nil || !ans.Usable() || ans.Session != s.ID || ans.Client != testnode.Chirp {
		t.Fatalf("%+v, %v", ans, err)
	}
	// A second use ends what the first one gave: somebody has stolen the code.
	if _, _, err = n.OAuth.ExchangeCode(t.Context(), good); !errors.Is(err, exeunt.ErrCodeSpent) {
		t.Errorf("a second time: %v", err)
	}
	if got := n.Check(t.Context(), token).State; got != authority.Ended {
		t.Errorf("after a second use: %v", got)
	}
	good.Code = n.NewCode(t, s, testnode.Chirp, verifier)
	n.Clock.Pass(time.Minute)
	if _, _, err = n.OAuth.ExchangeCode(t.Context(), good); !errors.Is(err, exeunt.ErrCodeSpent) {
		t.Errorf("after a minute: %v", err)
	}
	n.SignOut(t, s)
	if _, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, codeRequest()); !errors.Is(err, exeunt.ErrSignedOut) {
		t.Errorf("granted to a session that has ended: %v", err)
	}
}
