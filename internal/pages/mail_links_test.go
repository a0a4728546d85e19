package pages

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/mailbox"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testnode"
)

// mailNode is a node with a mail server, and ada with a confirmed address.
func mailNode(t *testing.T) *node {
	t.Helper()
	n := newNodeWith(t, exeunt.DefaultPolicy(), true)
	n.account("ada")
	n.address("ada", "ada@example.com", true)
	return n
}

// address gives an account an address, as somebody did before there was a mail server.
func (n *node) address(handle, email string, confirmed bool) {
	n.t.Helper()
	silent := account.New(account.Config{Store: n.Store, Authority: n.Authority, Hasher: n.Accounts.Hasher, Now: n.Now, Log: n.Log})
	b := n.signedIn(handle)
	token, err := exeunt.ParseToken(b.token())
	n.must(err)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: n.id(handle), Session: b.session()}
	prove := func(ctx context.Context) (exeunt.Proof, error) {
		return signin.Proof(n.SignIn.Confirm(ctx, by, signin.Confirmation{Password: password}))
	}
	n.must(silent.ChangeProfile(n.t.Context(), by, token, account.Profile{Name: "Ada", Email: email}, prove))
	if confirmed {
		_, err = silent.ConfirmEmail(n.t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, by.Account, email)
		n.must(err)
	}
}

// path is the path of a mail's only link.
func (n *node) path(m mailbox.Message) string {
	n.t.Helper()
	if len(m.Links) == 0 || !strings.HasPrefix(m.Links[0], testnode.Issuer+"/") {
		n.t.Fatalf("the mail %q has the links %q", m.Subject, m.Links)
	}
	return strings.TrimPrefix(m.Links[0], testnode.Issuer)
}

// forgot asks for a link and returns the page that follows.
func (b *browser) forgot(identifier string) *answer {
	b.t.Helper()
	return b.follow(b.submit("/forgot", "/forgot", url.Values{"identifier": {identifier}}).leadsTo("/forgot/sent"))
}

// queued is how many mails were ever queued.
func (n *node) queued() int64 {
	n.t.Helper()
	total, err := n.Store.CountMails(n.t.Context())
	n.must(err)
	return total.Count
}

// Without a mail server nothing of it is on the pages.
func TestWithoutAMailServerNoLinksByMail(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	if page := b.get("/signin").says("Forgot your password?"); strings.Contains(page.body, "/forgot") {
		t.Error("the page leads to a link by mail")
	}
	b.get("/forgot").is(http.StatusNotFound)
	b.post("/forgot", url.Values{"identifier": {"ada"}}).is(http.StatusNotFound)
	b.get("/help").says("Ask the administrator").hides("/forgot")
	s := n.signedIn("ada")
	s.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"ada@example.com"}, "current": {password}}).
		leadsTo("/settings")
	s.get("/settings").says("Not confirmed yet").hides("/settings/address", "Send the mail again")
}

// The answer is the same whatever there is, byte for byte, and only a confirmed address of an active account gets
// a mail.
func TestForgottenPasswordTellsNothing(t *testing.T) {
	n := mailNode(t)
	for _, handle := range []string{"unconfirmed", "off", "none"} {
		n.account(handle)
	}
	n.address("unconfirmed", "unconfirmed@example.com", false)
	n.address("off", "off@example.com", true)
	if _, err := n.Disable(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, n.id("off")); err != nil {
		t.Fatal(err)
	}
	first := newBrowser(n).forgot("nobody").says("If there is an account with a confirmed e-mail address", "30 minutes")
	for _, identifier := range []string{"unconfirmed", "unconfirmed@example.com", "off", "off@example.com", "none",
		"nobody@example.com", "<b>", strings.Repeat("x", 4000)} {
		if a := newBrowser(n).forgot(identifier); a.body != first.body || a.StatusCode != first.StatusCode {
			t.Errorf("%.20s: %d %s", identifier, a.StatusCode, text(a.body))
		}
	}
	if got := n.queued(); got != 0 {
		t.Errorf("%d mails for nobody", got)
	}
	for i, identifier := range []string{"ada", "@Ada", " ADA@example.com "} {
		b := newBrowser(n)
		b.address = "198.51.100.9:1"
		if a := b.forgot(identifier); a.body != first.body {
			t.Errorf("%s: %s", identifier, text(a.body))
		}
		n.path(n.Mail(t, "ada@example.com", i+1))
	}
	b := newBrowser(n)
	b.submit("/forgot", "/forgot", url.Values{"identifier": {" "}}).is(http.StatusUnprocessableEntity).says("Enter your handle")
	b.get("/forgot/sent").says("Forgot your password?")
}

