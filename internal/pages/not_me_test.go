package pages

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/mailbox"
	"github.com/exeunt/exeunt/internal/notify"
)

const deviceName = "__Host-exeunt-device"

// away is a browser that the account was not used with, in a place where it was not used.
func (n *node) away() *browser {
	b := newBrowser(n)
	b.address, b.agent = "203.0.113.9:1", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0"
	return b
}

var noticePath = regexp.MustCompile(`/notices/not_[a-z2-7]+`)

// asked returns the address of the notice that a page asks about.
func (b *browser) asked() string {
	b.t.Helper()
	page := b.get("/")
	path := noticePath.FindString(page.body)
	if path == "" {
		b.t.Fatalf("nothing is asked: %s", page.body)
	}
	return path
}

// Whoever uses the account elsewhere is asked about an unfamiliar sign-in, and whoever has just signed in is not.
func TestAnUnfamiliarSignInIsAsked(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	home := n.signedIn("ada")
	home.get("/").is(http.StatusOK).hides("Was this you?")
	again := newBrowser(n) // the same network and browser, without the cookie
	again.signIn("ada", "kept")
	home.get("/").hides("Was this you?")
	n.Clock.Pass(time.Minute)
	away := n.away()
	away.signIn("ada", "kept")
	for _, page := range []string{"/", "/sessions"} {
		home.get(page).says("Was this you?", "203.0.113.9", "This was me", "This wasn’t me", "Unfamiliar")
		away.get(page).hides("Was this you?")
	}
	home.get("/activity?kind=notices").says("browser or place not seen before")
	n.account("bob")
	n.signedIn("bob").get("/").hides("Was this you?")

	path := home.asked()
	before := n.recorded()
	away.post(path+"/me", away.fields(nil)).is(http.StatusForbidden).says("itself one that nobody has confirmed")
	away.post(path+"/not-me", away.fields(nil)).is(http.StatusForbidden)
	home.post("/notices/"+exeunt.NewNoticeID().String()+"/me", home.fields(nil)).is(http.StatusNotFound)
	home.post("/notices/nonsense/not-me", home.fields(nil)).is(http.StatusNotFound)
	if n.recorded() != before {
		t.Error("a refused answer has changed something")
	}
	form := home.fields(url.Values{"return": {"/sessions"}})
	for range 2 {
		home.post(path+"/me", form).leadsTo("/sessions")
	}
	home.get("/sessions").says("Noted").hides("Was this you?", "Unfamiliar")
	home.post(path+"/not-me", home.fields(nil)).is(http.StatusConflict).says("answered before")
	third := n.away()
	third.signIn("ada", "kept") // known by now
	home.get("/").hides("Was this you?")
}

// "This wasn't me" ends everything, and says what to do; pressed twice it says the same.
func TestThisWasNotMe(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	home, away := n.signedIn("ada"), n.away()
	n.Clock.Pass(time.Minute)
	away.signIn("ada", "kept")
	path := home.asked()
	form := home.get("/").form(path + "/not-me")
	twice := home.thief()
	home.post(path+"/not-me", form).leadsTo("/signed-out")
	home.get("/signed-out").says("Signed out everywhere", "What to do now", "change it at once")
	twice.post(path+"/not-me", form).leadsTo("/signed-out")
	twice.get("/signed-out").says("What to do now")
	away.get("/sessions").says("This wasn’t me")
	if got := n.ends(); len(got) != 1 || got[0] != "account not_me" {
		t.Errorf("the log has %q", got)
	}
	n.Clock.Pass(time.Hour)
	twice.post(path+"/not-me", form).hides("What to do now")
	again := n.away()
	again.signIn("ada", "kept")
	home.signIn("ada", "kept")
	home.get("/").says("Was this you?") // the device is forgotten
	home.get("/activity?kind=notices").says("every session was ended")
}

