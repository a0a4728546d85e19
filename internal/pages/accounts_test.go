package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
)

var five = []string{"ada", "bob", "carol", "dora", "emil"}

// withFive is a browser in which five accounts are signed in, the last of them active.
func withFive(t *testing.T) (*node, *browser, map[string]exeunt.SessionID) {
	n := newNode(t)
	b := newBrowser(n)
	ids := map[string]exeunt.SessionID{}
	for _, handle := range five {
		n.account(handle)
		b.signIn(handle, "kept")
		ids[handle] = b.session()
	}
	return n, b, ids
}

func (b *browser) switchTo(id exeunt.SessionID) *answer {
	b.t.Helper()
	return b.post("/accounts/switch", url.Values{"session": {b.session().String()}, "to": {id.String()}}).leadsTo("/")
}

func TestSeveralAccounts(t *testing.T) {
	n, b, ids := withFive(t)
	if len(n.ends()) > 0 {
		t.Fatalf("signing in ended %q", n.ends())
	}
	b.get("/").says("Hello, Emil", "Switch to Ada", "Sign out of all 5 accounts").hides("Add an account")
	b.switchTo(ids["carol"])
	page := b.get("/sessions").says("@carol")
	if !strings.Contains(page.body, "<title>Sessions · @carol · Exeunt</title>") || !strings.Contains(page.body, "/accounts/badge/") {
		t.Error("the tab does not show whose it is")
	}

	// A sixth is refused, and the page says what can be done.
	n.account("frida")
	form := b.get("/signin").form("/signin")
	for name, values := range signInFields("frida", "kept") {
		form[name] = values
	}
	b.post("/signin", form).is(http.StatusConflict).leavesCookies().
		says("No more than 5 accounts can be signed in in this browser", "Sign out @ada", "Sign out @carol")
	if got := n.live("frida"); len(got) > 0 {
		t.Errorf("frida has %d sessions", len(got))
	}
	// One of the five signs in again.
	b.signIn("bob", "kept")
	if got := n.live("bob"); len(got) != 1 {
		t.Errorf("bob has %d sessions", len(got))
	}
	b.get("/").says("Hello, Bob")

	size := 0
	for name, value := range b.cookies {
		size += len(name) + len(value) + len("=; ")
	}
	if size > 4<<10 {
		t.Errorf("the cookies are %d bytes long", size)
	}
}

// A form belongs to the account of its tab. What signs out works in any tab; for anything else the account must be active.
func TestATabOfAnAccountThatIsNotActive(t *testing.T) {
	n, b, ids := withFive(t)
	form := b.get("/settings").form("/settings/display")
	form.Set("display", "dark")
	b.switchTo(ids["ada"])
	before := n.recorded()
	page := b.post("/settings/display", form).is(http.StatusConflict).leavesCookies().
		says("This tab belongs to @emil", "You are using @ada in this browser now", "Switch to @emil")
	if n.recorded() != before {
		t.Error("the tab of another account changed something")
	}
	b.post("/accounts/switch", page.form("/accounts/switch")).leadsTo("/settings")
	b.post("/settings/display", form).is(http.StatusSeeOther)
	b.switchTo(ids["ada"])

	// Its state, its stream and its activity are those of its own session.
	if s := b.fetch(http.MethodGet, "/session/state?session="+ids["emil"].String(), "").state(); s.Session != ids["emil"].String() {
		t.Errorf("the state is of %s", s.Session)
	}
	b.fetch(http.MethodPost, "/session/activity", "session="+ids["emil"].String()).is(http.StatusNoContent)

	form = b.get("/signout?session=" + ids["emil"].String()).says("Sign out of @emil").form("/signout")
	b.follow(b.post("/signout", form).leadsTo("/signed-out")).says("Signed out of one account", "@ada", "Continue as @ada")
	for handle, id := range ids {
		if s, err := n.Session(t.Context(), n.id(handle), id); err != nil || (s.End != nil) != (handle == "emil") {
			t.Errorf("%s: %+v %v", handle, s.End, err)
		}
	}
	b.get("/").says("Hello, Ada").hides("emil")
	// The same once more, and a tab that is left: neither touches anybody else.
	b.post("/signout", form).leadsTo("/signed-out")
	b.get("/signin")
	delete(b.cookies, "__Host-exeunt-notice")
	b.post("/signout", form).is(http.StatusConflict)
	if got := n.ends(); len(got) != 1 {
		t.Errorf("the log has %q", got)
	}
}