// Requests are limited by what was typed and by network, whether or not there is such an account, with words of their
// own, and a form that is sent twice sends one mail.
func TestForgottenPasswordIsLimited(t *testing.T) {
	n := mailNode(t)
	b := newBrowser(n)
	form := b.get("/forgot").form("/forgot")
	form.Set("identifier", "ada")
	for range 4 {
		b.post("/forgot", form).leadsTo("/forgot/sent")
	}
	n.Mail(t, "ada@example.com", 1)
	if got := n.queued(); got != 1 {
		t.Errorf("one form has sent %d mails", got)
	}
	for _, identifier := range []string{"ada", "nobody"} {
		a := &answer{Response: &http.Response{}}
		for i := 0; i < 4 && a.StatusCode != http.StatusTooManyRequests; i++ {
			a = newBrowser(n).submit("/forgot", "/forgot", url.Values{"identifier": {identifier}})
		}
		a.is(http.StatusTooManyRequests).says("use the newest one", "wait").hides("sign-ins")
	}
	for i := 0; ; i++ {
		a := newBrowser(n).submit("/forgot", "/forgot", url.Values{"identifier": {"x" + strings.Repeat("y", i)}})
		if a.StatusCode == http.StatusTooManyRequests {
			break
		}
		if i > 20 {
			t.Fatal("one network may ask for ever")
		}
	}
}

// From the mail to the new password: looking spends nothing, every session ends, the owner is told, nobody is signed in
// by it, and the link works once.
func TestANewPasswordByMail(t *testing.T) {
	n := mailNode(t)
	signedIn := n.signedIn("ada")
	newBrowser(n).forgot("ada")
	link := n.path(n.Mail(t, "ada@example.com", 1))
	b := newBrowser(n)
	before := n.recorded()
	for range 3 {
		page := b.get(link).is(http.StatusOK).says("@ada")
		sendsItsOrigin(t, page)
		if page.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("Cache-Control is %q", page.Header.Get("Cache-Control"))
		}
	}
	if n.recorded() != before {
		t.Error("looking has changed something")
	}
	b.post(link, url.Values{"password": {nextPassword}}).leadsTo("/signin").leavesCookies()
	signedIn.get("/").says("The password was changed")
	if m := n.Mail(t, "ada@example.com", 2); !strings.Contains(m.Subject, "was changed") {
		t.Errorf("the second mail is %q", m.Subject)
	}
	b.post(link, url.Values{"password": {nextPassword}}).leadsTo("/signin") // the same form again
	b.get(link).is(http.StatusGone).says("This link no longer works", "Send a link")
	if n.audited(n.id("ada"), exeunt.AuditResetAsked).By.Kind != exeunt.ActorPerson {
		t.Error("the audit does not say that somebody asked")
	}
	signedIn.submit("/signin", "/signin", url.Values{"identifier": {"ada@example.com"}, "password": {nextPassword}, "kind": {"kept"}}).
		leadsTo("/")
	signedIn.get("/activity").says("A link to set a new password was asked for")
}

// A new password is not the second factor.
func TestANewPasswordByMailAsksForTheSecondStep(t *testing.T) {
	n := newNodeWith(t, exeunt.DefaultPolicy(), true)
	n.account("ada")
	n.address("ada", "ada@example.com", true)
	code, _, _ := n.appOf("ada")
	newBrowser(n).forgot("ada")
	b := newBrowser(n)
	b.post(n.path(n.Mail(t, "ada@example.com", 1)), url.Values{"password": {nextPassword}}).leadsTo("/signin").leavesCookies()
	b.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {nextPassword}, "kind": {"kept"}}).leadsTo("/signin")
	b.get("/signin").says("Second step")
	if len(n.live("ada")) != 0 {
		t.Error("a session was started without the second step")
	}
	b.code("/", code()).leadsTo("/")
}

