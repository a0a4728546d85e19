package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testnode"
)

// The server's half of the check: what a browser presents, by name, and what removes it.
func TestCheckNamesWhatIsPresented(t *testing.T) {
	for name, c := range map[string]struct {
		left  func(n *node, b *browser) // what is done to a browser in which somebody has just signed in
		says  []string
		hides []string
		ends  string // the reason that the log has once it was removed
	}{
		"a sign-in": {func(*node, *browser) {}, []string{"You are signed in", "@ada", "A sign-in that is valid.", "Sign out now"},
			[]string{"Remove what is left"}, ""},
		"nothing": {func(_ *node, b *browser) { clear(b.cookies) },
			[]string{"You are signed out", "Nothing. Nobody is signed in here.", "does not say which sign-out"}, []string{"Remove what is left", "@ada"}, ""},
		"a pair of a session that was ended elsewhere": {func(n *node, b *browser) {
			_, err := n.End(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}, exeunt.Revocation{Reason: exeunt.ReasonAdministrator,
				Target: exeunt.Target{Account: n.id("ada"), Scope: exeunt.ScopeAccount}})
			n.must(err)
		}, []string{"Something is left in this browser", "A sign-in that has ended. It is refused.", "administrator", "08:00:00 UTC"}, []string{"@ada", "linux"}, ""},
		"a pair that nothing is known of": {func(_ *node, b *browser) {
			name := b.tokenName()
			b.cookies[name], b.cookies[name+"-here"] = exeunt.NewToken(exeunt.UseSession).Reveal(), "x"
		}, []string{"A sign-in that has ended", "Nothing is known of it here any more."}, nil, ""},
		"the hidden half alone": {func(n *node, b *browser) {
			n.Clock.Pass(time.Minute)
			delete(b.cookies, b.hereName())
		}, []string{"the cookie that pages cannot read, without the other"}, []string{"@ada", "linux"}, "session incomplete_credential"},
		"the hidden half alone, a moment after a sign-in": {func(_ *node, b *browser) { delete(b.cookies, b.hereName()) },
			[]string{"Half of a sign-in that is just being stored."}, []string{"Remove what is left"}, ""},
		"the readable half alone": {func(_ *node, b *browser) { delete(b.cookies, b.tokenName()) },
			[]string{"the cookie that pages can read, without the other"}, []string{"@ada"}, ""},
		"a damaged cookie": {func(_ *node, b *browser) { b.cookies[b.tokenName()] = "exs_garbage" },
			[]string{"Cookies that are damaged, or are not ours."}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.account("ada")
			b := n.signedIn("ada")
			c.left(n, b)
			a := b.send(http.MethodGet, "/check", nil).is(http.StatusOK).says(c.says...).hides(c.hides...)
			if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Clear-Site-Data") != "" {
				t.Errorf("%v", a.Header)
			}
			if !strings.Contains(a.body, `action="/check/clear"`) {
				before := len(b.cookies)
				if b.post("/check/clear", nil); len(b.cookies) != before {
					t.Errorf("what may be of use was removed: %v", b.cookies)
				}
				return
			}
			b.follow(b.post("/check/clear", url.Values{}).is(http.StatusSeeOther)).is(http.StatusOK).says("You are signed out", "Nothing. Nobody is signed in here.")
			if b.token() != "" || b.here() != "" {
				t.Errorf("left: %v", b.cookies)
			}
			ends := n.ends()
			if c.ends != "" && (len(ends) != 1 || ends[0] != c.ends) {
				t.Errorf("ended: %v", ends)
			}
		})
	}
}

// After a sign-out the check knows which it is about: for a few minutes in its browser, and by its receipt anywhere. It
// names nobody, and says how whoever is signed in relates to it.
func TestCheckOfASignOut(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("grace")
	app := testnode.ClientAt("notes", "http://notes.localhost:8082/back")
	app.Keys = n.Client(t, testnode.Chirp).Keys
	n.register(app)
	b, phone := n.signedIn("ada"), n.signedIn("ada")
	n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, app.ID)
	b.get("/check").says("You are signed in", "One other active session", "Notes Cannot be told. Sign out there too", "Closing a tab")
	n.Clock.Pass(time.Minute)
	out := b.follow(b.submit("/signout", "/signout", nil)).says("Check this device")
	receipt := out.proof()
	if !strings.Contains(out.body, `href="`+receipt+`/check"`) {
		t.Errorf("no link to the check: %s", out.body)
	}
	b.get(receipt).says("Check this device")
	other := newBrowser(n)
	for _, a := range []*answer{b.get("/check"), b.get(receipt + "/check"), other.get(receipt + "/check")} {
		a.says("You are signed out here, but not in every app", "The session ended, with all tokens of its apps: ", "08:01:00 UTC", "Notes You may still be signed in there: it cannot be told.",
			"Sign out there too").hides("@ada", "linux", "other active session")
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", a.Header)
		}
	}
	if a := other.get(receipt + "/check"); a.Header.Get("X-Robots-Tag") != "noindex" || len(other.cookies) > 0 {
		t.Errorf("%v %v", a.Header, other.cookies)
	}
	other.get("/check").says("You are signed out", "does not say which").hides("Notes")
	other.get(receipt + "x/check").is(http.StatusNotFound)
	other.get("/receipts/x/check").is(http.StatusNotFound)

	n.Clock.Pass(time.Minute)
	b.signIn("grace", "kept")
	b.get(receipt+"/check").says("You are signed in", "@grace", "Another account is signed in here.").hides("@ada")
	b.follow(b.submit("/signout", "/signout", nil))
	b.signIn("ada", "kept")
	b.get(receipt + "/check").says("You have signed in again since.")
	phone.get(receipt + "/check").says("The sign-out was of another session.")
	n.Clock.Pass(10 * time.Minute)
	b.get("/check").says("You are signed in", "Nobody has signed out here in the last minutes.")
}

// The check is of use while what became of the sign-out cannot be read.
func TestCheckWithoutTheStore(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.follow(b.submit("/signout", "/signout", nil))
	n.breakReads()
	b.get("/check").is(http.StatusOK).says("You are signed out", "Nothing. Nobody is signed in here.")
}

// On a shared computer nothing leads to the receipt, and the check knows of the sign-out by the browser's note.
func TestCheckOnASharedComputer(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "shared")
	a := b.follow(b.submit("/signout", "/signout", nil)).hides("/receipts/")
	if !strings.Contains(a.body, `href="/check"`) {
		t.Errorf("%s leads to no check", text(a.body))
	}
	b.get("/check").says("The session ended, with all tokens of its apps").hides("/receipts/")
}
