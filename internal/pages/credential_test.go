package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// addresses are every route, with an example for what varies.
func addresses(n *node) (get, post []string) {
	for _, rt := range n.pages.routes() {
		path := strings.NewReplacer("{$}", "", "{token}", exeunt.NewToken(exeunt.UseInvite).Reveal(), "{id}",
			exeunt.NewSessionID().String()).Replace(rt.path)
		if rt.get != nil {
			get = append(get, path)
		}
		if rt.post != nil {
			post = append(post, path)
		}
	}
	return append(get, "/nowhere", "/assets/nothing", "/authorize?"+appQuery("s").Encode(),
		"/signin?return=/authorize"), append(post, "/nowhere", "/")
}

// garbage are credentials that are none, as cookie headers. The pair is a live
// one, to be spoilt.
func garbage(b *browser) map[string]string {
	first, second, token, here := b.tokenName(), b.hereName(), b.token(), b.here()
	pair := func(a, b string) string { return first + "=" + a + "; " + second + "=" + b }
	app := exeunt.NewToken(exeunt.UseApp).Reveal()
	return map[string]string{
		"cut":                  pair(token[:20], here),
		"one letter changed":   pair(token[:10]+"!"+token[11:], here),
		"wrong checksum":       pair(token[:len(token)-1]+"_", here),
		"wrong version":        pair("exs9"+token[4:], here),
		"another use":          pair(app, here),
		"empty":                pair("", ""),
		"the readable half":    second + "=" + here,
		"two first halves":     pair(token, here) + "; " + first + "=" + exeunt.NewToken(exeunt.UseSession).Reveal(),
		"two second halves":    pair(token, here) + "; " + second + "=AAAA",
		"quotes":               pair(`"`+token[:30]+`"`, `"x"`),
		"4 kB of junk":         pair(strings.Repeat("exs_~", 800), strings.Repeat("%00", 100)),
		"unknown token":        pair(exeunt.NewToken(exeunt.UseSession).Reveal(), here),
		"junk for second half": pair(token, "x.y.z"),
		"percent and brackets": pair("%ff%fe%80", "[]{}<>"),
		"first half alone":     first + "=" + token,
	}
}

// Whatever a browser presents, no address fails, none looks signed in, none
// sends it round in circles, and what is no good is cleared and explained once.
func TestGarbageCredentials(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.Clock.Pass(time.Minute) // an incomplete credential is no longer excused by its age
	get, post := addresses(n)
	for name, header := range garbage(b) {
		t.Run(name, func(t *testing.T) {
			for _, to := range get {
				a := n.raw(t, http.MethodGet, to, header)
				for hops := 0; strings.HasPrefix(a.Header.Get("Location"), "/"); hops++ {
					if hops == maxHops {
						t.Fatalf("%s redirects in a loop", to)
					}
					// The browser refuses to clear anything: still no loop.
					a = n.raw(t, http.MethodGet, a.Header.Get("Location"), header)
				}
				if a.StatusCode >= 500 {
					t.Errorf("GET %s answers %d", to, a.StatusCode)
				}
				a.hides("@ada", "Hello, Ada")
			}
			for _, to := range post {
				a := n.raw(t, http.MethodPost, to, header)
				if a.StatusCode >= 500 {
					t.Errorf("POST %s answers %d", to, a.StatusCode)
				}
				a.hides("@ada")
			}
			a := n.raw(t, http.MethodGet, "/ended?return=/sessions", header).is(http.StatusOK)
			cleared := 0
			for _, c := range a.Cookies() {
				if (c.Name == b.tokenName() || c.Name == b.hereName()) && c.MaxAge < 0 {
					cleared++
				}
			}
			if wanted := 2; name != "empty" && cleared != wanted {
				t.Errorf("%d cookies are cleared, not %d", cleared, wanted)
			}
		})
	}
}

// raw sends a cookie header as it stands.
func (n *node) raw(t *testing.T, method, to, cookies string) *answer {
	t.Helper()
	b := newBrowser(n)
	b.t = t
	r := newRequest(method, to)
	r.Header.Set("Cookie", cookies)
	return b.do(r)
}