// Of 16 at once with one link, one sets its password.
func TestOneOfManyUsesALink(t *testing.T) {
	n := mailNode(t)
	newBrowser(n).forgot("ada")
	link := n.path(n.Mail(t, "ada@example.com", 1))
	var all sync.WaitGroup
	answers := make([]*answer, 16)
	words := make([]string, 16)
	for i := range answers {
		words[i] = nextPassword + string(rune('a'+i))
		b := newBrowser(n)
		b.address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 1).String()
		all.Go(func() { answers[i] = b.post(link, url.Values{"password": {words[i]}}) })
	}
	all.Wait()
	won := ""
	for i, a := range answers {
		switch {
		case a.StatusCode != http.StatusSeeOther:
		case won != "":
			t.Errorf("two have won: %q and %q", won, words[i])
		default:
			won = words[i]
		}
	}
	newBrowser(n).submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {won}, "kind": {"kept"}}).leadsTo("/")
	if got := n.ends(); !slices.Equal(got, []string{"account password_change"}) {
		t.Errorf("the log has %q", got)
	}
}

// Whatever is wrong with a link, a page explains it and has a way on.
func TestLinksOfMailsThatDoNotWork(t *testing.T) {
	n := mailNode(t)
	b := n.signedIn("ada")
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"new@example.com"}, "current": {password}}).
		leadsTo("/settings")
	confirm := n.path(n.Mail(t, "new@example.com", 1))
	newBrowser(n).forgot("ada")
	reset := n.path(n.Mail(t, "ada@example.com", 1))
	foreign := exeunt.NewToken(exeunt.UseLink).Reveal()
	_, secret, _ := strings.Cut(strings.TrimPrefix(confirm, "/"), "/")
	_, invite, _ := strings.Cut(strings.TrimPrefix(reset, "/"), "/")
	for _, dead := range []string{"/confirm/" + foreign, "/undo/" + foreign, "/undo/" + secret, "/reset/" + secret, "/confirm/" + invite,
		confirm[:len(confirm)-1], reset[:len(reset)-4], "/confirm/x", "/undo/%00"} {
		before := n.recorded()
		newBrowser(n).get(dead).is(http.StatusGone).says("This link no longer works").hides("ada", "new@example.com")
		newBrowser(n).post(dead, url.Values{"password": {nextPassword}}).is(http.StatusGone).says("This link no longer works")
		if n.recorded() != before {
			t.Errorf("%s has changed something", dead)
		}
	}
	n.Clock.Pass(account.MailLinkLife)
	newBrowser(n).get(confirm).is(http.StatusGone).says("have the mail sent again")
	newBrowser(n).post(confirm, nil).is(http.StatusGone)
	newBrowser(n).get(reset).is(http.StatusGone).says("Have another link sent to you")
	newBrowser(n).post(reset, url.Values{"password": {nextPassword}}).is(http.StatusGone)
	if a, err := n.Account(t.Context(), n.id("ada")); err != nil || a.Email != "ada@example.com" {
		t.Errorf("%+v, %v", a, err)
	}
}

