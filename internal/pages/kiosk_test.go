package pages

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// On a kiosk nobody is asked whose device it is, and no form can say otherwise.
func TestOnAKiosk(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.pages.Kiosk = exeunt.Kiosk{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Idle: 5 * time.Minute,
		Absolute: time.Hour}
	for path, fields := range map[string]url.Values{
		"/signin": {"identifier": {"ada"}, "password": {password}},
		"/signup": {"handle": {"grace"}, "password": {password}},
	} {
		for _, kind := range []string{"shared", "kept"} {
			b := newBrowser(n)
			page := b.get(path).says("This is a public computer", "after 5 minutes without use")
			if strings.Contains(page.body, `value="kept"`) || strings.Contains(page.body, `type="radio"`) {
				t.Errorf("%s offers a choice", path)
			}
			fields.Set("kind", kind)
			if path == "/signup" {
				fields.Set("handle", "grace-"+kind)
			}
			b.submit(path, path, fields).leadsTo("/")
			for name, lasting := range b.lasting {
				if lasting {
					t.Errorf("%s as %s: the cookie %s outlives the browser", path, kind, name)
				}
			}
			handle := "ada"
			if path == "/signup" {
				handle = "grace-" + kind
			}
			s, err := n.Session(t.Context(), n.id(handle), b.session())
			n.must(err)
			if s.Kind != exeunt.KindShared || s.Idle != 5*time.Minute || s.ExpiresAt.Sub(s.Started) != time.Hour {
				t.Errorf("%s as %s: %s, idle %v, until %v after its start", path, kind, s.Kind, s.Idle, s.ExpiresAt.Sub(s.Started))
			}
			if !strings.Contains(b.get("/").says("5 min left").body, `class="strip private kiosk"`) {
				t.Error("the way out is no larger than elsewhere")
			}
		}
	}
}

// Where nobody has been kept signed in, a shared computer is proposed: first in order, with the reason, and not chosen.
func TestASharedComputerIsProposed(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	first := func(b *browser) string {
		body := b.get("/signin").body
		if strings.Index(body, `value="shared"`) < strings.Index(body, `value="kept"`) {
			return "shared"
		}
		return "kept"
	}
	const why = "nobody has been kept signed in in this browser"
	b := newBrowser(n)
	if b.get("/signin").says(why); first(b) != "shared" || strings.Contains(b.get("/signin").body, `required checked`) {
		t.Errorf("in a new browser %s comes first", first(b))
	}
	b.signIn("ada", "shared")
	b.submit("/signout", "/signout", nil)
	if b.get("/signin").says(why); first(b) != "shared" {
		t.Error("after a sign-in on a shared computer it is proposed no more")
	}
	own := n.signedIn("ada")
	own.submit("/signout", "/signout", nil)
	if own.get("/signin").hides(why); first(own) != "kept" {
		t.Error("a shared computer is proposed where somebody was kept signed in")
	}
}

func TestBesideAKiosk(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.pages.Kiosk = exeunt.Kiosk{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Idle: 5 * time.Minute, Absolute: time.Hour}
	b := newBrowser(n)
	b.get("/signin").says("Whose device is this?")
	b.signIn("ada", "kept")
	if s, err := n.Session(t.Context(), n.id("ada"), b.session()); err != nil || s.Kind != exeunt.KindKept {
		t.Errorf("%+v, %v", s, err)
	}
}
