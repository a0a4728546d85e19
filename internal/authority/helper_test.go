package authority

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashChild); path != "" {
		runCrashChild(path)
		return
	}
	testpg.Main(m)
}

var (
	ctx   = context.Background()
	epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
)

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// clock is the tests' time. It moves only when told to.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(epoch.UnixMilli())
	return c
}

func (c *clock) Now() time.Time       { return time.UnixMilli(c.ms.Load()).UTC() }
func (c *clock) add(d time.Duration)  { c.ms.Add(d.Milliseconds()) }
func (c *clock) since() time.Duration { return c.Now().Sub(epoch) }

var testPolicy = exeunt.Policy{
	Kept:   exeunt.Limits{Idle: time.Hour, Absolute: 5 * time.Hour, Warning: time.Minute},
	Shared: exeunt.Limits{Idle: 15 * time.Minute, Absolute: 2 * time.Hour, Warning: time.Minute},
	App:    exeunt.Limits{Idle: 2 * time.Hour, Absolute: 6 * time.Hour, Warning: time.Minute},
}

var chirp = exeunt.Client{ID: "chirp", Name: "Chirp", HomeURL: "http://chirp.example",
	RedirectURIs: []string{"http://chirp.example/callback"}}

// node is an authority on a real database.
type node struct {
	*Authority
	t     tester
	path  string
	clock *clock
	fault *atomic.Bool  // memory cannot follow the log any more
	held  *sync.Mutex   // while it is locked, no commit is told of
	done  *atomic.Int64 // how many commits there have been
}

func newNode(t testing.TB) *node {
	n := openNode(t, filepath.Join(t.TempDir(), "exeunt.db"), newClock())
	t.Cleanup(func() { n.store.Close() })
	return n
}

func openNode(t tester, path string, c *clock) *node {
	t.Helper()
	var f *feed.Feed
	log := slog.New(slog.DiscardHandler)
	fault, held, done := &atomic.Bool{}, &sync.Mutex{}, &atomic.Int64{}
	s, err := store.Open(ctx, store.Options{URL: store.SQLiteURL(path), Log: log,
		Committed: func(list []exeunt.Event) error {
			done.Add(1)
			held.Lock()
			defer held.Unlock()
			if fault.Load() {
				return errors.New("memory is lost")
			}
			return f.Own(list)
		}})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	head, err := s.Head(ctx)
	if err != nil {
		t.Fatalf("head: %v", err)
	}
	index := live.New(head, live.Options{})
	f = feed.New(Memory(index), nil)
	if err := s.ReconcileClients(ctx, []exeunt.Client{chirp}, exeunt.System(), c.Now()); err != nil {
		t.Fatalf("register: %v", err)
	}
	return &node{t: t, path: path, clock: c, fault: fault, held: held, done: done, Authority: New(Config{
		Store: s, Live: index, Feed: f, Policy: testPolicy, Now: c.Now, Log: log,
		Secrets:   func(text string) [][sha256.Size]byte { return [][sha256.Size]byte{sha256.Sum256([]byte(text))} },
		Retention: store.Retention{Ended: 1000 * time.Hour, Audit: 1000 * time.Hour},
	})}
}

// restart closes the node and opens another on the same database: what was only in memory is gone.
func (n *node) restart() {
	n.t.Helper()
	n.store.Close()
	*n = *openNode(n.t, n.path, n.clock)
}

func (n *node) account() exeunt.AccountID {
	n.t.Helper()
	var b [8]byte
	rand.Read(b[:])
	a := exeunt.Account{ID: exeunt.NewAccountID(), Handle: "h" + hex.EncodeToString(b[:]), Name: "A Person",
		Created: n.Now()}
	if err := n.store.AddAccount(ctx, a, store.Credential{PasswordHash: "a hash"}, nil, exeunt.System()); err != nil {
		n.t.Fatalf("add account: %v", err)
	}
	return a.ID
}

func (n *node) proof(id exeunt.AccountID) exeunt.Proof {
	n.t.Helper()
	a, err := n.Account(ctx, id)
	if err != nil {
		n.t.Fatalf("account: %v", err)
	}
	return exeunt.Proof{Account: id, Methods: exeunt.Methods{exeunt.MethodPassword}, At: n.Now(),
		Generation: a.Generation, CredentialVersion: a.CredentialVersion}
}

