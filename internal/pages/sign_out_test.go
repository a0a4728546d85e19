package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func TestSignOut(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	thief := b.thief()
	form := b.get("/signout").is(http.StatusOK).says("Sign out of @ada on this browser?").form("/signout")
	if len(n.ends()) > 0 {
		t.Fatal("asking has ended something")
	}
	a := b.post("/signout", form).leadsTo("/signed-out")
	if got := a.Header.Get("Clear-Site-Data"); got != "" { // the worker passes this answer on
		t.Errorf("Clear-Site-Data is %q", got)
	}
	if b.token() != "" || b.here() != "" {
		t.Error("the browser keeps the credential")
	}
	if got := n.ends(); !slices.Equal(got, []string{"session signed_out"}) {
		t.Errorf("the log has %q", got)
	}
	page := b.follow(a).is(http.StatusOK).says("Signed out of this browser", "Recorded").hides("ada")
	if got := page.Header.Get("Clear-Site-Data"); got != `"storage"` {
		t.Errorf("Clear-Site-Data is %q", got)
	}
	b.get("/").says("Sign in").hides("ada")

	// The old credential, used elsewhere, is refused on every kind of request.
	thief.thief().send(http.MethodGet, "/sessions", nil).leadsTo("/ended?return=%2Fsessions")
	thief.thief().post("/settings/profile", url.Values{"session": form["session"],
		"name": {"X"}}).is(http.StatusUnauthorized).says("nothing was changed").hides("ada")
	again := thief.thief() // it might be the second press of the same button, so it gets the same answer
	again.follow(again.post("/signout", form).leadsTo("/signed-out")).says("Signed out of this browser").hides("ada")
	thief.get("/sessions").says("was signed out").hides("ada", "Firefox", "192.0.2.7")
	if got := n.ends(); len(got) != 1 {
		t.Errorf("replaying the credential ended more: %q", got)
	}
}

// What cannot be read keeps nobody signed in: an ending waits for no profile and
// no list, and what ended with it is counted in its own transaction.
func TestSignOutReadsNothingBeforehand(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	n.appSession(b)
	form, row := b.get("/signout").form("/signout"), "/sessions/"+other.session().String()+"/end"
	end := b.get("/sessions").form(row)
	for range 10_000 { // profiles until this account's is forgotten
		n.Live.SetProfile(exeunt.NewAccountID(), exeunt.Profile{Version: 1})
	}
	n.breakReads()
	b.get("/sessions").is(http.StatusServiceUnavailable)
	b.post(row, end).leadsTo("/sessions")
	a := b.post("/signout", form).leadsTo("/signed-out")
	if got := n.ends(); !slices.Equal(got, []string{"session signed_out", "session signed_out"}) {
		t.Errorf("the log has %q", got)
	}
	b.follow(a).says("Signed out of this browser", "One sign-in of an app ended with it")
}

func TestSignOutOnASharedComputerSaysToCloseTheWindow(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "shared")
	b.follow(b.submit("/signout", "/signout", nil)).says("Close this window")
}

