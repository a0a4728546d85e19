package webapp_test

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
)

// verifier is a running verifier of Chirp's at an address.
func verifier(t *testing.T, s *testsite.Site, address string, staleness time.Duration) *verify.Verifier {
	t.Helper()
	transport := client.NewTransport()
	c, err := client.New(address, client.Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(verify.Options{
		Client: c, Key: client.NewSecret(s.Keys[testnode.Chirp].Reveal()), MaxStaleness: staleness, Log: s.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { v.Run(ctx) })
	t.Cleanup(func() { stop(); done.Wait(); transport.CloseIdleConnections() })
	until(t, "the verifier is fresh", v.Fresh)
	return v
}

// until waits for what is about to be.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for begun := time.Now(); !so(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// verifiedChirp is a Chirp that checks in its own process.
func verifiedChirp(t *testing.T) (*chirpApp, *browser, exeunt.Session) {
	t.Helper()
	c, b, s := newSignedIn(t)
	c.verifier = verifier(t, c.Site, c.Client.URL("", nil), 2*time.Second)
	c.app.Verifier = c.verifier
	return c, b, s
}

func TestAppReadsFromMemoryAndAsksBeforeItActs(t *testing.T) {
	c, b, s := verifiedChirp(t)
	if got := b.get("/"); got.body != "private page of ada" {
		t.Fatalf("%+v", got)
	}
	asked := c.Gates.Load()
	for range 10 {
		if got := b.get("/"); got.body != "private page of ada" {
			t.Fatalf("%+v", got)
		}
	}
	if n := c.Gates.Load() - asked; n != 0 {
		t.Errorf("%d questions about pages", n)
	}
	app := b.appSession()
	if got := b.post("/post", form(app)); got.body != "posted hello" {
		t.Errorf("%+v", got)
	}
	// However late the event comes, nothing is posted after the answer.
	for range 50 {
		c.SignOut(t, s)
		if got := b.post("/post", form(app)); got.status != http.StatusUnauthorized {
			t.Fatalf("%+v", got)
		}
		proof, err := signin.Proof(c.SignIn.Password(t.Context(), "ada", testnode.Password, netip.Addr{}))
		if err != nil {
			t.Fatal(err)
		}
		_, s = c.NewSession(t, proof, exeunt.KindKept)
		b.signIn(s, "/")
		b.get("/")
		app = b.appSession()
	}
	if c.posted.Load() != 1 {
		t.Errorf("%d posts", c.posted.Load())
	}
	until(t, "a page is refused", func() bool { c.SignOut(t, s); return b.get("/").status == http.StatusUnauthorized })
}

// An app session that may have been begun with a copied credential is gone from the app's own memory, too.
func TestAppForgetsTheAppSessionsOfARenewedSession(t *testing.T) {
	c := newChirp(t)
	c.verifier = verifier(t, c.Site, c.Client.URL("", nil), 2*time.Second)
	c.app.Verifier = c.verifier
	token, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	b := c.browser(t)
	b.signIn(s, "/")
	until(t, "it is answered from memory", func() bool {
		asked := c.Gates.Load()
		return b.get("/").status == http.StatusOK && c.Gates.Load() == asked
	})
	if _, _, err := c.EndOthers(t.Context(), testnode.PersonIn(s), token, ""); err != nil {
		t.Fatal(err)
	}
	until(t, "a page is refused", func() bool { return b.get("/").status == http.StatusUnauthorized })
	if b.signIn(s, "/"); b.get("/").body != "private page of ada" {
		t.Error("the app cannot be signed in to again")
	}
}

func TestAppForgetsWhatItEndsItself(t *testing.T) {
	_, b, _ := verifiedChirp(t)
	b.get("/")
	token := b.token()
	if got := b.post("/exeunt/sign-out-app", form(b.appSession())); got.status != http.StatusSeeOther {
		t.Fatalf("%+v", got)
	}
	b.cookies["__Host-chirp"] = token.Reveal() // a copy
	if got := b.get("/"); got.status != http.StatusUnauthorized {
		t.Errorf("%+v", got)
	}
}

func TestAppWithAVerifierRefusesWhenItIndeterminate(t *testing.T) {
	c, b, _ := verifiedChirp(t)
	b.get("/")
	c.Away.Store(true)
	c.server.CloseClientConnections()
	until(t, "it is stale", func() bool { return !c.verifier.Fresh() })
	if got := b.get("/"); got.status != http.StatusServiceUnavailable || got.header.Get("Clear-Site-Data") != "" {
		t.Errorf("%+v", got)
	}
	c.Away.Store(false)
	until(t, "it is fresh", c.verifier.Fresh)
	if got := b.get("/"); got.body != "private page of ada" {
		t.Errorf("%+v", got)
	}
}

func TestAppHandsActivityIn(t *testing.T) {
	c, b, _ := verifiedChirp(t)
	b.get("/")
	token, err := exeunt.ParseToken(b.token().Reveal())
	if err != nil {
		t.Fatal(err)
	}
	before := c.Check(t.Context(), token).IdleAt()
	c.Clock.Pass(time.Hour)
	asked := c.Gates.Load()
	time.Sleep(600 * time.Millisecond) // it hears of the time
	b.get("/")
	until(t, "the activity has been handed in",
		func() bool { return c.Check(t.Context(), token).IdleAt().After(before.Add(30 * time.Minute)) })
	if c.Gates.Load() != asked {
		t.Error("it was told by a question, not in a batch")
	}
}