// The one that was used last before is active next.
func TestTheNextAccount(t *testing.T) {
	_, b, ids := withFive(t)
	b.switchTo(ids["bob"])
	b.switchTo(ids["dora"])
	b.submit("/signout", "/signout", nil).leadsTo("/signed-out")
	b.get("/").says("Hello, Bob")
}

func TestSignOutOfAllAccounts(t *testing.T) {
	n, b, _ := withFive(t)
	page := b.get("/signout/all").says("Sign out of all 5 accounts in this browser?", "@ada", "@emil")
	form := page.form("/signout/all")
	if tickets := strings.Fields(form.Get("ticket")); len(tickets) != 5 {
		t.Errorf("the form has %d tickets", len(tickets))
	}
	twin := b.thief()
	done := b.follow(b.post("/signout/all", form).leadsTo("/signed-out")).
		says("Signed out of all 5 accounts", "Save proof 1", "Save proof 5").hides("@ada", "emil", "carol")
	if got := n.ends(); len(got) != 5 {
		t.Errorf("the log has %q", got)
	}
	for name := range b.cookies {
		if strings.HasPrefix(name, "__Host-exeunt-ses_") || name == "__Host-exeunt-active" {
			t.Errorf("%s is left", name)
		}
	}
	// The second of two presses gets the first's answer.
	again := twin.follow(twin.post("/signout/all", form).leadsTo("/signed-out"))
	if text(again.body) != text(done.body) || len(n.ends()) != 5 {
		t.Errorf("the second press says %s", text(again.body))
	}
	b.get("/").says("Sign in")
}

// Somebody who signs in as on a shared computer is alone there, and the form has said so.
func TestSeveralAccountsAndASharedComputer(t *testing.T) {
	n, b, _ := withFive(t)
	b.get("/signin").says("5 accounts are signed in", "there is no room", "shared")
	b.signIn("ada", "shared")
	if got := n.ends(); len(got) != 5 {
		t.Errorf("the log has %q", got)
	}
	b.get("/").says("Hello, Ada").hides("bob", "Add an account")
	b.signIn("bob", "kept") // nor is anybody added to a shared sign-in
	if got := n.live("ada"); len(got) > 0 {
		t.Errorf("ada has %d sessions", len(got))
	}
}

// Tabs that sign in to different accounts at the same moment take nothing from each other, and no session is left alive
// without its cookies.
func TestSixTabsSignInAtOnce(t *testing.T) {
	n := newNode(t)
	b := newBrowser(n)
	six := append(slices.Clone(five), "frida")
	var tabs []*browser
	for _, handle := range six {
		n.account(handle)
	}
	b.get("/signin") // the cookie that forms need
	for range six {
		tabs = append(tabs, b.thief())
	}
	var wait sync.WaitGroup
	answers := make([]*answer, len(six))
	for i, handle := range six {
		wait.Go(func() { answers[i] = tabs[i].signIn(handle, "kept") })
	}
	wait.Wait()
	for _, a := range answers { // the browser stores what they bring, in any order
		for _, c := range a.Cookies() {
			b.keep(c)
		}
	}
	for _, handle := range six {
		list := n.live(handle)
		if len(list) != 1 || b.cookies["__Host-exeunt-"+list[0].ID.String()] == "" || b.cookies["__Host-exeunt-"+list[0].ID.String()+"-here"] == "" {
			t.Errorf("%s: %d sessions, or one that no cookie holds", handle, len(list))
		}
	}
	if got := n.ends(); len(got) > 0 {
		t.Errorf("the log has %q", got)
	}
	// Now one more than there may be are here: pages say so until one is signed out of.
	b.get("/sessions").is(http.StatusConflict).says("No more than 5 accounts", "sign out of one of them first")
	out := b.get("/accounts").body
	i := strings.Index(out, "/signout?session=")
	b.follow(b.submit(out[i:i+len("/signout?session=")+30], "/signout", nil)).says("Signed out of one account")
	b.get("/sessions").is(http.StatusOK)
}

