package pages

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/exeunt/exeunt"
)

func TestResetLink(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	signedIn := n.signedIn("ada")
	a, err := n.Account(t.Context(), id)
	n.must(err)
	token, err := n.Accounts.OfferReset(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, a)
	n.must(err)
	link := "/reset/" + token.Reveal()
	b := newBrowser(n)
	before := n.recorded()
	for range 2 {
		page := b.get(link).is(http.StatusOK).says("@ada", "ends every session").hides(token.Reveal())
		sendsItsOrigin(t, page)
	}
	onlyFromOurPages(t, b, link, url.Values{"password": {"12345678"}})
	b.post(link, url.Values{"password": {"12345678"}}).is(http.StatusUnprocessableEntity).says("@ada").
		hides("12345678", token.Reveal())
	if n.recorded() != before {
		t.Fatal("something changed before a good password was given")
	}
	const next = "nine lanterns in the rain"
	b.post(link, url.Values{"password": {next}}).leadsTo("/signin").leavesCookies()
	b.get("/signin").says("Your new password is set")
	signedIn.get("/").says("The password was changed")
	b.post("/signin",
		url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}}).is(http.StatusUnauthorized)
	b.post("/signin", url.Values{"identifier": {"ada"}, "password": {next}, "kind": {"kept"}}).leadsTo("/")
	for _, dead := range []string{link, "/reset/x", "/reset/" + exeunt.NewToken(exeunt.UseInvite).Reveal()} {
		newBrowser(n).get(dead).is(http.StatusGone).
			says("This link no longer works", "Ask the person who gave it to you")
		newBrowser(n).post(dead, url.Values{"password": {"ten lanterns in the rain"}}).is(http.StatusGone).leavesCookies()
	}
}
