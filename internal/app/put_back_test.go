package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testpg"
)

// behind are nodes on one database behind a balancer that gives each request to
// the next of them, and two apps that check sessions by way of it.
type behind struct {
	t      *testing.T
	server *testpg.Server
	conf   config.Config
	key    exeunt.Token // the app's
	mu     sync.Mutex
	nodes  []run
	turn   atomic.Int64
	apps   [2]*verify.Verifier
	opened atomic.Int64 // streams
	echoes atomic.Int64
}

func newBehind(t *testing.T, many int) *behind {
	t.Helper()
	b := &behind{t: t, server: testpg.New(t), conf: config.Default()}
	door := httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(door.Close)
	key := exeunt.NewToken(exeunt.UseClient)
	b.key = key
	c := &b.conf
	c.Addr, c.URL, c.Development, c.MaxStaleness = "127.0.0.1:0",
		strings.Replace(door.URL, "127.0.0.1", "exeunt.localhost", 1), true, time.Second
	c.Database, c.MasterKey = config.Secret(b.server.NewDatabase(t)),
		config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	c.Clients = []config.Client{{ID: "chirp", Name: "Chirp", HomeURL: "http://chirp.localhost/",
		RedirectURIs: []string{"http://chirp.localhost/exeunt/callback"}, KeySHA256: []string{key.Hash().String()}, Checked: true}}
	for range many {
		b.add()
	}
	b.nodes[0].addAda()
	for i := range b.apps {
		transport := client.NewTransport()
		calls, err := client.New(c.URL, client.Options{Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		v, err := verify.New(verify.Options{Client: calls, Key: client.NewSecret(key.Reveal()),
			MaxStaleness: time.Second, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		b.apps[i] = v
		ctx, stop := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { v.Run(ctx) })
		t.Cleanup(func() { stop(); done.Wait(); transport.CloseIdleConnections() })
	}
	b.fresh()
	return b
}

// fresh waits until both apps check in their own memory.
func (b *behind) fresh() {
	b.t.Helper()
	b.until("the apps check in their own memory", func() bool { return b.apps[0].Fresh() && b.apps[1].Fresh() })
}

// add starts one more node.
func (b *behind) add() run {
	b.t.Helper()
	c := b.conf
	c.Data = filepath.Join(b.t.TempDir(), "node")
	n := start(b.t, c)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, n)
	return n
}

func (b *behind) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/v1/events":
		b.opened.Add(1)
	case "/api/v1/events/echo":
		b.echoes.Add(1)
	}
	b.mu.Lock()
	n := b.nodes[b.turn.Add(1)%int64(len(b.nodes))]
	b.mu.Unlock()
	n.Handler().ServeHTTP(w, r)
}