// A browser that is kept has one device token for all accounts, the same for both of two presses; a shared computer has
// none, and one that was left there goes.
func TestTheDeviceCookie(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	b := newBrowser(n)
	form := b.get("/signin").form("/signin")
	for name, v := range signInFields("ada", "kept") {
		form[name] = v
	}
	twice := b.thief()
	b.post("/signin", form).leadsTo("/")
	twice.post("/signin", form).leadsTo("/")
	token := b.cookies[deviceName]
	if !strings.HasPrefix(token, string(exeunt.UseDevice)) || !b.lasting[deviceName] || twice.cookies[deviceName] != token {
		t.Errorf("the device cookies are %q and %q", token, twice.cookies[deviceName])
	}
	b.submit("/signout", "/signout", nil)
	b.submit("/signin", "/signin", signInFields("bob", "kept")).leadsTo("/")
	if b.cookies[deviceName] != token {
		t.Error("another account has another token")
	}
	b.submit("/signout", "/signout", nil)
	shared := n.away()
	shared.cookies[deviceName] = token
	shared.submit("/signin?shared=1", "/signin", signInFields("ada", "shared")).leadsTo("/")
	if got := shared.cookies[deviceName]; got != "shared" || shared.lasting[deviceName] {
		t.Errorf("on a shared computer the cookie is %q", got)
	}
	home := n.signedIn("ada")
	home.get("/").says("Was this you?") // the token that was left there was not read
}

// mails gives the node a real mail server, and makes an account with a confirmed address. It returns what waits for the next mail's
// link.
func (n *node) mails() (link func() string) {
	n.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	n.must(err)
	box, came, served := mailbox.New(), make(chan mailbox.Message, 10), make(chan error, 1)
	box.Received = func(m mailbox.Message) error { came <- m; return nil }
	go func() { served <- box.Serve(l) }()
	seal := testkeys(n.t)
	n.Accounts.Notify = notify.New(notify.Config{Store: n.Store, UI: n.pages.UI, Seal: seal.Seal, Open: seal.Open, Site: testOrigin,
		Sum: func(text string) [32]byte { return sha256.Sum256([]byte(text)) }, Now: n.Now, Log: n.Log,
		Server: &notify.Server{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Plain: true,
			From: mail.Address{Address: "no-reply@example.com"}}})
	ctx, stop := context.WithCancel(n.t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.Accounts.Notify.Run(ctx) })
	n.t.Cleanup(func() { stop(); running.Wait(); box.Close(); <-served })
	_, err = n.Accounts.AddAccount(n.t.Context(), exeunt.System(),
		account.NewAccount{Handle: "ada", Email: "ada@example.com", Password: password}, true)
	n.must(err)
	return func() string {
		n.t.Helper()
		for limit := time.After(2 * time.Minute); ; {
			select {
			case m := <-came: // perhaps about something else
				for _, to := range m.Links {
					if at, ok := strings.CutPrefix(to, testOrigin); ok && strings.HasPrefix(at, notMePath) {
						return at
					}
				}
			case <-limit:
				n.t.Fatal("no mail about a sign-in came")
			}
		}
	}
}