// A new account's address is confirmed by one press, in any browser, and identifies only from then on.
func TestASignUpsAddressIsConfirmed(t *testing.T) {
	n := newNodeWith(t, exeunt.DefaultPolicy(), true)
	b := newBrowser(n)
	b.submit("/signup", "/signup", url.Values{"handle": {"grace"}, "name": {"Grace"}, "email": {"grace@example.com"},
		"password": {password}, "kind": {"kept"}}).leadsTo("/")
	b.get("/settings").says("Not confirmed yet", "Open the link in the mail that we sent to grace@example.com")
	link := n.path(n.Mail(t, "grace@example.com", 1))
	signIn := url.Values{"identifier": {"grace@example.com"}, "password": {password}, "kind": {"kept"}}
	newBrowser(n).submit("/signin", "/signin", signIn).is(http.StatusUnauthorized)
	other := newBrowser(n)
	before := n.recorded()
	for range 3 {
		sendsItsOrigin(t, other.get(link).is(http.StatusOK).says("grace@example.com", "@grace", "Confirm the address").hides(link))
	}
	if n.recorded() != before {
		t.Error("looking has confirmed it")
	}
	b.submit("/settings", "/settings/address", url.Values{"do": {"send"}}).leadsTo("/settings")
	b.get("/settings").says("The mail is on its way")
	second := n.path(n.Mail(t, "grace@example.com", 2))
	list, answers := other.press(link, nil, 4)
	for i := range list {
		answers[i].leadsTo(link)
	}
	other.get(link).says("The address is confirmed", "grace@example.com", "@grace")
	other.post(link, nil).leadsTo(link)
	newBrowser(n).post(second, nil).is(http.StatusGone)
	newBrowser(n).submit("/signin", "/signin", signIn).leadsTo("/")
	b.get("/settings").says("was confirmed just now").hides("Not confirmed yet")
	if e := n.audited(n.id("grace"), exeunt.AuditProfile); e.Detail != "email_confirmed" || e.By.Kind != exeunt.ActorLink {
		t.Errorf("the audit says %+v", e)
	}
	b.get("/activity").says("The e-mail address was confirmed")
}

// An address that another account has confirmed meanwhile is refused, and nobody is named.
func TestATakenAddressIsNotConfirmed(t *testing.T) {
	n := mailNode(t)
	b := newBrowser(n)
	b.submit("/signup", "/signup", url.Values{"handle": {"mallory"}, "email": {"ada@example.com"}, "password": {password}, "kind": {"kept"}}).
		leadsTo("/")
	link := n.path(n.Mail(t, "ada@example.com", 1))
	b.post(link, nil).is(http.StatusConflict).says("Another account has already confirmed").hides("@ada")
	if a, err := n.Account(t.Context(), n.id("mallory")); err != nil || a.EmailConfirmed {
		t.Errorf("%+v, %v", a, err)
	}
}

// The mail is sent again once for a form, and not without limit.
func TestTheMailAgain(t *testing.T) {
	n := newNodeWith(t, exeunt.DefaultPolicy(), true)
	n.account("ada")
	n.address("ada", "ada@example.com", false)
	b := n.signedIn("ada")
	form := b.get("/settings").form("/settings/address")
	form.Set("do", "send")
	for range 3 {
		b.post("/settings/address", form).leadsTo("/settings")
	}
	n.Mail(t, "ada@example.com", 1)
	if got := n.queued(); got != 1 {
		t.Errorf("one form has sent %d mails", got)
	}
	for i := 0; ; i++ {
		if a := b.submit("/settings", "/settings/address", url.Values{"do": {"send"}}); a.StatusCode == http.StatusTooManyRequests {
			a.says("Many mails have been sent")
			break
		}
		if i > 10 {
			t.Fatal("mails without limit")
		}
	}
	b.post("/settings/address", b.fields(url.Values{"do": {"other"}})).is(http.StatusBadRequest)
	b.post("/settings/address", url.Values{"do": {"send"}, "session": {exeunt.NewSessionID().String()}}).is(http.StatusConflict)
}

// change enters another address and returns the path of the link that confirms it.
func (b *browser) change(email string) string {
	b.t.Helper()
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {email}, "current": {password}}).leadsTo("/settings")
	return b.n.path(b.n.Mail(b.t, email, 1))
}

// Another address is pending until it is confirmed. The present one stays until then, and can be kept.
func TestAnotherAddressIsPending(t *testing.T) {
	n := mailNode(t)
	b := n.signedIn("ada")
	before := func() {
		t.Helper()
		if a, err := n.Account(t.Context(), n.id("ada")); err != nil || a.Email != "ada@example.com" || !a.EmailConfirmed {
			t.Errorf("%+v, %v", a, err)
		}
	}
	link := b.change("new@example.com")
	before()
	b.get("/settings").says("new@example.com replaces the present address", "Keep the present address")
	newBrowser(n).get(link).says("new@example.com", "It replaces ada@example.com")
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada L"}, "email": {"ada@example.com"}}).leadsTo("/settings")
	b.get("/settings").says("new@example.com replaces") // a new name leaves it
	b.submit("/settings", "/settings/address", url.Values{"do": {"drop"}}).leadsTo("/settings")
	b.get("/settings").says("The new address was discarded").hides("new@example.com")
	newBrowser(n).post(link, nil).is(http.StatusGone)
	before()
	// A new password forgets it, too: whoever entered it may be the one to be shut out.
	link = b.change("other@example.com")
	b.submit("/security", "/security/password", url.Values{"current": {password}, "password": {nextPassword}}).leadsTo("/security")
	newBrowser(n).post(link, nil).is(http.StatusGone)
	before()
	b.get("/activity").says("Another e-mail address was entered")
}

