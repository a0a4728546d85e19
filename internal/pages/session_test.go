package pages

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
)

func TestSessionList(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.get("/sessions").says("You are not signed in anywhere else")
	_, phone := n.app("ada", "Chirp on Pixel 8")
	form := b.get("/sessions").says("Chirp on Pixel 8").form("/sessions/" + phone.String() + "/end")
	b.post("/sessions/"+phone.String()+"/end", form).leadsTo("/sessions").leavesCookies()
	b.get("/sessions").says("Chirp on Pixel 8", "You signed out from Firefox on Linux")
	b.get("/sessions").hides("Chirp on Pixel 8")                          // loaded again
	b.post("/sessions/"+phone.String()+"/end", form).leadsTo("/sessions") // the same form again
	if got := n.ends(); len(got) != 1 {
		t.Errorf("sending a form twice ended %q", got)
	}
	b.get("/")
	b.get("/sessions/ended").says("Chirp on Pixel 8", "You signed out from Firefox on Linux",
		"Ended sessions stay listed for 30 days")
}

// What was ended from elsewhere is not listed as signed in, not for a moment.
func TestNoGhostsOfOthersDoing(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	_, phone := n.app("ada", "Chirp on Pixel 8")
	other.post("/sessions/"+phone.String()+"/end", other.fields(nil)).leadsTo("/sessions")
	b.get("/sessions").hides("Chirp on Pixel 8")
	b.get("/").hides("Chirp on Pixel 8")
}

func TestHomeEndsSessions(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.get("/").says("You are not signed in anywhere else")
	names := []string{"Phone", "Tablet", "Watch", "Car"}
	ids := map[string]exeunt.SessionID{}
	for _, name := range names {
		n.Clock.Pass(time.Second)
		_, ids[name] = n.app("ada", name)
	}
	page := b.get("/").says("4 other active sessions", "The three most recently used:", "Car", "Watch", "Tablet",
		"See your 5 sessions").hides("Phone")
	form := page.form("/sessions/" + ids["Watch"].String() + "/end")
	b.post("/sessions/"+ids["Watch"].String()+"/end", form).leadsTo("/")
	b.get("/").says("3 other active sessions", "Watch",
		"You signed out from Firefox on Linux").hides("The three most recently used")
	b.get("/").says("Phone", "Tablet", "Car").hides("Watch")
}

func TestEndingAForeignSession(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b, foreign := n.signedIn("ada"), n.signedIn("bob")
	before := n.recorded()
	for _, id := range []string{foreign.session().String(), exeunt.NewSessionID().String(), "x", "ses_"} {
		b.post("/sessions/"+id+"/end", b.fields(nil)).is(http.StatusNotFound).leavesCookies().withoutRequestID().hides("bob")
	}
	if n.recorded() != before {
		t.Error("something changed")
	}
}

func TestEndingOnesOwnSessionIsASignOut(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	a := b.post("/sessions/"+b.session().String()+"/end", b.fields(url.Values{"key": {"k1"}})).leadsTo("/signed-out")
	b.follow(a).says("Signed out of this browser")
	if b.token() != "" || a.Header.Get("Clear-Site-Data") == "" {
		t.Error("the browser was not told to forget")
	}
}

func TestAKeyIsForOneRequest(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	_, one := n.app("ada", "One")
	_, two := n.app("ada", "Two")
	key := url.Values{"key": {"same"}}
	b.post("/sessions/"+one.String()+"/end", b.fields(key)).leadsTo("/sessions")
	b.post("/sessions/"+two.String()+"/end", b.fields(key)).is(http.StatusUnprocessableEntity)
	if got := n.ends(); len(got) != 1 {
		t.Errorf("the log has %q", got)
	}
}

// fetch is what a page's script asks for.
func (b *browser) fetch(method, to, body string) *answer {
	b.t.Helper()
	r := httptest.NewRequest(method, "http://"+testHost+to, strings.NewReader(body))
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.do(r)
}

func (a *answer) state() (s client.State) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		a.t.Fatalf("%s answers %q: %v", a.at, a.body, err)
	}
	return s
}

func TestSessionState(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "shared")
	n.Clock.Pass(time.Minute)
	a := b.fetch(http.MethodGet, "/session/state", "").is(http.StatusOK).leavesCookies()
	want := client.State{State: client.Live, Session: b.session().String(), WarnIn: 12 * time.Minute,
		IdleIn: 14 * time.Minute, Shared: true}
	if got := a.state(); got != want {
		t.Errorf("live: %+v, want %+v", got, want)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("the state may be stored")
	}
	ended := n.Now().Add(14 * time.Minute)
	n.Clock.Pass(14 * time.Minute)
	a = b.fetch(http.MethodGet, "/session/state", "").is(http.StatusUnauthorized).leavesCookies()
	if got := a.state(); got.State != client.Over || got.Reason != "idle" || !got.At.Equal(ended) {
		t.Errorf("ended: %+v", got)
	}
	for _, nobody := range []*browser{newBrowser(n), halfOf(n.signedIn("ada"))} {
		a = nobody.fetch(http.MethodGet, "/session/state", "").is(http.StatusUnauthorized).leavesCookies()
		if got := a.state(); got != (client.State{State: client.Over}) {
			t.Errorf("nobody: %+v", got)
		}
	}
}

func halfOf(b *browser) *browser {
	delete(b.cookies, b.hereName())
	return b
}

