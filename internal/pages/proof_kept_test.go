package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

const anotherPassword = "three herons at the weir"

// stale passes the time for which a proof counts.
func (n *node) stale() { n.Clock.Pass(exeunt.DefaultPolicy().Fresh) }

// A proof counts until the person has it asked again, also when an address was changed by it.
func TestAskAgain(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.stale()
	b.get("/security/app").says("Current password")
	b.get("/security").hides("Ask again from now on")
	before := b.token()
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"ada@example.net"},
		"current": {password}}).leadsTo("/settings")
	if b.token() == before {
		t.Error("a new proof has left the token as it was")
	}
	b.get("/security/app").hides("Current password")
	b.submit("/settings", "/security/ask", nil).leadsTo("/settings")
	b.get("/security/app").says("Current password")
	b.get("/settings").hides("Ask again from now on")
	s := n.live("ada")[0]
	if age := n.Now().Sub(s.Proved); age < exeunt.DefaultPolicy().Fresh || age > exeunt.DefaultPolicy().Fresh+time.Second {
		t.Errorf("the proof is %v old", age)
	}
	n.stale() // an older one stays as it is
	b.post("/security/ask", b.fields(url.Values{"return": {"https://elsewhere.example"}})).leadsTo("/security")
	if again := n.live("ada")[0]; !again.Proved.Equal(s.Proved) {
		t.Errorf("the proof is of %v, and was of %v", again.Proved, s.Proved)
	}
}

// A form that is refused for something else has used up a code: it is not asked for again, whoever presses twice.
func TestAProofOfARefusedFormIsKept(t *testing.T) {
	n := newNode(t)
	code, _, b := n.withApp()
	n.Clock.Pass(time.Hour)
	form := b.get("/security").form("/security/password")
	form.Set("current", password)
	form.Set("code", code())
	form.Set("password", password) // the present one
	twins := []*browser{b.thief(), b.thief()}
	thief := b.thief()
	for _, twin := range twins {
		twin.post("/security/password", form).is(http.StatusUnprocessableEntity).says("your present password").
			hides("Code from your authenticator app")
		if twin.token() == b.token() || twin.token() != twins[0].token() {
			t.Error("the session has not gone on with one other token")
		}
	}
	// Without the password, what was copied of the form and the old cookies is worth nothing.
	form.Set("current", "not the password")
	thief.post("/security/password", form)
	if thief.token() != b.token() {
		t.Error("somebody without the password has got the new token")
	}
	twins[1].submit("/security", "/security/password", url.Values{"current": {password}, "password": {anotherPassword}}).
		leadsTo("/security")
}

// The history tells where somebody lives: it is downloaded by its owner alone.
func TestADownloadNeedsAFreshProof(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.get("/activity.csv").is(http.StatusOK)
	n.stale()
	b.send(http.MethodGet, "/activity.csv", nil).leadsTo("/activity")
	b.send(http.MethodGet, "/activity.json?kind=changes", nil).leadsTo("/activity?kind=changes")
	page := b.get("/activity?kind=changes").says("Current password")
	form := page.form("/activity/download")
	form.Set("format", "csv")
	for typed, says := range map[string]string{"": "current password too", "not the password": "current password is wrong"} {
		form.Set("current", typed)
		b.post("/activity/download", form).is(http.StatusUnprocessableEntity).says(says).hides("signed_in")
	}
	form.Set("format", "exe")
	form.Set("current", password)
	b.post("/activity/download", form).is(http.StatusBadRequest)
	form.Set("format", "json")
	first, second := b.thief(), b.thief()
	for _, press := range []*browser{first, second} {
		file := press.post("/activity/download", form).is(http.StatusOK)
		if !strings.Contains(file.Header.Get("Content-Disposition"), `"activity.json"`) || press.token() == b.token() ||
			press.token() != first.token() {
			t.Errorf("%q, and the session goes on with the token %q", file.Header.Get("Content-Disposition"), press.token()[:8])
		}
	}
	first.get("/activity.csv").is(http.StatusOK)
	first.get("/activity").hides("Current password")
}

// By policy, whoever ends other sessions proves who they are, once for a while; their own they always may.
func TestEndingsMayNeedAFreshProof(t *testing.T) {
	policy := exeunt.DefaultPolicy()
	policy.ConfirmEndings = true
	n := newNodeOf(t, policy)
	n.account("ada")
	b := n.signedIn("ada")
	_, one := n.app("ada", "Phone")
	n.app("ada", "Tablet")
	n.stale()
	to := "/sessions/" + one.String() + "/end"
	row := b.get("/sessions").form(to)
	page := b.post(to, row).is(http.StatusUnprocessableEntity).says("Confirm that it is you", "Nothing has ended yet").
		hides("too, for this change")
	form := page.form(to)
	form.Set("current", "not the password")
	b.post(to, form).is(http.StatusUnprocessableEntity).says("current password is wrong")
	if got := n.ends(); len(got) != 0 {
		t.Fatalf("the log has %q", got)
	}
	form.Set("current", password)
	twins, answers := b.press(to, form, 2)
	for i := range twins {
		if twins[i].token() != twins[0].token() || twins[i].token() == b.token() {
			t.Errorf("press %d has another token", i)
		}
		answers[i].is(http.StatusSeeOther)
	}
	b = twins[0]
	b.submit("/signout?scope=others", "/sessions/end", nil).leadsTo("/sessions")
	if got := n.ends(); len(got) != 2 {
		t.Errorf("the log has %q", got)
	}
	n.stale()
	n.app("ada", "Watch")
	b.submit("/signout?scope=others", "/sessions/end", nil).is(http.StatusUnprocessableEntity).says("Confirm that it is you")
	b.submit("/signout", "/signout", nil).leadsTo("/signed-out")
}

// Whoever has just added an app is not asked for its next code; another name never needs one.
func TestTheCodeOfANewAppIsAProof(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	page := b.get("/security/app")
	form := page.form("/security/app")
	form.Set("app_code", n.appCode(page))
	b = b.pressedTwice("/security/app", form, "/security/codes")
	if m := n.live("ada")[0].Methods.String(); m != "password totp" {
		t.Errorf("the session was proved by %s", m)
	}
	b.get("/security/app").hides("Current password")
	n.stale()
	settings := b.get("/settings")
	if _, rest, _ := strings.Cut(settings.body, `name="code"`); strings.Contains(strings.SplitN(rest, ">", 2)[0], "required") {
		t.Error("a name cannot be saved without a code")
	}
	b.submit("/settings", "/settings/profile", url.Values{"name": {"Ada Quill"}}).leadsTo("/settings")
}
