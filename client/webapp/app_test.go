package webapp_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/webapp"
	"github.com/exeunt/exeunt/internal/testnode"
)

func form(session string) url.Values { return url.Values{"session": {session}, "text": {"hello"}} }

func TestAppSignsInAndShowsThePerson(t *testing.T) {
	c := newChirp(t)
	b := c.browser(t)
	if got := b.get("/"); got.status != 200 || got.body != "welcome " {
		t.Fatalf("signed out: %+v", got)
	}
	_, kept := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	got := b.signIn(kept, "/drafts?x=1")
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/drafts?x=1" ||
		got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("callback: %+v", got)
	}
	if left := b.cookies["__Host-chirp-flow"]; !strings.Contains(left, "..") {
		t.Errorf("the finished flow is kept with its verifier, or not at all: %q", left)
	}
	got = b.get("/")
	if got.body != "private page of ada" || got.header.Get("Cache-Control") != "no-store" ||
		got.header.Get("Vary") != "Cookie" {
		t.Errorf("signed in: %+v", got)
	}
	if got := b.post("/post", form(b.appSession())); got.status != 200 || got.body != "posted hello" ||
		c.posted.Load() != 1 {
		t.Errorf("post: %+v", got)
	}
}

func TestAppExplainsADeadCookieOnce(t *testing.T) {
	c, b, s := newSignedIn(t)
	c.SignOut(t, s)
	for name, value := range map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Purpose": "prefetch"} {
		r := b.request(http.MethodGet, "/", nil) // nobody reads this answer
		r.Header.Set(name, value)
		if got := b.do(r); got.status != http.StatusUnauthorized || b.token().IsZero() {
			t.Errorf("%s: %+v", value, got)
		}
	}
	got := b.get("/")
	if got.status != http.StatusUnauthorized || got.header.Get("Clear-Site-Data") != `"storage"` ||
		got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(got.body, "ended by a sign-out") || !strings.Contains(got.body, "<time") ||
		!strings.Contains(got.body, "/exeunt/sign-in?return=%2F") || strings.Contains(got.body, "ada") {
		t.Errorf("%s", got.body)
	}
	if len(b.cookies) != 0 {
		t.Errorf("cookies are left: %v", b.cookies)
	}
	if got := b.get("/"); got.status != 200 || got.body != "welcome " {
		t.Errorf("the next page: %+v", got)
	}
}

func TestAppThrowsAPostOfADeadSessionAway(t *testing.T) {
	c, b, s := newSignedIn(t)
	old := b.appSession()
	c.SignOut(t, s)
	got := b.post("/post", form(old))
	if got.status != http.StatusUnauthorized || !strings.Contains(got.body, "Nothing was posted") ||
		!strings.Contains(got.body, `href="/exeunt/sign-in?return=%2F"`) {
		t.Errorf("%+v", got)
	}
	// The cookie is gone now; another tab's queued post comes without it.
	if got := b.post("/post", form(old)); got.status != http.StatusUnauthorized ||
		!strings.Contains(got.body, "Nothing was posted") {
		t.Errorf("without a cookie: %+v", got)
	}
	if c.posted.Load() != 0 {
		t.Error("something was posted")
	}
}

