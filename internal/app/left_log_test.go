package app

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
)

// endedByKilled is, in the environment, the tokens that the program to be killed signs out instead of its usual work.
const endedByKilled = "EXEUNT_TEST_KILLED_ENDS"

// backupOf is where a program to be killed leaves a copy of its database, made when it has just started.
func backupOf(dir string) string { return dir + ".backup" }

func backUp(ctx context.Context, dir string) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, store.DatabaseFile))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, backupOf(dir))
	return errors.Join(err, db.Close())
}

// endUntilKilled signs out, waits until that is in the database file itself, leaves something else in the
// write-ahead log, and says "done".
func endUntilKilled(ctx context.Context, n *Node, proof exeunt.Proof, tokens []string) error {
	if err := backUp(ctx, n.Config.Data); err != nil {
		return err
	}
	end := func(token exeunt.Token) error {
		s := n.Authority.Check(ctx, authority.Credential{Token: token, Use: authority.AsBearer})
		_, err := n.Authority.End(ctx, exeunt.System(), exeunt.Revocation{Reason: exeunt.ReasonSignedOut,
			Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.Session}})
		return err
	}
	for _, text := range tokens {
		token, err := exeunt.ParseToken(text)
		if err == nil {
			err = end(token)
		}
		if err != nil {
			return err
		}
	}
	if err := numberNow(ctx, n); err != nil {
		return err
	}
	token, _, err := n.Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: exeunt.KindApp})
	if err == nil {
		err = end(token)
	}
	if err != nil {
		return err
	}
	fmt.Println("done")
	select {}
}

// numberNow does what a running node does each minute.
func numberNow(ctx context.Context, n *Node) error {
	for {
		if has, err := n.mark.number(ctx, n.Store.RaiseFileNumber); has || err != nil {
			return err
		}
	}
}

// killDone runs the program until it has signed those out, and kills it.
func killDone(t *testing.T, c config.Config, tokens []exeunt.Token) {
	t.Helper()
	var texts []string
	for _, token := range tokens {
		texts = append(texts, token.Reveal())
	}
	killOn(t, c, func(line string) bool { return line == "done" }, endedByKilled+"="+strings.Join(texts, " "))
}

// killOn runs the program on a data folder, and kills it at one of its lines.
func killOn(t *testing.T, c config.Config, last func(line string) bool, env ...string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(append(os.Environ(), killedFolder+"="+c.Data), env...)
	child.Stderr = os.Stderr
	pipe, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		// What it has said before the kill counts, even if it is read after it.
		if last(lines.Text()) && !killed {
			killed = true
			child.Process.Kill()
		}
	}
	_ = child.Wait() // it was killed
	if !killed {
		t.Fatal("it ended by itself")
	}
}

