package pages

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/factor"
)

var shownSecret = regexp.MustCompile(`<code dir="ltr">([A-Z2-7 ]+)</code>`)

// appCode is what an app shows that has read the page.
func (n *node) appCode(page *answer) string {
	n.t.Helper()
	m := shownSecret.FindStringSubmatch(page.body)
	if m == nil {
		n.t.Fatalf("%s shows no secret", page.at)
	}
	return factor.Code(factor.Secret(m[1]), factor.Step(n.Now()))
}

func (n *node) factors() []exeunt.Factor {
	n.t.Helper()
	list, _, err := n.SignIn.Factors(n.t.Context(), n.id("ada"))
	n.must(err)
	return list
}

// Somebody who has just signed in adds an app by the code that it shows, gets ten codes, and is asked for one next time.
func TestAnAuthenticatorApp(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	page := b.get("/security/app").is(http.StatusOK).says("Scan this", "Sign out of the other place")
	form := b.fields(page.form("/security/app"))
	form.Set("others", "yes")
	form.Set("app_code", "000")
	page = b.post("/security/app", form).is(http.StatusUnprocessableEntity).says("not what the app shows now")
	if len(n.factors()) != 0 {
		t.Fatal("a wrong code adds the app")
	}
	form.Set("setup", page.form("/security/app").Get("setup"))
	form.Set("app_code", n.appCode(page))
	b.post("/security/app", form).leadsTo("/security/codes")
	shown := b.get("/security/codes").is(http.StatusOK).says("Save these ten codes")
	b.get("/security").says("It was added", "On, by 1 passkey or app", "10 of 10 left")
	other.send(http.MethodGet, "/", nil).leadsTo("/ended")
	code := form.Get("app_code")

	file := b.submit("/security/codes", "/security/codes/text", nil)
	if !strings.HasPrefix(file.Header.Get("Content-Disposition"), "attachment") || strings.Count(file.body, "\r\n") != 13 {
		t.Errorf("the file is %q", file.body)
	}
	recovery := strings.Split(strings.TrimSpace(file.body), "\r\n")[3]
	if !strings.Contains(shown.body, recovery) {
		t.Error("the page shows other codes than the file")
	}
	b.submit("/security/codes", "/security/codes/saved", nil).leadsTo("/security")
	b.get("/security/codes").hides(recovery)

	next := newBrowser(n)
	next.password("/")
	next.code("/", code).is(http.StatusUnprocessableEntity).says("used already")
	next.code("/", recovery).leadsTo("/recovered")
}

// Pressed twice, it adds one app, and both answers show the same codes.
func TestAnAuthenticatorAppPressedTwice(t *testing.T) {
	for _, others := range []string{"", "yes"} {
		n := newNode(t)
		n.account("ada")
		b := n.signedIn("ada")
		page := b.get("/security/app")
		form := b.fields(page.form("/security/app"))
		form.Set("others", others)
		form.Set("app_code", n.appCode(page))
		var wg sync.WaitGroup
		var twins [2]*browser
		for i := range twins {
			twins[i] = b.thief()
			wg.Go(func() { twins[i].post("/security/app", form).leadsTo("/security/codes") })
		}
		wg.Wait()
		if len(n.factors()) != 1 {
			t.Errorf("others %q: %d apps", others, len(n.factors()))
		}
		file := twins[0].submit("/security/codes", "/security/codes/text", nil)
		recovery := strings.Split(strings.TrimSpace(file.body), "\r\n")[3]
		twins[1].get("/security/codes").says(recovery)
		next := newBrowser(n)
		next.password("/")
		next.code("/", recovery).leadsTo("/recovered")
	}
}

