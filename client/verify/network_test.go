package verify_test

import (
	"context"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
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

// attackers check a token again and again.
type attackers struct {
	wg     sync.WaitGroup
	stop   atomic.Bool
	checks atomic.Int64
	last   atomic.Int64 // when a check that said "valid" began, in nanoseconds since base
	base   time.Time
	odd    atomic.Value
}

func attack(v *verify.Verifier, token client.Secret) *attackers {
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
	s := testsite.New(t, testnode.ChirpRedirect)
	v := verifier(t, s, s.Client.URL("", nil), 2*time.Second)
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
			if err := s.Client.End(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		answered := time.Now()
		until(t, "the end has arrived", func() bool {
			_, err := v.Check(t.Context(), secret, false)
			return err != nil
		})
		arrived := time.Now()
		time.Sleep(2 * time.Millisecond) // under attack
		if d := a.validFor(arrived); d > 0 {
			t.Fatalf("round %d: app session %s was valid again %v after it had been refused", round, ans.App, d)
		}
		took = append(took, max(a.validFor(answered), 0))
		checks += a.checks.Load()
	}
	slices.Sort(took)
	t.Logf("%d sign-outs, %d checks; after the answer valid for %v in half of them, %v in 99 of 100, %v at most",
		rounds, checks,
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
	s := testsite.New(t, testnode.ChirpRedirect)
	u, _ := url.Parse(s.Server.URL)
	w := newWire(t, u.Host)
	_, port, _ := net.SplitHostPort(w.Addr().String())
	v := verifier(t, s, "http://exeunt.localhost:"+port, staleness)
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