// Nothing of one account is on another's pages, but where accounts are switched.
func TestAccountsSeeNothingOfEachOther(t *testing.T) {
	n, b, ids := withFive(t)
	switcher := func(page string) string { // takes out the menu, the drawer, and what asks
		for _, part := range [][2]string{{`<ul class="nav accounts"`, "</ul>"}, {`<ul class="accounts"`, "</ul>"}} {
			for {
				from := strings.Index(page, part[0])
				if from < 0 {
					break
				}
				to := strings.Index(page[from:], part[1])
				page = page[:from] + page[from+to:]
			}
		}
		return page
	}
	get, _ := addresses(n)
	for _, mine := range five {
		b.switchTo(ids[mine])
		for _, to := range get {
			if strings.HasPrefix(to, "/accounts") || to == "/signout/all" {
				continue
			}
			page := switcher(b.get(to).body)
			for _, other := range five {
				for _, secret := range []string{"@" + other, strings.ToUpper(other[:1]) + other[1:] + "<", ids[other].String()} {
					if other != mine && strings.Contains(page, secret) {
						t.Fatalf("%s of %s says %q: %s", to, mine, secret, text(page))
					}
				}
			}
		}
	}
	// Nor on the receipt of one.
	b.switchTo(ids["carol"])
	b.submit("/signout", "/signout", nil).leadsTo("/signed-out")
	receipt := b.get("/signed-out").body
	for _, other := range []string{"ada", "bob", "dora"} { // emil is the active one now, whose page it is
		if sheet := switcher(b.get(proofLink.FindStringSubmatch(receipt)[1]).body); strings.Contains(sheet, ids[other].String()) || strings.Contains(sheet, "@"+other) {
			t.Errorf("the receipt of carol's sign-out names %s", other)
		}
	}
}

// Where policy says so, switching needs a fresh proof, in the same form.
func TestSwitchingWithAProof(t *testing.T) {
	policy := exeunt.DefaultPolicy()
	policy.ConfirmSwitch = true
	n := newNodeOf(t, policy)
	b := newBrowser(n)
	for _, handle := range five[:2] {
		n.account(handle)
		b.signIn(handle, "kept")
	}
	ada := n.live("ada")[0].ID
	b.switchTo(ada) // proved a moment ago
	b.switchTo(n.live("bob")[0].ID)
	n.Clock.Pass(time.Hour)
	ask := b.post("/accounts/switch", url.Values{"session": {b.session().String()}, "to": {ada.String()}}).
		is(http.StatusUnprocessableEntity).says("To switch to", "@ada", "prove that it is you.").leavesCookies()
	form := ask.form("/accounts/switch")
	form.Set("current", "wrong, certainly")
	b.post("/accounts/switch", form).is(http.StatusUnprocessableEntity).leavesCookies()
	b.get("/").says("Hello, Bob")
	form.Set("current", password)
	b.post("/accounts/switch", form).leadsTo("/")
	b.get("/").says("Hello, Ada")
}

// One account's tab switches while others post, in turns that no order of arrival may spoil.
func TestSwitchingWhileTabsPost(t *testing.T) {
	n, b, ids := withFive(t)
	rounds := 200
	if testing.Short() {
		rounds = 40
	}
	for round := range rounds {
		to := ids[five[round%len(five)]]
		post := ids[five[(round*3+1)%len(five)]]
		jar := b.thief() // both leave with the same cookies
		form := url.Values{"session": {post.String()}, "name": {fmt.Sprintf("Round %d", round)}, "key": {fmt.Sprint("k", round)}}
		var wait sync.WaitGroup
		var changed *answer
		wait.Go(func() { changed = jar.post("/settings/profile", form) })
		wait.Go(func() { b.switchTo(to) })
		wait.Wait()
		active := jar.session()
		if (changed.StatusCode == http.StatusConflict) != (active != post) {
			t.Fatalf("round %d: %d for %v while %v is active", round, changed.StatusCode, post, active)
		}
		if changed.StatusCode != http.StatusConflict {
			for _, c := range changed.Cookies() {
				b.keep(c)
			}
		}
		n.Clock.Pass(time.Minute)
	}
	if got := n.ends(); len(got) > 0 {
		t.Errorf("the log has %q", got)
	}
	for _, handle := range five {
		b.switchTo(ids[handle])
		b.get("/sessions").is(http.StatusOK).says("@" + handle)
	}
}

