package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testpg"
)

// run is a node on a data folder, without its servers.
type run struct {
	*Node
	t *testing.T
}

func start(t *testing.T, c config.Config) run {
	t.Helper()
	r, _ := startLoud(t, c)
	return r
}

// startLoud returns what the node has to say, too.
func startLoud(t *testing.T, c config.Config) (run, *bytes.Buffer) {
	t.Helper()
	return startDecided(t, c, Undecided)
}

// startDecided starts with an operator's decision about the database.
func startDecided(t *testing.T, c config.Config, d Decision) (run, *bytes.Buffer) {
	t.Helper()
	said := &bytes.Buffer{}
	n, err := attempt(c, d, said)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return run{n, t}, said
}

func attempt(c config.Config, d Decision, said io.Writer) (*Node, error) {
	return New(context.Background(), c, Options{Log: slog.New(slog.NewTextHandler(said, nil)), Decision: d,
		Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
}

func (r run) stop() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
}

const (
	adasPassword = "plum orbit candle ninety"
	adasNext     = "lantern quiet mosaic river" // after a change, in some tests
)

// proof is of ada, who knows both passwords.
func (r run) proof() (exeunt.Proof, error) {
	proof, err := signin.Proof(r.SignIn.Password(r.t.Context(), "ada", adasPassword, exeunt.System().Address))
	if errors.Is(err, exeunt.ErrWrongCredentials) {
		return signin.Proof(r.SignIn.Password(r.t.Context(), "ada", adasNext, exeunt.System().Address))
	}
	return proof, err
}

func (r run) signIn() (exeunt.Token, exeunt.Session) {
	r.t.Helper()
	proof, err := r.proof()
	if err != nil {
		r.t.Fatal(err)
	}
	token, s, err := r.Authority.Start(r.t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindKept})
	if err != nil {
		r.t.Fatal(err)
	}
	r.want(token, live.Usable)
	return token, s
}

func (r run) want(token exeunt.Token, state live.State) {
	r.t.Helper()
	c := authority.Credential{Token: token, Use: authority.AsPair}
	if got := r.Authority.Check(r.t.Context(), c).State; got != state {
		r.t.Errorf("the token is %v, want %v", got, state)
	}
}

func (r run) end(s exeunt.Session) {
	r.t.Helper()
	rev := exeunt.Revocation{Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID},
		Reason: exeunt.ReasonSignedOut}
	if _, err := r.Authority.End(r.t.Context(), exeunt.System(), rev); err != nil {
		r.t.Fatal(err)
	}
}

// epoch is the name of the history that a node has confirmed.
func (r run) epoch() string {
	r.t.Helper()
	if err := r.feed.Confirm(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return r.feed.Position().Epoch
}

// site is the configuration of a node of its own, with ada's account.
func site(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.Addr, c.URL, c.Development = "127.0.0.1:0", "http://exeunt.localhost", true
	c.Data = filepath.Join(t.TempDir(), "node")
	r := start(t, c)
	r.addAda()
	r.stop()
	return c
}

// readLog has the log read to its end, which a node notes only now and then when there is no app to tell.
func (r run) readLog() {
	r.t.Helper()
	for moved := false; !moved; {
		from, err := r.Store.LogCursor(r.t.Context())
		must(r.t, err)
		head, err := r.Store.Head(r.t.Context())
		must(r.t, err)
		moved, err = r.Store.RecordOwed(r.t.Context(), from, store.LogCursor{Seq: head, Holder: from.Holder}, nil, nil, r.now())
		must(r.t, err)
	}
}

func (r run) addAda() {
	r.t.Helper()
	if _, err := r.Accounts.AddAccount(r.t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator},
		account.NewAccount{Handle: "ada", Password: adasPassword}, false); err != nil {
		r.t.Fatal(err)
	}
}

// A run begins with the sessions that the last one knew, brought up to date by
// the log, whether that stopped in order or was killed after it had left its file.
func TestSessionsAreKnownFromTheLastRun(t *testing.T) {
	c := site(t)
	path := filepath.Join(c.Data, snapshotFile)
	r := start(t, c)
	living, _ := r.signIn()
	dead, d := r.signIn()
	later, l := r.signIn()
	r.end(d)
	if err := r.saveSnapshotFile(t.Context()); err != nil {
		t.Fatal(err)
	}
	early := read(t, path)
	r.end(l)
	r.stop()

	for name, from := range map[string]struct {
		file  []byte
		known int
	}{"the last file": {read(t, path), 1}, "one from before an end": {early, 2}} {
		write(t, path, from.file)
		r = start(t, c)
		if n := r.Live.Len(); n != from.known {
			t.Errorf("%s: %d tokens are in memory, want %d", name, n, from.known)
		}
		states := map[exeunt.Token]live.State{living: live.Usable, dead: live.Ended, later: live.Ended}
		for token, state := range states {
			if got := r.Live.Check(token.Hash(), time.Now()).State; got != state && got != live.Absent ||
				got == live.Absent && state == live.Usable {
				t.Errorf("%s: in memory a token is %v, want %v", name, got, state)
			}
			r.want(token, state)
		}
		r.stop()
	}
}