func (b *behind) until(what string, so func() bool) {
	b.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(2 * time.Minute); !so(); <-tick.C {
		if time.Now().After(limit) {
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// person is somebody who is signed in to the app.
type person struct {
	session exeunt.Session
	browser exeunt.Token
	app     client.Secret
}

// signIn signs in to the app, which then knows the session.
func (b *behind) signIn() (p person) {
	b.t.Helper()
	n := b.nodes[0]
	p.browser, p.session = n.signIn()
	const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"
	sum := sha256.Sum256([]byte(verifier))
	redirect := b.conf.Clients[0].RedirectURIs[0]
	code, err := n.OAuth.GrantCode(b.t.Context(), p.session.Account, p.session.ID, oauth.CodeRequest{
		Client: "chirp", RedirectURI: redirect, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := n.OAuth.Authenticate("chirp", b.key.Reveal())
	if err != nil {
		b.t.Fatal(err)
	}
	got, err := n.OAuth.ExchangeCode(b.t.Context(),
		oauth.CodeExchange{Code: code, Client: c, RedirectURI: redirect, Verifier: verifier})
	if err != nil {
		b.t.Fatal(err)
	}
	p.app = client.NewSecret(got.Access.Reveal())
	for _, n := range b.nodes {
		n.want(p.browser, live.Usable)
	}
	for _, app := range b.apps {
		if _, err := app.Check(b.t.Context(), p.app, false); err != nil {
			b.t.Fatal(err)
		}
	}
	return p
}

// become waits until the apps and all nodes give the same answer about a session.
func (b *behind) become(p person, usable bool, state live.State) {
	b.t.Helper()
	for _, app := range b.apps {
		b.until("an app's answer is right", func() bool {
			_, err := app.Check(b.t.Context(), p.app, false)
			return err == nil && usable || errors.Is(err, client.ErrSignedOut) && !usable
		})
	}
	for _, n := range b.nodes {
		b.until("a node's answer is right", func() bool {
			return n.Authority.Check(b.t.Context(),
				authority.Credential{Token: p.browser, Use: authority.AsPair}).State == state
		})
	}
}

// decide waits until every node has found that the database went back, and accepts nobody; then it starts one of them
// again with that decision. The others learn of it by themselves.
func (b *behind) decide(gone person, d Decision) {
	b.t.Helper()
	for _, n := range b.nodes {
		b.until("a node finds that the database went back", func() bool { return n.Store.Held() != nil })
		if state := n.Authority.Check(b.t.Context(), authority.Credential{Token: gone.browser, Use: authority.AsPair}).
			State; state != live.Indeterminate && state != live.Ended {
			b.t.Errorf("meanwhile a node says %v", state)
		}
		if status, text := n.ready(); status != http.StatusServiceUnavailable ||
			!strings.Contains(text, "an operator must decide") {
			b.t.Errorf("meanwhile it is ready: %d %s", status, text)
		}
		if problem := n.Authority.Problem(b.t.Context()); problem == nil ||
			!strings.Contains(problem.Error(), "--end-sessions") {
			b.t.Errorf("the problem is %v", problem)
		}
	}
	for _, app := range b.apps {
		b.until("an app accepts nobody", func() bool {
			_, err := app.Check(b.t.Context(), gone.app, false)
			return err != nil
		})
	}
	b.nodes[0].stop()
	n, _ := startDecided(b.t, b.nodes[0].Config, d)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[0] = n
}

// putBack puts rows back, once every node has noted what it knows of the log: the last event is noted with the heartbeat
// after the one by which it was read.
func (b *behind) putBack(rows func()) {
	b.t.Helper()
	for _, n := range b.nodes {
		n.position()
		n.position()
	}
	rows()
}

// agree waits until the apps are at peace with all nodes: echoes of all of them
// have come, and their streams are those that they had.
func (b *behind) agree() {
	b.t.Helper()
	at := b.nodes[0].position()
	for _, n := range b.nodes[1:] {
		if p := n.position(); p != at || p.Digest == "" {
			b.t.Errorf("one node is at %+v, another at %+v", at, p)
		}
	}
	streams, echoes := int64(-1), int64(0)
	b.until("no stream is broken while every node is asked several times", func() bool {
		if n := b.opened.Load(); n != streams {
			streams, echoes = n, b.echoes.Load()
		}
		return b.echoes.Load() > echoes+10
	})
	b.fresh()
}

// position is where a node is that has just been confirmed.
func (r run) position() (p client.Place) {
	r.t.Helper()
	if err := r.feed.Confirm(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	at := r.feed.Position()
	return client.Place{Epoch: at.Epoch, Seq: at.Seq, Digest: at.Digest}
}

// The rows of a database are put back from a copy while its nodes run: the
// server, the database and its tables stay what they are, so that the epoch does
// not change. No node accepts anybody until an operator has decided. What nodes and
// apps have kept is dropped by themselves, and a node that starts later agrees with
// those that have been through it.
func TestRowsThatArePutBackUnderRunningNodes(t *testing.T) {
	b := newBehind(t, 2)
	other := b.nodes[1]
	other.end(b.signIn().session) // event 1
	living, gone := b.signIn(), b.signIn()
	before := b.server.Copy(t, "test1")
	b.nodes[0].end(gone.session) // event 2
	b.become(gone, false, live.Ended)
	after := b.server.Copy(t, "test1")

	epoch := b.nodes[0].position().Epoch
	b.putBack(before)
	b.decide(gone, TrustDatabase)
	b.become(gone, true, live.Usable) // nobody has signed it out in this history, which the operator trusts
	b.agree()

	// Now the log has other events under the same numbers, and the database is the other one again: all at once, so
	// that nobody sees the log go back.
	young := b.signIn()
	other.end(living.session)
	b.become(living, false, live.Ended)
	b.become(gone, true, live.Usable)
	b.agree()
	b.putBack(after)
	b.decide(living, TrustDatabase)
	b.become(gone, false, live.Ended)
	b.become(young, false, live.NoSuch)
	b.become(living, true, live.Usable)
	b.agree()

	// And even where the log is the same, the sessions are not.
	young = b.signIn()
	b.putBack(after)
	b.decide(gone, TrustDatabase)
	b.become(young, false, live.NoSuch)
	b.become(living, true, live.Usable)
	b.agree()

	b.add() // which has never seen another history
	b.agree()
	if e := b.nodes[0].position().Epoch; e != epoch {
		t.Errorf("the history was named %s and is now named %s", epoch, e)
	}
	// At last everything is ended, which is what a restore should do.
	b.become(living, true, live.Usable)
	b.putBack(before)
	b.decide(gone, EndSessions)
	b.become(gone, false, live.Ended)
	b.become(living, false, live.Ended)
	b.agree()
}
