package pages

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

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
		"client_id": {"chirp"}, "redirect_uri": {chirpBack}, "state": {state},
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
		q.Get("state") != state {
		n.t.Fatalf("it leads to %s", u)
	}
	code, err := exeunt.ParseToken(q.Get("code"))
	n.must(err)
	_, ans, err := n.OAuth.ExchangeCode(n.t.Context(),
		oauth.CodeExchange{Code: code, Client: "chirp", RedirectURI: chirpBack, Verifier: verifier,
			Key: n.Keys[testnode.Chirp]})
	n.must(err)
	return ans
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
	page.says("will see your handle and name").hides("@example.com")
	form := page.form("/authorize")
	form.Set("decision", "continue")
	if ans := n.spends(b.post("/authorize", form).leavesCookies(), state); ans.Session != b.session() {
		t.Error("the app's session is no child of the browser's")
	}
	b.get("/sessions").says("Chirp")
	form.Set("decision", "cancel")
	a := b.post("/authorize", form).is(http.StatusSeeOther)
	want := chirpBack + "&" + url.Values{"error": {"access_denied"}, "state": {state}}.Encode()
	if !sameAddress(t, a.Header.Get("Location"), want) {
		t.Errorf("cancel leads to %s", a.Header.Get("Location"))
	}
	b.follow(b.submit("/signout", "/signout", nil)).says("One app was signed out with it")
	form.Set("decision", "continue")
	b.post("/authorize", form).is(http.StatusUnauthorized)
}

func sameAddress(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := url.Parse(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := url.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return x.Host == y.Host && x.Path == y.Path && x.Query().Encode() == y.Query().Encode()
}

// The sign-in itself answers the app, and so does signing up; a wrong password
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
	n.spends(b.post("/signin", form), "s1")
	b.get("/").says("Hello, Ada")

	up := newBrowser(n)
	page = up.get("/signup?" + url.Values{"return": {to}}.Encode())
	form = page.form("/signup")
	maps.Copy(form, url.Values{"handle": {"grace"}, "password": {password}, "kind": {"shared"}})
	n.spends(up.post("/signup", form), "s1")
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
		"no state":         func(q url.Values) { q.Del("state") },
		"long state":       func(q url.Values) { q.Set("state", strings.Repeat("s", 513)) },
		"no challenge":     func(q url.Values) { q.Del("code_challenge") },
		"plain challenge":  func(q url.Values) { q.Set("code_challenge_method", "plain") },
		"no method":        func(q url.Values) { q.Del("code_challenge_method") },
		"short challenge":  func(q url.Values) { q.Set("code_challenge", "abc") },
	} {
		q := appQuery("s")
		spoil(q)
		for _, a := range []*answer{
			b.send(http.MethodGet, "/authorize?"+q.Encode(), nil),
			newBrowser(n).send(http.MethodGet, "/authorize?"+q.Encode(), nil),
			b.post("/authorize", b.fields(q)),
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
	n.signedIn("ada").get(to).is(http.StatusOK).says("e-mail address (", "ada@example.com")
	for _, page := range []string{"/signin", "/signup"} {
		newBrowser(n).get(page+"?return="+url.QueryEscape(to)).is(http.StatusOK).
			says("to continue to Chirp", "handle", "name", "once it is confirmed, your e-mail address")
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
