package client_test

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
)

// node is a real store, memory and authority, with a clock that a test can
// move on.
type node struct {
	*authority.Authority
	signIn *signin.Service
	log    *slog.Logger
	ahead  atomic.Int64
}

func (n *node) now() time.Time { return time.Now().Add(time.Duration(n.ahead.Load())) }

const (
	chirp    = exeunt.ClientID("chirp")
	password = "a calm green lantern"
)

func newNode(t testing.TB, policy exeunt.Policy, redirectURI string) *node {
	t.Helper()
	n := &node{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	index := live.New(0)
	follow := feed.New(index)
	st, err := store.Open(context.Background(), store.Options{
		Path: filepath.Join(t.TempDir(), "exeunt.db"), Committed: follow.Advance, Log: n.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	n.Authority = authority.New(authority.Config{
		Store: st, Live: index, Feed: follow, Policy: policy, Now: n.now, Log: n.log,
		Retention: store.Retention{Ended: time.Hour, Audit: time.Hour},
		Clients: []exeunt.Client{
			{ID: chirp, Name: "Chirp", HomeURL: "http://chirp.localhost:8081/", RedirectURIs: []string{redirectURI}},
			{ID: "other", Name: "Other", HomeURL: "http://chirp.localhost:8081/", RedirectURIs: []string{redirectURI}},
		},
	})
	n.signIn, err = signin.New(signin.Config{
		Store: st, Authority: n.Authority, SignUpOpen: true, Now: n.now, Log: n.log,
		Hashing: signin.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 4},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// account makes an account and proves it.
func (n *node) account(t testing.TB, handle string) exeunt.Proof {
	t.Helper()
	p, err := n.signIn.SignUp(context.Background(), signin.NewAccount{Handle: handle, Name: "Name of " + handle, Password: password}, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// start starts a session.
func (n *node) start(t testing.TB, p exeunt.Proof, kind exeunt.SessionKind) (exeunt.Token, exeunt.Session) {
	t.Helper()
	token, s, err := n.Start(context.Background(), authority.SignIn{Proof: p, Kind: kind, Label: "Test on " + string(kind)})
	if err != nil {
		t.Fatal(err)
	}
	return token, s
}

// end signs a session out, as its own person.
func (n *node) end(t testing.TB, s exeunt.Session, rev exeunt.Revocation) {
	t.Helper()
	rev.Account, rev.Reason = s.Account, exeunt.ReasonSignedOut
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID}
	if _, err := n.End(context.Background(), by, rev); err != nil {
		t.Fatal(err)
	}
}
