package webapp_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/webapp"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
)

func TestAppCallbackRefusesWhatItDidNotBegin(t *testing.T) {
	c := newChirp(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	mine, theirs := c.browser(t), c.browser(t)
	begun := mine.get("/exeunt/sign-in")
	path := mine.granted(s, begun)
	// Somebody lures another browser into this sign-in.
	if got := theirs.get(path); !refused(theirs, got) || len(theirs.cookies) != 0 {
		t.Errorf("another browser: %+v", got)
	}
	theirs.get("/exeunt/sign-in")
	if got := theirs.get(path); !refused(theirs, got) {
		t.Errorf("another browser that signs in too: %+v", got)
	}
	if got := mine.get(path); got.status != http.StatusSeeOther {
		t.Errorf("its own: %+v", got)
	}
	if got := mine.get(path); got.status != http.StatusSeeOther || got.header.Get("Location") != "/" {
		t.Errorf("loaded again: %+v", got)
	}
	declined := c.browser(t)
	u, _ := url.Parse(declined.get("/exeunt/sign-in").header.Get("Location"))
	if got := declined.get("/exeunt/callback?error=access_denied&iss=" + url.QueryEscape(c.Client.Issuer()) +
		"&state=" + u.Query().Get("state")); got.status != http.StatusSeeOther || got.header.Get("Location") != "/" {
		t.Errorf("declined: %+v", got)
	}
}

// An answer is taken only from the authority that was asked (RFC 9207), and an error of its own is not the person's.
func TestAppReadsWhatTheAuthorityAnswers(t *testing.T) {
	c := newChirp(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	for name, x := range map[string]struct{ set, value, why string }{
		"another issuer":     {"iss", "https://evil.example", "set_up"},
		"no issuer":          {"iss", "", "set_up"},
		"a wrong request":    {"error", "invalid_request", "set_up"},
		"busy":               {"error", "temporarily_unavailable", "unavailable"},
		"a code of nobody's": {"code", "exc_x", "flow"},
	} {
		b := c.browser(t)
		to, err := url.Parse(b.granted(s, b.get("/exeunt/sign-in")))
		if err != nil {
			t.Fatal(err)
		}
		q := to.Query()
		if x.set == "error" {
			q.Del("code")
		}
		q.Set(x.set, x.value)
		to.RawQuery = q.Encode()
		if got := b.get(to.String()); got.header.Get("Location") != "/exeunt/not-signed-in?why="+x.why {
			t.Errorf("%s: %+v", name, got)
		}
		if _, ok := b.cookies["__Host-chirp"]; ok {
			t.Errorf("%s: signed in", name)
		}
	}
}

func TestAppNeedsAKey(t *testing.T) {
	calls, err := client.New("https://id.example.com", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = webapp.New(webapp.Config{Client: calls, ID: "chirp", URL: "https://chirp.example"})
	if err == nil || !strings.Contains(err.Error(), "app chirp has no Key: set it to the client_secret") {
		t.Error(err)
	}
}

// refused reports whether a callback leads to the notice that the sign-in did not work,
// at an address in which neither the code nor the state stays.
func refused(b *browser, got answer) bool {
	to := got.header.Get("Location")
	if got.status != http.StatusSeeOther || to != "/exeunt/not-signed-in?why=flow" && to != "/exeunt/not-signed-in?why=cookies" {
		return false
	}
	return b.get(to).status == http.StatusBadRequest
}

func TestAppSaysThatItIsNotSetUp(t *testing.T) {
	c := newChirpWith(t, func(s *testsite.Site) client.Secret { return client.NewSecret(s.Keys[testnode.Other].Reveal()) })
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	b := c.browser(t)
	path := b.granted(s, b.get("/exeunt/sign-in"))
	to := b.get(path).header.Get("Location")
	if page := b.get(to); to != "/exeunt/not-signed-in?why=set_up" || page.status != http.StatusBadGateway ||
		!strings.Contains(page.body, "Chirp is not set up correctly") {
		t.Errorf("%q: %+v", to, page)
	}
	if _, ok := b.cookies["__Host-chirp"]; ok {
		t.Error("signed in without the app's key")
	}
}

func TestAppSignsInInSeveralTabs(t *testing.T) {
	c := newChirp(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	b := c.browser(t)
	first, second := b.get("/exeunt/sign-in?return=/1"), b.get("/exeunt/sign-in?return=/2")
	for want, out := range map[string]answer{"/1": first, "/2": second} {
		if got := b.get(b.granted(s, out)); got.header.Get("Location") != want {
			t.Errorf("%s: %+v", want, got)
		}
	}
}

// Once somebody is signed in, a callback that is loaded again goes on to where it leads, and so does one whose beginning
// is forgotten. Whoever is not is told what to do.
func TestAppCallbackLoadedAgain(t *testing.T) {
	c := newChirp(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	b := c.browser(t)
	var paths []string
	const tabs = 40 // more than fit
	for i := range tabs {
		paths = append(paths, b.granted(s, b.get(fmt.Sprintf("/exeunt/sign-in?return=/%d", i))))
	}
	for i := 5; i > 0; i-- {
		want := fmt.Sprintf("/%d", tabs-i)
		for range 2 {
			if got := b.get(paths[tabs-i]); got.status != http.StatusSeeOther || got.header.Get("Location") != want {
				t.Errorf("%s: %+v", want, got)
			}
		}
	}
	token := b.token()
	if got := b.get(paths[0]); got.status != http.StatusSeeOther || got.header.Get("Location") != "/" ||
		b.token().Reveal() != token.Reveal() {
		t.Errorf("a forgotten one: %+v", got)
	}
	if n := len(b.cookies["__Host-chirp-flow"]); n > 3500 {
		t.Errorf("the cookie has %d bytes, which browsers refuse", n)
	}
	b.post("/exeunt/sign-out-app", form(b.appSession()))
	if got := b.get(paths[tabs-1]); !refused(b, got) {
		t.Errorf("after the sign-out: %+v", got)
	}
	for name, value := range b.cookies {
		if strings.Contains(value, "..") {
			t.Errorf("%s says where somebody was who has signed out: %s", name, value)
		}
	}
}

// Without cookies nobody can sign in, and the callback says so.
func TestAppCallbackWithoutCookies(t *testing.T) {
	c := newChirp(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	b := c.browser(t)
	path := b.granted(s, b.get("/exeunt/sign-in"))
	clear(b.cookies)
	got := b.get(path)
	if !refused(b, got) || !strings.Contains(b.get(got.header.Get("Location")).body, "Allow cookies") {
		t.Errorf("%+v", got)
	}
}

// Both of two presses of "only this app" are told the same.
func TestAppSignOutTwice(t *testing.T) {
	c := newChirp(t)
	b := c.browser(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	b.signIn(s, "/")
	cookies, fields := maps.Clone(b.cookies), form(b.appSession())
	for range 2 {
		b.cookies = maps.Clone(cookies) // the first answer's may not have come
		if got := b.post("/exeunt/sign-out-app", fields); got.header.Get("Location") != "/exeunt/signed-out" {
			t.Errorf("%+v", got)
		}
	}
}

func TestAppComesBackOnlyToItself(t *testing.T) {
	c := newChirp(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	for _, back := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "/a\nb",
		"javascript:alert(1)", "", "/exeunt/sign-out", "/" + strings.Repeat("a", 600)} {
		if got := c.browser(t).signIn(s, back); got.header.Get("Location") != "/" {
			t.Errorf("%q comes back to %q", back, got.header.Get("Location"))
		}
	}
}

func TestAppSignsOutOnlyItself(t *testing.T) {
	c := newChirp(t)
	b := c.browser(t)
	pair, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	b.signIn(s, "/")
	token := b.token()
	got := b.post("/exeunt/sign-out-app", form(b.appSession()))
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/exeunt/signed-out" ||
		got.header.Get("Clear-Site-Data") != `"storage"` || len(b.cookies) != 0 {
		t.Errorf("%+v, cookies %v", got, b.cookies)
	}
	if got := b.get("/exeunt/signed-out"); got.status != http.StatusOK ||
		!strings.Contains(got.body, "signed out of Chirp") {
		t.Errorf("%+v", got)
	}
	if _, err := c.Client.For("chirp").Check(t.Context(), token, false); err == nil {
		t.Error("the app session lives")
	}
	if !c.Check(t.Context(), pair).Usable() {
		t.Error("the browser's session has ended too")
	}
	if got := b.get("/exeunt/sign-out"); got.header.Get("Location") != testsite.Localhost(c.Site.Server,
		"exeunt")+"/signout?client=chirp" {
		t.Errorf("%+v", got)
	}
}

// What Chromium keeps of left pages is shown again on Back, without script unchecked.
func TestAppKeepsItsPagesOutOfTheBrowsersHistory(t *testing.T) {
	_, b, _ := newSignedIn(t)
	r := b.request(http.MethodGet, "/", nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	if got := b.do(r); got.status != http.StatusNonAuthoritativeInfo || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a signed-in page: %d, %v", got.status, got.header)
	}
	// A sign-out at the authority changes no cookie of this origin, so this must.
	var left []string
	for range 2 {
		b.get("/exeunt/sign-out")
		left = append(left, b.cookies["__Host-chirp-left"])
	}
	if left[0] == "" || left[0] == left[1] {
		t.Errorf("on the way to the sign-out no cookie changes: %q", left)
	}
	b.cookies = map[string]string{}
	r = b.request(http.MethodGet, "/", nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	if got := b.do(r); got.status != http.StatusOK {
		t.Errorf("a public page: %d", got.status)
	}
}

func TestAppPagesAreNotEndedTwice(t *testing.T) {
	c, b, s := newSignedIn(t)
	if got := b.get("/exeunt/ended"); got.header.Get("Location") != "/" {
		t.Errorf("while signed in: %+v", got)
	}
	c.SignOutEverywhere(t, s)
	if got := b.get("/exeunt/state"); got.status != 401 || !strings.Contains(got.body, `"reason":"signed_out"`) ||
		b.token().IsZero() {
		t.Errorf("state: %+v", got)
	}
	if got := b.get("/exeunt/ended"); got.status != 401 || !strings.Contains(got.body, "ended by a sign-out") {
		t.Errorf("ended: %+v", got)
	}
	if got := b.get("/exeunt/ended"); got.status != 401 || !strings.Contains(got.body, "Nobody is signed in") ||
		strings.Contains(got.body, "sign-in?return=%2Fexeunt") {
		t.Errorf("ended again: %+v", got)
	}
}

func TestAppCookieOnASharedComputerHasNoExpiry(t *testing.T) {
	c := newChirp(t)
	proof := c.NewAccount(t, "ada")
	for kind, expires := range map[exeunt.SessionKind]bool{exeunt.KindKept: true, exeunt.KindShared: false} {
		_, s := c.NewSession(t, proof, kind)
		got := c.browser(t).signIn(s, "/")
		for _, line := range got.header.Values("Set-Cookie") {
			if strings.HasPrefix(line, "__Host-chirp=") && strings.Contains(line, "Expires=") != expires {
				t.Errorf("%s: %s", kind, strings.Split(line, ";")[1:])
			}
		}
	}
}
