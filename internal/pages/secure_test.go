package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// Securing ends everything else before anything is asked, keeps this browser with another credential, and goes on from
// any browser until it is finished.
func TestSecuringAnAccount(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	n.appSession(b)
	n.Clock.Pass(time.Hour) // no fresh proof is asked for
	b.get("/security").says("Secure my account")
	form := b.fields(b.get("/secure").says("the other session ends").form("/secure/begin"))
	old, twin := b.thief(), b.thief()
	b.post("/secure/begin", form).leadsTo("/secure")
	twin.post("/secure/begin", form).leadsTo("/secure")
	if b.token() == old.token() || twin.token() != b.token() {
		t.Error("the old credential is as good as before, or two presses lead to two")
	}
	other.send(http.MethodGet, "/", nil).leadsTo("/ended")
	other.get("/ended").says("The account was secured")
	if ends := strings.Join(n.ends(), ", "); ends != "others secured" {
		t.Errorf("the log has %s", ends)
	}
	b.get("/secure").says("2 of 5 steps are done", "One other session ended", "Recent changes").hides("Chirp")
	b.get("/").says("have not finished", "Go on")
	b.submit("/secure", "/secure/step", url.Values{"step": {"email"}}).leadsTo("/secure")
	b.post("/secure/step", b.fields(url.Values{"step": {"email"}})).leadsTo("/secure")
	b.post("/secure/step", b.fields(url.Values{"step": {"other"}})).is(http.StatusBadRequest)
	b.get("/secure").says("3 of 5 steps are done")

	again := n.signedIn("ada")
	n.Clock.Pass(time.Second)
	again.submit("/security", "/security/password", url.Values{"current": {password}, "password": {"seven harbours under a paper moon"}}).
		leadsTo("/security")
	again.get("/secure").says("4 of 5 steps are done", "It was changed since")
	again.submit("/secure", "/secure/step", url.Values{"step": {"factors"}})
	again.get("/secure").says("5 of 5 steps are done", "Finish")
	again.submit("/secure", "/secure/finish", nil).leadsTo("/secure")
	again.get("/secure").says("You closed this list")
	again.get("/").hides("have not finished")
	again.get("/secure?new=1").says("Sign everybody else out")
}

// What an operator or a link has secured its owner meets at the next sign-in. A link does nothing else.
func TestSecuringForSomebody(t *testing.T) {
	for _, kind := range []exeunt.ActorKind{exeunt.ActorOperator, exeunt.ActorLink} {
		n := newNode(t)
		id := n.account("ada")
		b := n.signedIn("ada")
		by := exeunt.Actor{Kind: kind, Account: id}
		if _, err := n.Accounts.Secure(t.Context(), exeunt.Actor{Kind: exeunt.ActorLink, Account: exeunt.NewAccountID()}, id); err == nil {
			t.Error("a link of another account ends sessions")
		}
		out, err := n.Accounts.Secure(t.Context(), by, id)
		n.must(err)
		if out.Ended != 1 || len(n.live("ada")) != 0 {
			t.Errorf("%s: ended %d", kind, out.Ended)
		}
		b.send(http.MethodGet, "/", nil).leadsTo("/ended")
		b.submit("/signin?return=/sessions", "/signin", url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}}).
			leadsTo("/secure?return=%2Fsessions")
		b.get("/secure").says("apps are told")
		b.submit("/secure", "/secure/finish", nil)
		b.signIn("ada", "kept").leadsTo("/")
		log, err := n.Audit(t.Context(), exeunt.AuditFilter{Account: id})
		n.must(err)
		found := false
		for _, e := range log.Items {
			found = found || e.Detail == "account secured" && e.By.Kind == kind
		}
		if !found {
			t.Errorf("%s is not in the audit", kind)
		}
	}
}