// Somebody who adds an account may have none yet: they create it, and the account that is signed in stays so.
func TestAnAccountIsCreatedBesideAnother(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "kept")
	b.get("/signin").says("Add an account", "Create an account")
	form := b.get("/signup?return=/security").says("You are signed in as @ada in this browser, and stay so").form("/signup")
	for name, value := range map[string]string{"handle": "bob", "password": password, "kind": "kept"} {
		form.Set(name, value)
	}
	b.post("/signup", form).leadsTo("/security")
	b.get("/").says("Hello, bob", "Switch to Ada")
	if got := n.ends(); len(got) > 0 {
		t.Errorf("it ended %q", got)
	}
	b.post("/signup", form).leadsTo("/security") // the second of two presses
	if got := n.live("bob"); len(got) != 1 {
		t.Errorf("bob has %d sessions", len(got))
	}
	b.get("/accounts").says("Sign out @ada", "Sign out @bob")
}

// What could not be signed in is not created.
func TestNoAccountIsCreatedWithoutRoom(t *testing.T) {
	n, b, ids := withFive(t)
	fill := url.Values{"handle": {"frida"}, "password": {password}, "kind": {"kept"}}
	form := b.get("/signup").says("there is no room for another").form("/signup")
	for name, values := range fill {
		form[name] = values
	}
	b.post("/signup", form).is(http.StatusConflict).leavesCookies().says("No more than 5 accounts can be signed in in this browser")
	b.switchTo(ids["ada"])
	form.Set("kind", "shared") // which would end the five, by a form of a tab that is not active
	b.post("/signup", form).is(http.StatusConflict).leavesCookies().says("This tab belongs to")
	if len(n.ends()) > 0 {
		t.Errorf("ended %q", n.ends())
	}
	// Neither has made the account, so the same form does in a browser with room.
	newBrowser(n).submit("/signup", "/signup", fill).leadsTo("/")
}

// The question names the account that is signed out of, whichever is active, before every scope of it.
func TestTheQuestionNamesTheAccountItIsAbout(t *testing.T) {
	_, b, ids := withFive(t)
	for _, scope := range []string{"session", "account"} {
		page := b.get("/signout?scope=" + scope + "&session=" + ids["bob"].String()).says("Sign out of @bob").hides("Switch account instead")
		if strings.Contains(page.body, "Sign out of @emil") {
			t.Errorf("%s: the question names the active account", scope)
		}
	}
}

// A one-time link is opened where somebody else is signed in, who is signed out if the computer is said to be shared.
func TestALinkIsUsedBesideAnotherAccount(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	for kind, ends := range map[string]int{"kept": 0, "shared": 1} {
		token, _, err := n.Accounts.Invite(t.Context(), account.Invitation{Handle: "bob-" + kind, Expires: n.Now().Add(time.Hour)})
		n.must(err)
		b := newBrowser(n)
		b.signIn("ada", "kept")
		before := len(n.ends())
		link := "/setup/" + token.Reveal()
		b.get(link).says("You are signed in as @ada in this browser")
		b.submit(link, link, url.Values{"password": {password}, "kind": {kind}}).leadsTo("/")
		b.get("/").says("Hello, bob-" + kind)
		if got := len(n.ends()) - before; got != ends {
			t.Errorf("%s: %d sessions ended", kind, got)
		}
	}
}

// What needs attention in another account of the browser is marked there, and not for whoever it is about.
func TestAnAccountThatNeedsAttentionIsMarked(t *testing.T) {
	const mark = "Asks about a sign-in"
	n := newNode(t)
	n.account("ada")
	n.account("bob")
	home, away := newBrowser(n), n.away()
	home.signIn("ada", "kept")
	home.signIn("bob", "kept")
	n.Clock.Pass(time.Minute)
	away.signIn("ada", "kept")
	away.signIn("bob", "kept")
	for _, page := range []string{"/", "/accounts", "/menu"} {
		home.get(page).says(mark)
		away.get(page).says("Ada").hides(mark)
	}
	for _, id := range []string{"ada", "bob"} {
		home.signIn(id, "kept")
		home.post(home.asked()+"/me", home.fields(nil)).is(http.StatusSeeOther)
	}
	home.get("/accounts").says("Ada").hides(mark)
}
