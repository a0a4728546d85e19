package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// A passkey is made by somebody who has just signed in, comes with recovery codes and a choice about the other sessions,
// and signs in by itself; the password alone no longer does.
func TestAPasskeySignsIn(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	b.get("/security/passkeys").says("Sign out of the other place", "From now on this passkey signs you in by itself")
	key, done := b.addPasskey(url.Values{"others": {"yes"}})
	done.leadsTo("/security/codes")
	b.get("/security/codes").says("Save these ten codes")
	b.get("/security").says("Firefox on Linux", "Passkey", "not used yet", "On, by 1 passkey or app")
	if len(n.ends()) != 1 || !strings.Contains(n.ends()[0], "others") {
		t.Errorf("the other sessions: %q", n.ends())
	}
	other.get("/sessions").hides("@ada")
	second := b.get("/security/passkeys").asks("data-passkey-make")
	if len(second.Exclude) != 1 || second.Exclude[0].ID != b64(key.id) {
		t.Errorf("the browser may make another one on the same device: %+v", second.Exclude)
	}

	next := newBrowser(n)
	next.post("/signin", next.passkeyForm(key, "/sessions")).leadsTo("/sessions")
	s, err := n.Session(t.Context(), n.id("ada"), next.session())
	n.must(err)
	if s.Kind != exeunt.KindKept || s.Methods.String() != "passkey" || !s.Methods.Several() {
		t.Errorf("the session is %s, by %v", s.Kind, s.Methods)
	}
	next.get("/security").says("last used", "in Firefox on Linux")
	next.get("/sessions").says("Signed in with Passkey")
	if newBrowser(n).password("/"); t.Failed() {
		t.Error("the password alone signs in")
	}
}

// The form pressed twice starts one session, also at the same moment; another answer to the same question starts none.
func TestAnAnswerIsTakenOnce(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	key, _ := n.signedIn("ada").addPasskey(nil)
	b := newBrowser(n)
	form := b.passkeyForm(key, "/")
	var wg sync.WaitGroup
	twins := make([]*browser, 16)
	for i := range twins {
		twins[i] = b.thief()
		wg.Go(func() { twins[i].post("/signin", form).leadsTo("/") })
	}
	wg.Wait()
	for _, twin := range twins {
		if twin.token() != twins[0].token() {
			t.Fatal("the same form has started two sessions")
		}
	}
	// A replay in a form of its own, and in another browser.
	other := newBrowser(n)
	replay := other.passkeyForm(key, "/")
	replay.Set("passkey", form.Get("passkey"))
	other.post("/signin", replay).is(http.StatusUnprocessableEntity).says("could not verify the passkey")
	copied := b.thief()
	delete(copied.cookies, copied.tokenName())
	delete(copied.cookies, copied.hereName())
	again := copied.get("/signin").form("/signin")
	again.Set("kind", "kept")
	again.Set("passkey", form.Get("passkey"))
	copied.post("/signin", again).is(http.StatusUnauthorized).says("went on in another tab")
	// Sixteen answers to one question, each by a form of its own: one wins.
	b = newBrowser(n)
	q := b.question("")
	var forms []url.Values
	for range 16 {
		f := b.get("/signin").form("/signin")
		f.Set("kind", "kept")
		f.Set("passkey", key.answer(q))
		forms = append(forms, f)
	}
	var won sync.Map
	for i, f := range forms {
		wg.Go(func() {
			twin := b.thief()
			if twin.post("/signin", f).StatusCode == http.StatusSeeOther {
				won.Store(i, true)
			}
		})
	}
	wg.Wait()
	count := 0
	won.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d of 16 answers to one question won", count)
	}
}

// Whoever signs in with a password alone is offered a passkey on Home, until they have one or say no; on a shared
// computer nobody is.
func TestAPasskeyIsOffered(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	const offer = "Sign in without a password?"
	shared := newBrowser(n)
	shared.signIn("ada", "shared")
	shared.get("/").hides(offer)
	b := n.signedIn("ada")
	b.get("/").says(offer)
	for range 2 {
		b.post("/security/passkeys/decline", b.fields(nil)).leadsTo("/")
	}
	b.get("/").hides(offer)
	n.signedIn("ada").get("/").hides(offer)
	b = n.signedIn("bob")
	b.get("/").says(offer)
	b.addPasskey(nil)
	b.get("/").hides(offer)
}

