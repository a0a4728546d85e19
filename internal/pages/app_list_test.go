package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/testnode"
)

// register has the node know these clients only.
func (n *node) register(list ...exeunt.Client) {
	n.t.Helper()
	n.must(n.OAuth.Reconcile(n.t.Context(), list, n.Now()))
}

// The page lists what may act in the person's name, and what is said of each app is what holds for it.
func TestApps(t *testing.T) {
	n := newNode(t)
	_, err := n.Accounts.AddAccount(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, account.NewAccount{
		Handle: "ada", Name: "Ada", Email: "ada@example.com", Password: password}, true)
	n.must(err)
	phone := testnode.ClientAt("phone", "http://phone.localhost:8083/back")
	phone.Auth, phone.Name = exeunt.ClientPublic, "Pocket"
	chirp, other := n.Client(t, testnode.Chirp), testnode.ClientAt(testnode.Other, "http://other.localhost:8082/exeunt/callback")
	other.Keys, other.FirstParty, other.SignOutURL = chirp.Keys, true, "http://other.localhost:8082/out"
	n.register(chirp, other, phone)
	b := n.signedIn("ada")
	b.get("/apps").is(http.StatusOK).says("No app signs you in")
	b.allowChirp()
	n.Clock.Pass(time.Hour)
	second := n.signedIn("ada")
	second.agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
	n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: second.session()}, testnode.Chirp)
	n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, testnode.Other)
	n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, "phone")
	page := b.get("/apps").says("Chirp", "Signed in 1 hour ago", "last used just now", "In Firefox on Linux , Firefox on Linux",
		"May see: that you are signed in, your handle, name and picture, your e-mail address ada@example.com", "Closes at once",
		"You allowed this 1 hour ago", "Other", "Cannot be told", "Sign out there too", "so you are not asked", "Pocket", "In Pocket")
	if !strings.Contains(page.body, `href="http://other.localhost:8082/out"`) || strings.Count(page.body, "/remove") != 1 {
		t.Errorf("the page lacks the other app's sign-out, or offers to withdraw what nobody was asked for")
	}

	// Sign out of Chirp, wherever; pressed twice it says the same.
	form := page.form("/apps/chirp/end")
	for range 2 {
		b.follow(b.post("/apps/chirp/end", form).leadsTo("/apps")).says("2 sign-ins of Chirp ended", "Closed at once")
	}
	b.get("/apps").hides("sign-ins of Chirp ended").says("Not signed in now", "Other")
	b.follow(b.submit("/signout", "/signout", nil)).says("Other", "cannot be told").hides("chirp")
	b.signIn("ada", "kept")
	// An app on a person's device has a session of its own, which ends with it.
	if got := b.get("/sessions").body; !strings.Contains(got, "Pocket") {
		t.Fatal("the app's own session is not listed")
	}
	b.follow(b.submit("/apps", "/apps/phone/end", nil)).says("One sign-in of Pocket ended", "cannot be told")
	b.get("/sessions").hides("pocket")

	// Without access, the app must ask anew.
	b.get("/apps").says("Chirp")
	b.follow(b.submit("/apps", "/apps/chirp/remove", nil)).says("Chirp has no access any more").hides("your e-mail address")
	b.get("/authorize?" + appQuery("s").Encode()).is(http.StatusOK).says("Continue to Chirp as")
	b.post("/apps/nobody/end", b.fields(nil)).is(http.StatusNotFound)
	newBrowser(n).send(http.MethodGet, "/apps", nil).leadsTo("/signin?return=%2Fapps")
}

// Removing access ends what the app has, once.
func TestRemoveAccess(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.allowChirp()
	form := b.get("/apps").form("/apps/chirp/remove")
	for range 2 {
		b.follow(b.post("/apps/chirp/remove", form).leadsTo("/apps")).says("Chirp has no access any more. One sign-in of it ended")
	}
	if got := n.ends(); !slices.Equal(got, []string{"session signed_out"}) {
		t.Errorf("the log has %q", got)
	}
	form.Set("key", "a key with blanks")
	b.post("/apps/chirp/remove", form).is(http.StatusBadRequest)
	form.Set("key", "x")
	form.Set("session", exeunt.NewSessionID().String())
	b.post("/apps/chirp/end", form).is(http.StatusConflict)
}

// However many sign-ins there are, each is on some page, and one step ends all of one app.
func TestManyApps(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	chirp := n.Client(t, testnode.Chirp)
	var list []exeunt.Client
	for i := range 70 {
		c := testnode.ClientAt(exeunt.ClientID(fmt.Sprintf("app-%02d", i)), "http://app.localhost:8082/back")
		c.Keys = chirp.Keys
		list = append(list, c)
	}
	n.register(append(list, chirp)...)
	b := n.signedIn("ada")
	s := exeunt.Session{Account: n.id("ada"), ID: b.session()}
	for i, c := range list {
		for range 1 + i%8 { // 275 sign-ins
			n.Clock.Pass(10 * time.Second)
			n.NewAppSession(t, s, c.ID)
		}
	}
	ids := func(page *answer) (out []string) {
		for _, part := range strings.Split(page.body, `id="app-`)[1:] {
			out = append(out, part[:strings.IndexByte(part, '"')])
		}
		return out
	}
	first := b.get("/apps").says("Show more apps")
	got := ids(first)
	next := first.body[strings.Index(first.body, "/apps?after="):]
	second := b.get(next[:strings.IndexByte(next, '"')]).says("Back to the first apps")
	if got = append(got, ids(second)...); len(got) != 70 || !slices.IsSorted(got) {
		t.Errorf("the pages show %d apps: %q", len(got), got)
	}
	// More than one step, of many sessions.
	for range 20 {
		other := n.signedIn("ada")
		for range 8 {
			n.NewAppSession(t, exeunt.Session{Account: s.Account, ID: other.session()}, testnode.Chirp)
		}
		n.Clock.Pass(time.Minute)
	}
	form := b.get("/apps?after=app-99").form("/apps/chirp/end")
	for range 2 {
		b.follow(b.post("/apps/chirp/end", form).leadsTo("/apps")).says("160 sign-ins of Chirp ended")
	}
	if left, err := n.Apps(t.Context(), authority.AppFilter{Account: s.Account, Client: testnode.Chirp, Limit: 1}); err != nil || len(left) > 0 {
		t.Errorf("%d are left, %v", len(left), err)
	}
}

// What an app's access token is worth after the page said that it is signed out: nothing.
func TestAnAppThatIsSignedOutIsRefused(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	token, _ := n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, testnode.Chirp)
	b.submit("/apps", "/apps/chirp/end", url.Values{}).leadsTo("/apps")
	if n.Check(t.Context(), token).Usable() {
		t.Error("its token is usable")
	}
}
