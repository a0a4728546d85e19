package gate

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

func withKey(key exeunt.Token, set func(http.Header)) func(http.Header) {
	return func(h http.Header) { set(h); h.Set(client.HeaderClientKey, key.Reveal()) }
}

var cachingHeaders = []string{
	client.HeaderEpoch, client.HeaderSeq, client.HeaderDigest, client.HeaderGeneration, client.HeaderIdle,
	client.HeaderExpiresAt,
}

func number64(t *testing.T, h http.Header, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return n
}

func TestGateTellsACachingClientWhatItTakes(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	proof := n.NewAccount(t, "ada")
	_, other := n.NewSession(t, proof, exeunt.KindShared)
	n.SignOutEverywhere(t, other)
	proof.Generation++
	_, browser := n.NewSession(t, proof, exeunt.KindKept)
	token, who := n.NewAppSession(t, browser, testnode.Chirp)
	for range 2 { // at first sight, and from memory
		w := ask(g, withKey(n.Keys[testnode.Chirp], withBearer(token)))
		h := w.Header()
		if w.Code != http.StatusOK || h.Get(client.HeaderUser) != "ada" {
			t.Fatalf("%d %v", w.Code, h)
		}
		at := n.Feed.Position()
		if h.Get(client.HeaderEpoch) != at.Epoch || number64(t, h, client.HeaderSeq) != at.Seq || at.Seq == 0 ||
			h.Get(client.HeaderDigest) != at.Digest || at.Digest == "" ||
			number64(t, h, client.HeaderGeneration) != proof.Generation ||
			number64(t, h, client.HeaderIdle) != who.Idle().Milliseconds() ||
			number64(t, h, client.HeaderExpiresAt) != who.ExpiresAt().UnixMilli() {
			t.Errorf("%v", h)
		}
		n.Forget()
	}
}

func TestGateTellsNobodyElse(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	proof := n.NewAccount(t, "ada")
	_, browser := n.NewSession(t, proof, exeunt.KindKept)
	token, _ := n.NewAppSession(t, browser, testnode.Chirp)
	phone, _ := n.NewSession(t, proof, exeunt.KindApp)
	stranger := exeunt.NewToken(exeunt.UseClient)
	for name, c := range map[string]struct {
		set    func(http.Header)
		status int
		reason string
	}{
		"no key":                {withBearer(token), 200, ""},
		"a session's own token": {withKey(n.Keys[testnode.Chirp], withBearer(phone)), 200, ""},
		"another client's":      {withKey(n.Keys[testnode.Other], withBearer(token)), 401, "other_client"},
		// What is wrong with the key is not said of the person.
		"a stranger's key": {withKey(stranger, withBearer(token)), 403, "client_key"},
		"no key at all": {func(h http.Header) { withBearer(token)(h); h.Set(client.HeaderClientKey, "x") }, 403,
			"client_key"},
		"two keys": {func(h http.Header) {
			withBearer(token)(h)
			h[client.HeaderClientKey] = []string{n.Keys[testnode.Chirp].Reveal(), stranger.Reveal()}
		}, 403, "client_key"},
	} {
		w := ask(g, c.set)
		if w.Code != c.status || w.Header().Get(client.HeaderReason) != c.reason {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		for _, h := range cachingHeaders {
			if w.Header().Get(h) != "" {
				t.Errorf("%s: %s is told", name, h)
			}
		}
	}
}