// Whoever knows the password changes the address; the owner undoes that from the old mailbox, ends every session and
// the password, and sets a new one. The thief's mailbox is of no use any more.
func TestAChangedAddressIsUndone(t *testing.T) {
	n := mailNode(t)
	chirp := n.signedIn("ada")
	n.appSession(chirp)
	thief := n.signedIn("ada")
	confirm := thief.change("mallory@example.com")
	newBrowser(n).forgot("ada") // which goes to the old address
	early := n.path(n.Mail(t, "ada@example.com", 1))
	newBrowser(n).post(confirm, nil).leadsTo(confirm)
	if a, err := n.Account(t.Context(), n.id("ada")); err != nil || a.Email != "mallory@example.com" || !a.EmailConfirmed || a.EmailPending != "" {
		t.Fatalf("%+v, %v", a, err)
	}
	newBrowser(n).get(early).is(http.StatusGone)
	undo := n.path(n.Mail(t, "ada@example.com", 2))
	newBrowser(n).forgot("ada@example.com")
	newBrowser(n).forgot("ada")
	n.Mail(t, "mallory@example.com", 2)
	pending := thief.change("third@example.com")
	n.Clock.Pass(account.UndoLife - 20*time.Minute)
	newBrowser(n).forgot("ada")
	stolen := n.path(n.Mail(t, "mallory@example.com", 3))

	owner := newBrowser(n)
	before := n.recorded()
	for range 3 {
		sendsItsOrigin(t, owner.get(undo).is(http.StatusOK).says("@ada", "ada@example.com", "mallory@example.com", "Undo the change").hides(undo))
	}
	if n.recorded() != before {
		t.Error("looking has undone it")
	}
	list, answers := owner.press(undo, nil, 8)
	reset := answers[0].Header.Get("Location")
	if !strings.HasPrefix(reset, "/reset/exi_") {
		t.Fatalf("it leads to %q: %s", reset, text(answers[0].body))
	}
	for i := range list {
		answers[i].leadsTo(reset).leavesCookies()
	}
	a, err := n.Account(t.Context(), n.id("ada"))
	if err != nil || a.Email != "ada@example.com" || !a.EmailConfirmed || a.EmailPending != "" || a.LiveSessions != 0 || !a.PasswordSet.IsZero() {
		t.Errorf("%+v, %v", a, err)
	}
	if got := n.ends(); len(got) != 1 || got[0] != "account address_undone" {
		t.Errorf("the log has %q", got)
	}
	thief.get("/").says("change of the account’s e-mail address was undone")
	chirp.get("/").says("was undone")
	newBrowser(n).submit("/signin", "/signin", signInFields("ada", "kept")).is(http.StatusUnauthorized)
	for _, dead := range []string{stolen, pending} {
		newBrowser(n).post(dead, url.Values{"password": {nextPassword}}).is(http.StatusGone)
	}
	if m := n.Mail(t, "mallory@example.com", 4); !strings.Contains(m.Subject, "was undone") || len(m.Links) > 1 {
		t.Errorf("mallory reads %q with %q", m.Subject, m.Links)
	}
	owner.get(undo).says("The change was undone", "set a new password")
	owner.post(undo, nil).leadsTo(reset)
	owner.get(reset).says("@ada")
	owner.post(reset, url.Values{"password": {nextPassword}}).leadsTo("/signin")
	newBrowser(n).submit("/signin", "/signin", url.Values{"identifier": {"ada@example.com"}, "password": {nextPassword}, "kind": {"kept"}}).leadsTo("/")
	owner.get(undo).is(http.StatusGone).says("This link no longer works", "Send a link")
	owner.post(undo, nil).is(http.StatusGone)
	n.keepsNoSecret(confirm, early, undo, stolen, pending, reset)
}