// Of nodes that share a database each has a file of its own, and what the others
// have ended since is in the log.
func TestANodeAmongOthersIsKnownFromItsLastRun(t *testing.T) {
	c := config.Default()
	c.Addr, c.URL, c.Development = "127.0.0.1:0", "http://exeunt.localhost", true
	c.Database, c.MasterKey = config.Secret(testpg.NewDatabase(t)),
		config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	node := func(name string) run {
		c := c
		c.Data = filepath.Join(t.TempDir(), name)
		return start(t, c)
	}
	one, other := node("one"), node("other")
	other.addAda()
	living, _ := one.signIn()
	later, l := one.signIn()
	everywhere, e := one.signIn()
	one.stop()
	other.end(l)
	young, _ := other.signIn()

	again := start(t, one.Config)
	if n := again.Live.Len(); n != 3 {
		t.Errorf("%d tokens are in memory at the start, want 3", n)
	}
	again.want(living, live.Usable)
	again.want(later, live.Ended)
	again.want(young, live.Usable)
	again.stop()

	rev := exeunt.Revocation{Target: exeunt.Target{Account: e.Account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonSignedOut}
	if _, err := other.Authority.End(t.Context(), exeunt.System(), rev); err != nil {
		t.Fatal(err)
	}
	again = start(t, one.Config)
	for _, token := range []exeunt.Token{living, later, everywhere, young} {
		c := authority.Credential{Token: token, Use: authority.AsPair}
		if state := again.Authority.Check(t.Context(), c).State; state != live.Ended {
			t.Errorf("after signing out everywhere a token is %v", state)
		}
	}
}

// A file that cannot be used is logged and removed; nothing is lost with it.
func TestFilesThatAreNotUsed(t *testing.T) {
	c := site(t)
	path := filepath.Join(c.Data, snapshotFile)
	r := start(t, c)
	living, _ := r.signIn()
	dead, d := r.signIn()
	r.end(d)
	r.stop()
	foreign := read(t, filepath.Join(site(t).Data, snapshotFile))
	for name, unusable := range map[string]struct {
		change  func(c *config.Config, file []byte) []byte
		because string
	}{
		"a stricter policy": {func(c *config.Config, file []byte) []byte {
			c.Policy.Kept.Absolute /= 2
			return file
		}, "policy has changed"},
		"a damaged file": {func(_ *config.Config, file []byte) []byte {
			file[len(file)/2] ^= 1
			return file
		}, "damaged"},
		"a file that was cut": {func(_ *config.Config, file []byte) []byte { return file[:len(file)-1] }, "cut short"},
		"an empty file":       {func(*config.Config, []byte) []byte { return nil }, "cut short"},
		"another version": {func(_ *config.Config, file []byte) []byte { file[12]++; return file },
			"reads only version"},
		"one of another installation": {func(*config.Config, []byte) []byte { return foreign }, "another installation"},
		"something else altogether": {func(*config.Config, []byte) []byte {
			return bytes.Repeat([]byte("SQLite format 3"), 20)
		}, "not a snapshot file"},
	} {
		t.Run(name, func(t *testing.T) {
			start(t, c).stop()
			changed := c
			write(t, path, unusable.change(&changed, read(t, path)))
			r, said := startLoud(t, changed)
			if n := r.Live.Len(); n != 0 || !strings.Contains(said.String(), unusable.because) {
				t.Errorf("%d tokens are in memory; it was said:\n%s", n, said)
			}
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the file is still there: %v", err)
			}
			r.want(living, live.Usable)
			r.want(dead, live.Ended)
			r.stop()
		})
	}
}

