package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// Securing and deleting ask for little or nothing, so whoever has got in can do both. Neither takes from the owner's old
// mailbox what undoes a changed address.
func TestWhatUndoesAnAddressOutlivesSecuringAndDeleting(t *testing.T) {
	const theirs = "nine lanterns behind a grey ferry"
	for name, cover := range map[string]func(thief *browser){
		"secured": func(thief *browser) { thief.submit("/secure", "/secure/begin", nil).leadsTo("/secure") },
		"deleted": func(thief *browser) {
			thief.submit("/account/delete", "/account/delete", nil).leadsTo("/account/deleting")
		},
		"deleted and kept": func(thief *browser) {
			thief.submit("/account/delete", "/account/delete", nil).leadsTo("/account/deleting")
			thief.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {theirs}, "kind": {"kept"}}).
				leadsTo("/account/deleting")
			thief.submit("/account/deleting", "/account/keep", nil).leadsTo("/settings")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := mailNode(t)
			thief := n.signedIn("ada")
			confirm := thief.change("mallory@example.com")
			newBrowser(n).post(confirm, nil).leadsTo(confirm)
			undo := n.path(n.Mail(t, "ada@example.com", 1))
			thief.submit("/security", "/security/password", url.Values{"current": {password}, "password": {theirs}}).leadsTo("/security")
			cover(thief)
			owner := newBrowser(n)
			reset := owner.post(undo, nil).is(http.StatusSeeOther).Header.Get("Location")
			if a, err := n.Account(t.Context(), n.id("ada")); err != nil || a.Email != "ada@example.com" || a.LiveSessions != 0 {
				t.Errorf("%+v, %v", a, err)
			}
			owner.post(reset, url.Values{"password": {nextPassword}}).leadsTo("/signin")
			in := url.Values{"identifier": {"ada"}, "password": {nextPassword}, "kind": {"kept"}}
			if name == "deleted" {
				owner.submit("/signin", "/signin", in).leadsTo("/account/deleting")
				owner.submit("/account/deleting", "/account/keep", nil).leadsTo("/settings")
				return
			}
			owner.submit("/signin", "/signin", in).is(http.StatusSeeOther)
		})
	}
}

// The mail about an unfamiliar sign-in counts although whoever has signed in begins to secure the account, which needs no
// proof and ends the owner's sessions.
func TestWhoeverSecuresTheAccountCanStillBeDisowned(t *testing.T) {
	n := newNode(t)
	link := n.mails()
	n.signedIn("ada")
	n.Clock.Pass(time.Minute)
	away := n.away()
	away.signIn("ada", "kept")
	page := link()
	away.submit("/secure", "/secure/begin", nil).leadsTo("/secure")
	reader := newBrowser(n)
	reader.post(page, url.Values{"answer": {"not_me"}}).leadsTo(page)
	if len(n.live("ada")) != 0 {
		t.Error("the stranger's session lives on")
	}
}

// Whoever knows the password changes it and asks for the account's deletion. Its owner sets a new one by mail, and keeps
// the account.
func TestADeletionUnderAStolenPasswordIsStopped(t *testing.T) {
	n := mailNode(t)
	thief := n.signedIn("ada")
	thief.submit("/security", "/security/password", url.Values{"current": {password}, "password": {"nine lanterns behind a grey ferry"}}).
		leadsTo("/security")
	thief.submit("/account/delete", "/account/delete", nil).leadsTo("/account/deleting")
	thief.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {"nine lanterns behind a grey ferry"}, "kind": {"kept"}}).
		leadsTo("/account/deleting")
	late := thief.get("/account/deleting").form("/account/keep")
	n.Clock.Pass(time.Second)
	owner := newBrowser(n)
	owner.forgot("ada")
	var reset string
	for i := range 3 { // with those about the new password and the deletion, in any order
		if m := n.Mail(t, "ada@example.com", i+1); len(m.Links) > 0 && strings.Contains(m.Links[0], "/reset/") {
			reset = n.path(m)
		}
	}
	owner.post(reset, url.Values{"password": {nextPassword}}).leadsTo("/signin")
	if a, err := n.Account(t.Context(), n.id("ada")); err != nil || a.Status != exeunt.AccountDeleting {
		t.Errorf("a new password alone keeps nothing: %+v, %v", a, err)
	}
	thief.post("/account/keep", late).is(http.StatusUnauthorized)
	owner.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {nextPassword}, "kind": {"kept"}}).
		leadsTo("/account/deleting")
	owner.submit("/account/deleting", "/account/keep", nil).leadsTo("/settings")
}

// Who has undone a change is not signed out by links about sign-ins that went to the mailbox of whoever made it.
func TestAnUndoneMailboxDisownsNothing(t *testing.T) {
	n := mailNode(t)
	thief := n.signedIn("ada")
	confirm := thief.change("mallory@example.com")
	newBrowser(n).post(confirm, nil).leadsTo(confirm)
	n.Clock.Pass(time.Minute)
	n.away().signIn("ada", "kept")
	link := n.path(n.Mail(t, "mallory@example.com", 2))
	newBrowser(n).get(link).is(http.StatusOK).says("Was this you?")
	newBrowser(n).post(n.path(n.Mail(t, "ada@example.com", 1)), nil).is(http.StatusSeeOther)
	newBrowser(n).post(link, url.Values{"answer": {"not_me"}}).is(http.StatusGone)
}
