package pages

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// decide answers what the review shows.
func (b *browser) decide(what string) url.Values {
	b.t.Helper()
	form := b.get("/review").form("/review/decide")
	form.Set("decision", what)
	b.post("/review/decide", form).leadsTo("/review")
	return form
}

// Somebody looks through sessions and apps one by one, leaves, comes back, and is told what they did.
func TestAReview(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	oldest := n.signedIn("ada")
	n.Clock.Pass(time.Hour)
	_, pixel := n.app("ada", "Pixel 8")
	n.Clock.Pass(time.Hour)
	b := n.signedIn("ada")
	n.appSession(b)
	b.get("/security").says("were never reviewed")
	b.get("/review").says("3 sessions and apps besides this one")
	b.submit("/review", "/review/begin", nil).leadsTo("/review")
	b.get("/review").says("1 of 3").hides("Pixel 8")
	form := b.decide("end") // the oldest
	b.post("/review/decide", form).leadsTo("/review")
	oldest.send(http.MethodGet, "/", nil).leadsTo("/ended")
	oldest.get("/ended").says("looked through the sessions")
	b.get("/review").says("2 of 3", "Pixel 8")
	// From another browser it goes on where it was.
	other := n.signedIn("ada")
	other.get("/review").says("2 of 3", "Pixel 8")
	b.post("/review/begin", b.fields(nil)).leadsTo("/review")
	b.get("/review").says("2 of 3")
	b.decide("keep")
	b.get("/review").says("3 of 3", "Chirp")
	b.decide("end")
	b.get("/review").says("You kept 1 and ended 2", "The next review is due")
	b.post("/review/decide", form).leadsTo("/review")
	b.get("/review").says("You kept 1 and ended 2")
	if s, err := n.Session(t.Context(), n.id("ada"), pixel); err != nil || s.End != nil {
		t.Errorf("what was kept has ended: %v", err)
	}
	if apps, err := n.Authority.Consents(t.Context(), n.id("ada")); err != nil || len(apps) != 0 {
		t.Errorf("%v is still allowed: %v", apps, err)
	}
	b.get("/security").says("were reviewed")
	if ends := strings.Join(n.ends(), ", "); !strings.HasPrefix(ends, "session review, ") {
		t.Errorf("the log has %s", ends)
	}
}

// What has ended meanwhile is passed over, and this session is never among the items.
func TestAReviewOfWhatEnds(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	one, b := n.signedIn("ada"), n.signedIn("ada")
	b.submit("/review", "/review/begin", nil)
	one.post("/review/begin", one.fields(nil)) // goes on with the same one
	one.get("/review").says("Nothing is left to look at")
	if len(n.live("ada")) != 2 {
		t.Error("a session ended itself")
	}
	one.submit("/review", "/review/decide", nil).leadsTo("/review")
	one.get("/review").says("You kept 0 and ended 0")
	one.submit("/review?new=1", "/review/begin", nil)
	n.SignOut(t, n.live("ada")[0])
	for _, left := range []*browser{one, b} {
		if a := left.send(http.MethodGet, "/review", nil); a.StatusCode < http.StatusMultipleChoices {
			left.get("/review").says("Finish the review")
		}
	}
}

// The reminder comes when a review is due, can be put off for a week, and stays away after a review.
func TestTheReminderOfAReview(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	b.get("/").hides("Review now")
	n.Clock.Pass(exeunt.DefaultPolicy().Review)
	b.signIn("ada", "kept")
	b.get("/").says("Review now", "Not now")
	b.get("/sessions").says("Not now")
	b.submit("/", "/review/later", nil).leadsTo("/")
	b.get("/").hides("Not now")
	n.Clock.Pass(7 * 24 * time.Hour)
	b.get("/").says("Not now")
	b.submit("/review", "/review/begin", nil)
	for range 2 { // it has signed in twice
		if a := b.get("/review"); strings.Contains(a.body, "/review/decide") {
			b.decide("keep")
		}
	}
	b.get("/").hides("Not now")
}

// By policy, ending asks for a fresh proof; keeping does not.
func TestAReviewWithProof(t *testing.T) {
	policy := exeunt.DefaultPolicy()
	policy.ConfirmEndings = true
	n := newNodeOf(t, policy)
	n.account("ada")
	n.signedIn("ada")
	n.app("ada", "Pixel 8")
	b := n.signedIn("ada")
	b.submit("/review", "/review/begin", nil)
	n.Clock.Pass(policy.Fresh)
	b.decide("keep")
	form := b.get("/review").form("/review/decide")
	form.Set("decision", "end")
	again := b.post("/review/decide", form).is(http.StatusUnprocessableEntity).says("Current password").form("/review/decide")
	again.Set("current", password)
	twin := b.thief()
	b.post("/review/decide", again).leadsTo("/review")
	twin.post("/review/decide", again).leadsTo("/review")
	b.get("/review").says("You kept 1 and ended 1")
	twin.get("/review").says("You kept 1 and ended 1")
}

// What nobody has said was theirs comes first, then what is used from elsewhere, the oldest before others.
func TestTheOrderOfAReview(t *testing.T) {
	at := func(hour int, address string) exeunt.Session {
		return exeunt.Session{ID: exeunt.NewSessionID(), Started: time.Unix(int64(hour)*3600, 0), LastAddress: netip.MustParseAddr(address)}
	}
	this := at(9, "192.0.2.1")
	young, old, away, odd, said := at(5, "192.0.2.2"), at(1, "192.0.2.3"), at(3, "203.0.113.1"), at(8, "192.0.2.4"), at(7, "192.0.2.5")
	notices := []exeunt.Notice{{Session: odd.ID, State: exeunt.NoticeOpen}, {Session: said.ID, State: exeunt.NoticeMe}}
	for i, s := range reviewOrder(this, []exeunt.Session{said, young, old, away, odd}, notices) {
		if want := []exeunt.Session{odd, away, old, young, said}[i]; s.ID != want.ID {
			t.Errorf("number %d is of %v from %s", i, s.Started.UTC(), s.LastAddress)
		}
	}
}
