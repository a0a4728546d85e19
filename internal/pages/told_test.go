package pages

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/fanout"
	"github.com/exeunt/exeunt/internal/testnode"
)

// receiver is an app that answers logout tokens with a status.
type receiver struct {
	*httptest.Server
	status atomic.Int64
}

func newReceiver(t *testing.T, status int) *receiver {
	r := &receiver{}
	r.status.Store(int64(status))
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(r.status.Load()))
	}))
	t.Cleanup(r.Close)
	return r
}

// tells has the node tell apps until the test is over.
func (n *node) tells() {
	n.t.Helper()
	news := n.ListenAll()
	f := fanout.New(fanout.Config{Store: n.Store, Sign: n.OAuth.Signers.Sign, Issuer: testOrigin, News: news.C(), Now: n.Now, Log: n.Log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	n.t.Cleanup(func() { cancel(); <-done; news.Close() })
}

// shows loads the page until it says all of that.
func (b *browser) shows(to string, words ...string) *answer {
	b.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		a := b.get(to)
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text(a.body), w) }) {
			tick.Stop()
			return a
		}
		if time.Now().After(deadline) {
			a.says(words...)
		}
	}
}

// The page after a sign-out says of each app what is recorded: before anybody has been told, while some are, and once it
// is known.
func TestSignedOutSaysHowFarAppsAreTold(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	keys := n.Client(t, testnode.Chirp).Keys
	good, refuses, fails := newReceiver(t, 204), newReceiver(t, 400), newReceiver(t, 500)
	clients := map[exeunt.ClientID]func(*exeunt.Client){
		"good": func(c *exeunt.Client) { c.BackchannelURI = good.URL }, "refuses": func(c *exeunt.Client) { c.BackchannelURI = refuses.URL },
		"fails":   func(c *exeunt.Client) { c.BackchannelURI = fails.URL },
		"bulk":    func(c *exeunt.Client) { c.BackchannelURI, c.BackchannelAccount = good.URL, true },
		"checked": func(c *exeunt.Client) { c.Checked = true }, "untold": func(c *exeunt.Client) { c.SignOutURL = "http://untold.localhost/out" },
	}
	var list []exeunt.Client
	for _, id := range slices.Sorted(maps.Keys(clients)) {
		c := testnode.ClientAt(id, "http://app.localhost:8082/back")
		c.Keys = keys
		clients[id](&c)
		list = append(list, c)
	}
	n.register(list...)
	signedIn := func() *browser {
		b := n.signedIn("ada")
		for _, c := range list {
			n.NewAppSession(t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, c.ID)
		}
		return b
	}
	b, everywhere := signedIn(), signedIn()
	b.get("/signout").says("Checked Closes at once", "Good Is told at once. You can see whether it has confirmed", "Bulk Stays signed in: it can only be ended",
		"Fails Is told at once", "and one more")
	a := b.follow(b.submit("/signout", "/signout", nil)).says("Good Has not been told yet", "Checked Closed at once",
		"Bulk You may still be signed in there", "Untold You may still be signed in there: it cannot be told", "Check again")
	if !strings.Contains(a.body, `href="http://untold.localhost/out"`) || !strings.Contains(a.body, "data-waiting") ||
		strings.Contains(text(a.body), "confirmed") {
		t.Error("the page lacks a way out of an app, or claims too much")
	}
	n.tells()
	b.shows("/signed-out", "Good Has confirmed at 08:00 UTC", "Refuses Could not be told: it did not accept the notice",
		"Fails Is being told: tried once, next at 08:00 UTC").says("Bulk You may still be signed in there")
	fails.status.Store(200)
	n.Clock.Pass(2 * time.Minute)
	last := b.shows("/signed-out", "Fails Has confirmed at 08:02 UTC").says("Good Has confirmed at 08:00 UTC")
	if strings.Contains(last.body, "data-waiting") {
		t.Error("the page waits for nothing")
	}
	// The note, and so what it tells, is this browser's only, and not for long.
	newBrowser(n).get("/signed-out").hides("confirmed")
	n.Clock.Pass(4 * time.Minute)
	b.get("/signed-out").says("You are not signed in").hides("confirmed")
	// With all of the account's sessions, the one that cannot do less is told too.
	everywhere.get("/signout?scope=account").says("Bulk Is told at once")
	everywhere.submit("/signout?scope=account", "/signout", nil)
	everywhere.shows("/signed-out", "Signed out everywhere", "Bulk Has confirmed at 08:06 UTC", "Good Has confirmed at 08:06 UTC")
}
