package pages

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// tabsOf is a browser in which several tabs have signed in to the same account at the same moment.
func tabsOf(n *node, handle string, many int) *browser {
	n.t.Helper()
	b := newBrowser(n)
	b.get("/signin")
	answers := make([]*answer, many)
	var wait sync.WaitGroup
	for i := range many {
		tab := b.thief()
		wait.Go(func() { answers[i] = tab.signIn(handle, "kept") })
	}
	wait.Wait()
	for _, a := range answers {
		for _, c := range a.Cookies() {
			b.keep(c)
		}
	}
	if got := n.live(handle); len(got) != many {
		n.t.Fatalf("%s has %d sessions", handle, len(got))
	}
	return b
}

// Whoever signs out of an account in a browser is out of it there, though its tabs have started several sessions.
func TestSigningOutOfAnAccountThatIsHereTwice(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := tabsOf(n, "ada", 3)
	b.signIn("bob", "kept")
	ada := n.live("ada")[1].ID
	b.follow(b.submit("/signout?session="+ada.String(), "/signout", nil)).says("Signed out of one account")
	if got := n.live("ada"); len(got) > 0 {
		t.Errorf("ada has %d sessions", len(got))
	}
	for name := range b.cookies {
		if strings.HasPrefix(name, "__Host-exeunt-ses_") && !strings.Contains(name, b.session().String()) {
			t.Errorf("%s is left", name)
		}
	}
	b.get("/").says("Hello, Bob")
}

// Whoever signs in to it again has one session.
func TestSigningInToAnAccountThatIsHereTwice(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := tabsOf(n, "ada", 3)
	b.signIn("bob", "kept")
	b.signIn("ada", "kept")
	if got := n.live("ada"); len(got) != 1 || len(n.live("bob")) != 1 {
		t.Errorf("ada has %d sessions, bob %d", len(got), len(n.live("bob")))
	}
	b.get("/").says("Hello, Ada", "Sign out of all 2 accounts")
}

// A pair that somebody has moved to another place is no credential there: no session is in two places.
func TestAPairInAnotherPlace(t *testing.T) {
	for kind, to := range map[string]func(exeunt.SessionID) string{
		"kept":   func(exeunt.SessionID) string { return "shared" },
		"shared": exeunt.SessionID.String,
	} {
		n := newNode(t)
		n.account("ada")
		b := newBrowser(n)
		b.signIn("ada", kind)
		b.get("/").says("Hello, Ada")
		id, token, here := b.session(), b.token(), b.here()
		b.cookies["__Host-exeunt-"+to(id)], b.cookies["__Host-exeunt-"+to(id)+"-here"] = token, here
		b.get("/accounts").hides("Switch to", "accounts are signed in")
		delete(b.cookies, "__Host-exeunt-shared")
		delete(b.cookies, "__Host-exeunt-shared-here")
		delete(b.cookies, "__Host-exeunt-"+id.String())
		delete(b.cookies, "__Host-exeunt-"+id.String()+"-here")
		b.cookies["__Host-exeunt-"+to(id)], b.cookies["__Host-exeunt-"+to(id)+"-here"] = token, here
		if a := b.send(http.MethodGet, "/", nil); a.StatusCode != http.StatusSeeOther {
			t.Errorf("a %s pair elsewhere is answered with %d", kind, a.StatusCode)
		}
		if len(n.live("ada")) != 1 {
			t.Errorf("a %s pair elsewhere ends its session", kind)
		}
	}
}

// allowed has an account allow Chirp.
func (b *browser) allowed(q url.Values) {
	b.t.Helper()
	form := b.get("/authorize?" + q.Encode()).form("/authorize/decide")
	form.Set("decision", "continue")
	b.n.spends(b.post("/authorize/decide", form), "s")
}

// Whoever signs in for an app's request has chosen their account by that, whichever was used with the app before.
func TestSigningInForAnAppThatKnowsAnotherAccount(t *testing.T) {
	for name, more := range map[string]url.Values{
		"used before": {"prompt": {"login"}},
		"named":       {"prompt": {"login"}, "login_hint": {"ada"}},
		"old":         {"max_age": {"60"}},
	} {
		n, b, ids := withFive(t)
		b.switchTo(ids["ada"])
		n.Clock.Pass(time.Second)
		q := appQuery("s")
		b.allowed(q)
		n.Clock.Pass(time.Hour)
		maps.Copy(q, more)
		page := b.get("/authorize?" + q.Encode())
		form := page.form("/signin")
		maps.Copy(form, signInFields("bob", "kept"))
		if a := b.follow(b.post("/signin", form)); !strings.Contains(text(a.body), "Continue to Chirp as") || !strings.Contains(a.body, "@bob") {
			t.Errorf("%s: %s (%d) says %s", name, a.at, a.StatusCode, text(a.body))
		}
	}
}

