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

	"github.com/exeunt/exeunt/internal/sqlitelog"
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

// SQLite's max and min of several values have other names in the standard.
var sqliteSpelling = strings.NewReplacer("greatest(", "max(", "least(", "min(")

func (e *sqliteEngine) name() string { return "sqlite:" + e.path }

func (*sqliteEngine) traits() traits {
	// The passive checkpoint moves the write-ahead log into the database file
	// without waiting for readers.
	return traits{begin: `BEGIN IMMEDIATE`, spell: sqliteSpelling, exits: true, sole: true, tidy: `PRAGMA wal_checkpoint(PASSIVE)`}
}

func (e *sqliteEngine) open(ctx context.Context) (*sql.DB, error) {
	if err := sqlitelog.Register(); err != nil {
		return nil, err
	}
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
	if e.write, err = sql.Open("sqlite", e.dsn("journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(0)", "cache_size(-65536)", "cache_spill(0)")); err != nil { // kB
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
	q := url.Values{"vfs": {sqlitelog.VFS}, "_pragma": append([]string{"busy_timeout(5000)", "foreign_keys(1)"}, pragmas...)}
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
