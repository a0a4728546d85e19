package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

func TestChangePassword(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	n.app("ada", "Chirp on Pixel 8")
	const next = "lantern quiet mosaic river"
	b.submit("/security", "/security/password", url.Values{"current": {"wrong horse"}, "password": {next}}).
		is(http.StatusUnprocessableEntity).says("The current password is wrong").hides("wrong horse", next)
	b.submit("/security", "/security/password", url.Values{"current": {password}, "password": {"12345678"}}).
		is(http.StatusUnprocessableEntity).hides(password, "12345678")
	if len(n.ends()) > 0 {
		t.Fatal("a refused change ended something")
	}
	a := b.submit("/security", "/security/password",
		url.Values{"current": {password}, "password": {next}}).leadsTo("/security")
	b.follow(a).says("Your password was changed. 2 other sessions ended.")
	b.get("/security").hides("Your password was changed") // said once
	other.get("/").says("The password was changed")
	b.get("/").says("Hello, Ada")
	if got := n.ends(); !slices.Equal(got, []string{"others password_change"}) {
		t.Errorf("the log has %q", got)
	}
	newBrowser(n).submit("/signin", "/signin",
		url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}}).is(http.StatusUnauthorized)
	newBrowser(n).submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {next}, "kind": {"kept"}}).leadsTo("/")
}

func TestSettings(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	a := b.submit("/settings", "/settings/profile",
		url.Values{"name": {"Ada L"}, "email": {"ada@example.com"}, "current": {password}}).leadsTo("/settings")
	page := b.follow(a).says("Saved.", "Not confirmed", "Ada L")
	if !strings.Contains(page.body, `value="ada@example.com"`) {
		t.Error("the new address is not shown")
	}
	b.get("/settings").hides("Saved.")
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"no address"}}).
		is(http.StatusUnprocessableEntity).says("Enter a valid e-mail address")
	b.submit("/settings", "/settings/profile",
		url.Values{"name": {strings.Repeat("x", 200)}}).is(http.StatusUnprocessableEntity)
	// An address that nobody has confirmed identifies nobody.
	newBrowser(n).submit("/signin", "/signin",
		url.Values{"identifier": {"ada@example.com"}, "password": {password}, "kind": {"kept"}}).is(http.StatusUnauthorized)
	b.submit("/settings", "/settings/display", url.Values{"display": {"dark"}}).leadsTo("/settings")
	if page := b.get("/"); !strings.Contains(page.body, `data-theme="dark"`) {
		t.Error("the choice of display has no effect")
	}
	b.submit("/settings", "/settings/display", url.Values{"display": {"<b>"}}).leadsTo("/settings")
	if page := b.get("/"); strings.Contains(page.body, "data-theme") {
		t.Error("an unknown display was kept")
	}
}

// An address can become a way to sign in, so another one needs the password.
// Name and display do not.
func TestAnotherAddressNeedsThePassword(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	b := n.signedIn("ada")
	change := func(name, email, current string) *answer {
		return b.submit("/settings", "/settings/profile",
			url.Values{"name": {name}, "email": {email}, "current": {current}})
	}
	email := func() string {
		a, err := n.Account(t.Context(), id)
		n.must(err)
		return a.Name + " " + a.Email
	}
	change("Ada", "ada@example.com", password).leadsTo("/settings")
	before := n.recorded()
	a := change("Mallory", "mallory@example.com", "").is(http.StatusUnprocessableEntity).
		says("Enter your current password too. Nothing was changed.")
	if !strings.Contains(a.body, `aria-invalid="true"`) || !strings.Contains(a.body, `value="mallory@example.com"`) {
		t.Error("the field is not marked, or what was typed is lost")
	}
	change("Mallory", "mallory@example.com", "wrong horse").is(http.StatusUnprocessableEntity).
		says("The current password is wrong").hides("wrong horse")
	change("Mallory", "", "").is(http.StatusUnprocessableEntity)
	if n.recorded() != before || email() != "Ada ada@example.com" {
		t.Errorf("refused, and yet %s", email())
	}
	change("Ada L", "ada@example.com", "").leadsTo("/settings")
	change("Ada M", "ada@example.com", "not looked at").leadsTo("/settings")
	b.submit("/settings", "/settings/display", url.Values{"display": {"dark"}}).leadsTo("/settings")
	change("Ada M", "new@example.com", password).leadsTo("/settings")
	if email() != "Ada M new@example.com" {
		t.Errorf("saved as %s", email())
	}
	// Guesses here count like guesses at the door.
	for i := 0; ; i++ {
		if a := change("Ada M", "x@example.com", "a guess"); a.StatusCode == http.StatusTooManyRequests {
			a.says("Too many failed sign-ins")
			break
		}
		if i > 20 {
			t.Fatal("guessing is not slowed down")
		}
	}
}