// Whoever proved who they are some time ago proves it in the same form, and then not again for a while.
func TestAChangeOfFactorsNeedsAFreshProof(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.Clock.Pass(exeunt.DefaultPolicy().Fresh)
	page := b.get("/security/app").is(http.StatusOK).says("Current password")
	form := b.fields(page.form("/security/app"))
	form.Set("name", "My phone")
	form.Set("app_code", n.appCode(page))
	for password, says := range map[string]string{"": "current password too", "wrong horse": "current password is wrong"} {
		form.Set("current", password)
		a := b.post("/security/app", form).is(http.StatusUnprocessableEntity).says(says)
		if !strings.Contains(a.body, `value="My phone"`) || n.appCode(a) != form.Get("app_code") {
			t.Error("what was typed is lost, or the app must be scanned again")
		}
		form.Set("setup", a.form("/security/app").Get("setup"))
	}
	form.Set("current", password)
	before := b.token()
	b.post("/security/app", form).leadsTo("/security/codes")
	if b.token() == before {
		t.Error("the session goes on with the token that it had before the proof")
	}
	b.get("/security").says("You confirmed who you are", "You are asked again", "Ask again from now on")
	id := n.factors()[0].ID.String()
	remove := "/security/factors/" + id
	b.get(remove).is(http.StatusOK).says("Remove My phone?").hides("Current password")

	// Later both are needed: the password, and a code.
	n.Clock.Pass(exeunt.DefaultPolicy().Fresh)
	b.get(remove).says("Current password", "Code from your authenticator app")
	b.submit(remove, remove, url.Values{"current": {password}}).is(http.StatusUnprocessableEntity).says("One more thing is needed")
	b.submit("/security", "/security/password", url.Values{"current": {password}, "password": {"another lantern entirely"}}).
		is(http.StatusUnprocessableEntity).says("One more thing is needed")
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"ada@example.net"}, "current": {password}}).
		is(http.StatusUnprocessableEntity).says("One more thing is needed")
	if len(n.factors()) != 1 {
		t.Fatal("the password alone has removed it")
	}
	code := n.appCode(page)
	b.submit(remove, remove, url.Values{"current": {password}, "code": {code}}).leadsTo("/security")
	b.get("/security").says("It was removed", "the password alone signs in")
	if _, codes, err := n.SignIn.Factors(t.Context(), n.id("ada")); err != nil || codes.Total != 0 {
		t.Errorf("recovery codes are left: %+v %v", codes, err)
	}
	b.send(http.MethodGet, remove, nil).leadsTo("/security")
}

// A form of another session, or of half an hour ago, adds nothing.
func TestASetupIsOfItsSession(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("grace")
	b, stranger := n.signedIn("ada"), n.signedIn("grace")
	page := stranger.get("/security/app")
	form := b.fields(b.get("/security/app").form("/security/app"))
	form.Set("app_code", n.appCode(page))
	form.Set("setup", page.form("/security/app").Get("setup"))
	b.post("/security/app", form).is(http.StatusUnprocessableEntity).says("open for too long")
	mine := b.get("/security/app")
	form.Set("setup", mine.form("/security/app").Get("setup"))
	n.Clock.Pass(30 * time.Minute)
	form.Set("app_code", n.appCode(mine))
	form.Set("current", password)
	b.post("/security/app", form).is(http.StatusUnprocessableEntity).says("open for too long")
	if len(n.factors()) != 0 {
		t.Error("an app was added")
	}
}

// Codes stand in for a factor: an account without one is led to adding it, and makes none.
func TestNoRecoveryCodesWithoutAFactor(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	if page := b.get("/security/codes").is(http.StatusOK).says("Add one first"); !strings.Contains(page.body, `href="/security/app"`) {
		t.Error("the page does not lead to adding an app")
	}
	form := b.fields(b.get("/security/app").form("/security/app"))
	b.post("/security/codes", form).is(http.StatusUnprocessableEntity).says("Add one first")
	if _, codes, err := n.SignIn.Factors(t.Context(), n.id("ada")); err != nil || codes.Total != 0 {
		t.Errorf("codes were made: %+v %v", codes, err)
	}
}

func TestNewRecoveryCodes(t *testing.T) {
	n := newNode(t)
	_, codes, b := n.withApp()
	form := b.fields(b.get("/security/codes").says("10 recovery codes left").form("/security/codes"))
	form.Set("current", password)
	form.Set("code", codes[0].Reveal())
	b.post("/security/codes", form).leadsTo("/security/codes")
	file := b.submit("/security/codes", "/security/codes/text", nil)
	recovery := strings.Split(strings.TrimSpace(file.body), "\r\n")[4]
	next := newBrowser(n)
	next.password("/")
	next.code("/", codes[2].Reveal()).is(http.StatusUnprocessableEntity)
	next.code("/", recovery).leadsTo("/recovered")
}