// Whatever is wrong with an answer, the page says so and offers another way, and nobody is signed in.
func TestAnswersThatAreRefused(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := n.signedIn("ada")
	key, _ := b.addPasskey(nil)
	bobs, _ := n.signedIn("bob").addPasskey(nil)
	good := *key
	for name, c := range map[string]struct {
		change func(*authenticator, *browser, *question) string
		says   string
	}{
		"another origin":      {func(a *authenticator, _ *browser, _ *question) string { a.origin = "https://evil.example"; return "" }, "could not verify"},
		"another site's key":  {func(a *authenticator, _ *browser, _ *question) string { a.rp = "evil.example"; return "" }, "could not verify"},
		"nobody was verified": {func(a *authenticator, _ *browser, _ *question) string { a.flags &^= 0x04; return "" }, "could not verify"},
		"nobody was present":  {func(a *authenticator, _ *browser, _ *question) string { a.flags &^= 0x01; return "" }, "could not verify"},
		"other backup flag":   {func(a *authenticator, _ *browser, _ *question) string { a.flags &^= 0x18; return "" }, "could not verify"},
		"another challenge":   {func(_ *authenticator, _ *browser, q *question) string { q.Challenge = b64(make([]byte, 32)); return "" }, "could not verify"},
		"another account":     {func(a *authenticator, _ *browser, _ *question) string { a.user = bobs.user; return "" }, "could not verify"},
		"no account":          {func(a *authenticator, _ *browser, _ *question) string { a.user = ""; return "" }, "could not verify"},
		"another key":         {func(a *authenticator, _ *browser, _ *question) string { a.key = bobs.key; return "" }, "could not verify"},
		"a passkey of nobody": {func(a *authenticator, _ *browser, _ *question) string { a.id = make([]byte, 32); return "" }, "not registered here"},
		"truncated":           {func(a *authenticator, _ *browser, q *question) string { s := a.answer(*q); return s[:len(s)/2] }, "could not verify"},
		"garbage":             {func(*authenticator, *browser, *question) string { return "garbage" }, "could not verify"},
		"too late":            {func(*authenticator, *browser, *question) string { n.Clock.Pass(exeunt.ChallengeLife); return "" }, "took too long"},
		"of another browser": {func(_ *authenticator, b *browser, _ *question) string {
			delete(b.cookies, "__Host-exeunt-passkey")
			return ""
		}, "took too long"},
		"a question forged": {func(_ *authenticator, b *browser, _ *question) string {
			b.cookies["__Host-exeunt-passkey"] += "A"
			return ""
		}, "took too long"},
		"for a confirmation": {func(a *authenticator, b *browser, _ *question) string {
			return a.answer(question{Challenge: b64([]byte(strings.Repeat("c", 32)))})
		}, "could not verify"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(n)
			b.t = t
			form := b.get("/signin").form("/signin")
			form.Set("kind", "kept")
			bad, q := good, b.question("")
			answer := c.change(&bad, b, &q)
			if answer == "" {
				answer = bad.answer(q)
			}
			form.Set("passkey", answer)
			a := b.post("/signin", form).says(c.says, "Sign in with a passkey", "Forgot your password?")
			if a.StatusCode < 400 || b.token() != "" {
				t.Errorf("it answers %d, and the browser holds %q", a.StatusCode, b.token())
			}
			if unknown := strings.Contains(a.body, "data-passkey-signals"); unknown != (name == "a passkey of nobody") {
				t.Errorf("the browser is told of an unknown passkey: %v", unknown)
			}
		})
	}
	b = newBrowser(n)
	b.post("/signin", b.passkeyForm(&good, "/")).leadsTo("/")
}

