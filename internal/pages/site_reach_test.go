package pages

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testnode"
)

// siteAt is a site as the configuration file makes it. upstream is "" behind another proxy.
func siteAt(id exeunt.ClientID, name, upstream string) exeunt.Client {
	s := &exeunt.Site{Host: string(id) + ".localhost:8083", Upstream: upstream, Plain: true}
	return exeunt.Client{ID: id, Name: name, HomeURL: s.Origin() + "/", Auth: exeunt.ClientSite, Site: s, FirstParty: true,
		Checked: true, RedirectURIs: []string{s.Callback()}, PostLogoutURIs: []string{s.SignedOut()}}
}

// Sites are in every list of apps, and of each is said what holds for it: only through our own proxy is what is open closed.
func TestSitesAmongTheApps(t *testing.T) {
	const (
		closes = "Wiki Closes at once, with everything that is open in it"
		lasts  = "Files Closes at once. A live connection that is already open, such as a chat, may last until the app closes it"
		closed = "Wiki Closed at once, with everything that was open in it"
		lasted = "Files Closed at once. A live connection that was open, such as a chat, may last until the app closes it"
	)
	n := newNode(t)
	n.account("ada")
	n.register(n.Client(t, testnode.Chirp), siteAt("wiki", "Wiki", "http://127.0.0.1:3000"), siteAt("files", "Files", ""))
	b := n.signedIn("ada")
	b.get("/apps").says("No app signs you in")
	signIn := func(id exeunt.ClientID) {
		n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, id)
	}
	signIn("wiki")
	signIn("files")
	n.appSession(b)

	b.get("/apps").says("Wiki Signed in", "Closes at once, with everything that is open in it", "Files Signed in", lasts[len("Files "):],
		"so you are not asked", "Chirp Signed in")
	b.get("/sessions").says("Chirp Files Wiki")
	b.get("/signout").says(closes, lasts, "Chirp Closes at once.")
	b.get("/signout?scope=account").says(closes, lasts)
	asks := url.Values{"client_id": {"wiki"}, "post_logout_redirect_uri": {"http://wiki.localhost:8083/.exeunt/signed-out"}}
	b.get("/end_session?"+asks.Encode()).is(http.StatusOK).says("Wiki asks to sign you out", closes, lasts, "Only Wiki",
		"Afterwards you return to Wiki")

	// Sign out of one of them alone, and of all.
	b.follow(b.submit("/apps", "/apps/files/end", nil)).says("One sign-in of Files ended", lasted[len("Files "):])
	b.get("/signout").says(closes).hides("live connection")
	signIn("files")
	b.follow(b.submit("/signout", "/signout", nil)).says(closed, lasted, "Chirp Closed at once.").hides("has not been told")
}