// Chromium waits for ever for an answer that clears the storage and comes through the service worker.
func TestSignOutWithoutTicketThroughTheWorker(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	form := b.get("/signout").form("/signout")
	form.Del("ticket")
	r := httptest.NewRequest(http.MethodPost, "http://"+testHost+"/signout", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Exeunt-Worker", "1")
	a := b.do(r).leadsTo("/signed-out")
	if got := a.Header.Get("Clear-Site-Data"); got != "" {
		t.Errorf("Clear-Site-Data is %q", got)
	}
	if got := b.follow(a).says("Signed out of this browser").Header.Get("Clear-Site-Data"); got != `"storage"` {
		t.Errorf("then Clear-Site-Data is %q", got)
	}
}

func TestSignOutEverywhere(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	app, _ := n.app("ada", "Chirp on Pixel 8")
	a := b.submit("/signout?scope=account", "/signout", nil).leadsTo("/signed-out")
	b.follow(a).says("Signed out everywhere", "3 sessions ended")
	other.send(http.MethodGet, "/", nil).leadsTo("/ended")
	if n.Check(t.Context(), app).Usable() {
		t.Error("the app's token is usable")
	}
	if got := n.ends(); !slices.Equal(got, []string{"account signed_out"}) {
		t.Errorf("the log has %q", got)
	}
}

func TestSignOutEverywhereElse(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	form := b.get("/signout?scope=others").says("Sign out everywhere else?", "You stay signed in").form("/sessions/end")
	old := b.token()
	b.post("/sessions/end", form).leadsTo("/sessions")
	if b.token() == old || !b.lasting[b.tokenName()] || !b.lasting[b.hereName()] {
		t.Error("the cookies were not renewed as they were")
	}
	if strings.Contains(b.fetch(http.MethodGet, "/sessions", "").body, "One session ended") {
		t.Error("a page that a script fetches has taken what the reader was to be told")
	}
	b.get("/sessions").says("Signed out everywhere else. One session ended.")
	b.get("/sessions").hides("One session ended") // said once
	other.get("/").says("was signed out, here or from another device")
	b.post("/sessions/end", form).leadsTo("/sessions") // sent twice
	form.Set("scope", "account")
	b.post("/sessions/end", form).is(http.StatusBadRequest)
	if got := n.ends(); !slices.Equal(got, []string{"others signed_out"}) {
		t.Errorf("the log has %q", got)
	}
}

// Whoever ends many sessions again and again is told, kindly, that this time
// nothing was done, and led back to what they asked for. Signing out here, a
// single session elsewhere and a new password are never kept waiting.
func TestEndingsOfManyAreThrottled(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	first := b.get("/signout?scope=others").form("/sessions/end")
	b.post("/sessions/end", first).leadsTo("/sessions")
	for range 9 {
		b.submit("/signout?scope=others", "/sessions/end", nil).leadsTo("/sessions")
	}
	b.post("/sessions/end", first).leadsTo("/sessions") // sent twice
	b.get("/sessions").says("One session ended.")
	other.get("/").says("was signed out")
	other.signIn("ada", "kept")

	refused := func(a *answer, tryAgain string) {
		t.Helper()
		a.is(http.StatusTooManyRequests).leavesCookies().says("Please wait a moment", "they were not ended this time",
			"Wait 1 second", "You can still sign out")
		if !strings.Contains(a.body, `href="`+tryAgain+`">Try again`) || a.Header.Get("Retry-After") != "1" {
			t.Errorf("%s does not lead to %s, or says Retry-After: %q", a.at, tryAgain, a.Header.Get("Retry-After"))
		}
	}
	before := n.recorded()
	refused(b.submit("/signout?scope=others", "/sessions/end", nil), "/sessions")
	refused(b.submit("/signout?scope=account&client=chirp", "/signout", nil), "/signout?client=chirp&amp;scope=account")
	if n.recorded() != before {
		t.Error("a refused ending has written something")
	}
	b.get("/sessions").is(http.StatusOK)
	other.get("/sessions").is(http.StatusOK)

	elsewhere := "/sessions/" + other.session().String() + "/end"
	b.submit("/sessions", elsewhere, nil).leadsTo("/sessions")
	other.signIn("ada", "kept")
	b.submit("/security", "/security/password",
		url.Values{"current": {password}, "password": {"seven herons in the reeds"}}).is(http.StatusSeeOther)
	other.send(http.MethodGet, "/", nil).leadsTo("/ended")
	refused(b.submit("/signout?scope=account", "/signout", nil), "/signout?scope=account")
	b.submit("/signout", "/signout", nil).leadsTo("/signed-out")
}

func TestSignOutForAnApp(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	a := b.submit("/signout?client=chirp", "/signout", nil).leadsTo("/signed-out?client=chirp")
	b.follow(a).is(http.StatusOK).says("Signed out of this browser", "Back to Chirp")
	b.send(http.MethodGet, "/signout?client=chirp", nil).leadsTo("/signed-out?client=chirp")
	b.send(http.MethodGet, "/signout?client=unknown", nil).leadsTo("/signed-out")
	b.get("/signed-out?client=unknown").is(http.StatusOK).hides("Back to")
}

func TestSignedOutTellsOnlyWhatIsSigned(t *testing.T) {
	n := newNode(t)
	b := newBrowser(n)
	b.get("/signed-out").says("You are not signed in").hides("Exeunt.</span>", "Recorded")
	b.cookies["__Host-exeunt-notice"] = "AAAA.done=signed_out&scope=account&ended=7"
	b.get("/signed-out").says("You are not signed in").hides("Recorded")
	n.account("ada")
	b.signIn("ada", "kept")
	b.send(http.MethodGet, "/signed-out", nil).leadsTo("/")
}

// A tab that was open during the sign-out learns of it at /ended; what it reads
// is the sign-out just done, and never one from before the last sign-in.
func TestOtherTabsAfterASignOut(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.submit("/signout", "/signout", nil)
	b.send(http.MethodGet, "/ended?return=/sessions", nil).leadsTo("/signed-out").leavesCookies()
	b.signIn("ada", "shared")
	n.Clock.Pass(time.Hour)
	b.get("/sessions").says("not used for too long")
	b.get("/ended").says("You are not signed in").hides("Recorded")
}

func TestSignOutNeedsASensibleForm(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	before := n.recorded()
	b.post("/signout", b.fields(url.Values{"scope": {"world"}})).is(http.StatusBadRequest).leavesCookies()
	b.post("/signout", b.fields(url.Values{"key": {"a key with blanks"}})).is(http.StatusBadRequest).leavesCookies()
	b.post("/signout", url.Values{}).is(http.StatusConflict).leavesCookies()
	b.post("/signout", url.Values{"session": {exeunt.NewSessionID().String()}}).is(http.StatusConflict).says("This tab belongs to another sign-in").leavesCookies()
	b.get("/signout?scope=world").is(http.StatusBadRequest)
	if n.recorded() != before {
		t.Error("something changed")
	}
	newBrowser(n).post("/signout", url.Values{}).leadsTo("/signed-out").leavesCookies()
}

// Half a pair is worth nothing, also to sign out with; but it is about to be
// cleared, so its session must not live on without a holder.
func TestSignOutWithAnIncompleteCredential(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	for _, age := range []time.Duration{time.Second, time.Hour} {
		b := n.signedIn("ada")
		whole := b.thief()
		delete(b.cookies, b.hereName())
		n.Clock.Pass(age)
		a := b.post("/signout", url.Values{}).is(http.StatusOK).says("This browser’s sign-in cookies were incomplete")
		if b.token() != "" || a.Header.Get("Clear-Site-Data") == "" {
			t.Error("the browser keeps its half")
		}
		whole.send(http.MethodGet, "/", nil).leadsTo("/ended")
	}
	if got := n.ends(); !slices.Equal(got, []string{"session incomplete_credential", "session incomplete_credential"}) {
		t.Errorf("the log has %q", got)
	}
}

// Without its database the server can record nothing, and says so: it does not
// clear the browser and call that a sign-out.
func TestSignOutWithoutTheStore(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b, cold := n.signedIn("ada"), n.signedIn("bob")
	form := b.get("/signout").form("/signout")
	n.must(n.Store.Close())
	a := b.post("/signout", form).is(http.StatusServiceUnavailable).leavesCookies().says("The server cannot do this right now")
	if a.Header.Get("Retry-After") == "" || b.token() == "" {
		t.Error("it does not ask to try again with the same credential")
	}
	n.Forget() // as after a restart: not even memory knows the token
	for _, to := range []string{"/", "/sessions", "/signin", "/signup", "/signout", "/signed-out", "/ended", "/end_session", "/apps",
		"/settings", "/menu", "/session/state"} {
		cold.get(to).is(http.StatusServiceUnavailable).leavesCookies().hides("Nobody is signed in")
	}
	for _, to := range []string{"/signout", "/end_session/browser", "/end_session/app", "/apps/chirp/end", "/settings/profile", "/session/stay", "/signin", "/session/activity"} {
		cold.post(to, url.Values{}).is(http.StatusServiceUnavailable).leavesCookies()
	}
	half := cold.thief()
	delete(half.cookies, half.hereName())
	half.get("/ended").is(http.StatusServiceUnavailable).leavesCookies()
}
