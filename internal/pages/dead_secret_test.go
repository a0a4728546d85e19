package pages

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/oauth"
)

// dead is how a secret is of no use, and what is said then.
type dead map[string]struct {
	says string
	// use presents such a secret. What it needs is made before ready is called: from then on nothing may change.
	use func(n *node, ready func()) *answer
}

// deadSecrets has a row for each kind of code, link and challenge that people bring to a page, for each way in which one
// may be of no use. (A code that an app brings has no page: see TestCodes in oauth.)
var deadSecrets = map[string]dead{
	"code of an authenticator app": {
		"2 min slow": {"clock of your phone", signInBy(func(s *secondStep) string { return s.app(-2 * time.Minute) })},
		"2 min fast": {"clock of your phone", signInBy(func(s *secondStep) string { return s.app(2 * time.Minute) })},
		"expired":    {"This code is wrong", signInBy(func(s *secondStep) string { return s.app(-time.Hour) })},
		"used": {"used already", signInBy(func(s *secondStep) string {
			s.used(s.app(0))
			return s.app(0)
		})},
		"foreign":   {"This code is wrong", signInBy(func(s *secondStep) string { return factor.Code(factor.NewSecret(), factor.Step(s.n.Now())) })},
		"truncated": {"This code is wrong", signInBy(func(s *secondStep) string { return s.app(0)[:5] })},
	},
	"code that confirms a change": {
		"2 min slow": {"clock of your phone", confirmBy(func(s *secondStep) string { return s.app(-2 * time.Minute) })},
		"2 min fast": {"clock of your phone", confirmBy(func(s *secondStep) string { return s.app(2 * time.Minute) })},
		"expired":    {"This code is wrong", confirmBy(func(s *secondStep) string { return s.app(-time.Hour) })},
		"used": {"used already", confirmBy(func(s *secondStep) string {
			s.used(s.app(0))
			return s.app(0)
		})},
		"foreign":   {"This code is wrong", confirmBy(func(s *secondStep) string { return factor.NewRecoveryCodes(1)[0].Reveal() })},
		"truncated": {"This code is wrong", confirmBy(func(s *secondStep) string { return s.app(0)[:5] })},
	},
	"recovery code": {
		"used": {"This code is wrong", signInBy(func(s *secondStep) string {
			s.used(s.codes[0].Reveal())
			return s.codes[0].Reveal()
		})},
		"foreign":   {"This code is wrong", signInBy(func(*secondStep) string { return factor.NewRecoveryCodes(1)[0].Reveal() })},
		"truncated": {"This code is wrong", signInBy(func(s *secondStep) string { return s.codes[0].Reveal()[:9] })},
	},
	"challenge of a sign-in": {
		"expired": {"took too long", challenged(func(s *secondStep) { s.n.Clock.Pass(exeunt.ChallengeLife) })},
		"used": {"took too long", challenged(func(s *secondStep) {
			cookies := s.b.thief().cookies
			s.b.post("/signin/code", s.form(s.app(0))).leadsTo("/")
			s.b.cookies = cookies
		})},
		"foreign":   {"took too long", challenged(func(s *secondStep) { s.b.cookies[challengeCookie] = exeunt.NewToken(exeunt.UseChallenge).Reveal() })},
		"truncated": {"took too long", challenged(func(s *secondStep) { s.b.cookies[challengeCookie] = s.b.cookies[challengeCookie][:20] })},
	},
	"code of an app that is being set up": {
		"2 min slow":          {"clock of your phone", setUp(func(n *node, s []byte, f url.Values) { f.Set("app_code", appCodeAt(n, s, -2*time.Minute)) })},
		"2 min fast":          {"clock of your phone", setUp(func(n *node, s []byte, f url.Values) { f.Set("app_code", appCodeAt(n, s, 2*time.Minute)) })},
		"expired":             {"not what the app shows now", setUp(func(n *node, s []byte, f url.Values) { f.Set("app_code", appCodeAt(n, s, -time.Hour)) })},
		"foreign":             {"not what the app shows now", setUp(func(n *node, _ []byte, f url.Values) { f.Set("app_code", appCodeAt(n, factor.NewSecret(), 0)) })},
		"truncated":           {"not what the app shows now", setUp(func(n *node, s []byte, f url.Values) { f.Set("app_code", appCodeAt(n, s, 0)[:5]) })},
		"of a truncated form": {"open for too long", setUp(func(_ *node, _ []byte, f url.Values) { f.Set("setup", f.Get("setup")[:50]) })},
	},
	"link for a new password": deadLink("/reset/", func(n *node) exeunt.Token {
		id := n.account("mary")
		a, err := n.Account(n.t.Context(), id)
		n.must(err)
		t, err := n.Accounts.OfferReset(n.t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, a)
		n.must(err)
		return t
	}, account.ResetLife, url.Values{"password": {"ten lanterns in the rain"}}),
	"link for a new account": deadLink("/setup/", func(n *node) exeunt.Token {
		t, _, err := n.Accounts.Invite(n.t.Context(), account.Invitation{Handle: "mary", Expires: n.Now().Add(account.InviteLife)})
		n.must(err)
		return t
	}, account.InviteLife, url.Values{"name": {"Mary"}, "password": {"ten lanterns in the rain"}, "kind": {"kept"}}),
	"code that a device shows": {
		"expired":   {"No device is waiting", typed(func(n *node, code string) string { n.Clock.Pass(oauth.DeviceLife); return code })},
		"used":      {"No device is waiting", typed(func(n *node, code string) string { n.decideDevice("grace", code); return code })},
		"foreign":   {"No device is waiting", typed(func(*node, string) string { return "BCDF-GHJK" })},
		"truncated": {"No device is waiting", typed(func(_ *node, code string) string { return code[:6] })},
	},
}

