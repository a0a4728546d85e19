package pages

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/testnode"
)

// press sends a form n times at once, each from the browser as it is now, as when the browser gives up the first
// requests for the last. It returns the browsers, each with what its own answer gave it, and the answers.
func (b *browser) press(to string, form url.Values, times int) (list []*browser, answers []*answer) {
	list, answers = make([]*browser, times), make([]*answer, times)
	var all sync.WaitGroup
	for i := range list {
		list[i] = b.thief()
		list[i].lasting = map[string]bool{}
		all.Go(func() { answers[i] = list[i].post(to, form) })
	}
	all.Wait()
	return list, answers
}

// live returns the account's sessions that have not ended.
func (n *node) live(handle string) []exeunt.Session {
	n.t.Helper()
	list, err := n.Sessions(n.t.Context(), exeunt.SessionFilter{Account: n.id(handle)})
	n.must(err)
	return list.Items
}

func signInFields(handle, kind string) url.Values {
	return url.Values{"identifier": {handle}, "password": {password}, "kind": {kind}}
}

// signedInOnce checks that every press led there and that all browsers hold the credential of one session.
func (n *node) signedInOnce(handle, to string, list []*browser, answers []*answer) {
	n.t.Helper()
	for i, b := range list {
		answers[i].leadsTo(to)
		if b.session() != list[0].session() || b.here() != list[0].here() {
			n.t.Errorf("press %d has another credential", i)
		}
	}
	if got := n.live(handle); len(got) != 1 {
		n.t.Errorf("@%s has %d sessions", handle, len(got))
	}
}

func TestSignInSentTwiceIsOneSignIn(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	form := b.get("/signin?return=/security").form("/signin")
	maps.Copy(form, signInFields("ada", "kept"))
	list, answers := b.press("/signin", form, 16)
	n.signedInOnce("ada", "/security", list, answers)
	late := b.thief() // a moment later, and the first answer's cookies were lost
	n.signedInOnce("ada", "/security", append(list, late), append(answers, late.post("/signin", form)))
	list[0].post("/signin", form).leadsTo("/security").leavesCookies() // after Back: the cookies are there

	// Another password does not get in by the key, nor does another account get the session of the first.
	wrong := maps.Clone(form)
	wrong.Set("password", "not the password")
	b.thief().post("/signin", wrong).is(http.StatusUnauthorized).leavesCookies()
	n.account("bob")
	other := b.thief()
	wrong = maps.Clone(form)
	wrong.Set("identifier", "bob")
	other.post("/signin", wrong).leadsTo("/security")
	if len(n.live("bob")) != 1 || other.session() == list[0].session() {
		t.Error("another account came into the session of the same form")
	}

	// Once the session has ended, the same form is a new sign-in.
	first := list[0].session()
	list[0].submit("/signout", "/signout", nil).leadsTo("/signed-out")
	again := b.thief()
	again.post("/signin", form).leadsTo("/security")
	if again.session() == first || again.token() == list[1].token() || len(n.live("ada")) != 1 {
		t.Error("the ended session came back")
	}
	// It is another choice, too.
	form.Set("kind", "shared")
	shared := b.thief()
	shared.post("/signin", form).leadsTo("/security")
	if shared.session() == again.session() {
		t.Error("a shared computer got the session of a kept one")
	}
}

func TestSignUpSentTwiceIsOneAccount(t *testing.T) {
	n := newNode(t)
	b := newBrowser(n)
	form := b.get("/signup").form("/signup")
	maps.Copy(form, url.Values{"handle": {"grace"}, "name": {"Grace"}, "password": {password}, "kind": {"kept"}})
	list, answers := b.press("/signup", form, 3)
	n.signedInOnce("grace", "/", list, answers)
	late := b.thief()
	n.signedInOnce("grace", "/", append(list, late), append(answers, late.post("/signup", form)))
	list[0].post("/signup", form).leadsTo("/").leavesCookies() // after Back

	wrong := maps.Clone(form)
	wrong.Set("password", "three herons at the weir")
	b.thief().post("/signup", wrong).is(http.StatusUnprocessableEntity).says("That handle is taken")
	fresh := newBrowser(n)
	wrong = fresh.get("/signup").form("/signup")
	for _, name := range []string{"handle", "name", "password", "kind"} {
		wrong[name] = form[name]
	}
	fresh.post("/signup", wrong).is(http.StatusUnprocessableEntity).says("That handle is taken")
}

