package pages

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/receipt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
)

var proofLink = regexp.MustCompile(`href="(/receipts/[^"]+)"`)

// proof is where the page's link to a receipt leads.
func (a *answer) proof() string {
	a.t.Helper()
	m := proofLink.FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("%s leads to no receipt: %s", a.at, text(a.body))
	}
	return m[1]
}

// saved gets the signed receipt and verifies it, as somebody else does: with the published keys, by our package and by
// go-jose.
func (b *browser) saved(path string) *receipt.Statement {
	b.t.Helper()
	a := b.get(path + ".jws").is(http.StatusOK)
	if a.Header.Get("Content-Type") != "application/jose" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), `attachment; filename="exeunt-receipt-`) ||
		a.Header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("%v", a.Header)
	}
	set, err := b.n.OAuth.ReceiptKeys(b.t.Context())
	b.n.must(err)
	keys, err := receipt.ParseKeys(set)
	b.n.must(err)
	s, err := receipt.Verify([]byte(a.body), keys, testOrigin)
	if err != nil {
		b.t.Fatalf("%s: %v", a.body, err)
	}
	signed, err := jose.ParseSignedCompact(a.body, []jose.SignatureAlgorithm{jose.RS256})
	b.n.must(err)
	var public jose.JSONWebKeySet
	b.n.must(json.Unmarshal(set, &public))
	if _, err := signed.Verify(public.Key(signed.Signatures[0].Protected.KeyID)[0]); err != nil {
		b.t.Errorf("go-jose: %v", err)
	}
	return s
}

func states(s *receipt.Statement) map[string]receipt.State {
	out := map[string]receipt.State{}
	for _, a := range s.Apps {
		out[a.Client] = a.State
	}
	return out
}

// A receipt says what is recorded, live on its page and as of its signature in its file, to whoever knows the address,
// and names nobody.
func TestReceipt(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	good, fails := newReceiver(t, 204), newReceiver(t, 500)
	keys := n.Client(t, testnode.Chirp).Keys
	app := func(id exeunt.ClientID, change func(*exeunt.Client)) exeunt.Client {
		c := testnode.ClientAt(id, "http://app.localhost:8082/back")
		c.Keys = keys
		change(&c)
		return c
	}
	list := []exeunt.Client{
		app("checked", func(c *exeunt.Client) { c.Checked = true }),
		app("fails", func(c *exeunt.Client) { c.BackchannelURI = fails.URL }),
		app("good", func(c *exeunt.Client) { c.BackchannelURI = good.URL }),
		app("untold", func(c *exeunt.Client) {}),
		app("whole", func(c *exeunt.Client) { c.BackchannelURI, c.BackchannelAccount = good.URL, true }),
	}
	n.register(list...)
	b := n.signedIn("ada")
	v := exeunt.Session{Account: n.id("ada"), ID: b.session()}
	for _, c := range list {
		n.NewAppSession(t, v, c.ID)
	}
	path := b.follow(b.submit("/signout", "/signout", nil)).says("Save proof").proof()

	// Anybody may see it, and is let in nowhere.
	other := newBrowser(n)
	a := other.get(path).is(http.StatusOK).says("Receipt of a sign-out", "One session ended, and 5 sign-ins of apps with it",
		"The browser or app that was signed out", "Checked Closed at once", "Good Has not been told yet", "What this proves", "And what it does not").
		hides("ada", "firefox", "linux", "192.0.2.7", v.ID.String(), v.Account.String())
	if len(other.cookies) > 0 || a.Header.Get("X-Robots-Tag") != "noindex" || a.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(a.body, "data-waiting") {
		t.Errorf("%v %v", other.cookies, a.Header)
	}
	other.get("/sessions").says("Sign in")
	other.signIn("ada", "kept")
	other.get(path).says("Receipt of a sign-out", "@ada") // the page's frame
	first := other.saved(path)
	if got := states(first); got["checked"] != receipt.StateClosed || got["good"] != receipt.StatePending || got["untold"] != receipt.StateUntold ||
		got["whole"] != receipt.StateWhole || len(got) != 5 {
		t.Errorf("before apps are told: %v", got)
	}
	if first.By != receipt.ByHere || first.Scope != receipt.ScopeSession || first.Reason != "signed_out" || *first.AppSessions != 5 || first.Sessions != 1 ||
		!first.AppsComplete || first.Issued().Unix() != n.Now().Unix() || len(first.Log) != 32 {
		t.Errorf("%+v", first)
	}
	text, err := first.Encode()
	n.must(err)
	for _, private := range []string{"ada", "irefox", "192.0.2", v.ID.String(), v.Account.String()} {
		if strings.Contains(string(text), private) {
			t.Errorf("the receipt says %q: %s", private, text)
		}
	}

	// What becomes of the apps is on the page, and in the receipt that is saved next.
	n.tells()
	a = other.shows(path, "Good Has confirmed at 08:00 UTC", "Fails Is being told: tried once")
	next := other.saved(path)
	if got := states(next); got["good"] != receipt.StateTold || got["fails"] != receipt.StatePending || got["whole"] != receipt.StateWhole {
		t.Errorf("once apps are told: %v", got)
	}
	i := slices.IndexFunc(next.Apps, func(a receipt.App) bool { return a.Client == "fails" })
	if next.Apps[i].Attempts != 1 || next.Event != first.Event || next.Log != first.Log || !next.EndedAt.Equal(first.EndedAt) || next.ID == first.ID {
		t.Errorf("%+v %+v", first, next)
	}
	fails.status.Store(200)
	n.Clock.Pass(2 * time.Minute)
	if a = other.shows(path, "Fails Has confirmed at 08:02 UTC"); strings.Contains(a.body, "data-waiting") {
		t.Error("the page waits for nothing")
	}
	// What a delivery became is stored for no longer than what has ended.
	n.changeRows(`DELETE FROM deliveries`)
	other.get(path).says("Good What became of it is no longer recorded")
	if got := states(other.saved(path)); got["good"] != receipt.StateUnknown {
		t.Errorf("%v", got)
	}
	n.changeRows(`DELETE FROM sessions WHERE ended_at IS NOT NULL`)
	other.get(path).says("One session ended.", "There may have been other apps").hides("no app was used")
	if s := other.saved(path); s.AppSessions != nil || s.AppsComplete || len(s.Apps) > 0 || s.Sessions != 1 {
		t.Errorf("%+v", s)
	}
}

