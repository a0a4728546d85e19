package pages

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/testnode"
)

const nextPassword = "lantern quiet mosaic river"

// renewals are the two ways to renew this browser's credential, each with the page where its form is.
var renewals = map[string]struct {
	page, action, then string
	fill               url.Values
}{
	"a new password":  {"/security", "/security/password", "/security", url.Values{"current": {password}, "password": {nextPassword}}},
	"everywhere else": {"/signout?scope=others", "/sessions/end", "/sessions", nil},
}

// A copied pair of cookies is of no use once the password has changed or every other session was ended: not at once,
// and not later. What it is answered with touches no cookie and names nobody for as long as a tab of the browser
// itself may still send it.
func TestACopiedPairDoesNotSurvive(t *testing.T) {
	for name, way := range renewals {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.account("ada")
			b := n.signedIn("ada")
			thief := b.thief()
			thief.get("/").says("Hello, Ada")
			session := exeunt.Session{Account: n.id("ada"), ID: b.session()}
			begun, _ := n.NewAppSession(t, session, testnode.Chirp) // by either
			form := b.get(way.page).form(way.action)
			maps.Copy(form, way.fill)
			stolen := thief.get("/settings").form("/settings/profile")
			b.post(way.action, form).leadsTo(way.then)
			b.get("/").says("Hello, Ada")
			if got := n.Check(t.Context(), begun); got.State != authority.Ended {
				t.Errorf("an app that was signed in to before is %v", got.State)
			}
			n.NewAppSession(t, session, testnode.Chirp)
			for _, page := range []string{"/", "/sessions", "/settings", "/signout", "/signin", "/ended"} {
				a := thief.send(http.MethodGet, page, nil).is(http.StatusConflict).hides("@ada", "Hello").leavesCookies()
				if a.Header.Get("Refresh") != "1" {
					t.Errorf("%s does not load again", page)
				}
			}
			if a := thief.fetch(http.MethodGet, "/session/state", ""); a.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("the state is %d %s", a.StatusCode, a.body)
			}
			stolen.Set("name", "Mallory")
			thief.post("/settings/profile", stolen).is(http.StatusConflict).leavesCookies()
			thief.post("/signout", url.Values{"session": {stolen.Get("session")}}).is(http.StatusConflict)
			other := url.Values{"session": {form.Get("session")}, "key": {"another-key-of-26-characters"}, "scope": {"others"}}
			thief.post("/sessions/end", other).is(http.StatusConflict).leavesCookies()
			n.Clock.Pass(time.Minute)
			thief.get("/").is(http.StatusOK).says("cookies were replaced").hides("@ada")
			if thief.token() != "" {
				t.Error("the dead cookies stay")
			}
			b.get("/").says("Hello, Ada")
			if live := n.live("ada"); len(live) != 1 {
				t.Errorf("%d sessions", len(live))
			}
		})
	}
}

// Pressed twice, or sent again after a lost answer, the same form gets the same answer with the same new cookies; later
// and from elsewhere it gets nothing.
func TestTheSameRenewalAgain(t *testing.T) {
	for name, way := range renewals {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.account("ada")
			n.signedIn("ada")
			b := n.signedIn("ada")
			lost := b.thief() // the same browser, which did not get the answer
			form := b.get(way.page).form(way.action)
			maps.Copy(form, way.fill)
			first := b.post(way.action, form).leadsTo(way.then)
			again := lost.post(way.action, form).leadsTo(way.then)
			if lost.token() != b.token() || lost.here() != b.here() {
				t.Error("another credential")
			}
			if a, c := b.follow(first).says("session ended"), lost.follow(again); text(a.body) != text(c.body) {
				t.Errorf("the first says\n%s\nthe second\n%s", text(a.body), text(c.body))
			}
			b.post(way.action, form).leadsTo(way.then) // and with the new cookies
			if events := n.ends(); len(events) != 1 {
				t.Errorf("%q", events)
			}
			b.get("/").says("Hello, Ada")
		})
	}
}

