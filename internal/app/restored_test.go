package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testpg"
)

// folder is the content of a data folder, by name.
type folder map[string][]byte

func folderOf(t *testing.T, dir string) folder {
	t.Helper()
	out := folder{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Type().IsRegular() {
			out[e.Name()] = read(t, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// put writes one file over what is there, or removes it if the folder does not have it.
func (f folder) put(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if content, has := f[name]; has {
		write(t, path, content)
	} else if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// refused fails unless a start without a decision says those words and what can be done, and changes nothing.
func refused(t *testing.T, c config.Config, words string) {
	t.Helper()
	n, err := attempt(c, Undecided, io.Discard)
	if err == nil {
		t.Error("it starts on a restored database", n.Close())
		return
	}
	for _, text := range []string{words, "--end-sessions", "--trust-database", "Nothing was changed"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is missing in: %v", text, err)
		}
	}
}

// history is what a person did around the moment at which a copy was made.
type history struct {
	living, one, everywhere, changed exeunt.Token
	link                             exeunt.Token // for a new password, used after the copy
}

func (h *history) ended() []exeunt.Token { return []exeunt.Token{h.one, h.everywhere, h.changed} }

func before(r run) (h history, one exeunt.Session) {
	r.t.Helper()
	_, ended := r.signIn()
	r.end(ended) // so that the log is not empty when it is copied
	h.one, one = r.signIn()
	h.everywhere, _ = r.signIn()
	h.changed, _ = r.signIn()
	a, err := r.Store.Account(r.t.Context(), one.Account)
	if err == nil {
		h.link, err = r.Accounts.OfferReset(r.t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, a)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return h, one
}

// after signs out in each of the ways, and leaves nobody signed in but one new session.
func (h *history) after(r run, one exeunt.Session) {
	r.t.Helper()
	r.end(one)
	rev := exeunt.Revocation{Target: exeunt.Target{Account: one.Account, Scope: exeunt.ScopeAccount},
		Reason: exeunt.ReasonSignedOut}
	if _, err := r.Authority.End(r.t.Context(), exeunt.System(), rev); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.Accounts.Reset(r.t.Context(), h.link, adasNext, exeunt.System().Address); err != nil {
		r.t.Fatal(err)
	}
	h.living, _ = r.signIn()
	for _, token := range h.ended() {
		r.want(token, live.Ended)
	}
}

// is fails unless the sessions that ended after the copy are accepted, or not.
func (h *history) is(r run, accepted bool) {
	r.t.Helper()
	for _, token := range h.ended() {
		c := authority.Credential{Token: token, Use: authority.AsPair}
		if r.Authority.Check(r.t.Context(), c).Usable() != accepted {
			r.t.Errorf("accepted is not %v of a session that ended after the copy was made", accepted)
		}
	}
	if _, err := r.Accounts.LookAtReset(r.t.Context(), h.link); (err == nil) != accepted {
		r.t.Errorf("the one-time link that was used after the copy was made: %v", err)
	}
	// Whoever knows the password goes on, in any case.
	proof, err := r.proof()
	if err != nil || proof.Account.IsZero() {
		r.t.Errorf("signing in: %v", err)
	}
}

// An older file is put back, with whatever lies around it: no session that ended since is accepted without a word,
// and both words do what they say.
func TestAFileThatIsPutBack(t *testing.T) {
	c := site(t)
	r := start(t, c)
	h, one := before(r)
	r.stop()
	copied := folderOf(t, c.Data)
	r = start(t, c)
	h.after(r, one)
	r.stop()
	last := folderOf(t, c.Data)
	damaged := folder{markFile: bytes.Replace(last[markFile], []byte("Seq"), []byte("seq"), -1)}

	beside := map[string]struct {
		mark  folder
		words string
	}{
		"the mark kept":        {last, "older than what this node has confirmed"},
		"the mark deleted":     {nil, "log.mark, in which this node notes how far the log is, is missing"},
		"the mark of the copy": {copied, "may have been put back as a whole"},
		"the mark damaged":     {damaged, "is damaged"},
		"the mark emptied":     {folder{markFile: nil}, "is damaged"},
	}
	decided := false
	for name, b := range beside {
		for kind, snapshots := range map[string]folder{"kept": last, "deleted": nil, "of the copy": copied} {
			t.Run(name+", the snapshot "+kind, func(t *testing.T) {
				lay := func() {
					for _, rest := range []string{"-wal", "-shm"} {
						folder{}.put(t, c.Data, store.DatabaseFile+rest)
					}
					copied.put(t, c.Data, store.DatabaseFile)
					snapshots.put(t, c.Data, snapshotFile)
					if name == "the mark kept" {
						// It was never touched: only the file is put back.
						keepMark(t, c.Data, last)
						return
					}
					b.mark.put(t, c.Data, markFile)
				}
				lay()
				refused(t, c, b.words)
				if kind != "kept" && decided {
					return
				}
				decided = true
				r, said := startDecided(t, c, EndSessions)
				h.is(run{r.Node, t}, false)
				if !strings.Contains(said.String(), "every session was ended") {
					t.Error(said)
				}
				r.stop()
				r = start(t, c) // the word is needed once
				h.is(run{r.Node, t}, false)
				token, _ := r.signIn()
				r.stop()
				r = start(t, c)
				r.want(token, live.Usable)
				r.stop()

				lay()
				refused(t, c, b.words)
				r, said = startDecided(t, c, TrustDatabase)
				h.is(run{r.Node, t}, true)
				if !strings.Contains(said.String(), "trusted as it is") {
					t.Error(said)
				}
				r.stop()
				start(t, c).stop()
				if n, err := attempt(c, TrustDatabase, io.Discard); !errors.Is(err, errTrustNotNeeded) {
					t.Errorf("trusting what needs no trust: %v", err)
					if n != nil {
						n.Close()
					}
				}
			})
		}
	}
}

// A mark that is in another folder too is no proof, even if all fits: that folder may be the one that was served.
func TestALinkedMarkIsNoProof(t *testing.T) {
	c := site(t)
	mark, link := filepath.Join(c.Data, markFile), filepath.Join(t.TempDir(), "link")
	must(t, os.Link(mark, link))
	refused(t, c, "is a link")
	must(t, os.Remove(mark))
	must(t, os.Symlink(link, mark))
	refused(t, c, "is a link")
	must(t, os.Remove(mark))
	must(t, os.Rename(link, mark))
	start(t, c).stop()
}

// keepMark gives the data folder a mark with that content whose identity is right, as if it had been left alone.
func keepMark(t *testing.T, dir string, from folder) {
	t.Helper()
	from.put(t, dir, markFile)
	m := logMark{path: filepath.Join(dir, markFile)}
	var none errNoMark
	if err := m.read(); err != nil && !errors.As(err, &none) || !none.copied && err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.renew(), m.close()); err != nil {
		t.Fatal(err)
	}
}

// The decision is in the log, with who made it, and each account's history says that its sessions ended.
func TestTheDecisionIsRecorded(t *testing.T) {
	c := site(t)
	r := start(t, c)
	_, s := r.signIn()
	r.stop()
	r, _ = startDecided(t, c, EndSessions)
	events, err := r.Store.Events(t.Context(), 0, 10)
	if err != nil || len(events) != 2 || events[0].Kind != exeunt.EventEnded || events[0].Account != s.Account ||
		events[0].Scope != exeunt.ScopeAccount || events[1].Kind != exeunt.EventRestored ||
		events[1].Reason != exeunt.ReasonAllEnded || events[1].By.Kind != exeunt.ActorOperator || events[1].By.Label == "" {
		t.Errorf("%+v, %v", events, err)
	}
	if err := r.Authority.Maintain(t.Context()); err != nil {
		t.Error(err)
	}
	got, err := r.Store.Session(t.Context(), s.Account, s.ID)
	if err != nil || got.End == nil || got.End.Reason != exeunt.ReasonAdministrator {
		t.Errorf("%+v, %v", got.End, err)
	}
	a, err := r.Store.Account(t.Context(), s.Account)
	if err != nil || a.LiveSessions != 0 {
		t.Errorf("%d live sessions, %v", a.LiveSessions, err)
	}
}

// A process that is killed loses nothing of its mark, and starts again without a word.
func TestTheMarkIsThereBeforeAnybodyIsTold(t *testing.T) {
	c := site(t)
	r := start(t, c)
	for range 3 {
		_, s := r.signIn()
		r.end(s)
		head, err := r.Store.LastPlace(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := logMark{path: filepath.Join(c.Data, markFile)}
		if err := m.read(); err != nil || m.noted.Own != head {
			t.Errorf("the mark is at %+v, the log at %+v, %v", m.noted.Own, head, err)
		}
	}
}

// Where the database is lost, nobody is given a new installation in its place.
func TestALostDatabaseIsNoNewInstallation(t *testing.T) {
	c := site(t)
	last := folderOf(t, c.Data)
	for name, lay := range map[string]struct {
		database  []byte
		remaining []string
		words     string
	}{
		"missing beside everything":      {nil, []string{keys.MasterFile, markFile, snapshotFile}, "is missing"},
		"missing beside the key":         {nil, []string{keys.MasterFile}, "is missing"},
		"missing beside a mark":          {nil, []string{markFile}, "is missing"},
		"empty beside key and snapshot":  {[]byte{}, []string{keys.MasterFile, snapshotFile}, "is empty"},
		"a new one beside the mark":      {fresh(t), []string{keys.MasterFile, markFile}, "is empty"},
		"a new one beside the snapshot":  {fresh(t), []string{keys.MasterFile, snapshotFile}, "is empty"},
		"a new one beside a key is fine": {fresh(t), []string{keys.MasterFile}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := c
			c.Data = filepath.Join(t.TempDir(), "node")
			if err := os.Mkdir(c.Data, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range lay.remaining {
				last.put(t, c.Data, name)
			}
			if lay.database != nil {
				write(t, filepath.Join(c.Data, store.DatabaseFile), lay.database)
			}
			n, err := attempt(c, EndSessions, io.Discard)
			if err == nil {
				n.Close()
			}
			if lay.words == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it starts")
			}
			for _, text := range append(lay.remaining, lay.words, "put it back from your backup", "a new installation", "move ") {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is missing in: %v", text, err)
				}
			}
			if _, err := os.Stat(filepath.Join(c.Data, store.DatabaseFile)); lay.database == nil && err == nil {
				t.Error("a database was made")
			}
		})
	}
}

// fresh is a database in which nothing has been made.
func fresh(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fresh.db")
	if err := store.Migrate(t.Context(), store.SQLiteURL(path), nil); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

// Whatever other users of the machine could read or change is refused, in the same words.
func TestLooseModesAreRefused(t *testing.T) {
	c := site(t)
	r := start(t, c)
	r.signIn()
	// A crash leaves the files that an orderly stop removes.
	all := folderOf(t, c.Data)
	r.stop()
	for name, mode := range map[string]fs.FileMode{
		"": 0o755, "exeunt.db": 0o640, "exeunt.db-wal": 0o620, "exeunt.db-shm": 0o604, "log.mark": 0o602, "master.key": 0o640,
	} {
		path := filepath.Join(c.Data, name)
		for _, suffix := range []string{"-wal", "-shm"} {
			all.put(t, c.Data, store.DatabaseFile+suffix)
		}
		info, err := os.Stat(path)
		if err == nil {
			err = os.Chmod(path, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
		n, err := attempt(c, Undecided, io.Discard)
		if err == nil {
			t.Errorf("%s with mode %v is accepted", path, mode)
			n.Close()
		} else if want := "others have access to " + path; !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "run chmod ") {
			t.Errorf("%q is missing in: %v", want, err)
		}
		if err := os.Chmod(path, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	start(t, c).stop()
}

// Rows of a server are put back while no node runs. Each node notices it by its own mark; the decision of one is
// enough for all.
func TestAServersRowsThatArePutBack(t *testing.T) {
	server := testpg.New(t)
	c := config.Default()
	c.Addr, c.URL, c.Development = "127.0.0.1:0", "http://exeunt.localhost", true
	c.Database, c.MasterKey = config.Secret(server.NewDatabase(t)),
		config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	one, other, none := c, c, c
	one.Data, other.Data = filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "other")
	none.Data = filepath.Join(t.TempDir(), "none")
	r, o := start(t, one), start(t, other)
	r.addAda()
	h, session := before(r)
	o.epoch()
	putBack := server.Copy(t, "test1")
	copied := folderOf(t, one.Data)
	h.after(r, session)
	r.epoch() // a heartbeat began after the last commit
	o.epoch()
	o.epoch()
	r.stop()
	// A node that is new joins those that run, which have marks of their own.
	joins := none
	joins.Data = filepath.Join(t.TempDir(), "joins")
	start(t, joins).stop()
	o.stop()
	last := folderOf(t, one.Data)
	start(t, one).stop() // on the database that it knows, no word is needed

	for name, lay := range map[string]struct {
		put   func()
		words string
	}{
		"the mark kept":        {func() { keepMark(t, one.Data, last) }, "older than what this node has confirmed"},
		"the mark deleted":     {func() { folder{}.put(t, one.Data, markFile) }, "is missing, and no other node is running"},
		"the mark of the copy": {func() { copied.put(t, one.Data, markFile) }, "may have been put back as a whole"},
	} {
		t.Run(name, func(t *testing.T) {
			putBack()
			lay.put()
			refused(t, one, lay.words)
		})
	}
	refused(t, other, "older than what this node has confirmed")
	keepMark(t, one.Data, last)
	r, _ = startDecided(t, one, EndSessions)
	h.is(r, false)
	o = start(t, other)
	h.is(o, false)
	start(t, none).stop() // the others vouch for it
	r.stop()
	o.stop()

	putBack()
	refused(t, other, "older than what this node has confirmed")
	r, _ = startDecided(t, one, TrustDatabase)
	h.is(r, true)
	h.is(start(t, other), true)
}

// ready is what /readyz says.
func (r run) ready() (status int, text string) {
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/readyz", nil))
	return w.Code, w.Body.String()
}