// An authenticator that counts must not count backwards: there may be a copy of it. That is in the audit.
func TestACopiedPasskeyIsRefused(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	key, _ := b.addPasskey(nil)
	for key.count = range uint32(3) {
		next := newBrowser(n)
		next.post("/signin", next.passkeyForm(key, "/")).leadsTo("/")
	}
	key.count = 2 // as the last time
	next := newBrowser(n)
	next.post("/signin", next.passkeyForm(key, "/")).is(http.StatusUnprocessableEntity).says("counted backwards")
	audited := func() bool {
		page, err := n.Audit(t.Context(), exeunt.AuditFilter{Account: n.id("ada")})
		n.must(err)
		return slices.ContainsFunc(page.Items, func(e exeunt.AuditEntry) bool {
			return e.Action == exeunt.AuditSignInFailed && e.Detail == "cloned_passkey"
		})
	}
	for limit := time.Now().Add(2 * time.Minute); !audited(); time.Sleep(time.Millisecond) { // it is written in the background
		if time.Now().After(limit) {
			t.Fatal("it is not in the audit")
		}
	}
	key.count = 3
	next.post("/signin", next.passkeyForm(key, "/")).leadsTo("/")
}

// After the password a passkey is the second step, and only one of the same account.
func TestAPasskeyIsASecondStep(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	owner := n.signedIn("ada")
	key, _ := owner.addPasskey(nil)
	bobs, _ := n.signedIn("bob").addPasskey(nil)
	b := newBrowser(n)
	page := b.password("/sessions").says("Use a passkey", "Use a recovery code", "JavaScript").hides("authenticator app")
	q := page.asks("data-passkey-form")
	if len(q.Allow) != 1 || q.Allow[0].ID != b64(key.id) {
		t.Errorf("the browser looks for %+v", q.Allow)
	}
	form := page.form("/signin/code")
	form.Set("passkey", bobs.answer(q))
	b.post("/signin/code", form).is(http.StatusUnprocessableEntity).says("belongs to another account")
	form.Set("passkey", key.answer(b.question("")))
	b.post("/signin/code", form).is(http.StatusUnprocessableEntity).says("could not verify")
	form.Set("passkey", key.answer(q))
	twin := b.thief()
	b.post("/signin/code", form).leadsTo("/sessions")
	twin.post("/signin/code", form).leadsTo("/sessions")
	if twin.token() != b.token() {
		t.Error("the form pressed twice has started two sessions")
	}
	s, err := n.Session(t.Context(), n.id("ada"), b.session())
	n.must(err)
	if s.Methods.String() != "password passkey" {
		t.Errorf("the session is by %v", s.Methods)
	}
}

// A passkey proves anew who somebody is, in the same form, without the password; a new password still needs the current
// one. Each form may be pressed twice.
func TestAPasskeyConfirms(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := n.signedIn("ada")
	key, _ := b.addPasskey(nil)
	bobs, _ := n.signedIn("bob").addPasskey(nil)
	stale := func(to string) url.Values {
		n.Clock.Pass(exeunt.DefaultPolicy().Fresh + time.Minute)
		return b.fields(b.get(to).says("Confirm with a passkey", "Current password", "Recovery code").form(to))
	}
	b.submit("/security/codes", "/security/codes/saved", nil)
	form := stale("/security/codes")
	b.post("/security/codes", form).is(http.StatusUnprocessableEntity).says("current password too")
	form.Set("passkey", bobs.answer(b.question("?confirm")))
	b.post("/security/codes", form).is(http.StatusUnprocessableEntity).says("belongs to another account")
	form.Set("passkey", key.answer(b.question("")))
	b.post("/security/codes", form).is(http.StatusUnprocessableEntity).says("could not verify")
	q := b.question("?confirm")
	if len(q.Allow) != 1 {
		t.Errorf("the browser looks for %+v", q.Allow)
	}
	form.Set("passkey", key.answer(q))
	b = b.pressedTwice("/security/codes", form, "/security/codes")
	b.get("/security").says("You confirmed who you are")

	// What is checked before the proof leaves it as it is.
	form = stale("/security/app")
	form.Set("passkey", key.answer(b.question("?confirm")))
	page := b.get("/security/app")
	form.Set("setup", page.form("/security/app").Get("setup"))
	form.Set("app_code", n.appCode(page))
	form.Set("name", strings.Repeat("x", exeunt.MaxFactorNameLen+1))
	b.post("/security/app", form).is(http.StatusUnprocessableEntity)
	form.Set("name", "Phone")
	b.post("/security/app", form).leadsTo("/security")

	// A proof is kept when the form is refused for something else.
	n.Clock.Pass(exeunt.DefaultPolicy().Fresh + time.Minute)
	fill := url.Values{"passkey": {key.answer(b.question("?confirm"))}, "password": {"another lantern entirely"}, "current": {"wrong"}}
	b.submit("/security", "/security/password", fill).is(http.StatusUnprocessableEntity).says("current password is wrong")
	b.get("/security").says("You confirmed who you are") // the passkey was right
	b.submit("/security", "/security/password", url.Values{"current": {password}, "password": {"another lantern entirely"}}).leadsTo("/security")
}

