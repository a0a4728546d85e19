package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// ticket is the one of the browser's page.
func (b *browser) ticket() string {
	b.t.Helper()
	return b.get("/signout").form("/signout").Get("ticket")
}

// bring delivers a ticket as the service worker does, without cookies.
func bring(n *node, ticket string) *answer {
	return newBrowser(n).post(ticketPath, url.Values{"ticket": {ticket}})
}

// A ticket ends its session, whoever brings it and how often, and nothing else; its answer names nobody.
func TestASignOutTicket(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	ticket := b.ticket()
	if ticket == other.ticket() {
		t.Fatal("two sessions have one ticket")
	}
	first := bring(n, ticket).is(http.StatusOK)
	if !strings.Contains(first.body, `"signed_out"`) || strings.Contains(first.body, "ada") || strings.Contains(first.body, "acc_") {
		t.Errorf("the answer is %s", first.body)
	}
	n.Clock.Pass(time.Minute)
	if again := bring(n, ticket).is(http.StatusOK); again.body != first.body {
		t.Errorf("the second time %s, the first %s", again.body, first.body)
	}
	b.get("/sessions").says("It was signed out")
	other.get("/sessions").is(http.StatusOK).says("Signed in 1")
	if got := strings.Join(n.ends(), ", "); got != "session signed_out" {
		t.Errorf("the log has %s", got)
	}
	for name, sent := range map[string]string{
		"none": "", "a name without a code": strings.Split(ticket, ".")[0],
		"the other's name": strings.Split(other.ticket(), ".")[0] + "." + strings.Split(ticket, ".")[1],
		"one byte changed": flipLast(other.ticket()), "something added": other.ticket() + "A", "a token": other.token(),
	} {
		bring(n, sent).is(http.StatusGone)
		if !n.Check(t.Context(), mustToken(t, other)).Usable() {
			t.Fatalf("%s ended a session", name)
		}
	}
}

func flipLast(s string) string {
	last := byte('A')
	if s[len(s)-1] == last {
		last = 'E'
	}
	return s[:len(s)-1] + string(last)
}

func mustToken(t *testing.T, b *browser) exeunt.Token {
	t.Helper()
	token, err := exeunt.ParseToken(b.token())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Whoever has a ticket may bring it often, but not without end: each time the store confirms that it is done. Other
// sessions' tickets are not affected, and after a while it is answered again.
func TestTicketsAreBounded(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	ticket := b.ticket()
	for range 60 {
		bring(n, ticket).is(http.StatusOK)
	}
	if got := bring(n, ticket).is(http.StatusTooManyRequests).Header.Get("Retry-After"); got == "" {
		t.Error("it does not say when")
	}
	bring(n, other.ticket()).is(http.StatusOK)
	n.Clock.Pass(time.Minute)
	bring(n, ticket).is(http.StatusOK)
}

// A ticket is good for nothing but that: no page, no other form takes it for a sign-in.
func TestATicketIsNoCredential(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	thief := newBrowser(n)
	thief.cookies[thief.tokenName()] = b.ticket()
	thief.cookies[thief.hereName()] = b.here()
	thief.get("/sessions").hides("@ada")
	thief.post("/signout", b.fields(url.Values{"ticket": {b.ticket()}})).leadsTo("/signed-out")
	if !n.Check(t.Context(), mustToken(t, b)).Usable() {
		t.Error("the ordinary form took a ticket for a credential")
	}
}

// The page of a locked browser brings the ticket with what is left of the cookies: they go, and the page that follows says
// what was done. A sign-in that was made meanwhile stays.
func TestTheEndOfALock(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := n.signedIn("ada")
	ticket := b.ticket()
	n.Clock.Pass(time.Hour)
	delete(b.cookies, b.hereName())
	b.follow(b.post(offlinePath, url.Values{"ticket": {ticket}}).leadsTo("/signed-out")).says("Signed out of this browser")
	if b.token() != "" {
		t.Error("half of the sign-in is left")
	}
	if got := strings.Join(n.ends(), ", "); got != "session signed_out" {
		t.Errorf("the log has %s", got)
	}

	b = n.signedIn("ada")
	ticket = b.ticket()
	next := newBrowser(n)
	next.signIn("bob", "kept")
	next.post(offlinePath, url.Values{"ticket": {ticket}}).leadsTo("/")
	next.get("/sessions").says("@bob")
	b.get("/sessions").says("It was signed out")

	newBrowser(n).post(offlinePath, url.Values{"ticket": {"ses_x.y"}}).leadsTo("/signed-out")
	b = n.signedIn("ada")
	n.Clock.Pass(time.Hour)
	delete(b.cookies, b.hereName()) // and a ticket of which nothing is known: the half that is left goes, too
	b.post(offlinePath, url.Values{"ticket": {"ses_x.y"}}).is(http.StatusOK).says("cookies were incomplete")
	if b.token() != "" {
		t.Error("half of the sign-in is left")
	}
}

// A ticket is of use for as long as anything is known of its session; then it is answered 410, which ends the lock.
func TestATicketOfAForgottenSession(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	ticket := b.ticket()
	b.submit("/signout", "/signout", nil)
	n.changeRows(`DELETE FROM sessions`)
	bring(n, ticket).is(http.StatusGone).says("gone")
}

// With the database away a ticket is not answered as if it were done, nor as if nothing were known of it.
func TestATicketWithoutTheDatabase(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	ticket := n.signedIn("ada").ticket()
	n.must(n.Store.Close())
	bring(n, ticket).is(http.StatusServiceUnavailable)
}

// Tickets are offered only where the setting says so, and on a shared computer the page says not to keep it.
func TestWhereTicketsAre(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	if page := b.get("/"); !strings.Contains(page.body, ` data-ticket="`+b.ticket()+`"`) || strings.Contains(page.body, " data-shared") {
		t.Error("a kept session's page has no ticket")
	}
	shared := newBrowser(n)
	shared.signIn("ada", "shared")
	if page := shared.get("/"); !strings.Contains(page.body, `" data-shared>`) {
		t.Error("a shared session's page does not say so")
	}
	if script := newBrowser(n).get("/sw.js"); !strings.Contains(script.body, `"withdrawn":false`) {
		t.Errorf("the worker is %.80s", script.body)
	}
	n.pages.Offline = false
	if page := b.get("/"); strings.Contains(page.body, "data-ticket") || b.ticket() != "" {
		t.Error("a ticket is offered")
	}
	if script := newBrowser(n).get("/sw.js"); !strings.Contains(script.body, `"withdrawn":true`) {
		t.Errorf("the worker is %.80s", script.body)
	}
}

// An ending that was not confirmed has its form on the page that says so, with the same key and nothing secret.
func TestAnEndingIsSentAgain(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	form := b.get("/signout").form("/signout")
	n.must(n.Store.Close())
	page := b.post("/signout", form).is(http.StatusServiceUnavailable)
	again := page.form("/signout")
	if again.Get("key") != form.Get("key") || again.Get("session") != form.Get("session") || again.Get("again") != "1" {
		t.Errorf("the form is %v", again)
	}
	again.Set("password", "hunter2")
	if page := b.post("/signout", again).is(http.StatusServiceUnavailable); strings.Contains(page.body, "hunter2") {
		t.Error("a page repeats what was typed")
	}
	again.Del("password")
	again.Set("again", "20")
	if page := b.post("/signout", again).is(http.StatusServiceUnavailable); strings.Contains(page.body, "data-again") {
		t.Error("it is sent for ever")
	}
}