func TestMenuAndHelp(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	if a := b.get("/menu?return=/security").is(http.StatusOK); !strings.Contains(a.body, `class="x" href="/security"`) {
		t.Error("the menu does not lead back")
	}
	b.get("/menu?return=//evil.example").is(http.StatusOK).hides("evil.example")
	b.get("/help").is(http.StatusOK).says("How do I sign out?", "@ada")
	newBrowser(n).get("/help").is(http.StatusOK).says("How do I sign out?").hides("@ada")
}

func TestLanguagesAndAgents(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	for agent, label := range map[string]string{
		"qutebrowser/3.5.1 (X11; Linux) <b>": "qutebrowser", "Lynx/2.9 libwww-FM/2.14": "Lynx",
		firefox: "Firefox on Linux", "": "A browser", strings.Repeat("\xff", 9000): "A browser",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                                 "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":               "Safari on iOS",
		"Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36":                                 "Chrome on Android",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0":                         "Edge on Windows",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36 <script>alert(1)</script>" + firefox[:3]: "Chrome on Linux",
	} {
		b := newBrowser(n)
		b.agent = agent
		b.signIn("ada", "kept")
		s, err := n.Session(t.Context(), n.id("ada"), b.session())
		n.must(err)
		if s.Label != label {
			t.Errorf("%.60q is labelled %q, not %q", agent, s.Label, label)
		}
	}
}

func FuzzLabel(f *testing.F) {
	f.Add(firefox)
	f.Add("Mozilla/5.0 (Linux; Android 15) Chrome/99999999999999999999999999999999999999999999999999.0")
	f.Fuzz(func(t *testing.T, agent string) {
		if l := label(&http.Request{Header: http.Header{"User-Agent": {agent}}}); l == "" || len(l) > 80 {
			t.Errorf("%q is labelled %q", agent, l)
		}
	})
}

// What was typed and refused in one form is not lost when another form is saved.
func TestARefusedAddressIsKept(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	b := n.signedIn("ada")
	refused := b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada L"}, "email": {"new@example.com"}}).
		is(http.StatusUnprocessableEntity)
	form := refused.form("/settings/display")
	form.Set("display", "dark")
	a := b.post("/settings/display", form).is(http.StatusOK).says("The display is saved", "not saved yet")
	for _, want := range []string{`value="new@example.com"`, `value="Ada L"`, `data-theme="dark"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s is lost", want)
		}
	}
	if p, err := n.Account(t.Context(), id); err != nil || p.Email != "" || p.Name != "Ada" || p.Display != "dark" {
		t.Errorf("%+v, %v", p, err)
	}
	b.get("/settings").hides("new@example.com")
}

// Whoever is disabled is not told to sign in, and the right password says why.
func TestADisabledAccountIsNotToldToSignIn(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	b := n.signedIn("ada")
	if _, err := n.Disable(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, id); err != nil {
		t.Fatal(err)
	}
	a := b.get("/").says("The account was disabled", "until the administrator")
	if strings.Contains(a.body, `href="/signin`) || strings.Contains(strings.ToLower(text(a.body)), "sign in again") {
		t.Errorf("it says %s", text(a.body))
	}
	newBrowser(n).submit("/signin", "/signin", signInFields("ada", "kept")).
		is(http.StatusForbidden).says("This account is disabled")
	newBrowser(n).submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {"a guess"}, "kind": {"kept"}}).
		is(http.StatusUnauthorized).hides("disabled")
}

// The page tells what is stored, and for how long by the configuration.
func TestPrivacySaysWhatIsStored(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.signedIn("ada").get("/settings").says("network address", "text it describes itself with", "failed sign-ins",
		"hash of your password", "deleted after 30 days", "kept for 90 days", "The server’s log")
}
