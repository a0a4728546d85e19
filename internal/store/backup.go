package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"modernc.org/sqlite"
)

// A backup is one SQLite file, whichever engine it was made of, so either can be restored from it. It holds everything
// that Copy knows, as it was at one moment of the log, and no key that opens what is sealed in it.

// BackingUp says what to back up, and where to.
type BackingUp struct {
	From string // sqlite:PATH or postgres://…; nodes may be running on it
	To   string // a file that does not exist yet
	Log  *slog.Logger
	Told func(Copied)
}

// Backup is what a backup file holds.
type Backup struct {
	Events   int64 // the number of the log's last event
	Accounts int64
	Sessions int64 // that have not ended
	Bytes    int64
}

// partial is what a backup is called until it is whole.
const partial = ".partial"

// BackUp makes a backup while nodes go on. The file has its name only once it is whole, verified and durable.
func BackUp(ctx context.Context, b BackingUp) (made Backup, err error) {
	if _, err := os.Lstat(b.To); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s exists already: choose another name, or remove it first", b.To)
		}
		return made, err
	}
	part := b.To + partial
	held, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return made, backupProblem(part, err)
	}
	// A process that was killed has left the file, and no lock.
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return made, errors.Join(fmt.Errorf("another backup to %s is being made (%w)", b.To, err), held.Close())
	}
	defer func() {
		if err != nil {
			for _, suffix := range []string{"-journal", "-wal", "-shm", ""} {
				_ = os.Remove(part + suffix)
			}
		}
		err = errors.Join(err, held.Close())
	}()
	for _, suffix := range []string{"-journal", "-wal", "-shm"} {
		if err := os.Remove(part + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return made, err
		}
	}
	if err := held.Truncate(0); err != nil {
		return made, backupProblem(part, err)
	}
	if Shared(b.From) {
		err = b.server(ctx, part)
	} else {
		err = b.file(ctx, part)
	}
	if err != nil {
		return made, backupProblem(part, err)
	}
	if err = alone(ctx, part); err != nil {
		return made, backupProblem(part, err)
	}
	if made, err = VerifyBackup(ctx, part); err != nil {
		return made, fmt.Errorf("the backup that was made is not whole: %w", err)
	}
	if err = errors.Join(held.Sync(), os.Rename(part, b.To), SyncFolder(filepath.Dir(b.To))); err != nil {
		return made, backupProblem(b.To, err)
	}
	return made, nil
}

// backupProblem says what is wrong with the disk of a backup, if an error is about that.
func backupProblem(path string, err error) error {
	if problem := (&sqliteEngine{path: path}).problem(err); problem != nil {
		return problem
	}
	return err
}

// alone makes a file one that needs no log beside it, so that a copy of the file has all of it.
func alone(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", (&sqliteEngine{path: path}).dsn())
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `PRAGMA journal_mode = DELETE`)
	return errors.Join(err, db.Close())
}

// pagesAtOnce is how much of a file is copied between two looks at whether to go on.
const pagesAtOnce = 512

