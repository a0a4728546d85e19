package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteEngine is a file, used by one process. WAL lets connections read while one writes; synchronous=FULL makes
// each commit wait for fsync. Automatic checkpoints are off because they would delay a commit; see tidy.
type sqliteEngine struct {
	path       string
	allowMoved bool // open it even if it was copied to another database
	write      *sql.DB
}

// walLimit is the size, in bytes, above which the write-ahead log is cut after a checkpoint. It holds about a second of
// commits under full load: a file that does not grow is cheaper to sync.
const walLimit = 64 << 20

const (
	pageSize    = 4096 // SQLite's own choice
	busyTimeout = 5000 // ms
)

// SQLite has other names for the maximum and minimum of several values.
var sqliteSpelling = strings.NewReplacer("greatest(", "max(", "least(", "min(")

func (e *sqliteEngine) name() string { return "sqlite:" + e.path }

func (*sqliteEngine) traits() traits {
	return traits{begin: `BEGIN IMMEDIATE`, spell: sqliteSpelling.Replace, exits: true, sole: true}
}

// tidy checkpoints the write-ahead log: SQLite copies it into the database file, and the next commit starts the log
// from its beginning. A passive checkpoint waits for nobody, so a constant stream of readers could prevent that
// restart. A log that has grown too long therefore makes commits wait for the readers, for a moment, and is then cut.
// While a slow reader prevents that, there is more to do.
func (*sqliteEngine) tidy(t *tx) (more bool, err error) {
	var busy, pages, copied int64
	if err := t.row(`PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &pages, &copied); err != nil {
		return false, err
	}
	if pages <= walLimit/pageSize {
		return false, nil
	}
	if _, err := t.exec(`PRAGMA busy_timeout = 50`); err != nil {
		return true, err
	}
	cut := t.row(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &copied)
	_, err = t.exec(fmt.Sprintf(`PRAGMA busy_timeout = %d`, busyTimeout))
	return cut != nil || busy != 0, errors.Join(cut, err)
}

func (e *sqliteEngine) open(ctx context.Context) (*sql.DB, error) {
	// The files hold password hashes: they are created for their owner alone.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := OnlyOwner(e.path + suffix); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(e.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	// Endings hit sessions at random, so their page is seldom in SQLite's small default cache: with 100,000 sessions
	// each ending took twice as long.
	if e.write, err = sql.Open("sqlite", e.dsn("journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(0)",
		fmt.Sprintf("journal_size_limit(%d)", walLimit), "cache_size(-65536)")); err != nil { // kB
		return nil, err
	}
	e.write.SetMaxOpenConns(2) // the committer's, and one for migrations
	var mode string
	if err := e.write.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return nil, err
	}
	if mode != "wal" {
		return nil, fmt.Errorf("the file system does not support write-ahead logging (journal mode is %q): "+
			"put the data folder on a local disk", mode)
	}
	if !e.allowMoved {
		if err := mustNotBeMoved(ctx, e.write, e.name()); err != nil {
			return nil, err
		}
	}
	if err := migrate(ctx, goose.DialectSQLite3, "sqlite", e.write); err != nil {
		return nil, err
	}
	read, err := sql.Open("sqlite", e.dsn("query_only(1)"))
	if err != nil {
		return nil, err
	}
	read.SetMaxOpenConns(4)
	read.SetMaxIdleConns(4)
	return read, nil
}

func (e *sqliteEngine) dsn(pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout), "foreign_keys(1)"},
		pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(e.path), RawQuery: q.Encode()}).String()
}

func (e *sqliteEngine) connect(ctx context.Context) (*sql.Conn, error) { return e.write.Conn(ctx) }

func (e *sqliteEngine) close() error {
	if e.write == nil {
		return nil
	}
	return e.write.Close()
}

// problem asks the disk itself, since SQLite's errors do not tell a full one from a broken one.
func (e *sqliteEngine) problem(err error) error {
	var answer *sqlite.Error
	if err == nil || !errors.As(err, &answer) {
		return diskProblem(e.path, err)
	}
	switch answer.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return diskProblem(e.path, syscall.ENOSPC)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return diskProblem(e.path, cmp.Or(tryDisk(filepath.Dir(e.path)), err))
	}
	return nil
}

// judge reports an unknown outcome after a failed write or fsync: the kernel may or may not have written the pages,
// and asking again proves nothing.
func (*sqliteEngine) judge(err error) outcome {
	if err == nil {
		return durable
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return unknown
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_INTERRUPT:
		return notWritten // refused as a whole
	}
	return unknown
}
