package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/exeunt/exeunt"
)

// shared is an engine whose database several nodes use at once.
type shared interface {
	follow(ctx context.Context) (*Follower, error)
	announce(ctx context.Context) error
}

// Follow opens a connection of its own to follow the log with.
func (s *Store) Follow(ctx context.Context) (*Follower, error) {
	e, ok := s.engine.(shared)
	if !ok {
		return nil, errors.New("a file's log has one writer and needs no following")
	}
	f, err := e.follow(ctx)
	return f, unavailable("follow the log", err)
}

// Follower reads the log and confirms heartbeats on one and the same
// connection, so that what it reads after a confirmation is what a server said
// whose commits count. It is for one goroutine.
type Follower struct {
	conn    *pgx.Conn
	news    bool         // somebody has woken this node since it last looked
	cut     *atomic.Bool // the last commit has not waited for its standby
	node    [16]byte
	server  int64
	history string
}

// channel wakes followers. What is said on it does not matter: they look.
const channel = "exeunt_log"

func (e *postgresEngine) follow(ctx context.Context) (*Follower, error) {
	f := &Follower{cut: &atomic.Bool{}, node: e.node}
	c := e.with(map[string]string{"idle_in_transaction_session_timeout": lockPatience})
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { noteCut(f.cut, n) }
	// One look is the answer to all that has been said before it. Kept one by one,
	// the wake-ups of somebody who floods the channel would pile up.
	c.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { f.news = true }
	var err error
	if f.conn, err = dial(ctx, c); err != nil {
		return nil, err
	}
	if err = mustBeDurable(ctx, f.conn); err == nil {
		_, err = f.conn.Exec(ctx, `LISTEN `+channel)
	}
	if err == nil {
		err = f.conn.QueryRow(ctx, `SELECT `+serverIdentity).Scan(&f.server)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Server identifies the server that is followed: a snapshot that was read from
// another one is of another history.
func (f *Follower) Server() int64 { return f.server }

// History names the log's history as it was when a heartbeat was confirmed last:
// all nodes on it give it the same name.
func (f *Follower) History() string { return f.history }

// historyName is the server's, and the database's and the table's, which are
// others when a copy is put back, be it beside the old ones or in their place.
// Where only the rows were put back, Event.Row tells.
const historyName = `left(md5(concat_ws(' ', ` + serverIdentity + `, (SELECT oid FROM pg_database WHERE datname = current_database()), CAST(to_regclass('log_head') AS oid))), 16)`

// Close ends the connection.
func (f *Follower) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	f.conn.Close(ctx)
}

// Confirm commits a heartbeat, which waits for whatever any commit waits for,
// and returns the database's clock. Only then is the server known to be the one
// whose commits count: merely reading from it would prove nothing.
func (f *Follower) Confirm(ctx context.Context) (clock time.Time, err error) {
	f.cut.Store(false)
	var ms int64
	err = f.conn.QueryRow(ctx, `INSERT INTO nodes (id, beat, at) VALUES ($1, 1, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))
		ON CONFLICT (id) DO UPDATE SET beat = nodes.beat + 1, at = excluded.at RETURNING at, `+historyName, f.node[:]).Scan(&ms, &f.history)
	if err == nil && f.cut.Load() {
		err = errNotReplicated
	}
	return at(ms), unavailable("heartbeat", err)
}

// Next returns the events from number seq on, in order, at most limit. It waits
// up to the given time for news before it looks.
func (f *Follower) Next(ctx context.Context, seq int64, limit int, wait time.Duration) ([]exeunt.Event, error) {
	if wait > 0 && !f.news {
		w, cancel := context.WithTimeout(ctx, wait)
		_, err := f.conn.WaitForNotification(w)
		cancel()
		if err != nil && (ctx.Err() != nil || w.Err() == nil) {
			return nil, unavailable("wait for news", err)
		}
	}
	f.news = false
	// In this mode the answer is in binary, whatever the URL says of modes.
	rows, err := f.conn.Query(ctx, `SELECT `+eventColumns+`, `+eventRow+` FROM events WHERE seq >= $1 ORDER BY seq LIMIT $2`, pgx.QueryExecModeCacheDescribe, seq, limit)
	if err != nil {
		return nil, unavailable("events", err)
	}
	defer rows.Close()
	var out []exeunt.Event
	for rows.Next() {
		e, err := readEvent(rows.RawValues())
		if err != nil {
			return nil, unavailable("events", err)
		}
		out = append(out, e)
	}
	return out, unavailable("events", rows.Err())
}

// eventRow is the transaction that wrote the row: an event is written once and
// never changed, and a standby that takes over has it from the same one.
const eventRow = `xmin`

// readEvent reads eventColumns and eventRow as the server sends them, in
// binary. Every node reads every event, and to have the driver scan them took
// most of that.
func readEvent(columns [][]byte) (e exeunt.Event, err error) {
	r := binaryRow{columns: columns}
	e.Seq, e.At, e.Kind = r.number(), at(r.number()), exeunt.EventKind(r.text())
	r.id(&e.Account)
	e.Scope = exeunt.Scope(r.text())
	r.id(&e.Session)
	r.id(&e.AppSession)
	e.Client = exeunt.ClientID(r.text())
	e.Generation, e.Version = r.number(), r.number()
	e.Reason, e.By.Kind = exeunt.Reason(r.text()), exeunt.ActorKind(r.text())
	r.id(&e.By.Account)
	r.id(&e.By.Session)
	e.By.Label = r.text()
	e.Row = r.transaction()
	return e, r.err
}

// binaryRow takes one column after the other.
type binaryRow struct {
	columns [][]byte
	err     error
}

func (r *binaryRow) next() (b []byte) {
	if len(r.columns) == 0 {
		r.err = errors.New("the server sent too few columns")
		return nil
	}
	b, r.columns = r.columns[0], r.columns[1:]
	return b
}

// fixed takes a column that is a number of so many bytes.
func (r *binaryRow) fixed(size int) []byte {
	b := r.next()
	if len(b) != size {
		r.err = fmt.Errorf("the server sent %d bytes for a number of %d", len(b), size)
		return make([]byte, size)
	}
	return b
}

func (r *binaryRow) number() int64      { return int64(binary.BigEndian.Uint64(r.fixed(8))) }
func (r *binaryRow) transaction() int64 { return int64(binary.BigEndian.Uint32(r.fixed(4))) }

func (r *binaryRow) text() string { return string(r.next()) }

func (r *binaryRow) id(id sql.Scanner) {
	if err := id.Scan(r.next()); err != nil {
		r.err = err
	}
}

// Head returns the number of the last event of the log.
func (f *Follower) Head(ctx context.Context) (seq int64, err error) {
	err = f.conn.QueryRow(ctx, `SELECT seq FROM log_head WHERE id = 1`).Scan(&seq)
	return seq, unavailable("log head", err)
}

// announce wakes the other nodes. It is sent after the commit and on a
// connection of its own: inside the transaction it would take a lock that all
// commits of the server wait for, through the wait for the standby.
func (e *postgresEngine) announce(ctx context.Context) error {
	_, err := e.bell.ExecContext(ctx, `SELECT pg_notify('`+channel+`', '')`)
	return err
}

// announceLoop wakes the other nodes after commits, one call for as many as
// there were meanwhile. What it does not bring they find by looking.
func (s *Store) announceLoop(e shared) {
	for {
		select {
		case <-s.news:
		case <-s.stop:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
		if err := e.announce(ctx); err != nil {
			s.opt.Log.Debug("other nodes were not woken; they look by themselves", "err", err)
		}
		cancel()
	}
}

// tellOthers has the other nodes woken soon.
func (s *Store) tellOthers() {
	select {
	case s.news <- struct{}{}:
	default: // nobody listens, or the next call tells of this too
	}
}
