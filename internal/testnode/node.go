package testnode

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/mailbox"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/passkey"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/web"
)

// Options say how a node differs from the default.
type Options struct {
	Policy  exeunt.Policy   // zero: the default policy
	Clients []exeunt.Client // nil: Chirp and Other; empty: those in the database
	Site    string          // the address that passkeys are made for; "": Issuer
	Stands  time.Time       // when the clock is stopped; zero: it runs
	// Database is the URL of one to share with other nodes; "": a file of its own.
	Database  string
	Staleness time.Duration // of a shared database; zero: 2 s
	// Mails: there is a mail server, and the node sends mails.
	Mails bool
	// Started is as in store.Options.
	Started func(*exeunt.Session, exeunt.ClientID) []exeunt.Message
	// Source, if not nil, wraps the log of a shared database.
	Source func(feed.Source) feed.Source
}

// Retention is a node's retention of ended sessions and audit entries.
var Retention = store.Retention{Ended: 30 * 24 * time.Hour, Audit: 90 * 24 * time.Hour}

// Issuer is the address of every node.
const Issuer = "https://id.example.com"

// Node is a core without surfaces.
type Node struct {
	*authority.Authority
	Store    *store.Store
	Live     *live.Index
	Feed     *feed.Feed
	Log      *slog.Logger
	SignIn   *signin.Service
	Accounts *account.Service
	OAuth    *oauth.Service
	Browser  web.Browser // the browser's side: pairs of cookies
	Receipts web.Receipts
	Clock    *Clock
	Keys     map[exeunt.ClientID]exeunt.Token // a secret key of each client, unless the database is shared
	Path     string                           // of the database
	Mailbox  *mailbox.Box                     // what mails have arrived; nil without a mail server
}

// New builds a node that is closed at the end of its test.
func New(t testing.TB, o Options) *Node {
	t.Helper()
	if o.Policy.Kept.Idle == 0 {
		o.Policy = exeunt.DefaultPolicy()
	}
	if o.Clients == nil {
		other := ClientAt(Other, "http://other.localhost:8082/exeunt/callback")
		o.Clients = []exeunt.Client{ClientAt(Chirp, ChirpRedirect), other}
	}
	keys := map[exeunt.ClientID]exeunt.Token{}
	for i := range o.Clients {
		if o.Database != "" {
			break // the nodes on one database have the same clients
		}
		key := exeunt.NewToken(exeunt.UseClient)
		keys[o.Clients[i].ID] = key
		if !o.Clients[i].Public() {
			o.Clients[i].Keys, o.Clients[i].Checked = []exeunt.TokenHash{key.Hash()}, true
		}
	}
	n := &Node{Clock: &Clock{stands: o.Stands}, Keys: keys, Path: filepath.Join(t.TempDir(), "exeunt.db")}
	log := slog.New(slog.DiscardHandler)
	index := live.New(0, live.Options{SharedActivity: o.Database != ""})
	st, follow := open(t, o, n, index, log)
	n.Store, n.Live, n.Feed, n.Log = st, index, follow, log
	n.Authority = authority.New(authority.Config{
		Store: st, Live: index, Feed: follow, Policy: o.Policy, Retention: Retention, Now: n.Clock.Now, Log: log,
		Secrets: func(text string) [][sha256.Size]byte { return n.Browser.Cookies.Notices.Secrets(text) },
	})
	clients, err := oauth.NewRegistry(t.Context(), st, n.Authority, log)
	must(t, err)
	if len(o.Clients) > 0 {
		must(t, clients.Reconcile(t.Context(), o.Clients, n.Now()))
	}
	n.OAuth = &oauth.Service{Registry: clients, Authority: n.Authority, Refreshes: ring(t, n, "refresh"),
		Requests: ring(t, n, "request"), Signers: signers(t, n), Issuer: Issuer, Now: n.Now}
	inBackground(t, clients.Run)
	hasher, err := password.New(password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 4})
	must(t, err)
	passkeys, err := passkey.New(cmp.Or(o.Site, Issuer))
	must(t, err)
	n.SignIn = signin.New(signin.Config{Store: st, Hasher: hasher, Master: master(t), Passkeys: passkeys, Now: n.Clock.Now,
		Log: log})
	n.Accounts = account.New(account.Config{
		Store: st, Authority: n.Authority, Hasher: hasher, Master: master(t), Passkeys: passkeys, SignUpOpen: true,
		Now: n.Clock.Now, Log: log, Notify: mails(t, o, n),
	})
	n.Browser = web.Browser{Authority: n.Authority, Now: n.Now, Cookies: web.Cookies{
		Pairs: ring(t, n, "pair"), Notices: ring(t, n, "notice"), Forms: ring(t, n, "form"), Tickets: ring(t, n, "ticket"),
	}}
	n.Receipts = web.Receipts{Handles: ring(t, n, "receipt")}
	return n
}

