package pages

import (
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testnode"
)

func requiring(r exeunt.Requirement) exeunt.Policy {
	p := exeunt.DefaultPolicy()
	p.Factor = r
	return p
}

// Whoever has no factor is led to add one, reaches nothing else meanwhile, can sign out, and goes on where they wanted to.
func TestWhoeverLacksAFactorAddsOne(t *testing.T) {
	n := newNodeOf(t, requiring(exeunt.AnyFactor))
	n.account("ada")
	b := newBrowser(n)
	b.signIn("ada", "kept")
	for _, page := range []string{"/", "/sessions", "/settings", "/security", "/apps", "/activity", "/activity.json", "/device"} {
		b.send(http.MethodGet, page, nil).leadsTo(requiredPath("", page))
	}
	b.get("/required?return=%2Fapps").is(http.StatusOK).says("One more step", "Your account has none yet", "Sign out")
	b.post("/settings/display", b.fields(url.Values{"display": {"dark"}})).is(http.StatusForbidden).
		says("A password alone is not enough here")
	b.post("/account/delete", b.fields(nil)).is(http.StatusForbidden).says("A password alone is not enough here")
	out := newBrowser(n)
	out.signIn("ada", "kept")
	out.submit("/signout", "/signout", nil).leadsTo("/signed-out")

	page := b.get("/security/app").is(http.StatusOK)
	form := b.fields(page.form("/security/app"))
	form.Set("app_code", n.appCode(page))
	b.post("/security/app", form).leadsTo("/security/codes")
	b.submit("/security/codes", "/security/codes/saved", nil).leadsTo("/apps")
	b.get("/apps").is(http.StatusOK)
	b.send(http.MethodGet, "/required", nil).leadsTo("/")
}

// An app that requires a factor gets no code of a session that was started without one: not by its request, not by the
// form of a question that was shown before, not for a device. Signing in again with the factor is enough.
func TestAnAppThatRequiresAFactor(t *testing.T) {
	n := newNode(t)
	_, codes, b := n.withApp() // this session is older than the factor
	form := b.get("/authorize?" + appQuery("s").Encode()).is(http.StatusOK).form("/authorize/decide")
	form.Set("decision", "continue")
	device, typed := n.waiting()
	c := n.Client(t, testnode.Chirp)
	c.RequireFactor, c.DeviceGrant = true, true
	n.register(c)

	q := appQuery("s")
	q.Set("prompt", "none")
	n.refuses(b.send(http.MethodGet, "/authorize?"+q.Encode(), nil), "interaction_required", "s")
	for _, a := range []*answer{b.get("/authorize?" + appQuery("s").Encode()), b.follow(b.post("/authorize/decide", form))} {
		a.is(http.StatusOK).says("One more step", "Chirp asks for more", "Your account has one")
	}
	b.follow(b.post("/device/decide", b.fields(url.Values{"user_code": {typed}, "decision": {"continue"}}))).
		says("One more step", "Chirp asks for more")
	if err := n.polled(device); err != oauth.ErrDevicePending {
		t.Errorf("the device is told %v", err)
	}
	b.get("/sessions").is(http.StatusOK) // which asks for no more than before

	again := regexp.MustCompile(`href="(/signin\?return=[^"]+)"`).FindStringSubmatch(
		b.get("/authorize?" + appQuery("s").Encode()).body)
	if again == nil {
		t.Fatal("the page does not offer to sign in again")
	}
	to := html.UnescapeString(again[1])
	a := b.submit(to, "/signin", url.Values{"identifier": {"ada"}, "password": {password}, "kind": {"kept"}})
	a = b.follow(a)
	step := a.form("/signin/code")
	step.Set("code", codes[0].Reveal())
	a = b.follow(b.post("/signin/code", step))
	a.says("You used a recovery code")
	n.spends(b.get("/authorize?"+appQuery("s").Encode()), "s")
}

// A group's rule counts from the moment at which somebody is in it, also for a session that is there, and no longer.
func TestAGroupThatRequiresAFactor(t *testing.T) {
	policy := exeunt.DefaultPolicy()
	policy.Groups = []exeunt.GroupPolicy{{Name: "staff", Factor: exeunt.AnyFactor}}
	n := newNodeOf(t, policy)
	n.account("ada")
	b := n.signedIn("ada")
	b.get("/sessions").is(http.StatusOK)
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	_, err := n.Accounts.ChangeGroup(t.Context(), operator, "staff", []string{"ada"}, false)
	n.must(err)
	b.send(http.MethodGet, "/sessions", nil).leadsTo(requiredPath("", "/sessions"))
	proof, err := signin.Proof(n.SignIn.Password(t.Context(), "ada", password, netip.Addr{}))
	n.must(err)
	_, _, err = n.Start(t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindApp, Label: "App"})
	if exeunt.CodeOf(err) != exeunt.ErrFactorNeeded.Code {
		t.Errorf("an app on a device signs in: %v", err)
	}
	_, err = n.Accounts.ChangeGroup(t.Context(), operator, "staff", []string{"ada"}, true)
	n.must(err)
	b.get("/sessions").is(http.StatusOK)
}
