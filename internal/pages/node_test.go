package pages

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	useragent "github.com/medama-io/go-useragent"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

const (
	testHost   = "exeunt.localhost:8080"
	testOrigin = "http://" + testHost
	chirpBack  = "http://chirp.localhost:8081/exeunt/callback?from=exeunt"
	password   = "plum orbit candle ninety"
)

var chirp = exeunt.Client{ID: "chirp", Name: "Chirp", HomeURL: "http://chirp.localhost:8081/", RedirectURIs: []string{chirpBack}}

// clock is a fake clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// node is a whole authority with its pages, on a real database.
type node struct {
	t     testing.TB
	path  string
	clock *clock
	store *store.Store
	auth  *authority.Authority
	in    *signin.Service
	pages *Pages
	web   http.Handler // with the middlewares that stand before the pages
}

func newNode(t testing.TB, with ...func(*signin.Config)) *node {
	t.Helper()
	n := &node{t: t, path: filepath.Join(t.TempDir(), "exeunt.db"), clock: &clock{now: time.UnixMilli(1_800_000_000_000)}}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	policy := exeunt.DefaultPolicy()
	index := live.New(0)
	follow := feed.New(index)
	var err error
	n.store, err = store.Open(t.Context(), store.Options{Path: n.path, Committed: follow.Advance, Log: log})
	n.must(err)
	t.Cleanup(func() { n.store.Close() })
	n.auth = authority.New(authority.Config{
		Store: n.store, Live: index, Feed: follow, Policy: policy, Clients: []exeunt.Client{chirp}, Now: n.clock.Now, Log: log,
		Retention: store.Retention{Ended: 30 * 24 * time.Hour, Audit: 90 * 24 * time.Hour},
	})
	c := signin.Config{Store: n.store, Authority: n.auth, SignUpOpen: true, Now: n.clock.Now, Log: log, Hashing: signin.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 4}}
	for _, f := range with {
		f(&c)
	}
	n.in, err = signin.New(c)
	n.must(err)
	master, err := keys.LoadMaster(t.TempDir())
	n.must(err)
	pairs, err := keys.Open(t.Context(), n.store, master, "pair", time.Hour, n.clock.Now())
	n.must(err)
	notices, err := keys.Open(t.Context(), n.store, master, "notice", time.Hour, n.clock.Now())
	n.must(err)
	faces, err := ui.New()
	n.must(err)
	browser := web.Browser{Authority: n.auth, Cookies: web.Cookies{Pairs: pairs, Notices: notices}, Now: n.clock.Now}
	n.pages = New(Deps{
		Authority: n.auth, SignIn: n.in, Browser: browser, UI: faces, Agents: useragent.NewParser(),
		Policy: policy, Retention: 30 * 24 * time.Hour, Now: n.clock.Now, Log: log,
	})
	s := web.Surface{Fail: n.pages.Fail, Log: log}
	n.web = s.Recover(web.WithRequestID(web.Secure(false, web.OnlyHost(testHost, web.SameOrigin(s, testOrigin, n.pages.Handler())))))
	return n
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// account makes an account whose password is the test's.
func (n *node) account(handle string) exeunt.AccountID {
	n.t.Helper()
	id, err := n.in.AddAccount(n.t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, signin.NewAccount{Handle: handle, Name: strings.ToUpper(handle[:1]) + handle[1:], Password: password}, false)
	n.must(err)
	return id
}

// signedIn returns a browser in which the account is signed in.
func (n *node) signedIn(handle string) *browser {
	n.t.Helper()
	b := newBrowser(n)
	b.signIn(handle, "kept")
	return b
}

// app starts a session of an app with a bearer token.
func (n *node) app(handle, label string) (exeunt.Token, exeunt.SessionID) {
	n.t.Helper()
	proof, err := n.in.Password(n.t.Context(), handle, password, netip.Addr{})
	n.must(err)
	token, s, err := n.auth.Start(n.t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindApp, Label: label})
	n.must(err)
	return token, s.ID
}

// tend lets the authority end what requests have found to be due.
func (n *node) tend() {
	n.t.Helper()
	ctx, stop := context.WithCancel(n.t.Context())
	var done sync.WaitGroup
	done.Go(func() { n.auth.Run(ctx) })
	n.t.Cleanup(func() { stop(); done.Wait() })
}

// forget empties the memory, as a restart does.
func (n *node) forget() { n.auth.Live = live.New(0) }

// recorded is everything the database holds but the activity, which a page
// load is, and the counter of transactions.
func (n *node) recorded() string {
	n.t.Helper()
	db, err := sql.Open("sqlite", "file:"+n.path+"?_pragma=query_only(1)")
	n.must(err)
	defer db.Close()
	var out strings.Builder
	for _, q := range []string{
		`SELECT id, handle, name, email, email_confirmed, display, password_hash, status, generation, credential_version, live_sessions FROM accounts ORDER BY id`,
		`SELECT id, token_hash, idle, expires, generation, ended_at, ended_reason FROM sessions ORDER BY id`,
		`SELECT id, session_id, ended_at FROM app_sessions ORDER BY id`, `SELECT hash, spent_at FROM codes ORDER BY hash`,
		`SELECT hash, spent_at FROM invites ORDER BY hash`, `SELECT seq, scope, session_id, reason FROM events ORDER BY seq`,
		`SELECT id, action, session_id, detail FROM audit ORDER BY id`, `SELECT actor, key FROM outcomes ORDER BY actor, key`,
	} {
		rows, err := db.Query(q)
		n.must(err)
		columns, err := rows.Columns()
		n.must(err)
		for rows.Next() {
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			n.must(rows.Scan(dest...))
			fmt.Fprintf(&out, "%x\n", values)
		}
		n.must(rows.Err())
		rows.Close()
	}
	return out.String()
}

// ends returns the reasons of the endings that are in the log.
func (n *node) ends() (reasons []string) {
	n.t.Helper()
	events, err := n.store.Events(n.t.Context(), 0, 1000)
	n.must(err)
	for _, e := range events {
		reasons = append(reasons, string(e.Scope)+" "+string(e.Reason))
	}
	return reasons
}