// An account that has no password needs a passkey alone, also for its first password.
func TestAnAccountWithoutAPassword(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	key, _ := b.addPasskey(nil)
	n.changeRows(`UPDATE accounts SET password_hash = NULL, password_set = NULL`)
	n.Clock.Pass(exeunt.DefaultPolicy().Fresh + time.Minute)
	page := b.get("/security").says("You sign in with a passkey").hides("Current password")
	form := b.fields(page.form("/security/password"))
	form.Set("password", "another lantern entirely")
	b.post("/security/password", form).is(http.StatusUnprocessableEntity)
	form.Set("passkey", key.answer(b.question("?confirm")))
	b.post("/security/password", form).leadsTo("/security")
	b.get("/security").hides("You sign in with a passkey").says("Current password")
}

// Passkeys are named and renamed, and the browser's password manager is told which ones there are.
func TestPasskeysAreRenamedAndRemoved(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	first, _ := b.addPasskey(url.Values{"name": {" My  laptop "}})
	n.Clock.Pass(time.Second)
	second, _ := b.addPasskey(nil)
	list := n.factors()
	if list[0].Name != "My laptop" || list[1].Name != "Firefox on Linux" {
		t.Errorf("they are called %q and %q", list[0].Name, list[1].Name)
	}
	to := "/security/factors/" + list[1].ID.String()
	b.submit(to+"/name", to+"/name", url.Values{"name": {"\u202e"}}).is(http.StatusUnprocessableEntity).says("A name has")
	n.Clock.Pass(time.Hour) // no proof is needed
	for range 2 {
		b.submit(to+"/name", to+"/name", url.Values{"name": {"Work phone"}}).leadsTo("/security")
	}
	a := b.get("/security").says("The name was changed", "Work phone", "My laptop")
	for _, key := range []*authenticator{first, second} {
		if !strings.Contains(a.body, b64(key.id)) {
			t.Error("the browser is not told of a passkey that there is")
		}
	}
	if page := b.get("/security"); strings.Contains(page.body, "data-passkey-signals") {
		t.Error("the browser is told again on every visit")
	}
	form := b.fields(b.get(to).form(to))
	form.Set("passkey", first.answer(b.question("?confirm")))
	b.post(to, form).leadsTo("/security")
	a = b.get("/security").says("It was removed").hides("Work phone")
	if strings.Contains(a.body, b64(second.id)) || !strings.Contains(a.body, b64(first.id)) {
		t.Error("the browser is not told that the passkey is gone")
	}
	lost := newBrowser(n)
	lost.post("/signin", lost.passkeyForm(second, "/")).is(http.StatusUnprocessableEntity).says("not registered here")
	other := n.factors()[0]
	b.get("/security/factors/" + exeunt.NewFactorID().String() + "/name").says("Security")
	if len(n.factors()) != 1 || other.Name != "My laptop" {
		t.Errorf("left are %+v", n.factors())
	}
}

