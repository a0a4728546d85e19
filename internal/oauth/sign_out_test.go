package oauth_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
)

// The registered address is left as it is, and only the state is added, so that the app reads just what it sent.
func TestTheWayBackHasTheStateOnly(t *testing.T) {
	for uri, want := range map[string]string{
		"https://app.example/bye":           "https://app.example/bye?state=",
		"https://app.example/bye?":          "https://app.example/bye?state=",
		"https://app.example/bye?x=%2f&y":   "https://app.example/bye?x=%2f&y&state=",
		"https://app.example/bye?x=1&":      "https://app.example/bye?x=1&state=",
		"com.example.app:/bye":              "com.example.app:/bye?state=",
		"https://APP.example:443/%7Ebye/..": "https://APP.example:443/%7Ebye/..?state=",
	} {
		for _, state := range []string{"s", "a b+c&d=e#f%25;ü?/", strings.Repeat("s", 2048)} {
			q := oauth.SignOutRequest{URI: uri, State: state}
			rest, ok := strings.CutPrefix(q.Back(), want)
			if !ok {
				t.Fatalf("%s leads to %s", uri, q.Back())
			}
			if got, err := url.QueryUnescape(rest); err != nil || got != state || strings.ContainsAny(rest, "&#+ ;") {
				t.Errorf("the state %q comes as %q", state, rest)
			}
		}
		if q := (&oauth.SignOutRequest{URI: uri}); q.Back() != uri {
			t.Errorf("without a state, %s leads to %s", uri, q.Back())
		}
	}
}

// Whatever is sent, nobody is led to an address that is not registered for the app that is named.
func FuzzParseSignOut(f *testing.F) {
	n := testnode.New(f, testnode.Options{})
	c := n.Client(f, testnode.Chirp)
	c.PostLogoutURIs = []string{"https://chirp.example/bye"}
	if err := n.OAuth.Reconcile(f.Context(), []exeunt.Client{c}, n.Now()); err != nil {
		f.Fatal(err)
	}
	f.Add("client_id=chirp&post_logout_redirect_uri=https%3A%2F%2Fchirp.example%2Fbye&state=s")
	f.Add("client_id=chirp&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F")
	f.Add("id_token_hint=a.b.c&client_id=chirp&post_logout_redirect_uri=https%3A%2F%2Fchirp.example%2Fbye")
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q := n.OAuth.ParseSignOut(v)
		if q.URI != "" && (q.URI != c.PostLogoutURIs[0] || q.App.ID != c.ID || q.Wrong) {
			t.Errorf("%q leads to %q for %q", query, q.URI, q.App.ID)
		}
		again := n.OAuth.ParseSignOut(q.Fields())
		if again.Back() != q.Back() || again.App.ID != q.App.ID {
			t.Errorf("%q: the form leads to %q", query, again.Back())
		}
	})
}