func open(t testing.TB, o Options, n *Node, index *live.Index, log *slog.Logger) (st *store.Store, follow *feed.Feed) {
	t.Helper()
	url := o.Database
	if url == "" {
		empty, err := emptyDatabase()
		must(t, err)
		must(t, os.WriteFile(n.Path, empty, 0o600))
		url = store.SQLiteURL(n.Path)
	}
	var follower *feed.Follower
	if store.Shared(url) {
		follower = &feed.Follower{
			Open: func(ctx context.Context) (feed.Source, error) {
				src, err := st.Follow(ctx)
				if err != nil || o.Source == nil {
					return src, err
				}
				return o.Source(src), nil
			},
			Staleness: cmp.Or(o.Staleness, 2*time.Second), Now: n.Clock.Now, Log: log,
		}
	}
	follow = feed.New(authority.Memory(index), follower)
	var err error
	st, err = store.Open(t.Context(), store.Options{URL: url, Committed: follow.Own, Server: follow.Server,
		Started: o.Started, Log: log})
	must(t, err)
	t.Cleanup(func() { st.Close() })
	if follower != nil {
		inBackground(t, follower.Run)
	}
	return st, follow
}

// emptyDatabase is a file with the schema and nothing else, made once: to make it is most of a short test's work.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "exeunt-schema-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "exeunt.db")
	if err := store.Migrate(context.Background(), store.SQLiteURL(path), slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// inBackground runs a function until the test is over.
func inBackground(t testing.TB, run func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { run(ctx) })
	t.Cleanup(func() { stop(); done.Wait() })
}

// ring returns a ring of keys, which are the same for nodes on one database.
func ring(t testing.TB, n *Node, purpose string) *keys.Ring {
	t.Helper()
	r, err := keys.Open(t.Context(), n.Store, master(t), purpose, time.Hour, n.Now())
	must(t, err)
	return r
}

func signers(t testing.TB, n *Node) *keys.Signers {
	return keys.NewSigners(n.Store, master(t), "oidc", time.Hour, n.Now)
}

func master(t testing.TB) keys.Master {
	t.Helper()
	m, err := keys.ParseMaster(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	must(t, err)
	return m
}

// Tend runs the authority's maintenance until the test is over.
func (n *Node) Tend(t testing.TB) {
	t.Helper()
	inBackground(t, n.Run)
}

// Forget empties the memory, as a restart does.
func (n *Node) Forget() { n.Live.Reset(n.Live.Applied()) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// GiveApp gives an account an authenticator app and recovery codes, as somebody does who has just signed in.
func (n *Node) GiveApp(t testing.TB, by exeunt.Actor, token exeunt.Token, credential int64) (
	secret []byte, codes []factor.RecoveryCode,
) {
	t.Helper()
	f := store.NewFactor{Factor: exeunt.Factor{ID: exeunt.NewFactorID(), Kind: exeunt.FactorTOTP, Name: "Phone"}}
	secret = factor.NewSecret()
	var err error
	f.Data, err = master(t).Seal(factor.Purpose(f.ID), secret)
	must(t, err)
	codes = factor.NewRecoveryCodes(exeunt.RecoveryCodeCount)
	var hashes []string
	for _, c := range codes {
		h, err := n.SignIn.Hasher.Hash(t.Context(), c.Secret())
		must(t, err)
		hashes = append(hashes, h)
	}
	must(t, n.Store.ChangeFactors(t.Context(), by, token.Hash(), credential, store.FactorChange{Add: &f, Codes: hashes},
		n.Now()))
	return secret, codes
}