func TestLinksSentTwice(t *testing.T) {
	n := newNode(t)
	token, _, err := n.Accounts.Invite(t.Context(), account.Invitation{Handle: "grace", Expires: n.Now().Add(time.Hour)})
	n.must(err)
	link := "/setup/" + token.Reveal()
	b := newBrowser(n)
	form := b.get(link).form(link)
	maps.Copy(form, url.Values{"password": {password}, "kind": {"shared"}, "handle": {"grace"}})
	list, answers := b.press(link, form, 3)
	n.signedInOnce("grace", "/", list, answers)
	list[0].post(link, form).leadsTo("/").leavesCookies()
	form.Set("password", "three herons at the weir")
	b.thief().post(link, form).is(http.StatusGone)

	a, err := n.AccountByHandle(t.Context(), "grace")
	n.must(err)
	offer, err := n.Accounts.OfferReset(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}, a)
	n.must(err)
	link = "/reset/" + offer.Reveal()
	b = newBrowser(n)
	form = b.get(link).form(link)
	form.Set("password", "three herons at the weir")
	list, answers = b.press(link, form, 3)
	for i := range list {
		list[i].follow(answers[i].leadsTo("/signin")).says("Your new password is set")
	}
	if got := n.ends(); !slices.Equal(got, []string{"account password_change"}) {
		t.Errorf("the log has %q", got)
	}
	form.Set("password", "four herons at the weir")
	b.thief().post(link, form).is(http.StatusGone)
}