// A request whose body is held back is not carried out for a session that
// ended in between.
func TestAppChecksAfterTheBody(t *testing.T) {
	c, b, s := newSignedIn(t)
	body := form(b.appSession()).Encode()
	conn, err := net.Dial("tcp", c.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := b.request(http.MethodPost, "/post", io.MultiReader(strings.NewReader(body[:4]), waitFor(func() {
		c.SignOutEverywhere(t, s)
	}), strings.NewReader(body[4:])))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(&http.Cookie{Name: "__Host-chirp", Value: b.token().Reveal()})
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusUnauthorized || c.posted.Load() != 0 {
		t.Errorf("%s, posted %d", resp.Status, c.posted.Load())
	}
}

// waitFor is a reader that does something and is then empty.
type waitFor func()

func (f waitFor) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestAppTellsUnknownFromSignedOut(t *testing.T) {
	c, b, _ := newSignedIn(t)
	session := b.appSession()
	c.Away.Store(true)
	for name, got := range map[string]answer{"page": b.get("/"), "post": b.post("/post", form(session)),
		"only this app": b.post("/exeunt/sign-out-app", form(session))} {
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" ||
			got.header.Get("Clear-Site-Data") != "" || strings.Contains(got.body, "private") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := b.get("/exeunt/state"); got.status != http.StatusServiceUnavailable || got.body != `{"state":"unknown"}` {
		t.Errorf("state: %+v", got)
	}
	if c.posted.Load() != 0 || b.token().IsZero() {
		t.Errorf("posted %d, cookies %v", c.posted.Load(), b.cookies)
	}
	c.Away.Store(false)
	if got := b.get("/"); got.body != "private page of ada" {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestAppRefusesForgedRequests(t *testing.T) {
	c, b, _ := newSignedIn(t)
	session := b.appSession()
	for name, h := range map[string]map[string]string{
		"cross-site":         {"Sec-Fetch-Site": "cross-site"},
		"same-site sibling":  {"Sec-Fetch-Site": "same-site"},
		"foreign origin":     {"Origin": "https://evil.example"},
		"opaque origin":      {"Origin": "null"},
		"neither is present": {},
	} {
		for _, path := range []string{"/post", "/exeunt/sign-out-app", "/exeunt/activity"} {
			r := b.request(http.MethodPost, path, strings.NewReader(form(session).Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for k, v := range h {
				r.Header.Set(k, v)
			}
			if got := b.do(r); got.status != http.StatusForbidden {
				t.Errorf("%s %s: %d", name, path, got.status)
			}
		}
	}
	if c.posted.Load() != 0 || b.get("/").body != "private page of ada" {
		t.Error("something was done")
	}
	old := b.request(http.MethodPost, "/post", strings.NewReader(form(session).Encode()))
	old.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	old.Header.Set("Origin", c.url) // an old browser's own form
	if got := b.do(old); got.status != http.StatusOK {
		t.Errorf("an old browser: %+v", got)
	}
}

func TestAppRefusesAnotherSessionsForm(t *testing.T) {
	c := newChirp(t)
	b := c.browser(t)
	_, ada := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	_, grace := c.NewSession(t, c.NewAccount(t, "grace"), exeunt.KindKept)
	b.signIn(ada, "/")
	adas, token := b.appSession(), b.token()
	b.signIn(grace, "/")
	for name, f := range map[string]url.Values{"another's": form(adas), "none": {"text": {"x"}}} {
		if got := b.post("/post", f); got.status != http.StatusConflict ||
			!strings.Contains(got.body, "Nothing was posted") {
			t.Errorf("%s: %+v", name, got)
		}
		if got := b.post("/exeunt/sign-out-app", f); got.status != http.StatusConflict {
			t.Errorf("%s, sign out: %+v", name, got)
		}
	}
	if c.posted.Load() != 0 {
		t.Error("something was posted")
	}
	if _, err := c.Client.For("chirp").Check(t.Context(), token, false); err == nil {
		t.Error("the replaced app session lives on without a holder")
	}
	// By script: the header says it.
	r := b.request(http.MethodPost, "/post", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set(webapp.HeaderRenderedFor, b.appSession())
	if got := b.do(r); got.status != http.StatusOK {
		t.Errorf("by script: %+v", got)
	}
}

func TestAppTrustsNoClientHeaders(t *testing.T) {
	c := newChirp(t)
	b := c.browser(t)
	r := b.request(http.MethodGet, "/", nil)
	r.Header.Set("Remote-User", "ada")
	r.Header.Set("Exeunt-Account", "acc_x")
	if got := b.do(r); got.body != "welcome " {
		t.Errorf("%+v", got)
	}
}

func TestAppRefusesOtherHosts(t *testing.T) {
	c := newChirp(t)
	r := c.browser(t).request(http.MethodGet, "/", nil)
	r.Host = "rebound.example"
	if got := c.browser(t).do(r); got.status != http.StatusMisdirectedRequest {
		t.Errorf("%+v", got)
	}
}

func TestAppTreatsDamagedCookiesAsSignedOut(t *testing.T) {
	c := newChirp(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	good := c.browser(t)
	good.signIn(s, "/")
	other := c.browser(t)
	foreign, _ := c.NewAppSession(t, s, testnode.Other)
	token := good.token().Reveal()
	last := "x"
	if token[52:] == last {
		last = "y"
	}
	for name, v := range map[string]string{
		"garbage": "garbage", "cut": token[:30], "changed": token[:52] + last, "junk": strings.Repeat("a", 4000),
		"foreign app":       foreign.Reveal(),
		"a session's token": exeunt.NewToken(exeunt.UseSession).Reveal(),
	} {
		other.cookies = map[string]string{"__Host-chirp": v}
		if got := other.get("/"); got.status != http.StatusUnauthorized || got.header.Get("Clear-Site-Data") == "" {
			t.Errorf("%s: %+v", name, got)
		}
		if got := other.get("/"); got.status != 200 || got.body != "welcome " {
			t.Errorf("%s, next: %+v", name, got)
		}
	}
	r := good.request(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-chirp", Value: "another"})
	if got := good.do(r); got.status != http.StatusUnauthorized {
		t.Errorf("two cookies: %+v", got)
	}
}

func TestAppActivity(t *testing.T) {
	c, b, _ := newSignedIn(t)
	session := b.appSession()
	idle := func() time.Time {
		p, err := c.Client.For("chirp").Check(t.Context(), b.token(), false)
		if err != nil {
			t.Fatal(err)
		}
		return p.IdleAt
	}
	quiet := func() {
		r := b.request(http.MethodGet, "/", nil)
		r.Header.Set("Sec-Fetch-Mode", "cors")
		b.do(r)
		b.get("/exeunt/state")
		pre := b.request(http.MethodGet, "/", nil)
		pre.Header.Set("Sec-Fetch-Mode", "navigate")
		pre.Header.Set("Sec-Purpose", "prefetch")
		b.do(pre)
	}
	for name, act := range map[string]func(){
		"navigation": func() { b.get("/") },
		"form":       func() { b.post("/post", form(session)) },
		"note": func() {
			if got := b.post("/exeunt/activity", form(session)); got.status != http.StatusNoContent {
				t.Errorf("note: %+v", got)
			}
		},
	} {
		before := idle()
		c.Clock.Pass(time.Hour)
		quiet()
		if got := idle(); !got.Equal(before) {
			t.Errorf("before %s: a fetch counted as activity", name)
		}
		if act(); !idle().After(before) {
			t.Errorf("%s did not count as activity", name)
		}
	}
	if got := b.post("/exeunt/activity", form("app_other")); got.status != http.StatusConflict {
		t.Errorf("another session's note: %+v", got)
	}
}

func TestAppIdleStylesheet(t *testing.T) {
	c := newChirp(t)
	b := c.browser(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindShared)
	b.signIn(s, "/")
	p, err := c.Client.For("chirp").Check(t.Context(), b.token(), false)
	if err != nil || !strings.HasPrefix(p.IdleStylesheet(), "/exeunt/idle.css?warn=7") { // 13 of 15 minutes
		t.Fatalf("%s, %v", p.IdleStylesheet(), err)
	}
	got := b.get("/exeunt/idle.css?warn=10&end=20")
	if got.status != 200 || got.header.Get("Content-Type") != "text/css; charset=utf-8" ||
		!strings.Contains(got.body, "linear 10s") || !strings.Contains(got.body,
		".private *{animation:exeunt-hide 1ms linear 20s forwards}") {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"", "?warn=10", "?warn=20&end=10", "?warn=-1&end=10", "?warn=1;}body{&end=10"} {
		if got := b.get("/exeunt/idle.css" + bad); got.status != http.StatusNotFound {
			t.Errorf("%q: %d", bad, got.status)
		}
	}
}
