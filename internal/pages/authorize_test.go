package pages

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
)

const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-section-4.1"

// appQuery is what Chirp asks with.
func appQuery(state string) url.Values {
	return url.Values{
		"client_id": {"chirp"}, "redirect_uri": {chirpBack}, "state": {state}, "response_type": {"code"},
		"scope":          {"openid profile email"},
		"code_challenge": {testnode.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}
}

// spends checks that an answer leads back to Chirp with a code that works.
func (n *node) spends(a *answer, state string) authority.Answer {
	n.t.Helper()
	a.is(http.StatusSeeOther)
	u, err := url.Parse(a.Header.Get("Location"))
	n.must(err)
	q := u.Query()
	if u.Host != "chirp.localhost:8081" || u.Path != "/exeunt/callback" || q.Get("from") != "exeunt" ||
		q.Get("state") != state || q.Get("iss") != testOrigin {
		n.t.Fatalf("it leads to %s", u)
	}
	code, err := exeunt.ParseToken(q.Get("code"))
	n.must(err)
	got, err := n.OAuth.ExchangeCode(n.t.Context(),
		oauth.CodeExchange{Code: code, Client: n.Client(n.t, "chirp"), RedirectURI: chirpBack, Verifier: verifier})
	n.must(err)
	return got.Answer
}

func TestAuthorize(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	const state = "a state with & and ü"
	to := "/authorize?" + appQuery(state).Encode()
	page := b.get(to).is(http.StatusOK).says("Continue to Chirp as", "@ada")
	const formAction = "form-action 'self' http://chirp.localhost:8081;"
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, formAction) {
		t.Errorf("the form may not lead to the app: %s", csp)
	}
	page.says("will learn", "Your handle", "@ada", "your name", "Ada").hides("@example.com", "Your groups", "while you are away")
	form := page.form("/authorize/decide")
	form.Set("decision", "cancel")
	n.refuses(b.post("/authorize/decide", form), "access_denied", state)
	form.Set("decision", "continue")
	if ans := n.spends(b.post("/authorize/decide", form).leavesCookies(), state); ans.Session != b.session() {
		t.Error("the app's session is no child of the browser's")
	}
	b.get("/sessions").says("Chirp")
	// What has been allowed is not asked again, unless the app asks for more or wants it asked.
	n.spends(b.send(http.MethodGet, to, nil), state)
	more := appQuery(state)
	more.Set("scope", "openid profile email groups offline_access")
	b.get("/authorize?" + more.Encode()).is(http.StatusOK).says("while you are away")
	again := appQuery(state)
	again.Set("prompt", "consent")
	b.get("/authorize?" + again.Encode()).is(http.StatusOK).says("Continue to Chirp as")
	b.follow(b.submit("/signout", "/signout", nil)).says("sign-ins of apps ended with it", "Closed at once")
	b.post("/authorize/decide", form).is(http.StatusUnauthorized)
}

// refuses checks that an answer tells Chirp an error.
func (n *node) refuses(a *answer, code, state string) {
	n.t.Helper()
	a.is(http.StatusSeeOther)
	u, err := url.Parse(a.Header.Get("Location"))
	n.must(err)
	q := u.Query()
	if u.Host != "chirp.localhost:8081" || q.Get("error") != code || q.Get("state") != state || q.Get("iss") != testOrigin ||
		q.Has("code") {
		n.t.Errorf("it leads to %s, want %s", u, code)
	}
}

// prompt=none shows nothing: the app gets a code, or is told why it does not.
func TestSilently(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	q := appQuery("s")
	q.Set("prompt", "none")
	to := "/authorize?" + q.Encode()
	b := newBrowser(n)
	n.refuses(b.send(http.MethodGet, to, nil), "login_required", "s")
	b.signIn("ada", "kept")
	n.refuses(b.send(http.MethodGet, to, nil), "consent_required", "s")
	c := n.Client(t, testnode.Chirp)
	c.FirstParty = true
	n.must(n.OAuth.Reconcile(t.Context(), []exeunt.Client{c}, n.Now()))
	ans := n.spends(b.send(http.MethodGet, to, nil), "s")
	// Signing out of the app alone is not undone by the app itself.
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: id, Session: ans.Session, App: ans.App}
	_, err := n.End(t.Context(), by, exeunt.Revocation{Reason: exeunt.ReasonSignedOut, Target: exeunt.Target{Account: id,
		Scope: exeunt.ScopeSession, Session: ans.Session, AppSession: ans.App}})
	n.must(err)
	n.refuses(b.send(http.MethodGet, to, nil), "interaction_required", "s")
	form := b.get("/authorize?" + appQuery("s").Encode()).is(http.StatusOK).says("You signed out of Chirp").form("/authorize/decide")
	form.Set("decision", "continue")
	n.spends(b.post("/authorize/decide", form), "s")
	n.spends(b.send(http.MethodGet, to, nil), "s")
	// Age, and who may.
	n.Clock.Pass(time.Minute)
	q.Set("max_age", "30")
	n.refuses(b.send(http.MethodGet, "/authorize?"+q.Encode(), nil), "login_required", "s")
	c.Groups = []string{"staff"}
	n.must(n.OAuth.Reconcile(t.Context(), []exeunt.Client{c}, n.Now()))
	n.refuses(b.send(http.MethodGet, to, nil), "access_denied", "s")
	b.get("/authorize?" + appQuery("s").Encode()).is(http.StatusForbidden).says("members of certain groups")
}

