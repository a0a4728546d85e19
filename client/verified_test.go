package client_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

// wire is a network between an app and the authority that holds bytes back: the
// connection stays, and nothing arrives.
type wire struct {
	net.Listener
	to   string
	held atomic.Bool
	gate chan struct{} // closed while bytes flow
	mu   sync.Mutex
	all  []net.Conn
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: to, gate: make(chan struct{})}
	close(w.gate)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			w.mu.Lock()
			w.all = append(w.all, c, up)
			w.mu.Unlock()
			go w.carry(up, c)
			go w.carry(c, up)
		}
	}()
	t.Cleanup(func() { w.hold(false); l.Close(); w.cut() })
	return w
}

func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		w.mu.Lock()
		flows := w.gate
		w.mu.Unlock()
		<-flows
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

// hold keeps back whatever is sent from now on, or lets it go.
func (w *wire) hold(held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case held && w.held.CompareAndSwap(false, true):
		w.gate = make(chan struct{})
	case !held && w.held.CompareAndSwap(true, false):
		close(w.gate)
	}
}

// cut breaks every connection.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.all {
		c.Close()
	}
	w.all = nil
}

// verifier is a running verifier of Chirp's at an address.
func (s *site) verifier(t *testing.T, address string, staleness time.Duration) *client.Verifier {
	t.Helper()
	transport := client.NewTransport()
	c, err := client.New(address, client.Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	v, err := client.NewVerifier(client.VerifierOptions{
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
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// attackers check a token again and again.
type attackers struct {
	wg     sync.WaitGroup
	stop   atomic.Bool
	checks atomic.Int64
	last   atomic.Int64 // when a check that said "valid" began, in nanoseconds since base
	base   time.Time
	odd    atomic.Value
}

func attack(v *client.Verifier, token client.Secret) *attackers {
	a := &attackers{base: time.Now()}
	for range 8 {
		a.wg.Go(func() {
			for !a.stop.Load() {
				begun := time.Since(a.base).Nanoseconds()
				_, err := v.Check(context.Background(), token, false)
				a.checks.Add(1)
				time.Sleep(10 * time.Microsecond) // so that the authority, on the same processors, gets to run
				if err == nil {
					for old := a.last.Load(); old < begun && !a.last.CompareAndSwap(old, begun); old = a.last.Load() {
					}
				}
			}
		})
	}
	return a
}

// validFor stops the attack and returns for how long after the moment a check
// that said "valid" was still begun.
func (a *attackers) validFor(after time.Time) time.Duration {
	a.stop.Store(true)
	a.wg.Wait()
	return time.Duration(a.last.Load()) - after.Sub(a.base)
}

// Signed out while eight workers check it: once the event has had its time to
// arrive, it is never valid again, whichever way it was signed out.
func TestVerifierUnderTraffic(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	s := newSite(t, testnode.ChirpRedirect)
	v := s.verifier(t, s.client.URL("", nil), 2*time.Second)
	proof := s.NewAccount(t, "ada")
	var checks int64
	var took []time.Duration
	for round := range rounds {
		_, browser := s.NewSession(t, proof, exeunt.KindKept)
		token, ans := s.NewAppSession(t, browser, testnode.Chirp)
		secret := client.NewSecret(token.Reveal())
		if _, err := v.Check(t.Context(), secret, false); err != nil {
			t.Fatal(err)
		}
		a := attack(v, secret)
		switch round % 3 {
		case 0:
			s.SignOut(t, browser)
		case 1:
			s.SignOutEverywhere(t, browser)
			proof.Generation++
			s.Clock.Pass(time.Second) // more often is refused
		case 2:
			if err := s.client.End(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		answered := time.Now()
		until(t, "the end has arrived", func() bool { _, err := v.Check(t.Context(), secret, false); return err != nil })
		arrived := time.Now()
		time.Sleep(2 * time.Millisecond) // under attack
		if d := a.validFor(arrived); d > 0 {
			t.Fatalf("round %d: app session %s was valid again %v after it had been refused", round, ans.App, d)
		}
		took = append(took, max(a.validFor(answered), 0))
		checks += a.checks.Load()
	}
	slices.Sort(took)
	t.Logf("%d sign-outs, %d checks; after the answer valid for %v in half of them, %v in 99 of 100, %v at most", rounds, checks,
		took[rounds/2], took[rounds*99/100], took[rounds-1])
	if took[rounds-1] > v.MaxStaleness {
		t.Errorf("valid for %v after the sign-out was answered", took[rounds-1])
	}
}

// With the network held back or cut at the worst moment, a session is valid for
// MaxStaleness after its sign-out was answered at the very most.
func TestVerifierBehindABadNetwork(t *testing.T) {
	const staleness = 200 * time.Millisecond
	rounds := 16
	if testing.Short() {
		rounds = 6
	}
	s := newSite(t, testnode.ChirpRedirect)
	u, _ := url.Parse(s.server.URL)
	w := newWire(t, u.Host)
	_, port, _ := net.SplitHostPort(w.Addr().String())
	v := s.verifier(t, "http://exeunt.localhost:"+port, staleness)
	proof := s.NewAccount(t, "ada")
	var longest time.Duration
	for round := range rounds {
		until(t, "it is fresh again", v.Fresh)
		_, browser := s.NewSession(t, proof, exeunt.KindKept)
		token, _ := s.NewAppSession(t, browser, testnode.Chirp)
		secret := client.NewSecret(token.Reveal())
		until(t, "it is known", func() bool { _, err := v.Check(t.Context(), secret, false); return err == nil })
		a := attack(v, secret)
		time.Sleep(time.Duration(round) * staleness / 4 / time.Duration(rounds)) // at every phase of its questions
		w.hold(true)
		if round%2 == 1 {
			w.cut()
		}
		s.SignOut(t, browser)
		answered := time.Now()
		time.Sleep(2 * staleness)
		if _, err := v.Check(t.Context(), secret, false); err == nil || v.Fresh() {
			t.Errorf("round %d: valid with a network that carries nothing: %v", round, err)
		}
		longest = max(longest, a.validFor(answered))
		w.hold(false)
	}
	t.Logf("valid for %v at most after the answer, with a bound of %v", longest, staleness)
	if longest > staleness {
		t.Errorf("valid for %v after the sign-out was answered", longest)
	}
}

// verifiedChirp is a Chirp that checks in its own process.
func verifiedChirp(t *testing.T) (*chirpApp, *browser, exeunt.Session) {
	t.Helper()
	c, b, s := newSignedIn(t)
	c.app.Verifier = c.verifier(t, c.client.URL("", nil), 2*time.Second)
	return c, b, s
}

func TestAppReadsFromMemoryAndAsksBeforeItActs(t *testing.T) {
	c, b, s := verifiedChirp(t)
	if got := b.get("/"); got.body != "private page of ada" {
		t.Fatalf("%+v", got)
	}
	asked := c.gates.Load()
	for range 10 {
		if got := b.get("/"); got.body != "private page of ada" {
			t.Fatalf("%+v", got)
		}
	}
	if n := c.gates.Load() - asked; n != 0 {
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
		proof, err := c.SignIn.Password(t.Context(), "ada", testnode.Password, netip.Addr{})
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
	c.away.Store(true)
	c.server.CloseClientConnections()
	until(t, "it is stale", func() bool { return !c.app.Verifier.Fresh() })
	if got := b.get("/"); got.status != http.StatusServiceUnavailable || got.header.Get("Clear-Site-Data") != "" {
		t.Errorf("%+v", got)
	}
	c.away.Store(false)
	until(t, "it is fresh", c.app.Verifier.Fresh)
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
	asked := c.gates.Load()
	time.Sleep(600 * time.Millisecond) // it hears of the time
	b.get("/")
	until(t, "the activity has been handed in", func() bool { return c.Check(t.Context(), token).IdleAt().After(before.Add(30 * time.Minute)) })
	if c.gates.Load() != asked {
		t.Error("it was told by a question, not in a batch")
	}
}