// wayOn is what a page that refuses has for its reader to go on.
var wayOn = regexp.MustCompile(`(?s)<main.*(<a [^>]*href|<form|<button).*</main>`)

// Whatever is wrong with a code, link or challenge, the answer is a page that explains and has a way on, and nothing has
// changed.
func TestSecretsThatAreOfNoUse(t *testing.T) {
	for kind, ways := range deadSecrets {
		for way, row := range ways {
			t.Run(kind+", "+way, func(t *testing.T) {
				t.Parallel()
				n := newNode(t)
				var before string
				a := row.use(n, func() { before = n.recorded() })
				if a.StatusCode < 400 || a.StatusCode > 499 {
					t.Errorf("the answer is %d", a.StatusCode)
				}
				if a.says(row.says); !wayOn.MatchString(a.body) {
					t.Errorf("the page has no way on: %s", text(a.body))
				}
				if before == "" || n.recorded() != before {
					t.Error("something has changed")
				}
			})
		}
	}
}

const challengeCookie = "__Host-exeunt-challenge"

// secondStep is a browser between password and code.
type secondStep struct {
	n     *node
	b     *browser
	page  *answer
	app   func(off time.Duration) string
	codes []factor.RecoveryCode
}

func newSecondStep(n *node) *secondStep {
	n.t.Helper()
	s := &secondStep{n: n, b: newBrowser(n)}
	var secret []byte
	secret, s.codes, _ = n.withSecret()
	s.app = func(off time.Duration) string { return appCodeAt(n, secret, off) }
	s.page = s.b.password("/")
	return s
}

func (s *secondStep) form(code string) url.Values {
	f := s.page.form("/signin/code")
	f.Set("code", code)
	return f
}

// used has another browser sign in with a code.
func (s *secondStep) used(code string) {
	s.n.t.Helper()
	other := newBrowser(s.n)
	other.password("/")
	other.code("/", code).is(http.StatusSeeOther)
}

func signInBy(code func(s *secondStep) string) func(n *node, ready func()) *answer {
	return func(n *node, ready func()) *answer {
		s := newSecondStep(n)
		form := s.form(code(s))
		ready()
		return s.b.post("/signin/code", form)
	}
}

