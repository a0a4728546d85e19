package sqlitelog

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"modernc.org/libc"
	_ "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// connect opens a database with one connection, by this package or as usual.
func connect(t *testing.T, path, vfs string) *sql.DB {
	t.Helper()
	if err := Register(); err != nil {
		t.Fatal(err)
	}
	q := "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_spill(0)&_pragma=wal_autocheckpoint(0)"
	if vfs != "" {
		q += "&vfs=" + vfs
	}
	db, err := sql.Open("sqlite", "file:"+path+"?"+q)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, q string, args ...any) {
	t.Helper()
	if _, err := db.Exec(q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

func count(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// rows are as many as that many pages hold.
const rows = `INSERT INTO t SELECT randomblob(3000) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n)`

// afterKill is the database as a process finds it that was not there before: what
// is in the files, and nothing else.
func afterKill(t *testing.T, path string) *sql.DB {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return connect(t, to, "")
}

func sound(t *testing.T, db *sql.DB) {
	t.Helper()
	var s string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&s); err != nil || s != "ok" {
		t.Errorf("integrity_check: %s, %v", s, err)
	}
}

func TestWhatIsCommittedIsInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, other, usually := connect(t, path, VFS), connect(t, path, VFS), connect(t, path, "") // as a backup reads it
	exec(t, db, `CREATE TABLE t (b BLOB)`)
	want := 0
	for _, n := range []int{1, 3, 100, 1, 30} { // a hundred pages are several pieces
		exec(t, db, rows, n)
		want += n
		if n := count(t, other); n != want {
			t.Errorf("another connection sees %d rows of %d", n, want)
		}
		if n := count(t, usually); n != want {
			t.Errorf("one without this file system sees %d rows of %d", n, want)
		}
		killed := afterKill(t, path)
		if n := count(t, killed); n != want {
			t.Errorf("after a kill there are %d rows of %d", n, want)
		}
		sound(t, killed)
		if n == 100 { // the log begins anew, in the midst of what it was
			exec(t, db, `PRAGMA wal_checkpoint(PASSIVE)`)
		}
	}
	// The other one goes on where this one has stopped.
	exec(t, other, rows, 2)
	exec(t, db, rows, 2)
	if n := count(t, afterKill(t, path)); n != want+4 {
		t.Errorf("of two that wrote in turn there are %d rows of %d", n, want+4)
	}
	for _, c := range []*sql.DB{usually, db, other} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log is left behind: %v", err)
	}
	if n := count(t, connect(t, path, "")); n != want+4 {
		t.Errorf("after closing there are %d rows of %d", n, want+4)
	}
}

// A transaction larger than the cache is read by itself alone, and counts for
// nothing if it is rolled back, whoever writes next.
func TestALargeTransaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, other := connect(t, path, VFS), connect(t, path, VFS)
	exec(t, db, `PRAGMA cache_size = 10`)
	exec(t, db, `CREATE TABLE t (b BLOB)`)
	exec(t, db, rows, 20)
	want := 20
	for _, end := range []string{`ROLLBACK`, `COMMIT`, `ROLLBACK`} {
		exec(t, db, `BEGIN`)
		exec(t, db, rows, 300)
		exec(t, db, `UPDATE t SET b = zeroblob(2500)`)
		if n := count(t, db); n != want+300 {
			t.Errorf("within the transaction there are %d rows", n)
		}
		exec(t, db, `UPDATE t SET b = zeroblob(2400)`)
		if n := count(t, afterKill(t, path)); n != want {
			t.Errorf("after a kill within it there are %d rows", n)
		}
		exec(t, db, end)
		if want += 5; end == `COMMIT` {
			want += 300
		}
		exec(t, other, rows, 5)
		if n := count(t, db); n != want {
			t.Errorf("after %s and another's commit there are %d rows, want %d", end, n, want)
		}
		killed := afterKill(t, path)
		if n := count(t, killed); n != want {
			t.Errorf("and after a kill %d", n)
		}
		sound(t, killed)
	}
}

// What was put together for the log's end must not be written when the end is
// somebody else's.
func TestARollbackLeavesNothingToWrite(t *testing.T) {
	for _, then := range []string{"read", "close"} {
		path := filepath.Join(t.TempDir(), "a.db")
		db, other := connect(t, path, VFS), connect(t, path, VFS)
		exec(t, db, `PRAGMA cache_size = 10`)
		exec(t, db, `CREATE TABLE t (b BLOB)`)
		exec(t, db, rows, 20)
		exec(t, db, `BEGIN`)
		exec(t, db, rows, 16)
		logs.Range(func(_, l any) bool {
			if n := len(l.(*log).buffer); n > 0 {
				t.Errorf("before it commits, a transaction has %d bytes for the log", n)
			}
			return true
		})
		exec(t, db, `ROLLBACK`)
		exec(t, other, rows, 5)
		if then == "close" {
			db.Close()
		} else if n := count(t, db); n != 25 {
			t.Errorf("then there are %d rows, want 25", n)
		}
		killed := afterKill(t, path)
		if n := count(t, killed); n != 25 {
			t.Errorf("%s: after a kill there are %d rows, want 25", then, n)
		}
		sound(t, killed)
	}
}