// What is wrong with a new passkey is said, and nothing is added; the form sent twice adds one.
func TestNewPasskeysThatAreRefused(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := n.signedIn("ada")
	for name, change := range map[string]func(*authenticator, *question) string{
		"another origin":      func(a *authenticator, _ *question) string { a.origin = "https://evil.example"; return "" },
		"another site":        func(a *authenticator, _ *question) string { a.rp = "evil.example"; return "" },
		"nobody was verified": func(a *authenticator, _ *question) string { a.flags &^= 0x04; return "" },
		"another challenge":   func(_ *authenticator, q *question) string { q.Challenge = b64(make([]byte, 20)); return "" },
		"truncated":           func(a *authenticator, q *question) string { s := a.make(*q); return s[:len(s)/2] },
		"nothing":             func(*authenticator, *question) string { return " " },
	} {
		t.Run(name, func(t *testing.T) {
			key := newAuthenticator(t)
			page := b.get("/security/passkeys")
			q := page.asks("data-passkey-make")
			made := change(key, &q)
			if made == "" {
				made = key.make(q)
			}
			form := b.fields(page.form("/security/passkeys"))
			form.Set("made", made)
			form.Set("name", "Mine")
			a := b.post("/security/passkeys", form).is(http.StatusUnprocessableEntity).says("could not verify the passkey")
			if a.form("/security/passkeys").Get("made") != "" || !strings.Contains(a.body, `value="Mine"`) {
				t.Error("the form keeps what was refused, or loses what was typed")
			}
		})
	}
	if len(n.factors()) != 0 {
		t.Fatal("one was added")
	}
	page := b.get("/security/passkeys")
	key := newAuthenticator(t)
	form := b.fields(page.form("/security/passkeys"))
	form.Set("made", key.make(page.asks("data-passkey-make")))
	b = b.pressedTwice("/security/passkeys", form, "/security/codes")
	if len(n.factors()) != 1 {
		t.Fatalf("%d passkeys were added", len(n.factors()))
	}
	// The same key cannot be another account's, nor this one's again.
	for _, who := range []*browser{b, n.signedIn("bob")} {
		page := who.get("/security/passkeys")
		form := who.fields(page.form("/security/passkeys"))
		same := *key
		form.Set("made", same.make(page.asks("data-passkey-make")))
		who.post("/security/passkeys", form).is(http.StatusConflict).says("registered already")
	}
	// A refusal of the proof keeps what the browser has made.
	n.Clock.Pass(exeunt.DefaultPolicy().Fresh + time.Minute)
	_, a := b.addPasskey(url.Values{"current": {"wrong"}})
	a.is(http.StatusUnprocessableEntity).says("current password is wrong")
	kept := b.fields(a.form("/security/passkeys"))
	if kept.Get("made") == "" {
		t.Fatal("the new passkey is lost with a wrong password")
	}
	kept.Set("passkey", key.answer(b.question("?confirm")))
	b.post("/security/passkeys", kept).leadsTo("/security")
}

// Where only a passkey will do, whoever has none is led to make one, and goes on from there.
func TestAPasskeyThatIsRequired(t *testing.T) {
	policy := exeunt.DefaultPolicy()
	policy.Factor = exeunt.OnlyPasskey
	n := newNodeOf(t, policy)
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "kept")
	b.get("/sessions").says("One more step", "Add a passkey").hides("authenticator app")
	key, done := b.addPasskey(nil)
	done.leadsTo("/security/codes")
	b.submit("/security/codes", "/security/codes/saved", nil).leadsTo("/sessions")
	b.get("/sessions").is(http.StatusOK)
	next := newBrowser(n)
	next.post("/signin", next.passkeyForm(key, "/sessions")).leadsTo("/sessions")
	next.get("/sessions").is(http.StatusOK)
}

// A passkey keeps an account as a password does, alone and as the second step.
func TestAPasskeyKeepsAnAccount(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	key, _ := b.addPasskey(nil)
	b.submit("/account/delete", "/account/delete", nil).leadsTo("/account/deleting")
	second := newBrowser(n)
	page := second.password("/sessions")
	form := page.form("/signin/code")
	form.Set("passkey", key.answer(page.asks("data-passkey-form")))
	second.post("/signin/code", form).leadsTo("/account/deleting")
	if len(n.live("ada")) != 0 {
		t.Error("there is a session")
	}
	alone := newBrowser(n)
	form = alone.passkeyForm(key, "/")
	twin := alone.thief()
	alone.post("/signin", form).leadsTo("/account/deleting")
	twin.post("/signin", form).leadsTo("/account/deleting")
	if len(n.live("ada")) != 0 {
		t.Error("there is a session")
	}
	alone.submit("/account/deleting", "/account/keep", nil).leadsTo("/settings")
	alone.get("/").is(http.StatusOK)
}