// An app that wants to be sure has the person prove again who they are, once; their session goes on, in all its apps.
func TestProveAgain(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.allowChirp()
	session, before := b.session(), b.token()
	for name, value := range map[string]string{"prompt": "login", "max_age": "0"} {
		n.Clock.Pass(time.Second)
		q := appQuery("s")
		q.Set(name, value)
		page := b.get("/authorize?" + q.Encode()).is(http.StatusOK).says("to continue to Chirp")
		form := page.form("/signin")
		maps.Copy(form, url.Values{"identifier": {"ada"}, "password": {"wrong"}, "kind": {"kept"}})
		b.post("/signin", form).is(http.StatusUnauthorized)
		form.Set("password", password)
		n.spends(b.follow(b.post("/signin", form)), "s")
		if b.session() != session || b.token() == before {
			t.Errorf("%s: another session, or the same token", name)
		}
		before = b.token()
	}
	if apps, err := n.Apps(t.Context(), authority.AppFilter{Account: n.id("ada"), Client: testnode.Chirp, Limit: 10}); err != nil || len(apps) != 3 {
		t.Errorf("%d app sessions live, %v", len(apps), err)
	}
}

// What the app wants proved cannot be left out by sending the form of the question without its page.
func TestNobodyContinuesWithoutTheProof(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.allowChirp()
	for name, value := range map[string]string{"prompt": "login", "max_age": "0"} {
		n.Clock.Pass(time.Second)
		q := appQuery("s")
		q.Set(name, value)
		back, err := url.Parse(b.get("/authorize?" + q.Encode()).form("/signin").Get("return"))
		n.must(err)
		for what, form := range map[string]url.Values{"sealed": back.Query(), "as the app sent it": q} {
			form = b.fields(form)
			form.Set("decision", "continue")
			b.follow(b.post("/authorize/decide", form)).is(http.StatusOK).says("to continue to Chirp")
			form.Set("decision", "cancel")
			a := b.post("/authorize/decide", form)
			if n.refuses(a, "access_denied", "s"); t.Failed() {
				t.Fatal(name, what)
			}
		}
	}
}

// Any program of a device can say that it is an app without a secret, so the person is asked each time.
func TestAnAppWithoutASecretIsAskedForEachTime(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	c := n.Client(t, testnode.Chirp)
	c.Auth, c.Keys = exeunt.ClientPublic, nil
	n.register(c)
	b := n.signedIn("ada")
	for range 2 {
		b.allowChirp()
	}
	q := appQuery("s")
	q.Set("prompt", "none")
	n.refuses(b.send(http.MethodGet, "/authorize?"+q.Encode(), nil), "consent_required", "s")
	c.FirstParty = true
	n.register(c)
	n.spends(b.send(http.MethodGet, "/authorize?"+q.Encode(), nil), "s")
}

