package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
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
	chirp       = exeunt.ClientID("chirp")
	redirectURI = "http://chirp.localhost:8081/exeunt/callback"
	password    = "a calm green lantern"
)

func newNode(t testing.TB, policy exeunt.Policy) *node {
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
			{ID: "other", Name: "Other", HomeURL: "http://other.localhost:8082/", RedirectURIs: []string{"http://other.localhost:8082/exeunt/callback"}},
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

// code grants a browser's session a code for Chirp.
func (n *node) code(t testing.TB, s exeunt.Session, verifier string) exeunt.Token {
	t.Helper()
	code, err := n.GrantCode(context.Background(), s.Account, s.ID, authority.CodeRequest{Client: chirp, RedirectURI: redirectURI, Challenge: challenge(verifier)})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// app starts an app session of a browser's session by the code flow.
func (n *node) app(t testing.TB, s exeunt.Session, id exeunt.ClientID, redirect string) (exeunt.Token, authority.Answer) {
	t.Helper()
	const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"
	code, err := n.GrantCode(context.Background(), s.Account, s.ID, authority.CodeRequest{Client: id, RedirectURI: redirect, Challenge: challenge(verifier)})
	if err != nil {
		t.Fatal(err)
	}
	token, ans, err := n.ExchangeCode(context.Background(), authority.CodeExchange{Code: code, Client: id, RedirectURI: redirect, Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	return token, ans
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
