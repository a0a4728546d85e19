package pages

import (
	"net/http"
	"net/url"
	"testing"
	"time"

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

// What the holder of a link tries and does is in the account's audit, as theirs.
func TestTheAuditNamesTheLinksHolder(t *testing.T) {
	n := newNode(t)
	id := n.account("ada")
	a, err := n.Account(t.Context(), id)
	n.must(err)
	token, err := n.Accounts.OfferReset(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, a)
	n.must(err)
	b, link := newBrowser(n), "/reset/"+token.Reveal()
	b.post(link, url.Values{"password": {password}}).is(http.StatusUnprocessableEntity).says("present password")
	tried := n.audited(id, exeunt.AuditSignInFailed)
	if tried.By.Kind != exeunt.ActorLink || tried.Detail != "present_password" {
		t.Errorf("the guess: %+v", tried)
	}
	b.post(link, url.Values{"password": {"nine lanterns in the rain"}}).leadsTo("/signin")
	if end := n.audited(id, exeunt.AuditEnd); end.By.Kind != exeunt.ActorLink || end.By.Account != id ||
		end.Detail != "account password_change" {
		t.Errorf("the reset: %+v", end)
	}
	b.post(link, url.Values{"password": {"ten lanterns in the rain"}}).is(http.StatusGone)
	for range 2 * time.Minute / time.Millisecond {
		if tried = n.audited(id, exeunt.AuditSignInFailed); tried.Detail == "wrong_credentials" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("a guess at the used link: %+v", tried)
}

// audited waits for an audit entry of that sort, and returns the latest.
func (n *node) audited(id exeunt.AccountID, what exeunt.AuditAction) exeunt.AuditEntry {
	n.t.Helper()
	for range 2 * time.Minute / time.Millisecond {
		page, err := n.Store.Audit(n.t.Context(), exeunt.AuditFilter{Account: id})
		n.must(err)
		for _, e := range page.Items {
			if e.Action == what {
				return e
			}
		}
		time.Sleep(time.Millisecond) // failures are written in the background
	}
	n.t.Fatalf("no entry %q", what)
	return exeunt.AuditEntry{}
}