func testkeys(t testing.TB) keys.Master {
	t.Helper()
	m, err := keys.ParseMaster(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The link of the mail works without signing in. Opening it spends nothing; of many presses one counts, and all show what
// was done.
func TestNotMeByALink(t *testing.T) {
	n := newNode(t)
	link := n.mails()
	home, away := n.signedIn("ada"), n.away()
	n.Clock.Pass(time.Minute)
	away.signIn("ada", "kept")
	page := link()
	secret := strings.TrimPrefix(page, notMePath)
	reader := newBrowser(n)
	before := n.recorded()
	for range 3 {
		reader.get(page).is(http.StatusOK).says("Was this you?", "@ada", "203.0.113.9", "Firefox on Windows").hides(secret)
	}
	reader.post(page, url.Values{"answer": {"perhaps"}}).is(http.StatusBadRequest)
	for name, bad := range map[string]string{"cut": page[:len(page)-3], "nothing": "/not-me/x",
		"another": "/not-me/" + exeunt.NewToken(exeunt.UseLink).Reveal(), "another use": "/not-me/" + away.token()} {
		for _, a := range []*answer{reader.get(bad), reader.post(bad, url.Values{"answer": {"not_me"}})} {
			a.is(http.StatusGone).says("does not work any more", "sign out everywhere")
		}
		if n.recorded() != before {
			t.Errorf("%s has changed something", name)
		}
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { newBrowser(n).post(page, url.Values{"answer": {"not_me"}}).is(http.StatusSeeOther) })
	}
	all.Wait()
	if got := n.ends(); len(got) != 1 || got[0] != "account not_me" {
		t.Errorf("the log has %q", got)
	}
	for _, b := range []*browser{home, away} {
		b.get("/sessions").says("This wasn’t me")
	}
	reader.get(page).is(http.StatusOK).says("Everybody is signed out", "What to do now").hides(secret)
	reader.post(page, url.Values{"answer": {"me"}}).leadsTo(page)
	reader.get(page).says("Everybody is signed out")
	n.Clock.Pass(exeunt.NoticeLife)
	reader.get(page).is(http.StatusGone)
}

// Whoever reads the confirmed mailbox sets a new password from there, for half an hour.
func TestAfterNotMeANewPassword(t *testing.T) {
	n := newNode(t)
	link := n.mails()
	n.signedIn("ada")
	n.Clock.Pass(time.Minute)
	n.away().signIn("ada", "kept")
	page, reader := link(), newBrowser(n)
	reader.post(page, url.Values{"answer": {"not_me"}}).leadsTo(page)
	reader.get(page).says("Set a new password").hides("exi_")
	to := reader.post(page, url.Values{"answer": {"reset"}}).is(http.StatusSeeOther).Header.Get("Location")
	reader.get(to).says("Set a new password", "@ada")
	reader.post(to, url.Values{"password": {"seven harbours under a paper moon"}}).leadsTo("/signin")
	reader.get(page).says("Everybody is signed out").hides("Set a new password")
	reader.get(to).is(http.StatusGone)
}

// The holder of a mailbox that was the account's before ends everything, and sets no password. After half an hour nobody
// does from there.
func TestNoNewPasswordFromAnotherMailbox(t *testing.T) {
	n := newNode(t)
	link := n.mails()
	home := n.signedIn("ada")
	n.Clock.Pass(time.Minute)
	n.away().signIn("ada", "kept")
	page, reader := link(), newBrowser(n)
	home.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"new@example.com"}, "current": {password}}).
		is(http.StatusSeeOther)
	_, err := n.Accounts.ConfirmEmail(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, n.id("ada"), "new@example.com")
	n.must(err)
	reader.post(page, url.Values{"answer": {"not_me"}}).leadsTo(page)
	reader.get(page).says("Everybody is signed out", "change it at once").hides("Set a new password")
	to := reader.post(page, url.Values{"answer": {"reset"}}).is(http.StatusSeeOther).Header.Get("Location")
	reader.get(to).is(http.StatusGone)
	n.signedIn("ada")
	n.away().signIn("ada", "kept")
	page = link()
	reader.post(page, url.Values{"answer": {"not_me"}}).leadsTo(page)
	n.Clock.Pass(31 * time.Minute)
	reader.get(page).says("Everybody is signed out").hides("Set a new password")
}

// "This was me" from the mail is noted once; then nothing asks any more, and the link does nothing. One that a page has said
// may still be disowned: that may have been whoever has signed in.
func TestThisWasMeByALink(t *testing.T) {
	n := newNode(t)
	link := n.mails()
	home := n.signedIn("ada")
	n.Clock.Pass(time.Minute)
	n.away().signIn("ada", "kept")
	page, reader := link(), newBrowser(n)
	for range 2 {
		reader.post(page, url.Values{"answer": {"me"}}).leadsTo(page)
	}
	reader.get(page).says("The answer was “This was me”").hides("Sign out everywhere</button>")
	home.get("/").is(http.StatusOK).hides("Was this you?")
	reader.post(page, url.Values{"answer": {"not_me"}}).leadsTo(page)
	home.get("/").is(http.StatusOK).says("This browser")
	other := n.away()
	other.address = "198.51.100.77:1"
	other.signIn("ada", "kept")
	page = link()
	home.submit("/", home.asked()+"/me", url.Values{})
	reader.get(page).says("The answer was “This was me”", "Sign out everywhere")
	reader.post(page, url.Values{"answer": {"not_me"}}).leadsTo(page)
	home.get("/").says("This wasn’t me")
}