// A shared computer keeps nothing that leads to a receipt: no link, no cookie, no list. The owner's own devices do.
func TestNoReceiptOnASharedComputer(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	shared, kept := newBrowser(n), newBrowser(n)
	shared.signIn("ada", "shared")
	kept.signIn("ada", "kept")
	other := n.signedIn("ada")
	other.submit("/signout", "/signout", nil)
	if body := shared.get("/sessions/ended").body; strings.Contains(body, "/receipts/") || !strings.Contains(body, `data-state="ended"`) {
		t.Error("the list on a shared computer leads to a receipt, or is empty")
	}
	id := shared.session()
	a := shared.follow(shared.submit("/signout", "/signout", nil)).says("This was a shared computer")
	if strings.Contains(a.body, "receipt") || strings.Contains(a.body, "Save proof") {
		t.Errorf("%s leads to a receipt", a.at)
	}
	for name, value := range shared.cookies {
		if strings.Contains(value, "event") || strings.Contains(value, "receipt") {
			t.Errorf("the cookie %s is %q", name, value)
		}
	}
	if notice := shared.cookies["__Host-exeunt-notice"]; !strings.Contains(notice, "shared=true") {
		t.Errorf("the notice is %q", notice)
	}
	list := kept.get("/sessions/ended")
	row := list.body[strings.Index(list.body, id.String()):]
	m := proofLink.FindStringSubmatch(row)
	if m == nil {
		t.Fatalf("the owner finds no proof: %s", row)
	}
	if s := kept.saved(m[1]); s.By != receipt.ByHere || s.Scope != receipt.ScopeSession {
		t.Errorf("%+v", s)
	}
}