// Whoever may not use an app is not recorded to have allowed it something.
func TestNothingIsAllowedByThoseWhoMayNotUseAnApp(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	b := n.signedIn("ada")
	form := b.get("/authorize?" + appQuery("s").Encode()).form("/authorize/decide")
	c := n.Client(t, testnode.Chirp)
	c.Groups = []string{"staff"}
	n.register(c)
	form.Set("decision", "continue")
	b.post("/authorize/decide", form).is(http.StatusForbidden)
	if got, err := n.Consent(t.Context(), id, testnode.Chirp); err != nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

// An app that expects somebody else than who is signed in is told so, or the person is asked, once. What is no ID token of
// ours, or another app's, changes nothing.
func TestAHintAtSomebodyElse(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("grace")
	of := func(app exeunt.ClientID, handle string) string {
		payload, err := json.Marshal(map[string]any{"iss": n.OAuth.Issuer, "sub": n.id(handle), "aud": app})
		n.must(err)
		token, err := n.OAuth.Signers.Sign("ES256", "JWT", payload)
		n.must(err)
		return token
	}
	hint := func(handle string) string { return of(testnode.Chirp, handle) }
	b := n.signedIn("ada")
	b.allowChirp()
	to := func(hint string, more ...string) string {
		q := appQuery("s")
		q.Set("id_token_hint", hint)
		for _, prompt := range more {
			q.Set("prompt", prompt)
		}
		return "/authorize?" + q.Encode()
	}
	for _, own := range []string{hint("ada"), "sesame", of("gazette", "grace")} {
		n.spends(b.send(http.MethodGet, to(own), nil), "s")
		n.spends(b.send(http.MethodGet, to(own, "none"), nil), "s")
	}
	n.refuses(b.send(http.MethodGet, to(hint("grace"), "none"), nil), "login_required", "s")
	n.Clock.Pass(time.Second)
	form := b.get(to(hint("grace"))).is(http.StatusOK).says("to continue to Chirp").form("/signin")
	maps.Copy(form, url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}})
	n.spends(b.follow(b.post("/signin", form)), "s")
}

// An ID token of somebody in very many groups is longer than a request may be otherwise.
func TestALongHint(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("grace")
	b := n.signedIn("ada")
	b.allowChirp()
	hint := func(handle string, groups int) string {
		payload, err := json.Marshal(map[string]any{"iss": n.OAuth.Issuer, "sub": n.id(handle), "aud": testnode.Chirp,
			"groups": slices.Repeat([]string{"a-group-with-a-long-name"}, groups)})
		n.must(err)
		token, err := n.OAuth.Signers.Sign("ES256", "JWT", payload)
		n.must(err)
		return token
	}
	q := appQuery("s")
	q.Set("id_token_hint", hint("ada", 400))
	to := "/authorize?" + q.Encode()
	n.spends(b.send(http.MethodGet, to, nil), "s")
	q.Set("id_token_hint", hint("grace", 400))
	n.Clock.Pass(time.Second)
	form := b.get("/authorize?" + q.Encode()).is(http.StatusOK).says("to continue to Chirp").form("/signin")
	b.get(form.Get("return")).is(http.StatusOK).says("to continue to Chirp") // still somebody else
	n.Clock.Pass(time.Second)
	maps.Copy(form, url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}})
	n.spends(b.follow(b.post("/signin", form)), "s")
	q.Set("id_token_hint", hint("ada", 600))
	b.get("/authorize?" + q.Encode()).is(http.StatusBadRequest)
}

// Two tabs with two requests do not disturb each other, and a request that another browser has begun is of no use.
func TestRequestsBelongToABrowser(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	one := b.get("/authorize?" + appQuery("one").Encode()).is(http.StatusOK)
	two := b.get("/authorize?" + appQuery("two").Encode()).is(http.StatusOK)
	for state, page := range map[string]*answer{"one": one, "two": two} {
		form := page.form("/signin")
		maps.Copy(form, url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}})
		ask := b.follow(b.post("/signin", form)).is(http.StatusOK).form("/authorize/decide")
		stolen := newBrowser(n)
		stolen.signIn("ada", "kept")
		stolen.get("/authorize?request=" + url.QueryEscape(ask.Get("request"))).is(http.StatusBadRequest).says("another browser")
		ask.Set("decision", "cancel")
		n.refuses(b.post("/authorize/decide", ask), "access_denied", state)
	}
	form := b.get("/authorize?" + appQuery("late").Encode()).form("/authorize/decide")
	n.Clock.Pass(31 * time.Minute)
	form.Set("decision", "continue")
	b.post("/authorize/decide", form).is(http.StatusBadRequest).says("too old")
}

// An app may post its request from its own site: the browser comes back with its cookies.
func TestAPostedRequest(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.allowChirp()
	b.site, b.origin = "cross-site", "http://chirp.localhost:8081"
	n.spends(b.follow(b.post("/authorize", appQuery("s"))), "s")
	b.post("/authorize/decide", appQuery("s")).is(http.StatusForbidden)
}

// allowChirp has the person allow Chirp what it asks for, which signs them in there.
func (b *browser) allowChirp() {
	b.t.Helper()
	form := b.get("/authorize?" + appQuery("s").Encode()).is(http.StatusOK).form("/authorize/decide")
	form.Set("decision", "continue")
	b.n.spends(b.post("/authorize/decide", form), "s")
}

