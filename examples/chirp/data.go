package chirp

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// data is Chirp's own database. Every query for something private names its owner, so
// that other people's is not found.
type data struct{ db *sql.DB }

type person struct {
	ID           int64
	Handle, Name string
}

type post struct {
	By   person
	Text string
	At   time.Time
}

type draft struct {
	ID   int64
	Text string
	At   time.Time
}

type message struct {
	Mine bool
	Text string
	At   time.Time
}

type thread struct {
	With person
	Last message
}

const schema = `
CREATE TABLE IF NOT EXISTS people (
	id INTEGER PRIMARY KEY,
	account TEXT UNIQUE, -- at the authority; NULL until the person has signed in
	handle TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS posts (
	id INTEGER PRIMARY KEY, author INTEGER NOT NULL REFERENCES people, text TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS posts_at ON posts (at);
-- AUTOINCREMENT: an old page must not reach a new draft under a number used before.
CREATE TABLE IF NOT EXISTS drafts (
	id INTEGER PRIMARY KEY AUTOINCREMENT, author INTEGER NOT NULL REFERENCES people,
	text TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS drafts_author ON drafts (author, at);
CREATE TABLE IF NOT EXISTS messages (
	id INTEGER PRIMARY KEY, sender INTEGER NOT NULL REFERENCES people, recipient INTEGER NOT NULL REFERENCES people,
	text TEXT NOT NULL, at INTEGER NOT NULL
);
-- Forms that were carried out, so that a form that is sent twice does it once. The key is a hash with the content.
CREATE TABLE IF NOT EXISTS forms (
	author INTEGER NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (author, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS forms_at ON forms (at);
CREATE INDEX IF NOT EXISTS messages_sender ON messages (sender, at);
CREATE INDEX IF NOT EXISTS messages_recipient ON messages (recipient, at);
`

const (
	insertPost    = `INSERT INTO posts (author, text, at) VALUES (?, ?, ?)`
	insertDraft   = `INSERT INTO drafts (author, text, at) VALUES (?, ?, ?)`
	insertMessage = `INSERT INTO messages (sender, recipient, text, at) VALUES (?, ?, ?, ?)`
)

func openData(path string) (*data, error) {
	// Only the owner may read messages and drafts. SQLite gives its other files the
	// same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	options := url.Values{
		"_pragma": {"journal_mode(WAL)", "busy_timeout(5000)", "foreign_keys(1)"}, "_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &data{db}, nil
}

func (d *data) close() error { return d.db.Close() }

// remember returns Chirp's own ID of an account, and stores its handle and name. Rows
// that Seed made for the handle become the account's.
func (d *data) remember(ctx context.Context, account, handle, name string) (id int64, err error) {
	var stored person
	err = d.db.QueryRowContext(ctx, `SELECT id, handle, name FROM people WHERE account = ?`, account).
		Scan(&stored.ID, &stored.Handle, &stored.Name)
	if err == nil && stored.Handle == handle && stored.Name == name {
		return stored.ID, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	err = d.inTx(ctx, func(tx *sql.Tx) error {
		// The authority has given the handle to this account: whoever had it
		// before keeps their posts, but not the handle. None has a ~.
		if _, err := tx.ExecContext(ctx,
			`UPDATE people SET handle = handle || '~' || id WHERE handle = ? AND account <> ?`,
			handle, account); err != nil {
			return err
		}
		if stored.ID != 0 {
			id = stored.ID
			_, err := tx.ExecContext(ctx, `UPDATE people SET handle = ?, name = ? WHERE id = ?`, handle, name, id)
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO people (account, handle, name) VALUES (?, ?, ?)
			ON CONFLICT (handle) DO UPDATE SET account = excluded.account, name = excluded.name RETURNING id`,
			account, handle, name).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("remember a person: %w", err)
	}
	return id, nil
}

func (d *data) person(ctx context.Context, handle string) (p person, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT id, handle, name FROM people WHERE handle = ?`, handle).
		Scan(&p.ID, &p.Handle, &p.Name)
	return p, notFound(err)
}

// newest is how many entries a page shows.
const newest = 100

func (d *data) posts(ctx context.Context) ([]post, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT p.id, p.handle, p.name, t.text, t.at
		FROM posts t JOIN people p ON p.id = t.author ORDER BY t.at DESC, t.id DESC LIMIT ?`, newest)
	return list(rows, err, func(x *post) []any {
		return []any{&x.By.ID, &x.By.Handle, &x.By.Name, &x.Text, (*millis)(&x.At)}
	})
}

func (d *data) addPost(ctx context.Context, f press, text string, now time.Time) error {
	return d.once(ctx, f, now, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, insertPost, f.by, text, now.UnixMilli())
		return err
	})
}

func (d *data) drafts(ctx context.Context, author int64) ([]draft, error) {
	rows, err := d.db.QueryContext(ctx,
		`SELECT id, text, at FROM drafts WHERE author = ? ORDER BY at DESC, id DESC LIMIT ?`, author, newest)
	return list(rows, err, func(x *draft) []any { return []any{&x.ID, &x.Text, (*millis)(&x.At)} })
}

func (d *data) draft(ctx context.Context, author, id int64) (x draft, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT id, text, at FROM drafts WHERE id = ? AND author = ?`, id, author).
		Scan(&x.ID, &x.Text, (*millis)(&x.At))
	return x, notFound(err)
}

func (d *data) addDraft(ctx context.Context, f press, text string, now time.Time) error {
	return d.once(ctx, f, now, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, insertDraft, f.by, text, now.UnixMilli())
		return err
	})
}