func TestReceiptsOfEachSortOfEnding(t *testing.T) {
	n := newNode(t)
	ada := n.account("ada")
	b := n.signedIn("ada")
	lost, second := n.signedIn("ada"), n.signedIn("ada")
	n.appSession(second)
	// The latest is first in the list.
	latest := func() *receipt.Statement { return b.saved(b.get("/sessions/ended").proof()) }
	is := func(what string, s *receipt.Statement, scope receipt.Scope, by receipt.By, sessions int64, reason exeunt.Reason) {
		t.Helper()
		if s.Scope != scope || s.By != by || s.Sessions != sessions || s.Reason != string(reason) {
			t.Errorf("%s: %+v", what, s)
		}
	}
	id := lost.session().String()
	b.post("/sessions/"+id+"/end", b.get("/sessions").form("/sessions/"+id+"/end")).is(http.StatusSeeOther)
	is("one from elsewhere", latest(), receipt.ScopeSession, receipt.ByElsewhere, 1, exeunt.ReasonSignedOut)
	n.Clock.Pass(time.Minute)
	n.signedIn("ada")
	b.submit("/signout?scope=others", "/sessions/end", nil).is(http.StatusSeeOther)
	s := latest()
	is("all others", s, receipt.ScopeOthers, receipt.ByElsewhere, 2, exeunt.ReasonSignedOut)
	if !s.AppsComplete || *s.AppSessions != 1 || len(s.Apps) != 1 {
		t.Errorf("%+v", s)
	}
	n.Clock.Pass(time.Minute)
	n.signedIn("ada")
	path := b.follow(b.submit("/signout?scope=account", "/signout", nil)).proof()
	is("all", b.saved(path), receipt.ScopeAccount, receipt.ByHere, 2, exeunt.ReasonSignedOut)
	newBrowser(n).get(path).says("Every session of an account ended: there were 2")
	b.signIn("ada", "kept")
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
	end := func(by exeunt.Actor, rev exeunt.Revocation) *receipt.Statement {
		done, err := n.End(t.Context(), by, rev)
		n.must(err)
		return b.saved(n.pages.receiptPath(done))
	}
	other := n.signedIn("ada")
	is("by an administrator", end(operator, exeunt.Revocation{Reason: exeunt.ReasonAdministrator,
		Target: exeunt.Target{Account: ada, Scope: exeunt.ScopeSession, Session: other.session()}}), receipt.ScopeSession, receipt.ByAdministrator, 1,
		exeunt.ReasonAdministrator)
	n.appSession(b)
	v, err := n.Authority.Session(t.Context(), ada, b.session())
	n.must(err)
	s = end(operator, exeunt.Revocation{Reason: exeunt.ReasonAdministrator,
		Target: exeunt.Target{Account: ada, Scope: exeunt.ScopeSession, Session: v.ID, AppSession: v.Apps[0].ID}})
	is("of an app", s, receipt.ScopeApp, receipt.ByAdministrator, 0, exeunt.ReasonAdministrator)
	if len(s.Apps) != 1 || *s.AppSessions != 1 {
		t.Errorf("%+v", s)
	}
	_, app := n.NewAppSession(t, v, testnode.Chirp)
	s = end(exeunt.Actor{Kind: exeunt.ActorPerson, Account: ada, Session: v.ID, App: app.App}, exeunt.Revocation{Reason: exeunt.ReasonSignedOut,
		Target: exeunt.Target{Account: ada, Scope: exeunt.ScopeSession, Session: v.ID, AppSession: app.App}})
	is("of an app, by itself", s, receipt.ScopeApp, receipt.ByHere, 0, exeunt.ReasonSignedOut)
	// A timeout is recorded later than the time was up.
	n.Clock.Pass(testnode.Retention.Ended)
	b.signIn("ada", "kept")
	idle := n.signedIn("ada")
	id = idle.session().String()
	n.Clock.Pass(exeunt.DefaultPolicy().Kept.Idle + time.Hour)
	idle.get("/").says("Sign in")
	b.signIn("ada", "kept")
	row := b.get("/sessions/ended")
	s = b.saved(proofLink.FindStringSubmatch(row.body[strings.Index(row.body, id):])[1])
	is("a timeout", s, receipt.ScopeSession, receipt.BySystem, 1, exeunt.ReasonIdle)
}