// Signing in leads on to the app, and so does signing up; a wrong password
// in between changes nothing about that.
func TestSignInForAnApp(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	to := "/authorize?" + appQuery("s1").Encode()
	b := newBrowser(n)
	page := b.get(to).is(http.StatusOK).says("Sign in to continue to Chirp")
	form := page.form("/signin")
	maps.Copy(form, url.Values{"identifier": {"ada"}, "password": {"wrong"}, "kind": {"kept"}})
	page = b.post("/signin", form).is(http.StatusUnauthorized).says("Sign in to continue to Chirp")
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "http://chirp.localhost:8081;") {
		t.Errorf("the form may not lead to the app: %s", csp)
	}
	form = page.form("/signin")
	maps.Copy(form, url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}})
	form = b.follow(b.post("/signin", form)).is(http.StatusOK).form("/authorize/decide")
	form.Set("decision", "continue")
	n.spends(b.post("/authorize/decide", form), "s1")
	b.get("/").says("Hello, Ada")

	up := newBrowser(n)
	page = up.get("/signup?" + url.Values{"return": {to}}.Encode())
	form = page.form("/signup")
	maps.Copy(form, url.Values{"handle": {"grace"}, "password": {password}, "kind": {"shared"}})
	form = up.follow(up.post("/signup", form)).is(http.StatusOK).form("/authorize/decide")
	form.Set("decision", "continue")
	n.spends(up.post("/authorize/decide", form), "s1")
}

// Nobody is ever sent to an address that is not the app's own, and nothing is
// asked on behalf of a request that is not in order.
func TestAuthorizeRefusesWhatIsNotInOrder(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	before := n.recorded()
	for name, spoil := range map[string]func(url.Values){
		"no client":        func(q url.Values) { q.Del("client_id") },
		"unknown client":   func(q url.Values) { q.Set("client_id", "evil") },
		"foreign address":  func(q url.Values) { q.Set("redirect_uri", "https://evil.example/") },
		"address and more": func(q url.Values) { q.Set("redirect_uri", chirpBack+"&x=y") },
		"no address":       func(q url.Values) { q.Del("redirect_uri") },
		"two addresses":    func(q url.Values) { q.Add("redirect_uri", "https://evil.example/") },
		"long state":       func(q url.Values) { q.Set("state", strings.Repeat("s", 2600)) },
	} {
		q := appQuery("s")
		spoil(q)
		for _, a := range []*answer{
			b.send(http.MethodGet, "/authorize?"+q.Encode(), nil),
			newBrowser(n).send(http.MethodGet, "/authorize?"+q.Encode(), nil),
			b.post("/authorize/decide", b.fields(q)),
			b.send(http.MethodGet, "/signin?return="+url.QueryEscape("/authorize?"+q.Encode()), nil),
		} {
			if a.Header.Get("Location") != "" {
				t.Errorf("%s: %s leads to %s", name, a.at, a.Header.Get("Location"))
			}
			if strings.Contains(a.Header.Get("Content-Security-Policy"), "form-action 'self' ") {
				t.Errorf("%s: the page may send forms elsewhere", name)
			}
			if strings.HasPrefix(a.at, "/authorize") && (a.StatusCode < 400 || a.StatusCode > 404) {
				t.Errorf("%s: %s answers %d", name, a.at, a.StatusCode)
			}
		}
	}
	if n.recorded() != before {
		t.Error("something changed")
	}
}

// Whoever lets an app sign them in reads beforehand what the gate will tell the app.
func TestAnAppGetsNoMoreThanWasSaid(t *testing.T) {
	n := newNode(t)
	_, err := n.Accounts.AddAccount(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, account.NewAccount{
		Handle: "ada", Name: "Ada", Email: "ada@example.com", Password: password}, true)
	n.must(err)
	to := "/authorize?" + appQuery("state").Encode()
	n.signedIn("ada").get(to).is(http.StatusOK).says("Your e-mail address", "ada@example.com")
	for _, page := range []string{"/signin", "/signup"} {
		newBrowser(n).get(page+"?return="+url.QueryEscape(to)).is(http.StatusOK).
			says("to continue to Chirp", "does not see your password").hides("e-mail address")
	}
}

// An app that is set up wrongly is named as the cause, without the address that is registered for it.
func TestAMisconfiguredAppIsExplained(t *testing.T) {
	n := newNode(t)
	for parameter, value := range map[string]string{
		"client_id": "chrip", "redirect_uri": "https://chirp.example/callback",
	} {
		q := appQuery("state")
		q.Set(parameter, value)
		newBrowser(n).get("/authorize?"+q.Encode()).is(http.StatusBadRequest).
			says("not set up correctly", parameter).hides("chirp.localhost")
	}
}