func (d *data) saveDraft(ctx context.Context, author, id int64, text string, now time.Time) error {
	return one(d.db.ExecContext(ctx, `UPDATE drafts SET text = ?, at = ? WHERE id = ? AND author = ?`,
		text, now.UnixMilli(), id, author))
}

func (d *data) deleteDraft(ctx context.Context, f press, id int64, now time.Time) error {
	return d.once(ctx, f, now, func(tx *sql.Tx) error { return d.dropDraft(ctx, tx, f.by, id) })
}

func (d *data) dropDraft(ctx context.Context, tx *sql.Tx, author, id int64) error {
	return one(tx.ExecContext(ctx, `DELETE FROM drafts WHERE id = ? AND author = ?`, id, author))
}

// postDraft turns a draft into a post, once however often it is asked.
func (d *data) postDraft(ctx context.Context, f press, id int64, text string, now time.Time) error {
	return d.once(ctx, f, now, func(tx *sql.Tx) error {
		if err := d.dropDraft(ctx, tx, f.by, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, insertPost, f.by, text, now.UnixMilli())
		return err
	})
}

func (d *data) addMessage(ctx context.Context, f press, to int64, text string, now time.Time) error {
	return d.once(ctx, f, now, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, insertMessage, f.by, to, text, now.UnixMilli())
		return err
	})
}

// press is a form that somebody has sent. An empty key is never remembered.
type press struct {
	by  int64
	key []byte
}

// once carries out a form, unless it has been carried out already.
func (d *data) once(ctx context.Context, f press, now time.Time, do func(*sql.Tx) error) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if len(f.key) == 0 {
			return do(tx)
		}
		err := one(tx.ExecContext(ctx, `INSERT INTO forms (author, key, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			f.by, f.key, now.UnixMilli()))
		if errors.Is(err, errNotFound) {
			return nil
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM forms WHERE at < ?`, now.Add(-24*time.Hour).UnixMilli())
		}
		if err != nil {
			return err
		}
		return do(tx)
	})
}

func (d *data) messages(ctx context.Context, me, with int64) ([]message, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT sender = ?1, text, at FROM (
			SELECT * FROM messages WHERE (sender = ?1 AND recipient = ?2) OR (sender = ?2 AND recipient = ?1)
			ORDER BY at DESC, id DESC LIMIT ?3
		) ORDER BY at, id`, me, with, newest)
	return list(rows, err, func(x *message) []any { return []any{&x.Mine, &x.Text, (*millis)(&x.At)} })
}

// threads returns the newest message with each person.
func (d *data) threads(ctx context.Context, me int64) ([]thread, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT p.id, p.handle, p.name, m.sender = ?1, m.text, m.at FROM messages m
		JOIN people p ON p.id = CASE WHEN m.sender = ?1 THEN m.recipient ELSE m.sender END
		WHERE m.id IN (SELECT max(id) FROM messages WHERE sender = ?1 OR recipient = ?1
			GROUP BY CASE WHEN sender = ?1 THEN recipient ELSE sender END)
		ORDER BY m.at DESC LIMIT ?2`, me, newest)
	return list(rows, err, func(x *thread) []any {
		return []any{&x.With.ID, &x.With.Handle, &x.With.Name, &x.Last.Mine, &x.Last.Text, (*millis)(&x.Last.At)}
	})
}

func (d *data) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// millis reads a time that is stored in milliseconds.
type millis time.Time

// Scan implements sql.Scanner.
func (m *millis) Scan(v any) error {
	ms, _ := v.(int64)
	*m = millis(time.UnixMilli(ms))
	return nil
}

// list reads all rows into the fields.
func list[T any](rows *sql.Rows, err error, fields func(*T) []any) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var x T
		if err := rows.Scan(fields(&x)...); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return errNotFound
	}
	return err
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errNotFound
	}
	return err
}