// passing is asked by each write to a log what it answers, if not as usual. ahead
// tells what is written behind the log's end.
var passing func(ahead bool) int32

var really *sqlite3.Tsqlite3_io_methods

func pass(tls *libc.TLS, f, p uintptr, n int32, at int64) int32 {
	if rc := passing(p == uintptr(unsafe.Pointer(&zeros))); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return function[readOrWriteFunc](&really.FxWrite)(tls, f, p, n, at)
}

// watch has all writes to logs ask passing.
func watch(t *testing.T) {
	t.Helper()
	exec(t, connect(t, filepath.Join(t.TempDir(), "first.db"), VFS), `CREATE TABLE t (b BLOB)`) // so that usual is known
	really = usual
	t.Cleanup(func() { usual = really })
	passing = asUsual
	watched := *usual
	watched.FxWrite = entry(pass)
	usual = &watched
}

func asUsual(bool) int32 { return sqlite3.SQLITE_OK }

// A disk that is full, or fails, is found out by COMMIT: nothing is written then,
// and the next one may succeed. If there is only no place to write ahead, nobody
// is told.
func TestAWriteThatFailsFailsTheCommit(t *testing.T) {
	watch(t)
	for _, c := range []struct {
		answer int32
		ahead  bool
		nth    int // of those
		want   int // rows
	}{
		{sqlite3.SQLITE_FULL, false, 1, 0}, {sqlite3.SQLITE_FULL, false, 2, 0}, {sqlite3.SQLITE_FULL, false, 13, 0},
		{sqlite3.SQLITE_FULL, true, 1, 400}, {sqlite3.SQLITE_FULL, true, 3, 400},
		{sqlite3.SQLITE_IOERR_WRITE, false, 2, 0},
	} {
		path := filepath.Join(t.TempDir(), "a.db")
		db := connect(t, path, VFS)
		exec(t, db, `CREATE TABLE t (b BLOB)`)
		exec(t, db, `BEGIN`)
		exec(t, db, rows, 400) // more than was written ahead
		n, refused := 0, false
		passing = func(ahead bool) int32 {
			if ahead == c.ahead {
				n++
			}
			if ahead != c.ahead || n != c.nth {
				return sqlite3.SQLITE_OK
			}
			refused = true
			return c.answer
		}
		_, err := db.Exec(`COMMIT`)
		if !refused || (err == nil) != c.ahead {
			t.Fatalf("%+v: refused %v, COMMIT says %v", c, refused, err)
		}
		if err != nil {
			db.Exec(`ROLLBACK`) // SQLite may have done so
		}
		passing = asUsual
		if n := count(t, afterKill(t, path)); n != c.want {
			t.Errorf("%+v: after a kill there are %d rows", c, n)
		}
		exec(t, db, rows, 7)
		killed := afterKill(t, path)
		if n := count(t, killed); n != c.want+7 {
			t.Errorf("%+v: after the next commit there are %d rows", c, n)
		}
		sound(t, killed)
		db.Close()
	}
}

// The reason for all this.
func TestItIsWrittenInFewPieces(t *testing.T) {
	watch(t)
	path := filepath.Join(t.TempDir(), "a.db")
	db := connect(t, path, VFS)
	exec(t, db, `CREATE TABLE t (b BLOB)`)
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	begun := size()
	if begun < ahead {
		t.Errorf("the log is %d bytes long, no more than it must be", begun)
	}
	pieces := 0
	passing = func(ahead bool) int32 {
		if pieces++; ahead {
			t.Error("it was written ahead where there was room")
		}
		return sqlite3.SQLITE_OK
	}
	for _, c := range []struct{ pages, pieces int }{{1, 1}, {60, 3}} { // by itself SQLite would write 120 for 60 pages
		pieces = 0
		exec(t, db, rows, c.pages)
		if pieces == 0 || pieces > c.pieces {
			t.Errorf("%d pages are written in %d pieces", c.pages, pieces)
		}
	}
	if now := size(); now != begun {
		t.Errorf("the log went from %d to %d bytes", begun, now)
	}
}