// keepsNoSecret checks that the database has none of the links that were handed out.
func (n *node) keepsNoSecret(paths ...string) {
	n.t.Helper()
	for _, file := range []string{n.Path, n.Path + "-wal"} {
		stored, err := os.ReadFile(file)
		n.must(err)
		for _, path := range paths {
			if _, secret, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); len(secret) < 50 || bytes.Contains(stored, []byte(secret)) {
				n.t.Errorf("%s has the secret of %q", filepath.Base(file), path)
			}
		}
	}
}

// The oldest address can undo whatever came after it, and a later one cannot undo that again.
func TestTheOldestAddressHasTheLastWord(t *testing.T) {
	n := mailNode(t)
	b := n.signedIn("ada")
	for _, email := range []string{"m1@example.com", "m2@example.com", "m3@example.com", "m4@example.com", "m5@example.com"} {
		n.Clock.Pass(time.Minute)
		link := b.change(email)
		newBrowser(n).post(link, nil).leadsTo(link)
		if a, err := n.Account(t.Context(), n.id("ada")); err != nil || a.Email != email {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	newBrowser(n).post(b.change("m6@example.com"), nil).is(http.StatusTooManyRequests).says("changed many times in a few days")
	later := n.path(n.Mail(t, "m2@example.com", 2))
	newBrowser(n).post(later, nil).is(http.StatusSeeOther)
	newBrowser(n).get(n.path(n.Mail(t, "m3@example.com", 2))).is(http.StatusGone)
	newBrowser(n).post(n.path(n.Mail(t, "ada@example.com", 1)), nil).is(http.StatusSeeOther)
	newBrowser(n).get(n.path(n.Mail(t, "m1@example.com", 2))).is(http.StatusGone)
	if a, err := n.Account(t.Context(), n.id("ada")); err != nil || a.Email != "ada@example.com" || !a.EmailConfirmed {
		t.Errorf("%+v, %v", a, err)
	}
}

// A removed address can undo that; after 7 days nothing can be undone.
func TestARemovedAddress(t *testing.T) {
	n := mailNode(t)
	b := n.signedIn("ada")
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {""}, "current": {password}}).leadsTo("/settings")
	m := n.Mail(t, "ada@example.com", 1)
	if !strings.Contains(m.Subject, "was removed") {
		t.Errorf("the mail is %q", m.Subject)
	}
	newBrowser(n).get(n.path(m)).says("Now it has none")
	n.Clock.Pass(account.UndoLife)
	newBrowser(n).get(n.path(m)).is(http.StatusGone).says("for 7 days")
	newBrowser(n).post(n.path(m), nil).is(http.StatusGone)
}

// What ends sessions by a link is told to apps: a new password, and an undo.
func TestLinksByMailTellApps(t *testing.T) {
	n := mailNode(t)
	told := make(chan string, 10)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.PostFormValue("logout_token") }))
	t.Cleanup(app.Close)
	c := testnode.ClientAt("told", "http://app.localhost:8082/back")
	c.Keys, c.BackchannelURI = n.Client(t, testnode.Chirp).Keys, app.URL
	n.register(c)
	n.tells()
	enter := func(word string) *browser {
		b := newBrowser(n)
		b.submit("/signin", "/signin", url.Values{"identifier": {"ada"}, "password": {word}, "kind": {"kept"}}).leadsTo("/")
		n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, c.ID)
		return b
	}
	enter(password)
	newBrowser(n).forgot("ada")
	newBrowser(n).post(n.path(n.Mail(t, "ada@example.com", 1)), url.Values{"password": {nextPassword}}).leadsTo("/signin")
	testnode.Receive(t, told, "the app to hear of the new password")
	b := enter(nextPassword)
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"new@example.com"}, "current": {nextPassword}}).
		leadsTo("/settings")
	newBrowser(n).post(n.path(n.Mail(t, "new@example.com", 1)), nil).is(http.StatusSeeOther)
	newBrowser(n).post(n.path(n.Mail(t, "ada@example.com", 3)), nil).is(http.StatusSeeOther)
	testnode.Receive(t, told, "the app to hear of the undo")
}