// manySessions fill several pages of the database, so that a write to one of them leaves others alone.
func manySessions(r run) (tokens []exeunt.Token) {
	r.t.Helper()
	proof, err := signin.Proof(r.SignIn.Password(r.t.Context(), "ada", adasPassword, exeunt.System().Address))
	if err != nil {
		r.t.Fatal(err)
	}
	for range 150 {
		token, _, err := r.Authority.Start(r.t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindApp})
		if err != nil {
			r.t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	return tokens
}

// accepted counts those that are accepted.
func (r run) accepted(tokens []exeunt.Token) (n int) {
	for _, token := range tokens {
		if r.Authority.Check(r.t.Context(), authority.Credential{Token: token, Use: authority.AsBearer}).Usable() {
			n++
		}
	}
	return n
}

// A node is killed, and an older file put back beside the write-ahead log that it has left. SQLite would mix the two:
// the log of events is that of the newer one, and sessions that have ended live again.
func TestAnOlderFileBesideANewerLog(t *testing.T) {
	c := site(t)
	path := filepath.Join(c.Data, store.DatabaseFile)
	r := start(t, c)
	tokens := manySessions(r)
	ended, rest := tokens[:20], tokens[20:]
	r.stop()
	stopped := folderOf(t, c.Data)
	killDone(t, c, ended)
	left := folderOf(t, c.Data)
	if len(left[store.DatabaseFile+"-wal"]) == 0 {
		t.Fatal("it has left no log")
	}
	mark, err := os.Open(filepath.Join(c.Data, markFile)) // so that its number is not given to another file
	if err != nil {
		t.Fatal(err)
	}
	defer mark.Close()

	for name, older := range map[string][]byte{
		"of a running node": read(t, backupOf(c.Data)), "of a stopped node": stopped[store.DatabaseFile],
	} {
		for way, put := range map[string]func(){
			"over the file": func() { write(t, path, older) },
			"as another file": func() {
				write(t, path+".new", older)
				if err := os.Rename(path+".new", path); err != nil {
					t.Fatal(err)
				}
			},
		} {
			for decision, word := range map[Decision]string{EndSessions: "ended", TrustDatabase: "trusted"} {
				t.Run(name+", "+way+", "+word, func(t *testing.T) {
					lay := func() {
						for name := range left {
							if name != markFile {
								left.put(t, c.Data, name)
							}
						}
						keepMark(t, c.Data, left)
						put()
					}
					for name, more := range map[string]folder{"the snapshot kept": left, "none": nil} {
						lay()
						more.put(t, c.Data, snapshotFile)
						refused(t, c, path+"-wal")
						for _, d := range []Decision{EndSessions, TrustDatabase} {
							if n, err := attempt(c, d, io.Discard); err == nil {
								n.Close()
								t.Errorf("%s: decision %d is taken before the log was moved away", name, d)
							}
						}
						if err := Migrate(t.Context(), store.SQLiteURL(path)); err == nil {
							t.Error("migrate mixes them")
						}
						if err := TakeBack(t.Context(), store.SQLiteURL(path)); err == nil {
							t.Error("copy mixes them")
						}
						if string(read(t, path)) != string(older) ||
							string(read(t, path+"-wal")) != string(left[store.DatabaseFile+"-wal"]) {
							t.Error("something was changed")
						}
					}
					for _, end := range []string{"-wal", "-shm"} {
						folder{}.put(t, c.Data, store.DatabaseFile+end)
					}
					refused(t, c, "older than what this node has confirmed")
					r, _ := startDecided(t, c, decision)
					want := [2]int{} // nobody
					if decision == TrustDatabase {
						want = [2]int{len(ended), len(rest)}
					}
					if got := [2]int{r.accepted(ended), r.accepted(rest)}; got != want {
						t.Errorf("of those that ended and of the others, %v are accepted, want %v", got, want)
					}
					r.stop()
					start(t, c).stop()
				})
			}
		}
	}

	// The file that belongs to the log goes on with it, without a word.
	for name := range left {
		if name != markFile {
			left.put(t, c.Data, name)
		}
	}
	keepMark(t, c.Data, left)
	r = start(t, c)
	if got, want := [2]int{r.accepted(ended), r.accepted(rest)}, [2]int{0, len(rest)}; got != want {
		t.Errorf("of those that ended and of the others, %v are accepted, want %v", got, want)
	}
	r.stop()

	// The note was put back with the file, is damaged or removed; only the log is the newer one.
	for name, note := range map[string]folder{"put back": stopped, "damaged": {markFile: nil}, "removed": nil} {
		for name := range left {
			left.put(t, c.Data, name)
		}
		for _, name := range []string{store.DatabaseFile, snapshotFile} {
			stopped.put(t, c.Data, name)
		}
		note.put(t, c.Data, markFile)
		refused(t, c, path+"-wal")
		if string(read(t, path)) != string(stopped[store.DatabaseFile]) ||
			string(read(t, path+"-wal")) != string(left[store.DatabaseFile+"-wal"]) {
			t.Errorf("the note %s: something was changed", name)
		}
	}
}

// A node that is killed at any moment, in the midst of checkpoints and of raising the file's number, starts again without
// a word.
func TestKilledAtAnyMoment(t *testing.T) {
	c := site(t)
	for range 8 {
		moment := rand.IntN(200)
		ended := []exeunt.Token{}
		killOn(t, c, func(line string) bool {
			if text, is := strings.CutPrefix(line, "out "); is {
				if token, err := exeunt.ParseToken(text); err == nil {
					ended = append(ended, token)
				}
			}
			moment--
			return moment < 0
		})
		r := start(t, c)
		if n := r.accepted(ended); n > 0 {
			t.Errorf("%d of %d that have ended are accepted", n, len(ended))
		}
		r.stop()
	}
}

// What is noted of a running node is in the file itself, whoever reads meanwhile.
func TestTheNumberIsNotedOnceTheFileHasIt(t *testing.T) {
	c := site(t)
	path := filepath.Join(c.Data, store.DatabaseFile)
	r := start(t, c)
	noted := func() int32 {
		r.mark.mu.Lock()
		defer r.mark.mu.Unlock()
		return r.mark.noted.Number
	}
	inFile := func() int32 { return int32(binary.BigEndian.Uint32(read(t, path)[60:])) }
	first := noted()
	if first == 0 || inFile() != first {
		t.Fatalf("noted is %d, and the file has %d", first, inFile())
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	reader, err := db.BeginTx(t.Context(), nil)
	if err == nil {
		err = reader.QueryRow(`SELECT count(*) FROM accounts`).Scan(new(int))
	}
	if err != nil {
		t.Fatal(err)
	}
	r.signIn()
	if has, err := r.mark.number(t.Context(), r.Store.RaiseFileNumber); has || err != nil || noted() != first {
		t.Errorf("beside a reader: %v, %v; noted is %d", has, err, noted())
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := numberNow(t.Context(), r.Node); err != nil || noted() <= first || inFile() != noted() {
		t.Errorf("noted is %d, and the file has %d (%v)", noted(), inFile(), err)
	}
}

// The number is raised in the minute after something was noted, and until the file has it. A node that has nothing to
// do writes nothing.
func TestTheNumberIsRaisedEachMinute(t *testing.T) {
	m := logMark{path: filepath.Join(t.TempDir(), markFile), log: slog.New(slog.DiscardHandler)}
	if err := m.renew(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		ctx, stop := context.WithCancel(t.Context())
		go m.keepSynced(ctx, func(_ context.Context, above int32) (int32, bool, error) {
			asked++
			return above + 1, asked > 3, nil
		})
		is := func(want int, number int32) {
			t.Helper()
			time.Sleep(2 * markRenewEvery)
			if synctest.Wait(); asked != want || m.noted.Number != number {
				t.Errorf("asked %d times, want %d; noted is %d, want %d", asked, want, m.noted.Number, number)
			}
		}
		is(0, 0)
		m.own([]exeunt.Event{{Seq: 1}})
		is(4, 1)
		is(4, 1)
		m.own([]exeunt.Event{{Seq: 2}})
		is(5, 2)
		stop()
	})
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
}