// An app that some account has allowed does not learn by guessing who else is signed in in this browser.
func TestAnAppDoesNotLearnWhoSharesABrowser(t *testing.T) {
	n, b, ids := withFive(t)
	b.switchTo(ids["ada"])
	n.Clock.Pass(time.Second)
	q := appQuery("s")
	b.allowed(q)
	q.Set("prompt", "none")
	for _, name := range []string{"", "nobody", "bob", "@Emil"} {
		q.Set("login_hint", name)
		if got := n.spends(b.send(http.MethodGet, "/authorize?"+q.Encode(), nil), "s"); got.Session != ids["ada"] {
			t.Errorf("with the hint %q it gets %s", name, got.Session)
		}
		n.Clock.Pass(time.Second)
	}
	// One who has allowed it is no secret.
	b.switchTo(ids["bob"])
	q.Del("prompt")
	q.Set("login_hint", "bob")
	b.allowed(q)
	b.switchTo(ids["ada"])
	q.Set("prompt", "none")
	if got := n.spends(b.send(http.MethodGet, "/authorize?"+q.Encode(), nil), "s"); got.Session != ids["bob"] {
		t.Errorf("with a hint that it may know it gets %s", got.Session)
	}
}

// Where policy asks for a proof to switch, an app gets no other account without one either.
func TestAnAppsRequestConfirmsASwitch(t *testing.T) {
	policy := exeunt.DefaultPolicy()
	policy.ConfirmSwitch = true
	n := newNodeOf(t, policy)
	b := newBrowser(n)
	for _, handle := range five[:2] {
		n.account(handle)
		b.signIn(handle, "kept")
	}
	q := appQuery("s")
	q.Set("login_hint", "ada")
	page := b.get("/authorize?"+q.Encode()).says("Continue to Chirp as", "@ada") // proved a moment ago
	n.stale()
	form := page.form("/authorize/decide")
	form.Set("decision", "continue")
	before := n.recorded()
	if to := b.post("/authorize/decide", form).is(http.StatusSeeOther).Header.Get("Location"); !strings.HasPrefix(to, "/signin?") {
		t.Errorf("the form leads to %s", to)
	}
	if n.recorded() != before {
		t.Error("the form has changed something")
	}
	ask := b.get("/authorize?" + q.Encode())
	form = ask.form("/signin")
	maps.Copy(form, signInFields("ada", "kept"))
	b.follow(b.post("/signin", form)).says("Continue to Chirp as", "@ada")
	// The active account needs none.
	n.stale()
	b.get("/authorize?"+q.Encode()).says("Continue to Chirp as", "@ada")
	b.get("/").says("Hello, Ada")
}