// The idle timeout moves with navigations, posts and the page's own note, and
// with nothing that a page does by itself.
func TestActivity(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "shared")
	left := func() time.Duration {
		return b.fetch(http.MethodGet, "/session/state", "").is(http.StatusOK).state().IdleIn
	}
	for _, c := range []struct {
		what    string
		do      func()
		counted bool
	}{
		{"the state", func() { b.fetch(http.MethodGet, "/session/state", "") }, false},
		{"a page that a script fetches", func() { b.fetch(http.MethodGet, "/sessions", "") }, false},
		{"a page fetched ahead", func() { b.ahead("/sessions") }, false},
		{"the page's note", func() {
			b.fetch(http.MethodPost, "/session/activity",
				"session="+b.session().String()).is(http.StatusNoContent).leavesCookies()
		}, true},
		{"a note that names no session", func() {
			b.fetch(http.MethodPost, "/session/activity", "").is(http.StatusConflict)
		}, false},
		{"a tab of another sign-in", func() {
			b.fetch(http.MethodPost, "/session/activity",
				"session="+exeunt.NewSessionID().String()).is(http.StatusUnauthorized)
		}, false},
		{"a navigation", func() { b.get("/help").is(http.StatusOK) }, true},
		{"stay signed in", func() {
			b.post("/session/stay", b.fields(url.Values{"return": {"/security"}})).leadsTo("/security").leavesCookies()
		}, true},
	} {
		n.Clock.Pass(time.Minute)
		before := left()
		c.do()
		if got := left() > before; got != c.counted {
			t.Errorf("%s counts as activity: %v", c.what, got)
		}
	}
	newBrowser(n).fetch(http.MethodPost, "/session/activity", "").is(http.StatusUnauthorized).leavesCookies()
	newBrowser(n).post("/session/stay", url.Values{}).is(http.StatusUnauthorized)
	b.post("/session/stay", b.fields(url.Values{"return": {"//evil.example/"}})).leadsTo("/")
	b.post("/session/stay", url.Values{"session": {exeunt.NewSessionID().String()}}).is(http.StatusConflict)
}

// ahead is a fetch that a browser makes on a guess.
func (b *browser) ahead(to string) {
	r := httptest.NewRequest(http.MethodGet, "http://"+testHost+to, nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Purpose", "prefetch")
	b.do(r)
}

func TestTimeoutsAreTheServers(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	for _, c := range []struct {
		kind, says string
		idle       time.Duration
	}{{"shared", "not used for too long", 15 * time.Minute}, {"kept", "not used for too long", 30 * 24 * time.Hour}} {
		b := newBrowser(n)
		b.signIn("ada", c.kind)
		n.Clock.Pass(c.idle - time.Second)
		b.get("/").says("Hello")
		n.Clock.Pass(c.idle)
		b.get("/sessions").says(c.says).hides("ada")
		if b.token() != "" {
			t.Error("the dead credential was not cleared")
		}
		b.get("/sessions").says("Sign in").hides(c.says) // explained once
	}
	b := newBrowser(n)
	b.signIn("ada", "shared")
	for range 24 {
		n.Clock.Pass(10 * time.Minute)
		b.get("/")
	}
	b.get("/ended").hides("Ada", "unused")
	reasons := n.ends()
	if !slices.Contains(reasons, "session absolute") {
		t.Errorf("the log has %q", reasons)
	}
}

func TestPagesKnowTheirIdleTime(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "shared")
	n.Clock.Pass(5 * time.Minute)
	a := b.get("/sessions") // the visit itself is activity
	if !strings.Contains(a.body, "/idle.css?warn=780&amp;end=900") {
		t.Error("the page links no or another idle stylesheet")
	}
	css := b.get("/idle.css?warn=780&end=900").is(http.StatusOK)
	if css.Header.Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(css.body, "780s") ||
		!strings.Contains(css.body, "900s") {
		t.Errorf("the stylesheet is %q: %s", css.Header.Get("Content-Type"), css.body)
	}
	for _, q := range []string{"", "?warn=1", "?warn=-1&end=4", "?warn=9&end=4", "?warn=a&end=b",
		"?warn=1&end=99999999999999999999"} {
		b.get("/idle.css" + q).is(http.StatusBadRequest)
	}
}

// Whoever lists the account's sessions without pause does not keep its owner from ending them.
func TestPagesThatEndSessionsNeedNoList(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	b := n.signedIn("ada")
	n.app("ada", "Pixel 8")
	ctx, stop := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	refused := make(chan struct{}, 64)
	for range 64 {
		waiting.Go(func() {
			done, err := n.Authority.Listing(ctx, id)
			switch {
			case err == nil:
				<-ctx.Done()
				done()
			case errors.Is(err, exeunt.ErrBusyLists):
				refused <- struct{}{}
			}
		})
	}
	<-refused // all places are taken
	defer waiting.Wait()
	defer stop()
	b.get("/sessions").is(http.StatusTooManyRequests)
	b.get("/security").is(http.StatusOK).says("other session")
	b.get("/signout?scope=others").is(http.StatusOK).says("other session")
	b.get("/signout?scope=account").is(http.StatusOK)
	form := b.get("/signout").is(http.StatusOK).says("Your other session stays signed in").form("/signout")
	b.post("/signout", form).leadsTo("/signed-out")
}