func TestDeadCredentialIsExplainedOnce(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	_, err := n.End(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator},
		exeunt.Revocation{Target: exeunt.Target{Account: n.id("ada"), Scope: exeunt.ScopeSession, Session: b.session()},
			Reason: exeunt.ReasonAdministrator})
	n.must(err)
	dead := b.thief()
	b.send(http.MethodGet, "/security", nil).leadsTo("/ended?return=%2Fsecurity").leavesCookies()
	b.get("/security").says("An administrator ended").hides("ada", "Firefox", "192.0.2.7")
	if delete(b.cookies, "__Host-exeunt-device"); len(b.cookies) > 0 {
		t.Errorf("left over: %v", b.cookies)
	}
	b.get("/security").says("Sign in").hides("administrator")
	b.get("/ended").is(http.StatusOK).leavesCookies().says("You are not signed in").
		hides("no longer", "has been removed")
	// Signing in works with the dead credential still there, and clears nothing twice.
	dead.signIn("ada", "kept")
	dead.send(http.MethodGet, "/ended?return=/security", nil).leadsTo("/security")
}

func TestAnIncompleteCredentialEndsTheSession(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.Tend(t)
	b := n.signedIn("ada")
	whole := b.thief()
	n.Clock.Pass(time.Minute)
	a := halfOf(b).get("/sessions")
	a.says("This browser’s sign-in cookies were incomplete").hides("ada")
	if b.token() != "" {
		t.Error("the half was not cleared")
	}
	whole.send(http.MethodGet, "/", nil).leadsTo("/ended")
	if got := n.ends(); !slices.Equal(got, []string{"session incomplete_credential"}) {
		t.Errorf("the log has %q", got)
	}
}

// The two cookies of a sign-in are stored one after the other, and requests of
// other tabs may leave in between: they must undo nothing.
func TestANewIncompleteCredentialIsOnlyRefused(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	half := halfOf(b.thief())
	get, post := addresses(n)
	before := n.recorded()
	for _, to := range get {
		a := half.send(http.MethodGet, to, nil).leavesCookies().hides("@ada")
		if loc := a.Header.Get("Location"); loc != "" {
			half.send(http.MethodGet, loc, nil).leavesCookies().hides("@ada")
		}
	}
	for _, to := range post {
		if to != "/signout" && to != "/signout/all" && to != "/end_session/browser" { // asked to, it clears, and ends what it clears
			half.post(to, url.Values{}).leavesCookies()
		}
	}
	if n.recorded() != before {
		t.Error("something changed")
	}
	half.cookies[b.hereName()] = b.here() // the other cookie has arrived
	half.send(http.MethodGet, "/ended?return=/sessions", nil).leadsTo("/sessions")
	b.get("/").says("Hello, Ada")
}

// No app's token is a browser's credential, whatever half goes with it.
func TestAnAppsTokenIsNoCookie(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	token, _ := n.app("ada", "Chirp on Pixel 8")
	b := newBrowser(n)
	name := "__Host-exeunt-" + exeunt.NewSessionID().String()
	b.cookies[name], b.cookies[name+"-here"] = token.Reveal(), n.pages.Browser.Cookies.Pairs.Half(token)
	b.get("/sessions").hides("@ada").says("You are no longer signed in here")
	if !n.Check(t.Context(), token).Usable() {
		t.Error("the app was signed out by it")
	}
}

func TestStateWithGarbageLeavesCookies(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.Clock.Pass(time.Minute)
	for name, header := range garbage(b) {
		for _, c := range []struct{ method, to string }{
			{http.MethodGet, "/session/state"}, {http.MethodPost, "/session/activity"},
		} {
			a := n.raw(t, c.method, c.to, header).is(http.StatusUnauthorized).leavesCookies()
			if s := a.state(); s.State != "ended" {
				t.Errorf("%s: %s answers %s", name, c.to, fmt.Sprint(s))
			}
		}
	}
}
