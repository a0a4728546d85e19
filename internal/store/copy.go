package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// tables are in such an order that each comes after those it refers to.
var tables = []string{"accounts", "past_handles", "reviews", "securings", "pictures", "sessions", "renewals", "app_sessions", "account_groups",
	"group_sizes", "factors", "recovery_codes", "challenges", "links", "devices", "notices", "clients", "connectors", "consents", "codes", "device_codes", "invites", "events", "cursors", "deliveries", "messages", "mails",
	"marks", "audit",
	"outcomes", "sealed_keys", "receipt_keys", "log_head"}

// Copied is Copy's progress.
type Copied struct {
	Table      string
	Rows, Rest int64 // copied so far, and still to copy, of all tables
}

// Copying says what to copy, and how.
type Copying struct {
	From, To string // sqlite:PATH, and the URL of an empty PostgreSQL database
	// Trial: nodes may still be started on the file afterwards.
	Trial bool
	Now   time.Time
	Log   *slog.Logger
	Told  func(Copied)
}

// Copy copies everything in a file to an empty PostgreSQL database, in one transaction. Nobody may use either
// meanwhile; the file's node must be stopped. Whoever is signed in stays signed in. Then it marks the file, so that
// no node starts on it by mistake and accepts sessions that have ended in the database since.
func Copy(ctx context.Context, c Copying) (err error) {
	if !Shared(c.To) {
		return errors.New("invalid database to copy to: use postgres://USER:PASSWORD@HOST/NAME")
	}
	src, err := openFile(c.From)
	if err != nil {
		return err
	}
	rows, err := src.open(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("database %s: %w", src.name(), err), src.close())
	}
	defer func() { err = errors.Join(err, rows.Close(), src.close()) }()
	if errors.As(mustNotBeMoved(ctx, src.write, src.name()), new(movedError)) {
		c.Log.Warn("the file was copied before: sessions that ended in the other database since are live in this copy",
			"file", src.name())
	}
	dst, err := newPostgres(Options{URL: c.To, Log: c.Log})
	if err != nil {
		return err
	}
	read, err := dst.open(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("database %s: %w", dst.name(), err), dst.close())
	}
	defer func() { err = errors.Join(err, read.Close(), dst.close()) }()
	conn, err := dial(ctx, dst.with(nil))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if err := mustBeDurable(ctx, conn); err != nil {
		return err
	}
	all := copier{from: reader{DB: rows}, told: c.Told}
	if err := all.count(ctx); err != nil {
		return err
	}
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return all.all(ctx, tx) }); err != nil || c.Trial {
		return err
	}
	// A crash here leaves a complete copy and an unmarked file. Copying again is refused, because the database is in
	// use already.
	if err := markMoved(ctx, src, c.Now); err != nil {
		return fmt.Errorf("everything was copied, but %s could not be marked as moved: start no node on it again; %w",
			src.path, err)
	}
	return nil
}

type copier struct {
	from reader
	told func(Copied)
	at   Copied
}

func (c *copier) count(ctx context.Context) error {
	for _, t := range tables {
		var n int64
		if err := c.from.QueryRowContext(ctx, `SELECT count(*) FROM `+t).Scan(&n); err != nil {
			return fmt.Errorf("count %s: %w", t, err)
		}
		c.at.Rest += n
	}
	return nil
}

func (c *copier) all(ctx context.Context, tx pgx.Tx) error {
	var used bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM accounts) 
		OR (SELECT seq > 0 FROM log_head WHERE id = 1 FOR UPDATE)`).Scan(&used); err != nil {
		return err
	}
	if used {
		return errors.New("the database to copy to is in use already; nothing was changed. Use an empty one")
	}
	for _, t := range []string{"log_head", "cursors"} { // an empty database has their rows
		if _, err := tx.Exec(ctx, `DELETE FROM `+t); err != nil {
			return err
		}
	}
	for _, t := range tables {
		if err := c.table(ctx, tx, t); err != nil {
			return fmt.Errorf("copy %s: %w; nothing was changed", t, err)
		}
	}
	// The file has this mark if it was copied before.
	if _, err := tx.Exec(ctx, `DELETE FROM marks WHERE id = $1`, movedMark); err != nil {
		return err
	}
	for _, t := range []string{"audit", "sealed_keys"} { // the database numbers their rows
		if _, err := tx.Exec(ctx, `SELECT setval(pg_get_serial_sequence('`+t+`', 'id'),
			(SELECT COALESCE(max(id), 0) + 1 FROM `+t+`), false)`); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) table(ctx context.Context, tx pgx.Tx, table string) error {
	c.at.Table = table
	rows, err := c.from.DB.QueryContext(ctx, `SELECT * FROM `+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if !rows.Next() {
			return nil, rows.Err()
		}
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		c.at.Rows++
		c.at.Rest--
		c.told(c.at)
		err := rows.Scan(dest...)
		return row, err
	}))
	return err
}

// Migrate only brings a database's schema up to date. Nodes of the version before may go on running meanwhile.
func Migrate(ctx context.Context, rawURL string, log *slog.Logger) error {
	e, err := openEngine(Options{URL: rawURL, Log: log})
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	read, err := e.open(ctx)
	if err == nil {
		err = read.Close()
	}
	if err = errors.Join(err, e.close()); err != nil {
		return fmt.Errorf("database %s: %w", e.name(), err)
	}
	return nil
}
