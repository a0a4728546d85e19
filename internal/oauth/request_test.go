package oauth_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
)

const verifier = "a-verifier-of-at-least-forty-three-characters-in-length"

func codeRequest() oauth.CodeRequest {
	return oauth.CodeRequest{Client: testnode.Chirp, RedirectURI: testnode.ChirpRedirect, Challenge: testnode.Challenge(verifier)}
}

// query is what Chirp asks with.
func query() url.Values {
	return url.Values{
		"client_id": {"chirp"}, "redirect_uri": {testnode.ChirpRedirect}, "state": {"a state with & and ü"},
		"code_challenge": {testnode.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}
}

func TestARequestInOrder(t *testing.T) {
	back := testnode.ChirpRedirect + "?from=exeunt"
	n := testnode.New(t, testnode.Options{Clients: []exeunt.Client{testnode.ClientAt(testnode.Chirp, back)}})
	in := query()
	in.Set("redirect_uri", back)
	q, err := n.OAuth.ParseRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	want := codeRequest()
	want.RedirectURI = back
	if q.CodeRequest != want || q.App.Name != "Chirp" || q.Origin() != "http://chirp.localhost:8081" {
		t.Errorf("%+v of %q at %s", q.CodeRequest, q.App.Name, q.Origin())
	}
	again := url.Values{}
	for name, value := range q.Parameters() {
		again.Add(name, value)
	}
	if again.Encode() != in.Encode() {
		t.Errorf("asked again with %v", again)
	}
	u, err := url.Parse(q.Answer("code", "c&d"))
	if err != nil {
		t.Fatal(err)
	}
	answer := url.Values{"from": {"exeunt"}, "code": {"c&d"}, "state": in["state"]}
	if u.Host != "chirp.localhost:8081" || u.Path != "/exeunt/callback" || u.Query().Encode() != answer.Encode() {
		t.Errorf("answered at %s", u)
	}
}

func TestRequestsThatAreNotInOrder(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	for name, c := range map[string]struct {
		spoil func(url.Values)
		want  error
	}{
		"no client":        {func(q url.Values) { q.Del("client_id") }, exeunt.ErrUnknownClient},
		"unknown client":   {func(q url.Values) { q.Set("client_id", "evil") }, exeunt.ErrUnknownClient},
		"foreign address":  {func(q url.Values) { q.Set("redirect_uri", "https://evil.example/") }, exeunt.ErrRedirectURI},
		"another client's": {func(q url.Values) { q.Set("client_id", "other") }, exeunt.ErrRedirectURI},
		"address and more": {func(q url.Values) { q.Set("redirect_uri", testnode.ChirpRedirect+"?x=y") }, exeunt.ErrRedirectURI},
		"no address":       {func(q url.Values) { q.Del("redirect_uri") }, exeunt.ErrRedirectURI},
		"two addresses":    {func(q url.Values) { q.Add("redirect_uri", "https://evil.example/") }, exeunt.ErrBadRequest},
		"no state":         {func(q url.Values) { q.Del("state") }, exeunt.ErrBadRequest},
		"long state":       {func(q url.Values) { q.Set("state", strings.Repeat("s", 513)) }, exeunt.ErrBadRequest},
		"no challenge":     {func(q url.Values) { q.Del("code_challenge") }, exeunt.ErrBadChallenge},
		"short challenge":  {func(q url.Values) { q.Set("code_challenge", "abc") }, exeunt.ErrBadChallenge},
		"padded challenge": {func(q url.Values) { q.Set("code_challenge", testnode.Challenge(verifier)+"=") }, exeunt.ErrBadChallenge},
		"plain challenge":  {func(q url.Values) { q.Set("code_challenge_method", "plain") }, exeunt.ErrBadChallenge},
		"no method":        {func(q url.Values) { q.Del("code_challenge_method") }, exeunt.ErrBadChallenge},
	} {
		q := query()
		c.spoil(q)
		if _, err := n.OAuth.ParseRequest(q); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Whoever has set an app up wrongly finds both values in the log, and nobody can flood it.
func TestTheLogSaysWhatAnAppHasWrong(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	var log bytes.Buffer
	r, err := oauth.NewRegistry(t.Context(), n.Store, n.Authority, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for parameter, value := range map[string]string{
		"client_id": "chrip", "redirect_uri": "https://chirp.example/callback" + strings.Repeat("x", 5000),
	} {
		q := query()
		q.Set(parameter, value)
		for range 50 {
			r.ParseRequest(q)
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 6 || log.Len() > 6000 {
		t.Errorf("%d lines of %d bytes together", len(lines), log.Len())
	}
	for _, want := range []string{"client_id=chrip", "redirect_uri=https://chirp.example/callbackxxx",
		"registered=[" + testnode.ChirpRedirect + "]"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, log.String())
		}
	}
}