// confirmBy has somebody who signed in some time ago make new recovery codes.
func confirmBy(code func(s *secondStep) string) func(n *node, ready func()) *answer {
	return func(n *node, ready func()) *answer {
		s := newSecondStep(n)
		b := newBrowser(n)
		b.password("/")
		b.code("/", s.codes[9].Reveal()).is(http.StatusSeeOther)
		n.Clock.Pass(exeunt.DefaultPolicy().Fresh)
		form := b.fields(b.get("/security/codes").form("/security/codes"))
		form.Set("current", password)
		form.Set("code", code(s))
		ready()
		return b.post("/security/codes", form)
	}
}

func challenged(spoil func(s *secondStep)) func(n *node, ready func()) *answer {
	return func(n *node, ready func()) *answer {
		s := newSecondStep(n)
		spoil(s)
		form := s.form(s.app(30 * time.Second))
		ready()
		return s.b.post("/signin/code", form)
	}
}

func setUp(spoil func(n *node, secret []byte, form url.Values)) func(n *node, ready func()) *answer {
	return func(n *node, ready func()) *answer {
		n.account("ada")
		b := n.signedIn("ada")
		page := b.get("/security/app")
		form := b.fields(page.form("/security/app"))
		secret := factor.Secret(shownSecret.FindStringSubmatch(page.body)[1])
		form.Set("app_code", appCodeAt(n, secret, 0))
		spoil(n, secret, form)
		ready()
		return b.post("/security/app", form)
	}
}

func appCodeAt(n *node, secret []byte, off time.Duration) string {
	return factor.Code(secret, factor.Step(n.Now().Add(off)))
}

// deadLink are the rows of a one-time link.
func deadLink(path string, offer func(n *node) exeunt.Token, life time.Duration, form url.Values) dead {
	const says = "This link no longer works"
	with := func(spoil func(n *node, token string) string) func(n *node, ready func()) *answer {
		return func(n *node, ready func()) *answer {
			n.account("ada")
			link := path + spoil(n, offer(n).Reveal())
			ready()
			b := newBrowser(n)
			if a := b.get(link); a.StatusCode != http.StatusGone || !wayOn.MatchString(a.body) {
				n.t.Errorf("opening the link is answered with %d: %s", a.StatusCode, text(a.body))
			}
			b.get("/signin") // for the cookie without which a browser is told that it refuses them
			return b.post(link, form)
		}
	}
	return dead{
		"expired": {says, with(func(n *node, token string) string { n.Clock.Pass(life); return token })},
		"used": {says, with(func(n *node, token string) string {
			b := newBrowser(n)
			filled := b.get(path + token).is(http.StatusOK).form(path + token)
			for name, values := range form {
				filled[name] = values
			}
			filled.Set("password", "nine lanterns in the rain")
			b.post(path+token, filled).is(http.StatusSeeOther)
			return token
		})},
		"foreign":   {says, with(func(*node, string) string { return exeunt.NewToken(exeunt.UseInvite).Reveal() })},
		"truncated": {says, with(func(_ *node, token string) string { return token[:20] })},
	}
}

func typed(spoil func(n *node, code string) string) func(n *node, ready func()) *answer {
	return func(n *node, ready func()) *answer {
		n.account("ada")
		n.account("grace")
		_, code := n.waiting()
		code = spoil(n, code)
		b := n.signedIn("ada")
		form := b.get("/device").form("/device")
		form.Set("user_code", code)
		ready()
		return b.post("/device", form)
	}
}

// decideDevice has somebody sign a device in.
func (n *node) decideDevice(handle, code string) {
	n.t.Helper()
	b := n.signedIn(handle)
	form := b.get("/device").form("/device")
	form.Set("user_code", code)
	form = b.post("/device", form).is(http.StatusOK).form("/device/decide")
	form.Set("decision", "continue")
	b.post("/device/decide", form).is(http.StatusOK)
}
