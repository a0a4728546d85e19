package store

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Before 3.51.3 a race between a checkpoint and a write could corrupt the file.
func TestSQLiteIsNewEnough(t *testing.T) {
	s := newStore(t)
	if n := s.count(`WITH v(x) AS (SELECT sqlite_version()), d(a) AS (SELECT instr(x, '.') FROM v)
		SELECT CAST(substr(x, 1, a - 1) AS INTEGER) * 1000000 + CAST(substr(x, a + 1) AS INTEGER) * 1000
			+ CAST(substr(substr(x, a + 1), instr(substr(x, a + 1), '.') + 1) AS INTEGER) FROM v, d`); n < 3_051_003 {
		t.Errorf("SQLite is version %d", n)
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	s := newStore(t)
	s.account()
	files, err := filepath.Glob(filePath(s) + "*")
	if err != nil || len(files) < 3 {
		t.Fatalf("expected the file, its log and its index, have %v, %v", files, err)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f, st.Mode(), err)
		}
	}
}

func TestCommitsWaitForTheDisk(t *testing.T) {
	s := newStore(t)
	s.account() // so that the committer has its connection
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
		"wal_autocheckpoint": "0", "journal_size_limit": strconv.Itoa(walLimit)} {
		var got string
		if err := s.tx.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
	if _, err := s.read.Exec(`UPDATE log_head SET seq = 7`); err == nil {
		t.Error("the connections for reading can write")
	}
}

func TestOddPathsOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20e")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, SQLiteURL(filepath.Join(dir, "x y.db")))
	s.account()
	if _, err := os.Stat(filePath(s)); err != nil || s.count(`SELECT count(*) FROM accounts`) != 1 {
		t.Errorf("the account is not in that file: %v", err)
	}
}

func TestOpeningWhatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{URL: SQLiteURL(path), Log: slog.New(slog.DiscardHandler)}); err == nil ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
