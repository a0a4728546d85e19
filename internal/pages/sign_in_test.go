package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
)

func TestSignIn(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	b.send(http.MethodGet, "/", nil).leadsTo("/signin").leavesCookies()
	b.send(http.MethodGet, "/sessions?x=1", nil).leadsTo("/signin?return=%2Fsessions%3Fx%3D1")
	a := b.submit("/signin?return=/sessions", "/signin",
		url.Values{"identifier": {"@Ada"}, "password": {password}, "kind": {"kept"}})
	a.leadsTo("/sessions")
	if !b.lasting[b.tokenName()] || !b.lasting[b.hereName()] {
		t.Error("a kept sign-in does not outlive the browser")
	}
	page := b.get("/sessions").is(http.StatusOK).says("Firefox on Linux", "192.0.2.7")
	if page.Header.Get("Cache-Control") != "no-store" {
		t.Error("a signed-in page may be stored")
	}
	b.get("/").is(http.StatusOK).says("Hello, Ada")
}

func TestSignInOnASharedComputer(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	for _, kind := range []string{"", "anything"} {
		newBrowser(n).submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {password},
			"kind": {kind}}).is(http.StatusUnprocessableEntity).says("Choose whose device this is")
	}
	b := newBrowser(n)
	b.signIn("ada", "shared")
	for name, lasting := range b.lasting {
		if lasting {
			t.Errorf("the cookie %s outlives the browser", name)
		}
	}
	s, err := n.Session(t.Context(), n.id("ada"), b.session())
	n.must(err)
	if s.Kind != exeunt.KindShared {
		t.Errorf("it makes a session of kind %s", s.Kind)
	}
}

func TestWrongCredentials(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	for _, who := range []string{"ada", "nobody"} {
		a := b.submit("/signin", "/signin", url.Values{"identifier": {who}, "password": {"wrong horse"},
			"kind": {"kept"}})
		a.is(http.StatusUnauthorized).says("do not match").hides("wrong horse").leavesCookies()
		if !strings.Contains(a.body, `value="`+who+`"`) {
			t.Error("what was typed as the identifier is lost")
		}
	}
	a := b.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {"wrong horse"},
		"kind": {"shared"}})
	a.is(http.StatusUnauthorized).hides(`value="ada"`, "wrong horse")
}

func TestThrottledSignInSaysHowLong(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	wrong := url.Values{"identifier": {"ada"}, "password": {"wrong horse"}, "kind": {"kept"}}
	for range 50 {
		if a := b.post("/signin", wrong); a.StatusCode == http.StatusTooManyRequests {
			a.says("Too many failed sign-ins").leavesCookies()
			if a.Header.Get("Retry-After") == "" {
				t.Error("it does not say when to try again")
			}
			return
		}
	}
	t.Fatal("50 wrong passwords were all looked at")
}

func TestDisabledAccountIsTold(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	_, err := n.Disable(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, id)
	n.must(err)
	newBrowser(n).submit("/signin", "/signin",
		url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}}).
		is(http.StatusForbidden).says("disabled").leavesCookies()
}

// A credential that somebody planted in the browser before the sign-in is never
// the one after it, and its session is not left alive without a holder.
func TestSignInMakesANewCredential(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("mallory")
	planted := n.signedIn("mallory")
	before := planted.token()
	victim := planted.thief()
	victim.get("/signin").says("You are signed in as @mallory")
	victim.signIn("ada", "kept")
	if victim.token() == before {
		t.Fatal("the planted credential is the one after the sign-in")
	}
	victim.get("/").says("Hello, Ada")
	victim.get("/accounts").says("2 accounts", "@ada · active", "@mallory") // nothing is done in the other's name, or unseen

	// Where there is room for one, the planted session is not left alive without a holder.
	alone := exeunt.DefaultPolicy()
	alone.Accounts = 1
	n = newNodeOf(t, alone)
	n.account("ada")
	n.account("mallory")
	planted = n.signedIn("mallory")
	beforeSession := planted.session()
	victim = planted.thief()
	victim.signIn("ada", "kept")
	planted.get("/").says("signed in again in this browser").hides("mallory", "Hello")
	s, err := n.Session(t.Context(), n.id("mallory"), beforeSession)
	n.must(err)
	if s.End == nil || s.End.Reason != exeunt.ReasonReplaced {
		t.Fatalf("the planted session ended as %+v", s.End)
	}
}