// The key alone brings nothing to a copy of the old pair: not from another form, nor
// without the session or the passwords that the form has.
func TestTheKeyAloneRepeatsNoRenewal(t *testing.T) {
	for name, way := range renewals {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.account("ada")
			b := n.signedIn("ada")
			thief := b.thief()
			form := b.get(way.page).form(way.action)
			maps.Copy(form, way.fill)
			b.post(way.action, form).leadsTo(way.then)
			for _, to := range []string{"/settings/display", "/session/stay", "/signout", way.action} {
				only := url.Values{"key": form["key"]}
				thief.post(to, only).leavesCookies()
				if to != way.action { // with the right session, but not the form
					only["session"] = form["session"]
					thief.post(to, only).leavesCookies()
				}
			}
			if form.Has("current") {
				wrong := maps.Clone(form)
				wrong["current"], wrong["password"] = []string{"a guess"}, []string{"another guess entirely"}
				thief.post(way.action, wrong).leavesCookies()
			}
			b.get("/").says("Hello, Ada")
		})
	}
}

// The two cookies of the new pair arrive one after the other, in either order.
func TestHalfARenewedPair(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.Clock.Pass(time.Hour)
	b.get("/")
	old := b.thief()
	b.submit("/signout?scope=others", "/sessions/end", nil).leadsTo("/sessions")
	for name, mix := range map[string]func(*browser){
		"the new token and the old half": func(c *browser) { c.cookies[c.tokenName()] = b.token() },
		"the old token and the new half": func(c *browser) { c.cookies[c.hereName()] = b.here() },
	} {
		c := old.thief()
		mix(c)
		c.send(http.MethodGet, "/", nil).leavesCookies().hides("@ada")
		c.send(http.MethodGet, "/ended", nil).leavesCookies().hides("@ada")
		b.get("/").says("Hello, Ada")
		if events := n.ends(); len(events) != 1 {
			t.Errorf("%s: %q", name, events)
		}
	}
	// Long after, a token without its half ends the session as ever.
	n.Clock.Pass(time.Hour)
	c := b.thief()
	delete(c.cookies, c.hereName())
	n.Tend(t)
	c.get("/").says("incomplete")
	b.get("/").hides("Hello, Ada")
}

// Six tabs with requests under way while the credential is renewed again and again: none is told that it is signed
// out, and no cookie is lost.
func TestSixTabsThroughRenewals(t *testing.T) {
	times := 200
	if testing.Short() {
		times = 20
	}
	n := newNode(t)
	n.account("ada")
	jar := &sharedJar{browser: n.signedIn("ada")}
	var stop atomic.Bool
	var loads atomic.Int64
	var tabs sync.WaitGroup
	for tab := range 6 {
		tabs.Go(func() {
			for i := 0; !stop.Load(); i++ {
				page := []string{"/", "/sessions", "/session/state", "/settings"}[(i+tab)%4]
				a := jar.get(page)
				switch {
				case a.StatusCode == http.StatusOK, a.StatusCode == http.StatusServiceUnavailable && page == "/session/state",
					a.StatusCode == http.StatusConflict && a.Header.Get("Refresh") != "":
				default:
					t.Errorf("%s: %d, to %q", page, a.StatusCode, a.Header.Get("Location"))
				}
				for _, set := range a.Header["Set-Cookie"] {
					if !strings.HasPrefix(set, "__Host-exeunt-notice=") {
						t.Errorf("%s touches the cookies: %q", page, set)
					}
				}
				loads.Add(1)
			}
		})
	}
	for range times {
		n.Clock.Pass(time.Second) // endings of many have a rate
		n.app("ada", "Phone")     // and fewer are allowed that end nothing
		for before := loads.Load(); loads.Load() < before+6; {
			time.Sleep(time.Millisecond) // every tab is at work
		}
		form := jar.get("/signout?scope=others").form("/sessions/end")
		jar.post("/sessions/end", form)
	}
	stop.Store(true)
	tabs.Wait()
	jar.browser.get("/").says("Hello, Ada")
	if live := n.live("ada"); len(live) != 1 {
		t.Errorf("%d sessions", len(live))
	}
}

// sharedJar is a browser with several tabs: each request takes the cookies that are there when it is sent.
type sharedJar struct {
	mu      sync.Mutex
	browser *browser
}

func (j *sharedJar) tab() *browser {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.browser.thief()
}

func (j *sharedJar) get(to string) *answer { return j.tab().send(http.MethodGet, to, nil) }

func (j *sharedJar) post(to string, form url.Values) {
	tab := j.tab()
	a := tab.post(to, form)
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/sessions") {
		j.browser.t.Fatalf("%s: %d, to %q", to, a.StatusCode, a.Header.Get("Location"))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	maps.Copy(j.browser.cookies, tab.cookies)
}