// So it is where more was written to the copy than there had been, and nothing
// of it stands in the log: a session that was signed out after the file was
// made, and began after the copy was, stays what it is there, unknown.
func TestTheFileOfALaterDatabaseIsNotUsedWhateverWasWrittenSince(t *testing.T) {
	server := testpg.New(t)
	url := server.NewDatabase(t)
	decided := func(dir, url string, d Decision) run {
		c := config.Default()
		c.Addr, c.URL, c.Development, c.Data, c.Database = "127.0.0.1:0", "http://exeunt.localhost", true, dir,
			config.Secret(url)
		c.MasterKey = config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
		r, _ := startDecided(t, c, d)
		return r
	}
	node := func(dir, url string) run { return decided(dir, url, Undecided) }
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	r := node(b, url)
	r.addAda()
	r.stop()
	server.Exec(t, "postgres", "CREATE DATABASE copied TEMPLATE test1")
	other := server.URL("copied")

	r = decided(a, url, TrustDatabase) // a new node, and no other is running
	token, s := r.signIn()
	epoch := r.epoch()
	r.stop() // and leaves its file
	r = node(b, url)
	if e := r.epoch(); e != epoch {
		t.Errorf("nodes on one database name its history %s and %s", epoch, e)
	}
	r.end(s)
	r.want(token, live.Ended)
	r.stop()

	r = decided(b, other, TrustDatabase)
	for range 30 {
		r.signIn()
	}
	r.want(token, live.NoSuch)
	if r.epoch() == epoch {
		t.Error("what apps have kept of the one history would be good in the other")
	}
	r = node(a, other)
	r.want(token, live.NoSuch)
	if n := r.Live.Len(); n != 0 {
		t.Errorf("%d tokens are in memory from another history", n)
	}
}

// The file only makes a start faster: one that can be neither used nor removed
// does not keep a node from starting.
func TestAFileThatIsInTheWayStopsNobody(t *testing.T) {
	c := site(t)
	path := filepath.Join(c.Data, snapshotFile)
	if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	r, said := startLoud(t, c)
	living, _ := r.signIn()
	r.want(living, live.Usable)
	if !strings.Contains(said.String(), "could not be removed") {
		t.Error(said)
	}
}

// A database that was put back from a copy is older than the file beside it,
// and where it has gone on since, another.
func TestTheFileOfALaterDatabaseIsNotUsed(t *testing.T) {
	c := site(t)
	path, database := filepath.Join(c.Data, snapshotFile), filepath.Join(c.Data, store.DatabaseFile)
	copied := read(t, database)
	r := start(t, c)
	living, _ := r.signIn()
	_, d := r.signIn()
	r.end(d)
	r.stop()
	file := read(t, path)

	write(t, database, copied)
	r, said := startDecided(t, c, TrustDatabase)
	r.want(living, live.NoSuch)
	if !strings.Contains(said.String(), "newer than the database") {
		t.Error(said)
	}
	for range 3 {
		_, d := r.signIn()
		r.end(d)
	}
	r.stop()

	write(t, path, file)
	r, said = startLoud(t, c)
	r.want(living, live.NoSuch)
	if !strings.Contains(said.String(), "newer than the database") {
		t.Error(said)
	}
	r.stop()
}