func (n *node) signIn(id exeunt.AccountID, kind exeunt.SessionKind) (exeunt.Token, exeunt.Session) {
	n.t.Helper()
	token, s, err := n.Start(ctx, SignIn{Proof: n.proof(id), Kind: kind, Label: "a browser"})
	if err != nil {
		n.t.Fatalf("start: %v", err)
	}
	return token, s
}

// register makes these the clients.
func (n *node) register(clients ...exeunt.Client) {
	n.t.Helper()
	if err := n.store.ReconcileClients(ctx, clients, operator, n.Now()); err != nil {
		n.t.Fatalf("register: %v", err)
	}
}

// Of codes, as oauth grants them.
const (
	codeLife  = time.Minute
	challenge = "a challenge"
)

func (n *node) grant(s exeunt.Session) exeunt.Token {
	n.t.Helper()
	code := exeunt.NewToken(exeunt.UseCode)
	if err := n.addCode(s, code); err != nil {
		n.t.Fatalf("grant: %v", err)
	}
	return code
}

func (n *node) addCode(s exeunt.Session, code exeunt.Token) error {
	return n.store.AddCode(ctx, code.Hash(), n.codeOf(s))
}

func (n *node) codeOf(s exeunt.Session) store.Code {
	n.t.Helper()
	c, err := n.store.Client(ctx, chirp.ID)
	if err != nil {
		n.t.Fatalf("client: %v", err)
	}
	return store.Code{Account: s.Account, Session: s.ID, Client: chirp.ID, Registration: c.Registration, RedirectURI: chirp.RedirectURIs[0], Challenge: challenge, Expires: n.Now().Add(codeLife)}
}

func exchange(code exeunt.Token) AppSignIn {
	return AppSignIn{Code: code.Hash(), Client: chirp.ID, RedirectURI: chirp.RedirectURIs[0], Challenge: challenge}
}

// appSession signs the session in to Chirp.
func (n *node) appSession(s exeunt.Session) (exeunt.Token, exeunt.AppSessionID) {
	n.t.Helper()
	token, ans, err := n.StartApp(ctx, exchange(n.grant(s)))
	if err != nil {
		n.t.Fatalf("exchange: %v", err)
	}
	return token, ans.App
}

// sessions are an account's, of every page.
func (n *node) sessions(id exeunt.AccountID, state exeunt.SessionState) (all []exeunt.Session, err error) {
	for f := (exeunt.SessionFilter{Account: id, State: state}); ; {
		p, err := n.Sessions(ctx, f)
		if all = append(all, p.Items...); err != nil || p.Next == "" {
			return all, err
		}
		f.After = p.Next
	}
}

func (n *node) end(rev exeunt.Revocation) Ending {
	n.t.Helper()
	out, err := n.End(ctx, exeunt.System(), rev)
	if err != nil {
		n.t.Fatalf("end: %v", err)
	}
	return out
}

func (n *node) want(t exeunt.Token, state live.State) {
	n.t.Helper()
	if got := n.check(ctx, t).State; got != state {
		n.t.Errorf("the token is %v, want %v", got, state)
	}
}

func personIn(s exeunt.Session) exeunt.Actor {
	return exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID, Label: s.Label}
}

var operator = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

func endOne(s exeunt.Session) exeunt.Revocation {
	return exeunt.Revocation{Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID},
		Reason: exeunt.ReasonSignedOut}
}

func endApp(s exeunt.Session, app exeunt.AppSessionID) exeunt.Revocation {
	r := endOne(s)
	r.AppSession = app
	return r
}

func endOthers(keep exeunt.Session) exeunt.Revocation {
	return exeunt.Revocation{Target: exeunt.Target{Account: keep.Account, Scope: exeunt.ScopeOthers, Session: keep.ID},
		Reason: exeunt.ReasonSignedOut}
}

func endAll(id exeunt.AccountID) exeunt.Revocation {
	return exeunt.Revocation{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonSignedOut}
}

func wantErr(t tester, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// rename changes the name of the actor's account, as internal/account does.
func (n *node) rename(ctx context.Context, by exeunt.Actor, from exeunt.Token, name string) error {
	_, err := n.SaveProfile(ctx, by.Account, func(ctx context.Context) (exeunt.Profile, error) {
		return n.store.ChangeProfile(ctx, by.Account, store.ProfileChange{Name: &name, Token: from.Hash()}, by, n.Now())
	})
	return err
}
