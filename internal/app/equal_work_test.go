package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testpg"
)

// equalWork are the requests by which somebody could learn whether there is an account, with how many passwords each
// compares. Each is sent with every identifier of equalCases.
var equalWork = map[string]struct {
	hashes int64
	send   func(w *worker, identifier string) *http.Request
}{
	"sign-in page": {1, func(w *worker, identifier string) *http.Request {
		return w.form("/signin", url.Values{"identifier": {identifier}, "password": {wrongPassword}, "kind": {"kept"}})
	}},
	"sign-in of an app": {1, func(w *worker, identifier string) *http.Request {
		body := fmt.Sprintf(`{"identifier":%q,"password":%q,"label":"App"}`, identifier, wrongPassword)
		r := httptest.NewRequest(http.MethodPost, w.Config.URL+"/api/v1/signin", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		return r
	}},
}

// equalCases are identifiers of the same length by their kind, which anybody sees, and by what they hide.
var equalCases = map[string]map[string]string{
	"handle": {"": "absent", "known": "person", "disabled": "barred", "with a second step": "second",
		"without a password": "nopass"},
	"address": {"": "nobody@example.com", "confirmed": "person@example.com", "not confirmed": "second@example.com",
		"of a disabled account": "barred@example.com"},
}

const wrongPassword = "seven harbours under a paper moon"

// repeats is how often each request is measured: what the node does meanwhile by itself happens less often.
const repeats = 25

// worker sends requests, each from an address of its own.
type worker struct {
	run
	db      *pgx.Conn
	sent    int
	passed  atomic.Int64
	cookies string
	key     string
	texts   map[int64]string // of statements
}

// list is statements with their texts.
func (w *worker) list(statements map[int64]int64) (out string) {
	for id, calls := range statements {
		out += fmt.Sprintf("%d times %s\n", calls, w.texts[id])
	}
	return out
}

// A request about an account that exists, in whatever state, costs as many hashes and the very same statements and
// transactions as one about an account that does not, and gets the same bytes (OWASP ASVS 5.0, 6.3.8). Only the entry
// in the audit is the account's own: it is written in the background with a rate, and its permits are used up first.
func TestKnownAndUnknownAccountsCostTheSame(t *testing.T) {
	server := testpg.New(t, "shared_preload_libraries = 'pg_stat_statements'")
	w := newWorker(t, server)
	for name, ask := range equalWork {
		for kind, identifiers := range equalCases {
			want := w.measure(identifiers[""], ask.send)
			if want.hashes != ask.hashes || len(want.statements) == 0 {
				t.Errorf("%s, unknown %s: %d hashes, statements\n%s", name, kind, want.hashes,
					w.list(want.statements))
			}
			for hidden, identifier := range identifiers {
				got := w.measure(identifier, ask.send)
				if got.hashes != want.hashes {
					t.Errorf("%s, %s %s: %d hashes, want %d", name, kind, hidden, got.hashes, want.hashes)
				}
				if !maps.Equal(got.statements, want.statements) {
					t.Errorf("%s, %s %s runs\n%sand an unknown one\n%s", name, kind, hidden, w.list(got.statements),
						w.list(want.statements))
				}
				if got.answer != want.answer {
					t.Errorf("%s, %s %s is answered:\n%s\nand an unknown one:\n%s", name, kind, hidden, got.answer, want.answer)
				}
			}
		}
	}
}

// cost is what one request costs, and its answer without what differs between any two.
type cost struct {
	hashes     int64
	statements map[int64]int64 // by their numbers
	answer     string
}

func (w *worker) measure(identifier string, send func(*worker, string) *http.Request) (c cost) {
	w.t.Helper()
	w.passed.Add(int64(time.Hour)) // the rates are not what is tested
	w.exec(`SELECT pg_stat_statements_reset()`)
	before := w.SignIn.Hasher.Computed()
	for range repeats {
		answer := w.answered(send(w, identifier), identifier)
		if c.answer != "" && c.answer != answer {
			w.t.Fatalf("the same request is answered:\n%s\nand then:\n%s", c.answer, answer)
		}
		c.answer = answer
	}
	if strings.HasPrefix(c.answer, "429") || strings.HasPrefix(c.answer, "5") {
		w.t.Fatalf("what is measured is a refusal: %s", c.answer)
	}
	c.hashes = (w.SignIn.Hasher.Computed() - before) / repeats
	rows, err := w.db.Query(w.t.Context(), `SELECT queryid, min(query), sum(calls)::bigint / $1 FROM pg_stat_statements
		GROUP BY queryid HAVING sum(calls) >= $1`, repeats)
	must(w.t, err)
	c.statements = map[int64]int64{}
	var id, calls int64
	var text string
	_, err = pgx.ForEachRow(rows, []any{&id, &text, &calls}, func() error {
		c.statements[id], w.texts[id] = calls, text
		return nil
	})
	must(w.t, err)
	return c
}

// formKeys are drawn anew for each form.
var formKeys = regexp.MustCompile(`name="key" value="[^"]*"`)

// answered is an answer without what differs between any two.
func (w *worker) answered(r *http.Request, identifier string) string {
	w.t.Helper()
	w.sent++
	r.RemoteAddr = fmt.Sprintf("10.0.%d.%d:4000", w.sent>>8, w.sent&0xff)
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	var out strings.Builder
	fmt.Fprintln(&out, rec.Code)
	header := rec.Result().Header
	for _, name := range slices.Sorted(maps.Keys(header)) {
		fmt.Fprintln(&out, name, header[name])
	}
	out.WriteString(formKeys.ReplaceAllString(rec.Body.String(), "KEY"))
	return strings.NewReplacer(identifier, "IDENTIFIER", header.Get("X-Request-Id"), "REQUEST").Replace(out.String())
}

// form is a post of a page's form, in a browser that has just loaded it.
func (w *worker) form(page string, fill url.Values) *http.Request {
	w.t.Helper()
	if w.cookies == "" {
		rec := httptest.NewRecorder()
		w.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, w.Config.URL+page, nil))
		for _, c := range rec.Result().Cookies() {
			w.cookies += c.Name + "=" + c.Value + "; "
		}
		w.key = strings.Split(formKeys.FindString(rec.Body.String()), `"`)[3]
	}
	fill.Set("key", w.key)
	r := httptest.NewRequest(http.MethodPost, w.Config.URL+page, strings.NewReader(fill.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", w.Config.URL)
	r.Header.Set("Cookie", strings.TrimSuffix(w.cookies, "; "))
	return r
}

func newWorker(t *testing.T, server *testpg.Server) *worker {
	t.Helper()
	c := config.Default()
	c.Addr, c.URL, c.Development, c.Data = "127.0.0.1:0", "http://exeunt.localhost", true, filepath.Join(t.TempDir(), "node")
	c.Database, c.MasterKey = config.Secret(server.NewDatabase(t)), config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	w := &worker{texts: map[int64]string{}}
	clock := Clock()
	n, err := New(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler),
		Now:     func() time.Time { return clock().Add(time.Duration(w.passed.Load())) },
		Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	must(t, err)
	t.Cleanup(func() { n.Close() })
	w.run = run{n, t}
	w.db, err = pgx.Connect(t.Context(), string(c.Database))
	must(t, err)
	t.Cleanup(func() { w.db.Close(context.Background()) })
	w.exec(`CREATE EXTENSION pg_stat_statements`)
	for _, handle := range []string{"person", "barred", "second"} {
		_, err := n.Accounts.AddAccount(t.Context(), exeunt.System(), account.NewAccount{Handle: handle,
			Email: handle + "@example.com", Password: adasPassword}, handle != "second")
		must(t, err)
	}
	must(t, n.Store.AddAccount(t.Context(), exeunt.Account{ID: exeunt.NewAccountID(), Handle: "nopass", Created: w.now()},
		store.Credential{}, nil, exeunt.System()))
	w.bar("barred")
	w.secure("second")
	return w
}

func (w *worker) exec(q string) {
	w.t.Helper()
	_, err := w.db.Exec(w.t.Context(), q)
	must(w.t, err)
}

func (w *worker) bar(handle string) {
	w.t.Helper()
	a, _, err := w.Store.Identify(w.t.Context(), handle)
	must(w.t, err)
	_, err = w.Accounts.Disable(w.t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, a)
	must(w.t, err)
}

// secure gives an account an authenticator app.
func (w *worker) secure(handle string) {
	w.t.Helper()
	proof, err := signin.Proof(w.SignIn.Password(w.t.Context(), handle, adasPassword, exeunt.System().Address))
	must(w.t, err)
	token, s, err := w.Authority.Start(w.t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindKept})
	must(w.t, err)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID}
	must(w.t, w.Store.ChangeFactors(w.t.Context(), by, token.Hash(), proof.CredentialVersion, store.FactorChange{
		Add: &store.NewFactor{Factor: exeunt.Factor{ID: exeunt.NewFactorID(), Kind: exeunt.FactorTOTP, Name: "Phone"},
			Data: []byte("sealed")}}, w.now()))
	if _, err := signin.Proof(w.SignIn.Password(w.t.Context(), handle, adasPassword, exeunt.System().Address)); err == nil {
		w.t.Fatal("the account needs no second step")
	}
}
