package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// choose follows the link of an account on the page that asks which one an app gets.
func (a *answer) choose(b *browser, id exeunt.SessionID) *answer {
	a.t.Helper()
	end := "&amp;as=" + id.String()
	before, _, ok := strings.Cut(a.body, end)
	if !ok {
		a.t.Fatalf("%s offers no %s: %s", a.at, id, text(a.body))
	}
	to := before[strings.LastIndex(before, `href="`)+len(`href="`):]
	return b.send(http.MethodGet, strings.ReplaceAll(to+end, "&amp;", "&"), nil)
}

func TestTheAccountOfAnApp(t *testing.T) {
	n, b, ids := withFive(t)
	b.switchTo(ids["ada"])
	n.Clock.Pass(time.Second)
	ask := func(more url.Values) *answer {
		q := appQuery("s")
		for name, values := range more {
			q[name] = values
		}
		return b.get("/authorize?" + q.Encode())
	}
	allow := func(a *answer) exeunt.SessionID {
		t.Helper()
		form := a.form("/authorize/decide")
		form.Set("decision", "continue")
		return n.spends(b.post("/authorize/decide", form), "s").Session
	}

	// Without a word it is the active one; the app may name another.
	ask(nil).says("@ada", "Use another account")
	ask(url.Values{"login_hint": {"bob"}}).says("@bob")
	ask(url.Values{"login_hint": {"@Bob"}}).says("@bob")
	ask(url.Values{"login_hint": {"nobody"}}).says("@ada")

	// The person chooses, and the request is bound to that account, whichever is active by then.
	page := ask(url.Values{"prompt": {"select_account"}}).is(http.StatusOK).says("Which account for", "@ada", "@emil", "Use another account")
	consent := page.choose(b, ids["carol"]).is(http.StatusOK).says("Continue to Chirp as", "@carol")
	b.switchTo(ids["dora"])
	if got := allow(consent); got != ids["carol"] {
		t.Errorf("the app is signed in to %s", got)
	}
	b.get("/").says("Hello, Dora") // and nothing is switched by it

	// It is remembered for this app.
	ask(url.Values{"prompt": {"consent"}}).says("@carol")
	b.signIn("carol", "kept")
	b.switchTo(ids["dora"])
	ask(url.Values{"prompt": {"consent"}}).says("@carol")
	// An app cannot choose.
	n.Clock.Pass(time.Second)
	ask(url.Values{"prompt": {"select_account"}, "as": {ids["bob"].String()}}).says("Which account for")
	ask(url.Values{"prompt": {"consent"}, "as": {ids["bob"].String()}}).says("@carol")
	// One whom the app expects comes first, unless they are not here.
	hint := n.sign("JWT", map[string]any{"iss": n.OAuth.Issuer, "sub": n.id("bob").String(), "aud": "chirp", "sid": ids["bob"].String(),
		"iat": n.Now().Unix(), "exp": n.Now().Add(time.Minute).Unix()})
	ask(url.Values{"prompt": {"consent"}, "id_token_hint": {hint}}).says("@bob")

	// A proof is asked of the one who was chosen.
	n.Clock.Pass(time.Hour)
	page = ask(url.Values{"prompt": {"select_account"}, "max_age": {"60"}}).says("Which account for")
	page.choose(b, ids["emil"]).is(http.StatusSeeOther)
	// Without anybody's choice nothing is granted in the background.
	ask(url.Values{"prompt": {"none"}}).is(http.StatusSeeOther)
}

// A browser in which one account is signed in is asked, too, if the app wants it.
func TestChoosingTheOnlyAccount(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := n.signedIn("ada")
	n.Clock.Pass(time.Hour)
	q := appQuery("s")
	q.Set("prompt", "select_account")
	page := b.get("/authorize?" + q.Encode()).says("Which account for")
	page.choose(b, b.session()).says("Continue to Chirp as", "@ada")
	// Another one signs in for it, and is not asked again.
	i := strings.Index(page.body, `href="/signin?return=`)
	to := page.body[i+len(`href="`):]
	to = strings.ReplaceAll(to[:strings.IndexByte(to, '"')], "&amp;", "&")
	form := b.get(to).form("/signin")
	for name, values := range signInFields("bob", "kept") {
		form[name] = values
	}
	b.follow(b.post("/signin", form)).says("Continue to Chirp as", "@bob")
}

// An app that asks for a sign-out gets that of the account it knows, though another is active.
func TestTheSignOutOfAnAccountThatIsNotActive(t *testing.T) {
	n := newEndNode(t)
	b := newBrowser(n)
	ids := map[string]exeunt.SessionID{}
	b.signIn("ada", "kept")
	ids["ada"] = b.session()
	hint := n.sign("JWT", n.claims(b))
	n.appSession(b)
	n.account("bob")
	b.signIn("bob", "kept")
	ids["bob"] = b.session()
	for name, q := range map[string]url.Values{
		"by its hint": {"id_token_hint": {hint}, "post_logout_redirect_uri": {chirpBye}},
		"by its use":  {"client_id": {"chirp"}, "post_logout_redirect_uri": {chirpBye}},
	} {
		page := b.get("/end_session?" + q.Encode()).says("Sign out of @ada")
		if fmt.Sprint(page.form("/end_session/browser")["session"]) != fmt.Sprint([]string{ids["ada"].String()}) {
			t.Errorf("%s: the form is of another session", name)
		}
	}
	form := b.get("/end_session?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {chirpBye}}.Encode()).form("/end_session/app")
	b.post("/end_session/app", form).is(http.StatusSeeOther)
	if got := n.ends(); len(got) != 1 {
		t.Errorf("the log has %q", got)
	}
	form = b.get("/end_session?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {chirpBye}}.Encode()).form("/end_session/browser")
	if a := b.post("/end_session/browser", form).is(http.StatusSeeOther); a.Header.Get("Location") != chirpBye {
		t.Errorf("it leads to %s", a.Header.Get("Location"))
	}
	b.get("/").says("Hello, Bob")
	if len(n.live("ada")) != 0 || len(n.live("bob")) != 1 {
		t.Error("somebody else was signed out")
	}
}
