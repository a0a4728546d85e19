package app

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// A restore that stops anywhere leaves the database that was there, or none in whose place a node starts; repeating it
// completes it. After it, nothing is accepted that was ended after the backup, nor anything else.
func TestARestoreThatIsInterrupted(t *testing.T) {
	c := site(t)
	r := start(t, c)
	ended, s := r.signIn()
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := BackUp(t.Context(), DatabaseURL(c), file, func(Copied) {}); err != nil {
		t.Fatal(err)
	}
	r.end(s)
	living, _ := r.signIn()
	r.stop()
	restore := func() Restored {
		t.Helper()
		done, err := Restore(t.Context(), Restoring{File: file, Data: c.Data, Replace: true, Now: r.now(),
			By: exeunt.System(), Told: func(Copied) {}})
		if err != nil || done.MasterKey != KeyFits || done.Ended != 1 {
			t.Fatalf("%+v, %v", done, err)
		}
		return done
	}
	database := filepath.Join(c.Data, store.DatabaseFile)
	// While the backup was being copied.
	if err := os.WriteFile(filepath.Join(c.Data, restoring), []byte("a part"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = start(t, c)
	r.want(living, live.Usable)
	r.stop()
	// Between the database that was there and the new one: the note may be of either.
	done := restore()
	kept := filepath.Join(t.TempDir(), "kept.db")
	if err := os.Rename(database, kept); err != nil {
		t.Fatal(err)
	}
	if n, err := attempt(c, Undecided, os.Stderr); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("without a database: %v, %v", n, err)
	}
	if err := os.Rename(done.Aside, database); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "older than what this node has confirmed")
	restore()
	r = start(t, c)
	for _, token := range []exeunt.Token{ended, living} {
		if c := (authority.Credential{Token: token, Use: authority.AsPair}); r.Authority.Check(t.Context(), c).Usable() {
			t.Error("a session is live that was ended, or was none, in the backup")
		}
	}
	again, _ := r.signIn()
	r.want(again, live.Usable)
	r.stop()
}

func TestARestoreNeedsItsMasterKey(t *testing.T) {
	c := site(t)
	r := start(t, c)
	r.signIn()
	r.stop()
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := BackUp(t.Context(), DatabaseURL(c), file, func(Copied) {}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]FoundKey{base64.StdEncoding.EncodeToString(make([]byte, 32)): KeyWrong, "": KeyMissing} {
		done, err := Restore(t.Context(), Restoring{File: file, Data: filepath.Join(t.TempDir(), "new"), MasterKey: text, Now: r.now(),
			By: exeunt.System(), Told: func(Copied) {}})
		if err != nil || done.MasterKey != want {
			t.Errorf("%+v, %v", done, err)
		}
	}
}