// The sign-out that an app asks for is that of its account, though the active one has ended elsewhere: the app must not be
// told that somebody is signed out who is not.
func TestTheSignOutOfAnAppWhileTheActiveAccountHasEnded(t *testing.T) {
	n := newEndNode(t)
	b := newBrowser(n)
	b.signIn("ada", "kept")
	hint := n.sign("JWT", n.claims(b))
	n.appSession(b)
	n.account("bob")
	b.signIn("bob", "kept")
	away := newBrowser(n)
	away.signIn("bob", "kept")
	away.submit("/signout?scope=account", "/signout", url.Values{"scope": {"account"}}).is(http.StatusSeeOther)
	for name, q := range map[string]url.Values{
		"by its hint": {"id_token_hint": {hint}, "post_logout_redirect_uri": {chirpBye}},
		"by its use":  {"client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}},
	} {
		if a := b.send(http.MethodGet, "/end_session?"+q.Encode(), nil); a.StatusCode != http.StatusOK {
			t.Errorf("%s: it leads to %s", name, a.Header.Get("Location"))
		} else {
			a.says("Sign out of @ada")
		}
	}
	form := b.get("/end_session?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {chirpBye}}.Encode()).form("/end_session/browser")
	if a := b.post("/end_session/browser", form).is(http.StatusSeeOther); a.Header.Get("Location") != chirpBye || len(n.live("ada")) > 0 {
		t.Errorf("it leads to %s, and ada has %d sessions", a.Header.Get("Location"), len(n.live("ada")))
	}
}

// What was done for one account is not told on another's page, which would claim it for that one.
func TestANoticeIsForItsAccount(t *testing.T) {
	_, b, ids := withFive(t)
	form := b.get("/settings").form("/settings/profile")
	form.Set("name", "Emil the Second")
	b.post("/settings/profile", form).leadsTo("/settings")
	b.switchTo(ids["ada"])
	b.get("/settings").hides("Saved.")
	b.switchTo(ids["emil"])
	b.get("/settings").says("Saved.")
}

// A sign-out of one app is told by the account that it was of.
func TestTheSignOutOfOneAppIsToldByItsAccount(t *testing.T) {
	for _, confirm := range []bool{false, true} {
		n := newEndNode(t)
		n.pages.Policy.ConfirmSwitch = confirm
		b := newBrowser(n)
		b.signIn("ada", "kept")
		hint := n.sign("JWT", n.claims(b))
		n.appSession(b)
		n.account("bob")
		b.signIn("bob", "kept")
		form := b.get("/end_session?" + url.Values{"id_token_hint": {hint}}.Encode()).form("/end_session/app")
		a := b.post("/end_session/app", form)
		if confirm {
			a.leadsTo("/accounts")
			b.get("/apps").says("@bob").hides("of Chirp ended")
			continue
		}
		a.leadsTo("/apps")
		b.get("/apps").says("@ada", "One sign-in of Chirp ended")
	}
}

// Whoever has their account deleted is told until when it can be kept, though another one is signed in here.
func TestADeletionIsToldWhereAnotherAccountIsSignedIn(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := newBrowser(n)
	b.signIn("ada", "kept")
	b.signIn("bob", "kept")
	b.follow(b.submit("/account/delete", "/account/delete", url.Values{"current": {password}})).says("will be deleted")
	b.get("/").says("Hello, Ada")
}

// A form of one account does nothing while another is active, whichever form it is.
func TestNoFormIsTakenForAnotherAccount(t *testing.T) {
	n, b, ids := withFive(t)
	b.switchTo(ids["ada"])
	b.get("/")
	_, post := addresses(n)
	signsOut := map[string]bool{"/signout": true, "/signout/all": true, "/signout/offline": true, "/signout/ticket": true,
		"/end_session/browser": true, "/session/activity": true, "/end_session": true, "/authorize": true, "/accounts/switch": true}
	for _, to := range post {
		if signsOut[to] {
			continue
		}
		for _, session := range []string{ids["bob"].String(), exeunt.NewSessionID().String(), "", "ses_x"} {
			before := n.recorded()
			form := url.Values{"session": {session}, "key": {strings.Repeat("k", 30)}, "name": {"Mallory"}, "email": {"m@example.com"},
				"display": {"dark"}, "current": {password}, "new": {"another long passphrase"}, "do": {"send"}, "decision": {"continue"},
				"id": {ids["bob"].String()}, "code": {"123456"}, "format": {"json"}, "answer": {"me"}}
			jar := b.thief()
			a := jar.post(to, form)
			if n.recorded() != before {
				t.Errorf("%s with the session %q has changed something (%d)", to, session, a.StatusCode)
			}
			if jar.token() != b.token() || jar.cookies["__Host-exeunt-active"] != b.cookies["__Host-exeunt-active"] {
				t.Errorf("%s with the session %q has changed the cookies", to, session)
			}
		}
	}
}

// Whoever signs in as on a shared computer ends every session here, or none: of one whose credential has just been renewed it
// is not known which it is.
func TestASharedSignInWhileAnotherCredentialIsRenewed(t *testing.T) {
	n, b, ids := withFive(t)
	b.switchTo(ids["ada"])
	stale := b.thief()
	n.stale()
	form := b.get("/settings").form("/settings/profile")
	maps.Copy(form, url.Values{"email": {"ada@example.com"}, "name": {"Ada"}, "current": {password}})
	b.post("/settings/profile", form).leadsTo("/settings")
	if b.token() == stale.token() {
		t.Fatal("the credential was not renewed")
	}
	stale.cookies["__Host-exeunt-active"] = ids["carol"].String()
	form = stale.get("/signin").form("/signin")
	maps.Copy(form, signInFields("carol", "shared"))
	stale.post("/signin", form).is(http.StatusConflict).says("nothing was done").leavesCookies()
	if got := n.ends(); len(got) > 0 {
		t.Errorf("the log has %q", got)
	}
}

// Whoever signs out of the last account in use leaves nothing here, though the cookies of one that has ended elsewhere were
// there still.
func TestNothingIsLeftBesideAnAccountThatHasEnded(t *testing.T) {
	n := newNode(t)
	b := newBrowser(n)
	for _, handle := range five[:3] {
		n.account(handle)
		b.signIn(handle, "kept")
	}
	away := newBrowser(n)
	away.signIn("ada", "kept")
	away.submit("/signout?scope=account", "/signout", url.Values{"scope": {"account"}}).is(http.StatusSeeOther)
	out := b.submit("/signout", "/signout", nil)
	if out.Header.Get("Clear-Site-Data") != "" {
		t.Error("what the account that is left has stored was cleared")
	}
	b.get("/").says("Hello, Bob")
	b.follow(b.submit("/signout", "/signout", nil)).says("Signed out of this browser")
	for name := range b.cookies {
		if name != "__Host-exeunt-device" && name != "__Host-exeunt-notice" {
			t.Errorf("%s is left", name)
		}
	}
	b.get("/").says("Sign in").hides("no longer signed in")
}
