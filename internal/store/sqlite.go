package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// openSQLite opens one connection to write with and a few to read with. WAL
// lets them read while one writes; synchronous=FULL makes each commit wait for
// fdatasync. Checkpoints are ours to time (see commitLoop), so the automatic
// one, which would stall a commit, is off.
func openSQLite(path string) (write, read *sql.DB, err error) {
	// The file holds password hashes: create it for its owner alone.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := f.Close(); err != nil {
		return nil, nil, err
	}
	dsn := func(pragmas ...string) string {
		q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "foreign_keys(1)"}, pragmas...)}
		return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()
	}
	write, err = sql.Open("sqlite", dsn("journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(0)"))
	if err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(2) // the committer's, and one for migrations
	read, err = sql.Open("sqlite", dsn("query_only(1)"))
	if err != nil {
		return write, nil, err
	}
	read.SetMaxOpenConns(4)
	read.SetMaxIdleConns(4)
	return write, read, nil
}

// migrate brings the schema up to date. A database from a newer program is
// refused: this one would not know what its columns mean.
func migrate(ctx context.Context, db *sql.DB, conn *sql.Conn) error {
	var mode string
	if err := conn.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the file system does not support write-ahead logging (journal mode is %q); keep the data folder on a local disk", mode)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("its schema is version %d and this program knows only %d: run the newer program", current, target)
	}
	_, err = p.Up(ctx)
	return err
}

// outcomeUnknown reports whether an error at COMMIT leaves open what is on the
// disk. After a failed write or fsync the kernel may or may not have kept the
// pages, and asking again proves nothing.
func outcomeUnknown(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return true // not even the engine could tell us what happened
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_INTERRUPT:
		return false // refused as a whole, nothing was written
	}
	return true
}