func TestPasswordSentTwiceIsChangedOnce(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.app("ada", "Phone")
	form := b.get("/security").form("/security/password")
	maps.Copy(form, url.Values{"current": {password}, "password": {"three herons at the weir"}})
	list, answers := b.press("/security/password", form, 3)
	for i := range list {
		list[i].follow(answers[i].leadsTo("/security")).says("Your password was changed. One other session ended.")
	}
	if got := n.ends(); !slices.Equal(got, []string{"others password_change"}) {
		t.Errorf("the log has %q", got)
	}
	form.Set("password", "four herons at the weir")
	b.post("/security/password", form).is(http.StatusUnprocessableEntity).says("sent with different content")
	// Nobody can try passwords by a key that is known.
	for range 60 {
		if b.post("/security/password", form).StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("60 guesses at the password were all looked at")
}

func TestSignOutSentTwice(t *testing.T) {
	for scope, says := range map[string]string{"session": "Signed out of this browser", "account": "Signed out everywhere"} {
		n := newNode(t)
		n.account("ada")
		b := n.signedIn("ada")
		n.app("ada", "Phone")
		n.appSession(b)
		one, two := b.get("/signout?scope="+scope).form("/signout"), b.get("/signout?scope="+scope).form("/signout")
		list, answers := b.press("/signout", one, 3)
		second := b.thief() // another tab, at the same time
		list, answers = append(list, second), append(answers, second.post("/signout", two))
		first := ""
		for i := range list {
			page := list[i].follow(answers[i].leadsTo("/signed-out")).says(says).hides("If you did not expect this")
			if first == "" {
				first = text(page.body)
			}
			if got := text(page.body); got != first {
				t.Errorf("%s: press %d: %s\nand the first: %s", scope, i, got, first)
			}
			if list[i].token() != "" {
				t.Error("the credential is left in the browser")
			}
		}
		if got := n.ends(); len(got) != 1 {
			t.Errorf("%s: the log has %q", scope, got)
		}
	}
	// More than was done is not claimed, and later nobody learns more than the reason.
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	all := b.get("/signout?scope=account").form("/signout")
	dead := b.thief()
	b.submit("/signout", "/signout", nil).leadsTo("/signed-out")
	dead.thief().post("/signout", all).is(http.StatusUnauthorized).says("nothing was changed")
	n.Clock.Pass(time.Minute)
	all.Set("scope", "session")
	dead.post("/signout", all).is(http.StatusOK).says("was signed out, here or from another device")
}

// Two tabs of an app, or of ours, at the sign-in form: the second goes on with the sign-in of the first.
func TestSecondTabAtTheSignInForm(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := newBrowser(n)
	back := "/authorize?" + appQuery("s").Encode()
	one := b.get("/signin?" + url.Values{"return": {back}}.Encode()).form("/signin")
	two := b.get("/signin?" + url.Values{"return": {back}}.Encode()).form("/signin")
	maps.Copy(one, signInFields("ada", "kept"))
	maps.Copy(two, signInFields("ada", "kept"))
	for _, form := range []url.Values{one, two, one} {
		b.follow(b.post("/signin", form)).is(http.StatusOK).says("Continue to Chirp")
	}
	if got := n.live("ada"); len(got) != 1 || len(n.ends()) > 0 {
		t.Errorf("%d sessions, and the log has %q", len(got), n.ends())
	}
	// Where another account would take the place of the first, its tab changes nothing, and has a way on.
	maps.Copy(two, signInFields("bob", "shared"))
	page := b.post("/signin", two).is(http.StatusConflict).says("Open the form again").leavesCookies()
	if !strings.Contains(page.body, `href="/signin?return=`) {
		t.Error("the form cannot be opened again for where it leads")
	}
	// Another choice of device is honoured.
	maps.Copy(two, signInFields("ada", "shared"))
	b.post("/signin", two).is(http.StatusSeeOther)
	if got := n.live("ada"); len(got) != 1 || got[0].Kind != exeunt.KindShared {
		t.Errorf("%+v", got)
	}
}

// A browser that refuses cookies is told so, each time, and leaves no session behind.
func TestCookiesRefused(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	token, _, err := n.Accounts.Invite(t.Context(), account.Invitation{Handle: "grace", Expires: n.Now().Add(time.Hour)})
	n.must(err)
	before := n.recorded()
	for to, fill := range map[string]url.Values{
		"/signin":                  signInFields("ada", "kept"),
		"/signup":                  {"handle": {"eve"}, "password": {password}, "kind": {"kept"}},
		"/setup/" + token.Reveal(): {"handle": {"grace"}, "password": {password}, "kind": {"kept"}},
	} {
		for range 2 {
			b := newBrowser(n)
			form := b.get(to).form(to)
			clear(b.cookies)
			maps.Copy(form, fill)
			b.post(to, form).is(http.StatusBadRequest).says("Allow cookies for this site").hides(password)
		}
	}
	if n.recorded() != before {
		t.Error("something was left behind")
	}
	b := newBrowser(n) // once they are allowed the same form works
	form := b.get("/signin").form("/signin")
	maps.Copy(form, signInFields("ada", "kept"))
	kept := maps.Clone(b.cookies)
	clear(b.cookies)
	b.post("/signin", form).is(http.StatusBadRequest)
	maps.Copy(b.cookies, kept)
	b.post("/signin", form).leadsTo("/")
}

// A browser that nobody has signed in with begins with no choice, others with their last one.
func TestChoiceOfDevice(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	checked := func(b *browser, to string) (kinds []string) {
		for _, kind := range []string{"kept", "shared"} {
			if strings.Contains(b.get(to).body, `value="`+kind+`" required checked`) {
				kinds = append(kinds, kind)
			}
		}
		return kinds
	}
	b := newBrowser(n)
	for _, to := range []string{"/signin", "/signin", "/signup"} {
		if got := checked(b, to); len(got) > 0 {
			t.Errorf("%s begins with %q in a browser that nobody has used", to, got)
		}
	}
	if got := checked(b, "/signin?shared=1"); !slices.Equal(got, []string{"shared"}) {
		t.Errorf("the form for shared computers begins with %q", got)
	}
	b.get("/signin").says("Not sure? Choose shared")
	for _, kind := range []string{"kept", "shared"} {
		b.submit("/signin", "/signin", signInFields("ada", kind)).leadsTo("/")
		b.submit("/signout", "/signout", nil)
		for _, to := range []string{"/signin", "/signup"} {
			if got := checked(b, to); !slices.Equal(got, []string{kind}) {
				t.Errorf("%s begins with %q after %s", to, got, kind)
			}
		}
		if lasting := b.lasting["__Host-exeunt-device"]; lasting != (kind == "kept") {
			t.Errorf("%s: what the browser remembers outlives it: %v", kind, lasting)
		}
		if kind == "kept" {
			b.get("/signin").hides("Not sure?")
		}
	}
}

// A key belongs to what it was used for: another form with the same key does not get its answer.
func TestAKeyIsForOneKindOfForm(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.app("ada", "Phone")
	others := b.get("/signout?scope=others").form("/sessions/end")
	b.post("/sessions/end", others).leadsTo("/sessions")
	change := b.get("/security").form("/security/password")
	// The present password as the new one is what a repeated form would have.
	maps.Copy(change, url.Values{"key": others["key"], "current": {password}, "password": {password}})
	b.post("/security/password", change).is(http.StatusUnprocessableEntity).says("sent with different content")
	change.Set("password", "three herons at the weir")
	b.post("/security/password", change).is(http.StatusUnprocessableEntity).says("sent with different content")
	b.get("/security").hides("Your password was changed")

	change = b.get("/security").form("/security/password")
	maps.Copy(change, url.Values{"current": {password}, "password": {"three herons at the weir"}})
	b.post("/security/password", change).leadsTo("/security")
	others = b.get("/signout?scope=others").form("/sessions/end")
	others["key"] = change["key"]
	b.post("/sessions/end", others).is(http.StatusUnprocessableEntity).says("sent with different content")
	if got := n.ends(); !slices.Equal(got, []string{"others signed_out", "others password_change"}) {
		t.Errorf("the log has %q", got)
	}
}

// Typing the password again gives the browser's session another token, which leaves a trace: a copy of the old one is
// refused. The same form again is the same for some minutes, and another sign-in after that.
func TestSigningInAgainRenews(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	first := b.get("/signin").form("/signin")
	maps.Copy(first, signInFields("ada", "kept"))
	b.post("/signin", first).leadsTo("/")
	session, was := b.session(), b.token()
	app, _ := n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: session}, testnode.Chirp)
	thief := b.thief()
	again := b.get("/signin").form("/signin")
	maps.Copy(again, signInFields("ada", "kept"))
	list, answers := b.press("/signin", again, 3)
	late := b.thief() // with the old cookies, and its answer was lost
	list, answers = append(list, late), append(answers, late.post("/signin", again))
	for i := range list {
		answers[i].leadsTo("/")
		if list[i].token() == was || list[i].token() != list[0].token() || list[i].session() != session {
			t.Errorf("press %d: another session, or the token of before", i)
		}
	}
	thief.get("/").is(http.StatusConflict).hides("@ada")
	thief.post("/signin", first).is(http.StatusConflict).leavesCookies()
	list[0].get("/").says("Hello, Ada")
	if n.Check(t.Context(), app).State != authority.Usable || len(n.live("ada")) != 1 || len(n.ends()) > 0 {
		t.Error("something has ended")
	}
	if e := n.audited(n.id("ada"), exeunt.AuditRenewed); e.By.Session != session {
		t.Errorf("%+v", e)
	}
	// Minutes later, what the form and the password bring is a sign-in of its own.
	n.Clock.Pass(6 * time.Minute)
	copied := newBrowser(n)
	maps.Copy(copied.cookies, map[string]string{"__Host-exeunt-device": "new"})
	copied.post("/signin", again).leadsTo("/")
	if copied.token() == list[0].token() || copied.session() == session || len(n.live("ada")) != 2 {
		t.Error("an old form brings the token of the session that it renewed")
	}
	n.Clock.Pass(6 * time.Minute)
	token := list[0].token()
	list[0].post("/signin", again).leadsTo("/")
	if list[0].token() == token || list[0].session() != session {
		t.Error("the password was typed again, and the token stays")
	}
}
