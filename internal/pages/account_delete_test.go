package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// maintained is the account's handle, or "" once maintenance has deleted it.
func (n *node) maintained() string {
	n.t.Helper()
	for range 3 {
		n.must(n.Maintain(n.t.Context()))
		n.Clock.Pass(time.Minute)
	}
	a, _, err := n.Store.Identify(n.t.Context(), "ada")
	if err != nil {
		return ""
	}
	return a.Handle
}

// logIsRead waits until apps need not be told of anything more in the log.
func (n *node) logIsRead() {
	n.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		head, err := n.Store.Head(n.t.Context())
		n.must(err)
		c, err := n.Store.LogCursor(n.t.Context())
		n.must(err)
		if c.Seq >= head {
			tick.Stop()
			return
		}
		n.Clock.Pass(5 * time.Second) // of which it is saved now and then
		if time.Now().After(deadline) {
			n.t.Fatalf("the log is read up to %d of %d", c.Seq, head)
		}
	}
}

// deleted is ada, who has asked for her account's deletion.
func (n *node) deleted() *browser {
	n.t.Helper()
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	n.appSession(b)
	b.get("/settings").says("Delete my account")
	b.get("/account/delete").is(http.StatusOK).says("What follows", "2 sessions", "Your apps", "Chirp").hides("Current password")
	b.submit("/account/delete", "/account/delete", nil).leadsTo("/account/deleting")
	b.get("/account/deleting").is(http.StatusOK).says("will be deleted on", "To keep it, sign in")
	for _, gone := range []*browser{other, b.thief()} {
		gone.send(http.MethodGet, "/", nil)
	}
	if live := n.live("ada"); len(live) != 0 {
		n.t.Fatalf("%d sessions live on", len(live))
	}
	other.send(http.MethodGet, "/", nil).leadsTo("/ended")
	other.get("/ended").says("deletion of the account was asked for")
	return b
}

// Within seven days the owner signs in, can do nothing but keep the account or leave, and keeps it.
func TestAnAccountIsDeletedAndKept(t *testing.T) {
	n := newNode(t)
	b := n.deleted()
	n.Clock.Pass(6 * 24 * time.Hour)
	b.signIn("ada", "kept").leadsTo("/account/deleting")
	b.get("/account/deleting").is(http.StatusOK).says("@ada will be deleted on", "Keep my account")
	b.send(http.MethodGet, "/", nil).leadsTo("/signin")
	b.send(http.MethodGet, "/settings", nil).leadsTo("/signin?return=%2Fsettings")
	b.get("/signin").says("Password")
	if len(n.live("ada")) != 0 {
		t.Fatal("there is a session")
	}
	b.submit("/account/deleting", "/account/leave", nil).leadsTo("/signed-out")
	b.send(http.MethodGet, "/account/deleting", nil)
	b.signIn("ada", "kept").leadsTo("/account/deleting")
	form := b.get("/account/deleting").form("/account/keep")
	twin := b.thief()
	b.post("/account/keep", form).leadsTo("/settings")
	twin.post("/account/keep", form).leadsTo("/settings")
	if twin.token() != b.token() || len(n.live("ada")) != 1 {
		t.Errorf("pressed twice: %d sessions, the same credential %v", len(n.live("ada")), twin.token() == b.token())
	}
	b.get("/settings").is(http.StatusOK).says("Your account is kept")
	n.Clock.Pass(20 * 24 * time.Hour)
	if n.maintained() != "ada" {
		t.Error("it was deleted all the same")
	}
}

// After seven days it is gone: nobody signs in, and nobody takes the handle.
func TestADeletedAccount(t *testing.T) {
	n := newNode(t)
	b := n.deleted()
	n.tells()
	n.logIsRead()
	n.Clock.Pass(exeunt.DeletionGrace - 24*time.Hour)
	if n.maintained() != "ada" {
		t.Fatal("deleted too early")
	}
	n.Clock.Pass(25 * time.Hour)
	b.signIn("ada", "kept").leadsTo("/account/deleting")
	late := b.get("/account/deleting").form("/account/keep")
	if n.maintained() != "" {
		t.Fatal("not deleted")
	}
	b.post("/account/keep", late).is(http.StatusUnauthorized)
	b.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}}).
		is(http.StatusUnauthorized)
	newBrowser(n).submit("/signup", "/signup", url.Values{"handle": {"ada"}, "password": {password}, "kind": {"kept"}}).
		is(http.StatusUnprocessableEntity).says("taken")
}

// A deletion needs a fresh proof; two presses get one answer, also with a proof in between that was refused.
func TestADeletionNeedsAFreshProof(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.Clock.Pass(exeunt.DefaultPolicy().Fresh)
	form := b.fields(b.get("/account/delete").says("Current password").form("/account/delete"))
	b.post("/account/delete", form).is(http.StatusUnprocessableEntity).says("current password too")
	form.Set("current", "wrong horse")
	b.post("/account/delete", form).is(http.StatusUnprocessableEntity).says("wrong")
	if len(n.live("ada")) != 1 {
		t.Fatal("deleted without a proof")
	}
	form.Set("current", password)
	twin := b.thief()
	b.post("/account/delete", form).leadsTo("/account/deleting")
	twin.post("/account/delete", form).leadsTo("/account/deleting")
	twin.get("/account/deleting").says("will be deleted on")
	if ends := n.ends(); len(ends) != 1 || ends[0] != "account account_deleted" {
		t.Errorf("the log has %v", ends)
	}
	b.post("/account/delete", form).leadsTo("/account/deleting")
	newBrowser(n).post("/account/delete", form).is(http.StatusUnauthorized)
}

// Programs are refused, and sign-in by a link too.
func TestAnAccountThatIsDeletedIsRefused(t *testing.T) {
	n := newNode(t)
	n.deleted()
	a, err := n.AccountByHandle(t.Context(), "ada")
	n.must(err)
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	if _, err := n.Accounts.OfferReset(t.Context(), operator, a); err == nil || !strings.Contains(err.Error(), "about to be deleted") {
		t.Errorf("a link for a new password: %v", err)
	}
	if _, err := n.Accounts.Delete(t.Context(), exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID}, a, true); err != exeunt.ErrForbidden {
		t.Errorf("at once, by its owner: %v", err)
	}
	if out, err := n.Accounts.Delete(t.Context(), operator, a, false); err != nil || !out.Already {
		t.Errorf("again: %+v, %v", out, err)
	}
	if already, err := n.Accounts.Keep(t.Context(), operator, a, exeunt.TokenHash{}); err != nil || already {
		t.Errorf("kept by an operator: %v, %v", already, err)
	}
	newBrowser(n).signIn("ada", "kept").leadsTo("/")
}
