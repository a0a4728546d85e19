package oauth_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

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
		"client_id": {"chirp"}, "redirect_uri": {testnode.ChirpRedirect}, "response_type": {"code"},
		"scope": {"email openid something"}, "nonce": {"n-0S6_WzA2Mj"}, "state": {"a state with & and ü"},
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
	want.RedirectURI, want.Scopes, want.Nonce = back, "openid email", "n-0S6_WzA2Mj"
	if q.CodeRequest != want || q.App.Name != "Chirp" || q.Origin() != "http://chirp.localhost:8081" {
		t.Errorf("%+v of %q at %s", q.CodeRequest, q.App.Name, q.Origin())
	}
	code := exeunt.NewToken(exeunt.UseCode)
	for to, want := range map[string]url.Values{
		q.Answer(code, "https://id.example"): {"from": {"exeunt"}, "code": {code.Reveal()}, "state": in["state"],
			"iss": {"https://id.example"}},
		q.Refuse(oauth.ErrLoginRequired, "https://id.example"): {"from": {"exeunt"}, "error": {"login_required"},
			"error_description": {oauth.ErrLoginRequired.Description}, "state": in["state"], "iss": {"https://id.example"}},
	} {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		if u.Host != "chirp.localhost:8081" || u.Path != "/exeunt/callback" || u.Query().Encode() != want.Encode() {
			t.Errorf("answered at %s", u)
		}
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
		"long state":       {func(q url.Values) { q.Set("state", strings.Repeat("s", 2600)) }, exeunt.ErrBadRequest},
	} {
		q := query()
		c.spoil(q)
		var refused *oauth.Refusal
		if _, err := n.OAuth.ParseRequest(q); !errors.Is(err, c.want) || errors.As(err, &refused) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What else is wrong with a request, its app is told.
func TestRequestsThatAreRefused(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	for name, c := range map[string]struct {
		spoil func(url.Values)
		want  string
	}{
		"no challenge":     {func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
		"short challenge":  {set("code_challenge", "abc"), "invalid_request"},
		"padded challenge": {set("code_challenge", testnode.Challenge(verifier)+"="), "invalid_request"},
		"a line break":     {set("code_challenge", testnode.Challenge(verifier)+"\n"), "invalid_request"},
		"plain challenge":  {set("code_challenge_method", "plain"), "invalid_request"},
		"no method":        {func(q url.Values) { q.Del("code_challenge_method") }, "invalid_request"},
		"no type":          {func(q url.Values) { q.Del("response_type") }, "invalid_request"},
		"another type":     {set("response_type", "id_token"), "unsupported_response_type"},
		"another mode":     {set("response_mode", "fragment"), "invalid_request"},
		"two states":       {func(q url.Values) { q.Add("state", "another") }, "invalid_request"},
		"an object":        {set("request", "e30."), "request_not_supported"},
		"an object's URI":  {set("request_uri", "https://chirp.example/"), "request_uri_not_supported"},
		"a prompt":         {set("prompt", "dance"), "invalid_request"},
		"none and more":    {set("prompt", "none login"), "invalid_request"},
		"a negative age":   {set("max_age", "-1"), "invalid_request"},
		"no number":        {set("max_age", "1m"), "invalid_request"},
	} {
		q := query()
		c.spoil(q)
		var refused *oauth.Refusal
		got, err := n.OAuth.ParseRequest(q)
		if !errors.As(err, &refused) || refused.Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
			continue
		}
		if to := got.Refuse(refused, "i"); !strings.HasPrefix(to, testnode.ChirpRedirect+"?") {
			t.Errorf("%s: the app is told at %s", name, to)
		}
	}
}

// A request that a browser carries is of no use to another one, nor after a while, nor after a change.
func TestSealedRequests(t *testing.T) {
	n := testnode.New(t, testnode.Options{Stands: time.UnixMilli(1_800_000_000_000)})
	in := query()
	in.Set("prompt", "login")
	in.Set("max_age", "60")
	q, err := n.OAuth.ParseRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := n.OAuth.Seal(q, "this browser")
	if err != nil {
		t.Fatal(err)
	}
	n.Clock.Pass(29 * time.Minute)
	got, err := n.OAuth.OpenRequest(sealed, "this browser")
	if err != nil || got.CodeRequest != q.CodeRequest || !got.Began.Equal(time.UnixMilli(1_800_000_000_000)) ||
		!got.Prompts(oauth.PromptLogin) || got.MaxAge != time.Minute {
		t.Errorf("%+v, %v", got, err)
	}
	again, err := n.OAuth.Seal(got, "this browser")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what, sealed, browser string) {
		t.Helper()
		if _, err := n.OAuth.OpenRequest(sealed, browser); !errors.Is(err, exeunt.ErrRequestExpired) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("another browser", sealed, "another browser")
	refused("no browser", sealed, "")
	other := "A"
	if sealed[:1] == other {
		other = "B"
	}
	refused("changed", other+sealed[1:], "this browser")
	refused("cut", sealed[:len(sealed)-1], "this browser")
	refused("a line break", sealed+"\n", "this browser")
	refused("nothing", "", "this browser")
	n.Clock.Pass(time.Minute + time.Millisecond)
	refused("too old", sealed, "this browser")
	refused("sealed again", again, "this browser")
}

// Somebody who has just proved who they are for this request is not asked again.
func TestMustProve(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_800_000_000+int64(s), 0) }
	for name, c := range map[string]struct {
		prompt []string
		maxAge time.Duration
		proved int
		want   bool
	}{
		"nothing asked": {nil, -1, -9999, false}, "login": {[]string{"login"}, -1, -1, true},
		"login, done": {[]string{"login"}, -1, 1, false}, "select": {[]string{"select_account"}, -1, -1, false},
		"young": {nil, time.Minute, -30, false}, "old": {nil, time.Minute, -61, true}, "at once": {nil, 0, -1, true},
		"at once, done": {nil, 0, 1, false}, "consent": {[]string{"consent"}, -1, -9999, false},
	} {
		q := oauth.Request{Prompt: c.prompt, MaxAge: c.maxAge, Began: at(0)}
		if got := q.MustProve(at(c.proved), at(10)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, c := range map[string]struct {
		proved int
		chosen bool
		want   bool
	}{"asked": {-1, false, true}, "chosen": {-1, true, false}, "signed in for it": {1, false, false}} {
		q := oauth.Request{Prompt: []string{"select_account"}, Began: at(0), Chosen: c.chosen}
		if got := q.MustChoose(at(c.proved), at(10)); got != c.want {
			t.Errorf("%s: %v", name, got)
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
