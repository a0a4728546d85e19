package pages

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/factor"
)

// pressedTwice sends a form twice at the same moment, each time from the browser as it is now, and then a third time with
// the old cookies. All three lead to the same page, and leave the browser signed in with the same cookies.
func (b *browser) pressedTwice(to string, form url.Values, leads string) *browser {
	b.t.Helper()
	var wg sync.WaitGroup
	var twins [3]*browser
	for i := range twins {
		twins[i] = b.thief()
	}
	for _, twin := range twins[:2] {
		wg.Go(func() { twin.post(to, form).leadsTo(leads) })
	}
	wg.Wait()
	twins[2].post(to, form).leadsTo(leads)
	for i, twin := range twins {
		if twin.token() != twins[0].token() {
			b.t.Errorf("%s: press %d left other cookies", to, i+1)
		}
		twin.get("/security").is(http.StatusOK)
	}
	return twins[0]
}

// A form that proves who somebody is, and what it is for, may be pressed twice.
func TestAProofPressedTwice(t *testing.T) {
	for _, others := range []string{"", "yes"} {
		t.Run("others "+others, func(t *testing.T) {
			n := newNode(t)
			n.account("ada")
			b := n.signedIn("ada")
			stale := func(page, to string, fill url.Values) url.Values {
				n.Clock.Pass(exeunt.DefaultPolicy().Fresh + time.Minute)
				form := b.fields(b.get(page).form(to))
				form.Set("current", password)
				form.Set("others", others)
				for k, v := range fill {
					form[k] = v
				}
				return form
			}
			form := stale("/security/app", "/security/app", nil)
			page := b.get("/security/app")
			form.Set("setup", page.form("/security/app").Get("setup"))
			form.Set("app_code", n.appCode(page))
			b = b.pressedTwice("/security/app", form, "/security/codes")
			if list := n.factors(); len(list) != 1 {
				t.Fatalf("%d apps were added", len(list))
			}
			secret := factor.Secret(shownSecret.FindStringSubmatch(page.body)[1])
			code := func() url.Values { return url.Values{"code": {factor.Code(secret, factor.Step(n.Now()))}} }

			n.Clock.Pass(time.Hour)
			form = stale("/settings", "/settings/profile", url.Values{"name": {"Ada"}, "email": {"ada@example.net"}})
			form.Set("code", code().Get("code"))
			b = b.pressedTwice("/settings/profile", form, "/settings")

			n.Clock.Pass(time.Hour)
			b.submit("/security/codes", "/security/codes/saved", nil).leadsTo("/security")
			form = stale("/security/codes", "/security/codes", nil)
			form.Set("code", code().Get("code"))
			b = b.pressedTwice("/security/codes", form, "/security/codes")

			n.Clock.Pass(time.Hour)
			form = stale("/security", "/security/password", url.Values{"password": {"three herons at the weir"}})
			form.Set("code", code().Get("code"))
			b = b.pressedTwice("/security/password", form, "/security")

			n.Clock.Pass(time.Hour)
			remove := "/security/factors/" + n.factors()[0].ID.String()
			form = stale(remove, remove, url.Values{"current": {"three herons at the weir"}})
			form.Set("code", code().Get("code"))
			b.pressedTwice(remove, form, "/security")
			if list := n.factors(); len(list) != 0 {
				t.Errorf("%d apps are left", len(list))
			}
		})
	}
}

// Another form with the old cookies is not the same press: it gets nothing.
func TestAnotherFormIsNoSecondPress(t *testing.T) {
	n := newNode(t)
	_, codes, b := n.withApp()
	form := b.fields(b.get("/security/codes").form("/security/codes"))
	form.Set("current", password)
	form.Set("code", codes[0].Reveal())
	thief := b.thief()
	other := b.fields(b.get("/security/codes").form("/security/codes"))
	b.post("/security/codes", form).leadsTo("/security/codes")
	thief.post("/security/codes", other).is(http.StatusConflict).leavesCookies()
	form.Set("key", other.Get("key"))
	thief.post("/security/codes", form).is(http.StatusConflict).leavesCookies()
}

// The page for new codes goes on when it was open for too long.
func TestCodesOfAnOldForm(t *testing.T) {
	n := newNode(t)
	_, _, b := n.withApp()
	form := b.fields(b.get("/security/codes").form("/security/codes"))
	n.Clock.Pass(30 * time.Minute)
	form.Set("current", password)
	page := b.post("/security/codes", form).is(http.StatusUnprocessableEntity).says("open for too long").
		hides("You are not signed in")
	if page.form("/security/codes").Get("setup") == form.Get("setup") {
		t.Error("the form that is shown again is too old, too")
	}
}

// Whoever is signed out because the factors changed is told so.
func TestAChangeOfFactorsIsTheReason(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b, other := n.signedIn("ada"), n.signedIn("ada")
	page := b.get("/security/app")
	form := b.fields(page.form("/security/app"))
	form.Set("others", "yes")
	form.Set("app_code", n.appCode(page))
	b.post("/security/app", form).leadsTo("/security/codes")
	other.get("/ended").says("second step of the account was changed")
	b.get("/sessions/ended").says("Ended because the second step was changed")
}