// Of a handle nothing is guessed, and a forged one costs no look-up.
func TestForgedHandles(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	path := b.follow(b.submit("/signout", "/signout", nil)).proof()
	b.get(path).is(http.StatusOK)
	handle := strings.TrimPrefix(path, "/receipts/")
	parts := strings.Split(handle, ".")
	n.changeRows(`ALTER TABLE events RENAME TO events_gone`)
	newBrowser(n).get(path).is(http.StatusServiceUnavailable) // so whatever is not looked up is answered otherwise
	forged := []string{"x", "1", ".", "..", "1.2", "1.2.3", handle + "x", handle[:len(handle)-1], "0" + handle, strings.ToUpper(handle), handle + ".jws.jws", "-" + handle,
		"1." + strings.Join(parts[1:], "."), parts[0] + "." + parts[1] + ".", strings.Repeat("a", 4000), parts[0] + ".0." + parts[2]}
	for i := range handle {
		forged = append(forged, handle[:i]+string(handle[i]^1)+handle[i+1:])
	}
	for _, h := range forged {
		for _, file := range []string{"", ".jws"} {
			r := newRequest(http.MethodGet, "/receipts/x")
			r.SetPathValue("handle", h+file)
			r.URL.Path = "/receipts/" + h + file
			if err := n.pages.receipt(nil, r); !strings.Contains(err.Error(), exeunt.ErrNotFound.Message) {
				t.Errorf("%s: %v", h, err)
			}
		}
	}
	newBrowser(n).get("/receipts/1.2.3").is(http.StatusNotFound).says("Page not found")
	n.changeRows(`ALTER TABLE events_gone RENAME TO events`)
	// A handle of ours for what the log does not have is of a time that is over.
	gone := n.Receipts.PathOf(1000, n.Now())
	for _, file := range []string{"", ".jws"} {
		newBrowser(n).get(gone+file).is(http.StatusGone).says("No longer stored", "saved as a file stays valid")
	}
	if n.Receipts.Path(authority.Ending{}) != "" {
		t.Error("nothing that ended has a receipt")
	}
}

// What is no longer stored is said to be so, and a file that was saved before stays valid.
func TestReceiptAfterRetention(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := n.signedIn("ada")
	path := b.follow(b.submit("/signout", "/signout", nil)).proof()
	file := b.get(path + ".jws").body
	n.Clock.Pass(testnode.Retention.Audit + time.Hour)
	last := n.signedIn("bob") // the last event stays stored
	last.submit("/signout", "/signout", nil)
	newBrowser(n).get(path).is(http.StatusOK)
	from, err := n.Store.LogCursor(t.Context())
	n.must(err)
	head, err := n.Store.Head(t.Context())
	n.must(err)
	_, err = n.Store.RecordOwed(t.Context(), from, store.LogCursor{Seq: head, Holder: from.Holder}, nil, nil, n.Now()) // no app is to be told
	n.must(err)
	for more := true; more; {
		more, err = n.Store.WriteEnds(t.Context(), n.Now())
		n.must(err)
	}
	_, err = n.Store.Purge(t.Context(), testnode.Retention, n.Now())
	n.must(err)
	newBrowser(n).get(path).is(http.StatusGone)
	newBrowser(n).get(path).says("stays valid")
	set, err := n.OAuth.ReceiptKeys(t.Context())
	n.must(err)
	keys, err := receipt.ParseKeys(set)
	n.must(err)
	if _, err := receipt.Verify([]byte(file), keys, testOrigin); err != nil {
		t.Error(err)
	}
}

// Signing takes a while, and whoever knows an address may ask for it again and again.
func TestReceiptsAreThrottled(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	path := b.follow(b.submit("/signout", "/signout", nil)).proof()
	for range 20 {
		b.get(path + ".jws").is(http.StatusOK)
	}
	b.get(path + ".jws").is(http.StatusTooManyRequests).says("asked for many times")
	b.get(path).is(http.StatusOK)
	n.Clock.Pass(time.Minute)
	b.get(path + ".jws").is(http.StatusOK)
}
