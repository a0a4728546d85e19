package oauth_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

var operator = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

func TestCheckedByKey(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	for id, key := range n.Keys {
		if c, ok := n.OAuth.CheckedByKey(key); !ok || c.ID != id {
			t.Errorf("the key of %s is %q's, %v", id, c.ID, ok)
		}
	}
	// The log tells when anybody's session ends, which is no business of an app that only signs people in.
	signsIn := testnode.ClientAt("third", "https://third.example/callback")
	key := exeunt.NewToken(exeunt.UseClient)
	signsIn.Keys = []exeunt.TokenHash{key.Hash()}
	if err := n.OAuth.Reconcile(t.Context(), []exeunt.Client{signsIn}, n.Now()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []exeunt.Token{key, {}, exeunt.NewToken(exeunt.UseClient), exeunt.NewToken(exeunt.UseSession)} {
		if c, ok := n.OAuth.CheckedByKey(key); ok {
			t.Errorf("%v is the key of %s", key, c.ID)
		}
	}
}

// A client that the configuration file no longer names is nobody's from then on: it
// gets no codes, its key opens nothing, and the codes it has cannot be exchanged.
func TestAClientThatTheFileNoLongerNames(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	_, s := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	code := n.NewCode(t, s, testnode.Chirp, verifier)
	chirp, other := n.Client(t, testnode.Chirp), n.Client(t, testnode.Other)
	if err := n.OAuth.Reconcile(t.Context(), []exeunt.Client{other}, n.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.OAuth.Client(testnode.Chirp); !errors.Is(err, exeunt.ErrNotFound) {
		t.Errorf("still registered: %v", err)
	}
	if _, ok := n.OAuth.CheckedByKey(n.Keys[testnode.Chirp]); ok {
		t.Error("its key is still good")
	}
	if _, err := n.OAuth.ParseRequest(query()); !errors.Is(err, exeunt.ErrUnknownClient) {
		t.Errorf("it may ask: %v", err)
	}
	if _, err := n.OAuth.GrantCode(t.Context(), s.Account, s.ID, codeRequest()); !errors.Is(err, exeunt.ErrUnknownClient) {
		t.Errorf("it gets a code: %v", err)
	}
	x := oauth.CodeExchange{Code: code, Client: chirp, RedirectURI: testnode.ChirpRedirect, Verifier: verifier}
	if _, err := n.OAuth.ExchangeCode(t.Context(), x); !errors.Is(err, exeunt.ErrCodeSpent) {
		t.Errorf("its code is good: %v", err)
	}
	if _, err := n.OAuth.Client(testnode.Other); err != nil {
		t.Errorf("the other client: %v", err)
	}
}

// Every node learns of a client that was registered, changed or removed anywhere, and
// no session is asked about anew for that.
func TestEveryNodeLearnsOfAClient(t *testing.T) {
	url := testpg.NewDatabase(t)
	nodes := []*testnode.Node{testnode.New(t, testnode.Options{Database: url}), testnode.New(t, testnode.Options{Database: url})}
	token, _ := nodes[1].NewSession(t, nodes[1].NewAccount(t, "ada"), exeunt.KindKept)
	if !nodes[1].Check(t.Context(), token).Usable() {
		t.Fatal("not signed in")
	}
	before := nodes[1].Known()
	key := exeunt.NewToken(exeunt.UseClient)
	c := testnode.ClientAt("third", "https://third.example/callback")
	c.Keys = []exeunt.TokenHash{exeunt.NewToken(exeunt.UseClient).Hash()}
	all := func(what string, is func(*testnode.Node) bool) {
		t.Helper()
		for i, n := range nodes {
			for end := time.Now().Add(2 * time.Minute); !is(n); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("node %d has not learnt that a client was %s", i, what)
				}
			}
		}
	}
	if err := nodes[0].Store.AddClient(t.Context(), c, operator, nodes[0].Now()); err != nil {
		t.Fatal(err)
	}
	all("registered", func(n *testnode.Node) bool {
		got, err := n.OAuth.Client(c.ID)
		return err == nil && got.Name == "Third"
	})
	if _, err := nodes[0].Store.ChangeClient(t.Context(), c.ID, operator, nodes[0].Now(), func(c *exeunt.Client) error {
		c.Keys, c.Checked = []exeunt.TokenHash{key.Hash()}, true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	all("given a key", func(n *testnode.Node) bool { got, ok := n.OAuth.CheckedByKey(key); return ok && got.ID == c.ID })
	if err := nodes[0].Store.RemoveClient(t.Context(), c.ID, operator, nodes[0].Now()); err != nil {
		t.Fatal(err)
	}
	all("removed", func(n *testnode.Node) bool {
		_, ok := n.OAuth.CheckedByKey(key)
		_, err := n.OAuth.Client(c.ID)
		return !ok && errors.Is(err, exeunt.ErrNotFound)
	})
	if got := nodes[1].Known(); got != before {
		t.Errorf("of %d tokens %d are in memory", before, got)
	}
}

// A reading that fails is repeated until it succeeds.
func TestClientsAreReadAgainAfterAFailure(t *testing.T) {
	url := testpg.NewDatabase(t)
	n := testnode.New(t, testnode.Options{Database: url})
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(step string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	// The event comes at a moment at which the table cannot be read.
	exec(`BEGIN;
		UPDATE log_head SET seq = seq + 1;
		INSERT INTO events (seq, at, kind, scope, client_id, generation, version, reason, by_kind, by_label, by_address)
			SELECT seq, 1, 'client_changed', '', 'chirp', 0, 0, '', 'operator', '', '' FROM log_head;
		UPDATE clients SET settings = replace(settings, 'Chirp', 'Another') WHERE id = 'chirp';
		ALTER TABLE clients RENAME TO hidden;
		COMMIT`)
	time.Sleep(500 * time.Millisecond) // more than one attempt
	if c, err := n.OAuth.Client(testnode.Chirp); err != nil || c.Name != "Chirp" {
		t.Fatalf("the client is %q, %v", c.Name, err)
	}
	exec(`ALTER TABLE hidden RENAME TO clients`)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		if c, err := n.OAuth.Client(testnode.Chirp); err == nil && c.Name == "Another" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it was not read again")
		}
	}
}
