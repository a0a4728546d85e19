package pages

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

const (
	testHost   = "exeunt.localhost:8080"
	testOrigin = "http://" + testHost
	chirpBack  = "http://chirp.localhost:8081/exeunt/callback?from=exeunt"
	password   = testnode.Password
)

// node is a whole authority with its pages, on a real database.
type node struct {
	*testnode.Node
	t     testing.TB
	pages *Pages
	web   http.Handler // with the middlewares that stand before the pages
}

func newNode(t testing.TB) *node { return newNodeOf(t, exeunt.DefaultPolicy()) }

func newNodeOf(t testing.TB, policy exeunt.Policy) *node { return newNodeWith(t, policy, false) }

// newNodeWith has a mail server, too.
func newNodeWith(t testing.TB, policy exeunt.Policy, mails bool) *node {
	t.Helper()
	n := &node{t: t, Node: testnode.New(t, testnode.Options{
		Clients: []exeunt.Client{testnode.ClientAt(testnode.Chirp, chirpBack)},
		Stands:  time.UnixMilli(1_800_000_000_000),
		Policy:  policy, Site: testOrigin,
		Mails: mails,
	})}
	faces, err := ui.New()
	n.must(err)
	n.pages = New(Deps{
		Authority: n.Authority, SignIn: n.SignIn, Accounts: n.Accounts, OAuth: n.OAuth, Browser: n.Browser, UI: faces, Issuer: testOrigin,
		Policy: policy, Receipts: n.Receipts, Retention: ui.Retention(testnode.Retention), Now: n.Now, Log: n.Log,
		Offline: true,
	})
	s := web.Surface{Fail: n.pages.Fail, Log: n.Log}
	n.web = s.Recover(web.WithRequestID(web.Secure(false,
		web.OnlyHost(n.Log, testOrigin, false, web.SameOrigin(s, testOrigin, n.pages.Handler(), FromApps...)))))
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
	return n.NewAccount(n.t, handle).Account
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
	proof, err := signin.Proof(n.SignIn.Password(n.t.Context(), handle, password, netip.Addr{}))
	n.must(err)
	token, s, err := n.Start(n.t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindApp, Label: label})
	n.must(err)
	return token, s.ID
}

// appSession signs the browser's session in to Chirp.
func (n *node) appSession(b *browser) {
	n.t.Helper()
	n.NewAppSession(n.t, exeunt.Session{Account: n.id("ada"), ID: b.session()}, testnode.Chirp)
}

// breakReads takes away columns that profiles and lists are read from, and that
// no ending needs.
func (n *node) breakReads() {
	n.t.Helper()
	n.changeRows(`ALTER TABLE accounts RENAME COLUMN display TO display_gone; ALTER TABLE sessions RENAME COLUMN user_agent TO user_agent_gone`)
}

// changeRows changes the database behind the node's back.
func (n *node) changeRows(statement string) {
	n.t.Helper()
	db, err := sql.Open("sqlite", "file:"+n.Path)
	n.must(err)
	defer db.Close()
	_, err = db.Exec(statement)
	n.must(err)
}

// recorded is everything the database holds but the activity, which a page
// load is, and the counter of transactions.
func (n *node) recorded() string {
	n.t.Helper()
	db, err := sql.Open("sqlite", "file:"+n.Path+"?_pragma=query_only(1)")
	n.must(err)
	defer db.Close()
	var out strings.Builder
	for _, q := range []string{
		`SELECT id, handle, name, email, email_confirmed, display, password_hash, status, generation, credential_version, live_sessions FROM accounts ORDER BY id`,
		`SELECT id, token_hash, idle, expires, generation, ended_at, ended_reason FROM sessions ORDER BY id`,
		`SELECT id, session_id, ended_at FROM app_sessions ORDER BY id`,
		`SELECT hash, spent_at FROM codes ORDER BY hash`,
		`SELECT hash, spent_at FROM invites ORDER BY hash`, `SELECT hash, spent_at FROM links ORDER BY hash`,
		`SELECT account_id, name, hash FROM pictures ORDER BY account_id`, `SELECT id, email_pending FROM accounts ORDER BY id`,
		`SELECT seq, scope, session_id, reason FROM events ORDER BY seq`,
		`SELECT action, session_id, detail FROM audit WHERE action <> 'sign_in_failed' ORDER BY id`, // which comes late
		`SELECT actor, key FROM outcomes ORDER BY actor, key`,
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
	events, err := n.Store.Events(n.t.Context(), 0, 1000)
	n.must(err)
	for _, e := range events {
		if e.Kind != exeunt.EventEnded {
			continue // the registered client's
		}
		reasons = append(reasons, string(e.Scope)+" "+string(e.Reason))
	}
	return reasons
}
