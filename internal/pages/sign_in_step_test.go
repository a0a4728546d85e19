package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/factor"
)

// withApp gives ada's account an authenticator app, from a session of hers in a browser of its own.
func (n *node) withApp() (code func() string, codes []factor.RecoveryCode, b *browser) {
	n.t.Helper()
	n.account("ada")
	return n.appOf("ada")
}

// appOf is withApp for an account that there is.
func (n *node) appOf(handle string) (code func() string, codes []factor.RecoveryCode, b *browser) {
	n.t.Helper()
	secret, codes, b := n.secretOf(handle)
	return func() string { return factor.Code(secret, factor.Step(n.Now())) }, codes, b
}

func (n *node) withSecret() (secret []byte, codes []factor.RecoveryCode, b *browser) {
	n.t.Helper()
	n.account("ada")
	return n.secretOf("ada")
}

func (n *node) secretOf(handle string) (secret []byte, codes []factor.RecoveryCode, b *browser) {
	n.t.Helper()
	b = newBrowser(n)
	b.signIn(handle, "kept")
	token, err := exeunt.ParseToken(b.cookies[b.tokenName()])
	n.must(err)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: n.id(handle), Session: b.session()}
	secret, codes = n.GiveApp(n.t, by, token, 1)
	return secret, codes, b
}

// password sends the first form, which leads to the second.
func (b *browser) password(back string) *answer {
	b.n.t.Helper()
	b.submit("/signin?return="+url.QueryEscape(back), "/signin",
		url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}}).leadsTo(withReturn("/signin", back))
	if _, ok := b.cookies[b.tokenName()]; ok {
		b.n.t.Error("the password alone has started a session")
	}
	return b.get(withReturn("/signin", back))
}

func (b *browser) code(back, code string) *answer {
	b.n.t.Helper()
	return b.submit(withReturn("/signin", back), "/signin/code", url.Values{"code": {code}})
}

func TestASecondStep(t *testing.T) {
	n := newNode(t)
	code, _, _ := n.withApp()
	b := newBrowser(n)
	b.password("/sessions").is(http.StatusOK).says("Second step", "@ada").hides("name=password", `name="password"`)
	if b.lasting["__Host-exeunt-challenge"] {
		t.Error("the challenge outlives the browser")
	}
	b.code("/sessions", "000").is(http.StatusUnprocessableEntity).says("This code is wrong")
	b.code("/sessions", code()).leadsTo("/sessions")
	if _, ok := b.cookies["__Host-exeunt-challenge"]; ok {
		t.Error("the challenge stays in the browser")
	}
	b.get("/sessions").is(http.StatusOK)
	s, err := n.Session(t.Context(), n.id("ada"), b.session())
	n.must(err)
	if s.Kind != exeunt.KindKept || s.Methods.String() != "password totp" {
		t.Errorf("the session is %s, by %v", s.Kind, s.Methods)
	}
}

// The second form cannot say what the first has said, nor answer another challenge; and without the cookie it is of no
// use.
func TestTheSecondStepIsOfItsBrowser(t *testing.T) {
	n := newNode(t)
	code, _, _ := n.withApp()
	b := newBrowser(n)
	page := b.password("/sessions")
	form := page.form("/signin/code")
	form.Set("code", code())
	newBrowser(n).post("/signin/code", form).is(http.StatusUnauthorized).says("You are not signed in")
	form.Set("kind", "shared")
	form.Set("return", "/settings")
	b.password("/settings") // in another tab
	b.post("/signin/code", form).is(http.StatusUnauthorized).says("went on in another tab")
	again := b.password("/sessions").form("/signin/code")
	again.Set("code", code())
	again.Set("kind", "shared")
	again.Set("return", "/settings")
	b.post("/signin/code", again).leadsTo("/sessions")
	s, err := n.Session(t.Context(), n.id("ada"), b.session())
	n.must(err)
	if s.Kind != exeunt.KindKept {
		t.Errorf("the second form made it %s", s.Kind)
	}
}

// Whoever comes on the way to another page begins there, and may begin anew.
func TestTheSecondStepGoesNowhereElse(t *testing.T) {
	n := newNode(t)
	n.withApp()
	b := newBrowser(n)
	b.password("/sessions")
	b.get("/signin?return=/settings").is(http.StatusOK).says("Handle or e-mail")
	b.submit("/signin?return=/sessions", "/signin/anew", nil).leadsTo("/signin?return=%2Fsessions")
	b.get("/signin?return=/sessions").says("Handle or e-mail")
	b.password("/")
	n.Clock.Pass(exeunt.ChallengeLife)
	b.get("/signin").says("Handle or e-mail")
}

func TestTheSecondStepPressedTwice(t *testing.T) {
	n := newNode(t)
	code, _, first := n.withApp()
	b := newBrowser(n)
	form := b.password("/").form("/signin/code")
	form.Set("code", code())
	challenge := b.cookies["__Host-exeunt-challenge"]
	twins, answers := b.press("/signin/code", form, exeunt.MaxWrongAnswers) // each counts in advance as a wrong one
	for i, twin := range twins {
		if answers[i].leadsTo("/"); twin.session() != twins[0].session() || twin.session() == first.session() {
			t.Errorf("press %d has started another session", i+1)
		}
	}
	if live := n.live("ada"); len(live) != 2 {
		t.Errorf("there are %d sessions", len(live))
	}
	// After signing out, the form of the second step starts no other one.
	b = twins[0].thief()
	twins[0].submit("/signout", "/signout", url.Values{"scope": {"session"}}).leadsTo("/signed-out")
	b.cookies["__Host-exeunt-challenge"] = challenge
	delete(b.cookies, b.tokenName())
	delete(b.cookies, b.hereName())
	b.post("/signin/code", form).is(http.StatusConflict).says("Handle or e-mail")
}

func TestTooManyWrongCodes(t *testing.T) {
	n := newNode(t)
	code, _, _ := n.withApp()
	b := newBrowser(n)
	b.password("/")
	for range exeunt.MaxWrongAnswers {
		b.code("/", "000").is(http.StatusUnprocessableEntity)
	}
	form := url.Values{"code": {code()}}
	b.post("/signin/code", form).is(http.StatusUnauthorized).says("start again", "Handle or e-mail")
}

// A recovery code signs in once, and the page that follows proposes to end what may be in a stranger's hands.
func TestARecoveryCode(t *testing.T) {
	n := newNode(t)
	_, codes, lost := n.withApp()
	b := newBrowser(n)
	b.password("/settings").says("Use a recovery code")
	b.code("/settings", strings.ToUpper(codes[7].Reveal())).leadsTo("/recovered?return=%2Fsettings")
	b.get("/recovered?return=%2Fsettings").is(http.StatusOK).says("you have 9 left", "Have you lost your phone?")
	b.submit("/recovered", "/sessions/end", url.Values{"scope": {"others"}}).leadsTo("/sessions")
	lost.send(http.MethodGet, "/", nil).leadsTo("/ended")
	b.get("/").is(http.StatusOK)
	other := newBrowser(n)
	other.password("/")
	other.code("/", codes[7].Reveal()).is(http.StatusUnprocessableEntity).says("This code is wrong")
}