// Events that the log does not hold any more cannot be made up for.
func TestAFileFromBeforeTheLogsFloorIsNotUsed(t *testing.T) {
	c := site(t)
	path := filepath.Join(c.Data, snapshotFile)
	r := start(t, c)
	living, _ := r.signIn()
	ended, one := r.signIn()
	_, two := r.signIn()
	if err := r.saveSnapshotFile(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := read(t, path)
	r.end(one)
	r.end(two)
	if err := r.Authority.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.readLog()
	everything := store.Retention{Ended: time.Nanosecond, Audit: time.Hour}
	if _, err := r.Store.Purge(t.Context(), everything, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Store.WorkOffDue(t.Context(), everything, time.Now().Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	r.stop()
	write(t, path, file)
	r, said := startLoud(t, c)
	if r.Live.Len() != 0 || !strings.Contains(said.String(), "gap") &&
		!strings.Contains(said.String(), "does not hold") {
		t.Error(said)
	}
	r.want(living, live.Usable)
	r.want(ended, live.NoSuch) // its row went with the event
	r.stop()
}

// Whoever follows the log goes on from the last event that memory was brought up
// to: were it the file's own, a history that parted in between would not be seen.
func TestTheLastEventReplayedIsKept(t *testing.T) {
	r := start(t, site(t))
	path := filepath.Join(r.Config.Data, snapshotFile)
	for head := range int64(4) {
		if head > 0 {
			_, s := r.signIn()
			r.end(s)
		}
		if head < 2 { // the later ones begin with a file of event 1
			if err := r.saveSnapshotFile(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		index := live.New(head, live.Options{})
		since, err := r.loadFrom(t.Context(), index, f, head)
		if err := errors.Join(err, f.Close()); err != nil || since.Last.Seq != head || index.Applied() != head {
			t.Errorf("the last one is %+v, applied %d, %v, want number %d", since.Last, index.Applied(), err, head)
		}
	}
	r.stop()
}

// The setting bounds what is kept; nobody is signed out by it.
func TestMaxTokens(t *testing.T) {
	c := site(t)
	c.MaxTokens, c.MaxSessions = 1000, 0
	r := start(t, c)
	var tokens []exeunt.Token
	proof, err := signin.Proof(r.SignIn.Password(t.Context(), "ada", adasPassword, exeunt.System().Address))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 12 {
		wg.Go(func() {
			for range 100 {
				token, _, err := r.Authority.Start(t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindKept})
				if err != nil {
					t.Error(err)
					return
				}
				r.Authority.Check(t.Context(), authority.Credential{Token: token, Use: authority.AsPair})
				mu.Lock()
				tokens = append(tokens, token)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, token := range tokens {
		r.want(token, live.Usable)
	}
	if n := r.Live.Len(); n > 1000 {
		t.Errorf("%d tokens are kept", n)
	}
	r.stop()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What people have in an app ends with its client, also on a node that was stopped meanwhile, and whose file has it
// still; and when a client of that ID is there again, it has none of it.
func TestAClientThatWasRemovedWhileANodeWasAway(t *testing.T) {
	c := site(t)
	file := []config.Client{{ID: "files", Name: "Files", Auth: string(exeunt.ClientPublic),
		RedirectURIs: []string{"http://127.0.0.1/callback"}}}
	key := exeunt.NewToken(exeunt.UseClient)
	notes := exeunt.Client{ID: "notes", Name: "Notes", RedirectURIs: []string{"http://notes.localhost/callback"},
		Keys: []exeunt.TokenHash{key.Hash()}}
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	c.Clients = file
	r := start(t, c)
	must(t, r.Store.AddClient(t.Context(), notes, operator, r.now()))
	r.OAuth.Reload(t.Context())
	browser, s := r.signIn()
	apps := map[exeunt.ClientID]exeunt.Token{}
	for _, id := range []exeunt.ClientID{"files", "notes"} {
		apps[id] = r.app(s, id)
	}
	want := func(when string, states map[exeunt.ClientID]live.State) {
		t.Helper()
		for id, token := range apps {
			c := authority.Credential{Token: token, Use: authority.AsBearer}
			if got := r.Authority.Check(t.Context(), c).State; got != states[id] {
				t.Errorf("%s: that of %s is %v", when, id, got)
			}
		}
	}
	want("at first", map[exeunt.ClientID]live.State{"files": live.Usable, "notes": live.Usable})
	must(t, r.saveSnapshotFile(t.Context()))
	path := filepath.Join(c.Data, snapshotFile)
	early := read(t, path)
	must(t, r.Store.RemoveClient(t.Context(), "notes", operator, r.now()))
	must(t, r.Store.AddClient(t.Context(), notes, operator, r.now()))
	want("one removed", map[exeunt.ClientID]live.State{"files": live.Usable, "notes": live.Ended})
	r.stop()
	late := read(t, path)
	for name, from := range map[string][]byte{"the last file": late, "one from before": early} {
		write(t, path, from)
		c.Clients = file
		r = start(t, c)
		if n := r.Live.Len(); n < 4 {
			t.Fatalf("%s: only %d tokens are in memory", name, n)
		}
		want(name, map[exeunt.ClientID]live.State{"files": live.Usable, "notes": live.Ended})
		r.stop()
	}
	for _, clients := range [][]config.Client{nil, file} {
		write(t, path, early)
		c.Clients = clients
		r = start(t, c)
		want("both removed", map[exeunt.ClientID]live.State{"files": live.Ended, "notes": live.Ended})
		r.want(browser, live.Usable)
		r.stop()
	}
}

// app signs the session in to a client.
func (r run) app(s exeunt.Session, id exeunt.ClientID) exeunt.Token {
	r.t.Helper()
	const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"
	c, err := r.OAuth.Client(id)
	must(r.t, err)
	sum := sha256.Sum256([]byte(verifier))
	code, err := r.OAuth.GrantCode(r.t.Context(), s.Account, s.ID, oauth.CodeRequest{Client: id,
		RedirectURI: c.RedirectURIs[0], Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
	must(r.t, err)
	got, err := r.OAuth.ExchangeCode(r.t.Context(), oauth.CodeExchange{Code: code, Client: c,
		RedirectURI: c.RedirectURIs[0], Verifier: verifier})
	must(r.t, err)
	return got.Access
}