// A tab that was opened before somebody signed in ends nobody's session.
func TestSignInTabLeftFromBefore(t *testing.T) {
	alone := exeunt.DefaultPolicy()
	alone.Accounts = 1
	n := newNodeOf(t, alone)
	n.account("ada")
	n.account("bob")
	b := newBrowser(n)
	stale := b.get("/signin").form("/signin") // opened while nobody was signed in
	b.signIn("ada", "kept")
	before := n.recorded()
	stale["identifier"], stale["password"], stale["kind"] = []string{"bob"}, []string{password}, []string{"kept"}
	b.post("/signin", stale).is(http.StatusConflict).says("This tab belongs to another sign-in", "@ada").leavesCookies()
	if n.recorded() != before {
		t.Error("the stale tab changed something")
	}
}

func TestSignUp(t *testing.T) {
	n := newNode(t)
	b := newBrowser(n)
	fill := url.Values{"handle": {"grace"}, "name": {"Grace"}, "email": {"grace@example.com"}, "password": {"short"},
		"kind": {"kept"}}
	b.submit("/signup", "/signup", fill).is(http.StatusUnprocessableEntity).says("at least 8 characters").hides(`value="short"`)
	fill.Set("password", password)
	b.submit("/signup", "/signup", fill).leadsTo("/")
	b.get("/").says("Hello, Grace")
	b.get("/signup").is(http.StatusOK)
	b.post("/signup", fill).is(http.StatusConflict)
	newBrowser(n).submit("/signup", "/signup", fill).is(http.StatusUnprocessableEntity).says("That handle is taken")
}

func TestSignUpClosed(t *testing.T) {
	n := newNode(t)
	n.Accounts.SignUpOpen = false
	b := newBrowser(n)
	b.get("/signup").is(http.StatusForbidden).says("by invitation")
	b.post("/signup", url.Values{"handle": {"grace"}, "password": {password}}).is(http.StatusForbidden)
	b.get("/signin").hides("/signup")
}

func TestSetupLink(t *testing.T) {
	n := newNode(t)
	token, _, err := n.Accounts.Invite(t.Context(),
		account.Invitation{Handle: "grace", Email: "grace@example.com", EmailConfirmed: true,
			Expires: n.Now().Add(time.Hour)})
	n.must(err)
	link := "/setup/" + token.Reveal()
	b := newBrowser(n)
	before := n.recorded()
	for range 3 {
		a := b.get(link).is(http.StatusOK)
		sendsItsOrigin(t, a)
		a.hides(token.Reveal())
		if !strings.Contains(a.body, `value="grace"`) || !strings.Contains(a.body, `value="grace@example.com"`) {
			t.Error("what the link fixes is not shown")
		}
	}
	if n.recorded() != before {
		t.Fatal("looking at the link changed something")
	}
	fill := url.Values{"handle": {"other"}, "name": {"Grace H"}, "email": {"other@example.com"},
		"password": {"12345678"}, "kind": {"kept"}}
	onlyFromOurPages(t, b, link, fill)
	b.submit(link, link, fill).is(http.StatusUnprocessableEntity).hides("12345678", `value="other"`)
	fill.Set("password", password)
	b.submit(link, link, fill).leadsTo("/")
	b.get("/settings").says("Your handle is @grace", "Confirmed")
	newBrowser(n).get(link).is(http.StatusGone).says("It has been used, has expired")
	newBrowser(n).post(link, fill).is(http.StatusGone).leavesCookies()
	for _, wrong := range []string{"/setup/x", "/setup/" + exeunt.NewToken(exeunt.UseInvite).Reveal(),
		"/setup/" + exeunt.NewToken(exeunt.UseSession).Reveal()} {
		newBrowser(n).get(wrong).is(http.StatusGone)
	}
}

// sendsItsOrigin checks that a browser sends the origin with a form of the page (with
// no-referrer it would send "null"), and the address of the page to no other site.
func sendsItsOrigin(t *testing.T, page *answer) {
	t.Helper()
	if got := page.Header.Get("Referrer-Policy"); got != "same-origin" {
		t.Errorf("a one-time link's page has the referrer policy %q", got)
	}
}

// onlyFromOurPages posts a refused form as a browser without fetch metadata does: with
// our origin it arrives, and without it is forged.
func onlyFromOurPages(t *testing.T, b *browser, to string, form url.Values) {
	t.Helper()
	for origin, status := range map[string]int{
		testOrigin: http.StatusUnprocessableEntity, "null": http.StatusForbidden, "": http.StatusForbidden,
		"http://other.localhost": http.StatusForbidden,
	} {
		r := httptest.NewRequest(http.MethodPost, "http://"+testHost+to, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		b.do(r).is(status)
	}
}

// id finds an account by its handle.
func (n *node) id(handle string) exeunt.AccountID {
	n.t.Helper()
	a, _, err := n.Store.Identify(n.t.Context(), handle)
	n.must(err)
	return a.ID
}
