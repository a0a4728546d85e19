package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/exeunt/exeunt"
)

// tx is the transaction under way. It belongs to the committing goroutine.
type tx struct {
	engine engine
	traits traits

	conn  *sql.Conn // nil until it is needed, and after it was dropped
	stmts map[string]*sql.Stmt
	// ctx limits the present attempt and does not come from a caller: a caller who gives up must not interrupt a
	// transaction that others share.
	ctx   context.Context
	begun bool

	seq     int64 // number of the last event, those of this transaction included
	head    int64 // number of the last event before this transaction; a sole writer keeps it, -1 for none
	recheck bool  // an attempt has failed since: read the head again
	events  []exeunt.Event
	mailed  bool // this transaction has queued mails
	// messaged: this transaction has recorded messages to webhooks. started is Options.Started.
	messaged bool
	started  func(*exeunt.Session, exeunt.ClientID) []exeunt.Message
}

func newTx(e engine, t traits) *tx {
	return &tx{engine: e, traits: t, stmts: map[string]*sql.Stmt{}, head: -1, ctx: context.Background()}
}

// limit limits the next attempt to the engine's patience; the function it returns lifts the limit.
func (t *tx) limit() func() {
	if t.traits.patience == 0 {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.traits.patience)
	t.ctx = ctx
	return func() {
		cancel()
		t.ctx = context.Background()
	}
}

func (t *tx) begin() error {
	t.events, t.begun, t.mailed, t.messaged = nil, false, false, false
	t.dropStale()
	reused := t.conn != nil
	err := t.open()
	if err != nil && reused && !t.traits.exits {
		// The other end closed it while it was idle.
		t.drop()
		err = t.open()
	}
	return err
}

// dropStale drops a connection that leads to where the database was before.
func (t *tx) dropStale() {
	if m, ok := t.engine.(mover); ok && t.conn != nil && m.stale(t.conn) {
		t.drop()
	}
}

func (t *tx) open() (err error) {
	if t.conn == nil {
		if t.conn, err = t.engine.connect(t.ctx); err != nil {
			return err
		}
	}
	if _, err := t.exec(t.traits.begin); err != nil {
		return err
	}
	t.begun = true
	return t.openLog()
}

// openLog reads the log's head. Every transaction updates its row first, also one that records no event: so a
// replicated commit always waits for its standby, and writers on several nodes follow one another. A sole writer
// updates the row at the end instead.
func (t *tx) openLog() error {
	if !t.traits.sole {
		err := t.row(`UPDATE log_head SET touched = touched + 1 WHERE id = 1 RETURNING seq`).Scan(&t.seq)
		t.head = t.seq
		return err
	}
	if t.head < 0 || t.recheck {
		if err := t.row(`SELECT seq FROM log_head WHERE id = 1`).Scan(&t.seq); err != nil {
			return err
		}
		if t.head >= 0 && t.seq != t.head {
			return errNotSole
		}
		t.head, t.recheck = t.seq, false
	}
	t.seq = t.head
	return nil
}

// closeLog moves the log's head to the last event of the transaction.
func (t *tx) closeLog() error {
	if !t.traits.sole {
		if t.seq == t.head {
			return nil
		}
		_, err := t.exec(`UPDATE log_head SET seq = $1 WHERE id = 1`, t.seq)
		return err
	}
	n, err := t.exec(`UPDATE log_head SET seq = $1, touched = touched + 1 WHERE id = 1 AND seq = $2`, t.seq, t.head)
	if err == nil && n != 1 {
		err = errNotSole
	}
	return err
}

var errNotSole = errors.New("another process writes to this database, and only one may: stop that one")

func (t *tx) commit() error {
	_, err := t.exec(`COMMIT`)
	return err
}

// rollback undoes the attempt. A connection that cannot do that, or whose state is unknown, is dropped; the next
// attempt opens another.
func (t *tx) rollback() {
	t.events, t.recheck = nil, true
	if t.conn == nil {
		return
	}
	if _, err := t.exec(`ROLLBACK`); err != nil && !t.traits.exits {
		t.drop() // (SQLite has often rolled back by itself, and returns an error)
	}
}

// drop closes the connection.
func (t *tx) drop() {
	for q, st := range t.stmts {
		st.Close()
		delete(t.stmts, q)
	}
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

func (t *tx) stmt(q string) (*sql.Stmt, error) {
	if st := t.stmts[q]; st != nil {
		return st, nil
	}
	st, err := t.conn.PrepareContext(t.ctx, t.traits.spell(q))
	if err == nil {
		t.stmts[q] = st
	}
	return st, err
}

func (t *tx) exec(q string, args ...any) (affected int64, err error) {
	st, err := t.stmt(q)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(t.ctx, plain(args)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

type rowScanner interface{ Scan(...any) error }

type rowError struct{ err error }

func (r rowError) Scan(...any) error { return r.err }

func (t *tx) row(q string, args ...any) rowScanner {
	st, err := t.stmt(q)
	if err != nil {
		return rowError{err}
	}
	return st.QueryRowContext(t.ctx, plain(args)...)
}

func (t *tx) rows(q string, args ...any) (*sql.Rows, error) {
	st, err := t.stmt(q)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(t.ctx, plain(args)...)
}

// found turns "no row" into false and passes other errors on.
func found(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