// file copies a file by SQLite's backup API. It reads at one moment of the database: what nodes write meanwhile stays
// in the write-ahead log, which grows until the backup is made.
func (b *BackingUp) file(ctx context.Context, to string) (err error) {
	e, err := openFile(b.From)
	if err != nil {
		return err
	}
	if err := OnlyOwner(e.path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", e.dsn("query_only(1)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := mustNotBeMoved(ctx, db, e.name()); err != nil {
		return err
	}
	// Without a transaction of its own, the copy would begin anew with each write of the node's.
	if _, err := conn.ExecContext(ctx, `BEGIN`); err != nil {
		return err
	}
	defer func() {
		_, end := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		err = errors.Join(err, end)
	}()
	var head int64
	if err := conn.QueryRowContext(ctx, `SELECT seq FROM log_head WHERE id = 1`).Scan(&head); err != nil {
		return err
	}
	return conn.Raw(func(raw any) error {
		backup, err := raw.(interface {
			NewBackup(uri string) (*sqlite.Backup, error)
		}).NewBackup((&sqliteEngine{path: to}).dsn())
		if err != nil {
			return err
		}
		for more := true; more && err == nil; {
			if err = ctx.Err(); err == nil {
				more, err = backup.Step(pagesAtOnce)
				rest := int64(backup.Remaining())
				b.Told(Copied{Table: "pages", Rows: int64(backup.PageCount()) - rest, Rest: rest})
			}
		}
		return errors.Join(err, backup.Finish())
	})
}

// server copies a server's tables, as they are in one transaction, into a new file.
func (b *BackingUp) server(ctx context.Context, to string) (err error) {
	from, err := newPostgres(Options{URL: b.From, Log: b.Log})
	if err != nil {
		return err
	}
	conn, err := dial(ctx, from.with(nil))
	if err != nil {
		return fmt.Errorf("database %s: %w", from.name(), err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	dst := &sqliteEngine{path: to}
	read, err := dst.open(ctx)
	if err != nil {
		return errors.Join(err, dst.close())
	}
	defer func() { err = errors.Join(err, read.Close(), dst.close()) }()
	if err := sameSchema(ctx, conn); err != nil {
		return fmt.Errorf("database %s: %w", from.name(), err)
	}
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(src pgx.Tx) error { return b.tables(ctx, src, dst.write) })
}

// sameSchema refuses a server that another version of the program serves: a backup must not change its schema.
func sameSchema(ctx context.Context, server *pgx.Conn) error {
	var has int64
	if err := server.QueryRow(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&has); err != nil {
		return fmt.Errorf("it is no database of Exeunt's, or has never been served: %w", err)
	}
	if want := latestSchema(); has != want {
		return fmt.Errorf("its schema is version %d and this program's is %d: make the backup by the program that serves it, "+
			"or bring the schema up to date first (exeunt migrate)", has, want)
	}
	return nil
}

func (b *BackingUp) tables(ctx context.Context, src pgx.Tx, dst *sql.DB) (err error) {
	var at Copied
	for _, t := range tables {
		var n int64
		if err := src.QueryRow(ctx, `SELECT count(*) FROM `+t).Scan(&n); err != nil {
			return fmt.Errorf("count %s: %w", t, err)
		}
		at.Rest += n
	}
	tx, err := dst.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, t := range []string{"log_head", "cursors"} { // a new file has their rows
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+t); err != nil {
			return err
		}
	}
	for _, t := range tables {
		at.Table = t
		if err := b.table(ctx, src, tx, &at); err != nil {
			return fmt.Errorf("back up %s: %w", t, err)
		}
	}
	return tx.Commit()
}

func (b *BackingUp) table(ctx context.Context, src pgx.Tx, dst *sql.Tx, at *Copied) error {
	rows, err := src.Query(ctx, `SELECT * FROM `+at.Table)
	if err != nil {
		return err
	}
	defer rows.Close()
	var columns, places []string
	for i, f := range rows.FieldDescriptions() {
		columns = append(columns, f.Name)
		places = append(places, fmt.Sprintf("$%d", i+1))
	}
	insert, err := dst.PrepareContext(ctx, `INSERT INTO `+at.Table+` (`+strings.Join(columns, ", ")+
		`) VALUES (`+strings.Join(places, ", ")+`)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
		at.Rows++
		at.Rest--
		b.Told(*at)
	}
	return rows.Err()
}

// VerifyBackup reads all of a backup file, changes nothing in it, and returns what it holds. A file of a newer program is
// refused.
func VerifyBackup(ctx context.Context, path string) (b Backup, err error) {
	e, err := openFile(SQLiteURL(path))
	if err != nil {
		return b, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return b, err
	}
	b.Bytes = info.Size()
	// A backup is a file of its own. What lies beside it is not its own, or it is the file of a node.
	if has, err := HasLog(path); err != nil || has {
		return b, errors.Join(err, fmt.Errorf("a write-ahead log lies beside %s: that is a node's own file, or a copy "+
			"made without SQLite; make backups with \"exeunt backup\"", path))
	}
	db, err := sql.Open("sqlite", e.dsn()+"&mode=ro&immutable=1")
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if b, err = verify(ctx, db, b); err != nil {
		return b, fmt.Errorf("%s is damaged, or no backup: %w", path, err)
	}
	return b, nil
}

func verify(ctx context.Context, db *sql.DB, b Backup) (Backup, error) {
	var answer string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&answer); err != nil {
		return b, err
	}
	if answer != "ok" {
		return b, errors.New(answer)
	}
	var orphan bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pragma_foreign_key_check)`).Scan(&orphan); err != nil {
		return b, err
	}
	if orphan {
		return b, errors.New("it has rows that belong to none")
	}
	if err := schemaKnown(ctx, db); err != nil {
		return b, err
	}
	var last, n, first int64
	if err := db.QueryRowContext(ctx, `SELECT (SELECT seq FROM log_head WHERE id = 1),
		(SELECT COALESCE(max(seq), 0) FROM events), (SELECT count(*) FROM events), (SELECT COALESCE(min(seq), 1) FROM events),
		(SELECT count(*) FROM accounts), (SELECT count(*) FROM sessions s JOIN accounts a ON a.id = s.account_id
			WHERE s.ended_at IS NULL AND s.generation >= a.generation)`).
		Scan(&b.Events, &last, &n, &first, &b.Accounts, &b.Sessions); err != nil {
		return b, err
	}
	if n > 0 && last != b.Events || n != last-first+1 && n > 0 {
		return b, fmt.Errorf("its log has %d events from number %d, and the last is number %d of %d", n, first, last, b.Events)
	}
	return b, nil
}

// schemaKnown refuses a file of a newer program.
func schemaKnown(ctx context.Context, db *sql.DB) error {
	has, err := schemaOf(ctx, db)
	if err != nil {
		return err
	}
	if latest := latestSchema(); has > latest {
		return newerError(has, latest)
	}
	return nil
}

// schemaOf returns the version of the schema that a file has.
func schemaOf(ctx context.Context, db *sql.DB) (version int64, err error) {
	err = db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied = 1`).Scan(&version)
	if err != nil {
		err = fmt.Errorf("it is no database of Exeunt's: %w", err)
	}
	return version, err
}
