package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteEngine is a file, used by one process. WAL lets connections read while
// one writes; synchronous=FULL makes each commit wait for fsync.
// Checkpoints are the committer's to time, so the automatic one, which would
// stall a commit, is off.
type sqliteEngine struct {
	path      string
	evenMoved bool // also if it was copied to another database
	write     *sql.DB
}

// walLimit is what the write-ahead log is cut to, in bytes, once it has been
// checkpointed. It holds about a second of commits under full load: a file that
// keeps its length is cheaper to sync than one that grows.
const walLimit = 64 << 20

const (
	pageSize    = 4096 // SQLite's own choice
	busyTimeout = 5000 // ms
)

// SQLite's max and min of several values have other names in the standard.
var sqliteSpelling = strings.NewReplacer("greatest(", "max(", "least(", "min(")

func (e *sqliteEngine) name() string { return "sqlite:" + e.path }

func (*sqliteEngine) traits() traits {
	return traits{begin: `BEGIN IMMEDIATE`, spell: sqliteSpelling, exits: true, sole: true}
}

// tidy checkpoints the write-ahead log: it is copied into the database file, and the
// next commit writes the log from its beginning. A passive checkpoint waits for nobody,
// but readers who follow one another closely could then keep the log from ever beginning
// again. So a log that has grown too long makes commits wait for them, for a moment.
func (*sqliteEngine) tidy(t *tx) error {
	var busy, pages, copied int64
	err := t.row(`PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &pages, &copied)
	if err == nil && pages > walLimit/pageSize {
		_, err = t.exec(fmt.Sprintf(`PRAGMA busy_timeout = 50; PRAGMA wal_checkpoint(RESTART); PRAGMA busy_timeout = %d`, busyTimeout))
	}
	return err
}

func (e *sqliteEngine) open(ctx context.Context) (*sql.DB, error) {
	// The file holds password hashes: create it for its owner alone.
	f, err := os.OpenFile(e.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	// Endings come to sessions at random, so a page of them is seldom among the few
	// that SQLite keeps by itself: of 100,000 sessions each took twice as long.
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
		return nil, fmt.Errorf("the file system does not support write-ahead logging (journal mode is %q); keep the data folder on a local disk", mode)
	}
	if !e.evenMoved {
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
	q := url.Values{"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout), "foreign_keys(1)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(e.path), RawQuery: q.Encode()}).String()
}

func (e *sqliteEngine) connect(ctx context.Context) (*sql.Conn, error) { return e.write.Conn(ctx) }

func (e *sqliteEngine) close() error {
	if e.write == nil {
		return nil
	}
	return e.write.Close()
}

// judge: after a failed write or fsync the kernel may or may not have kept the
// pages, and asking again proves nothing.
func (*sqliteEngine) judge(err error) outcome {
	if err == nil {
		return durable
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return unknown // not even the engine could tell us what happened
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_INTERRUPT:
		return notWritten // refused as a whole
	}
	return unknown
}
