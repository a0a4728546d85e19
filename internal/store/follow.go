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

// Follow opens a connection of its own for following the log.
func (s *Store) Follow(ctx context.Context) (*Follower, error) {
	e, ok := s.engine.(shared)
	if !ok {
		return nil, errors.New("only a PostgreSQL log can be followed")
	}
	f, err := e.follow(ctx)
	return f, unavailable("follow the log", err)
}

// Follower reads the log and confirms heartbeats on one connection, so what it reads after a confirmation comes from
// the server whose commits count. Only one goroutine may use it.
type Follower struct {
	conn         *pgx.Conn
	news         bool         // another node has sent a wake-up since the last look
	unreplicated *atomic.Bool // the last commit did not wait for its standby
	node         [16]byte
	server       int64
	history      string
}

// channel is the channel that wakes followers. Its messages are empty.
const channel = "exeunt_log"

func (e *postgresEngine) follow(ctx context.Context) (*Follower, error) {
	f := &Follower{unreplicated: &atomic.Bool{}, node: e.node}
	c := e.with(map[string]string{"idle_in_transaction_session_timeout": lockPatience})
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { noteUnreplicated(f.unreplicated, n) }
	// One look at the log answers all wake-ups so far. Stored one by one, they would pile up when somebody floods
	// the channel.
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

// Server identifies the server that is followed: a snapshot read from another server is of another history.
func (f *Follower) Server() int64 { return f.server }

// History names the log's history as of the last confirmed heartbeat. All nodes that follow it get the same name.
func (f *Follower) History() string { return f.history }

// historyName is made of the identities of server, database and table. They change when a copy is restored, beside
// the old ones or in their place. Event.Row tells where only the rows were restored.
const historyName = `left(md5(concat_ws(' ', ` + serverIdentity +
	`, (SELECT oid FROM pg_database WHERE datname = current_database()), CAST(to_regclass('log_head') AS oid))), 16)`

// Close ends the connection.
func (f *Follower) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	f.conn.Close(ctx)
}

// Confirm commits a heartbeat, which waits for whatever any commit waits for, and returns the database's clock. Only
// this shows that the server is the one whose commits count; a read would show nothing.
func (f *Follower) Confirm(ctx context.Context) (clock time.Time, err error) {
	f.unreplicated.Store(false)
	var ms int64
	err = f.conn.QueryRow(ctx, `INSERT INTO nodes (id, beat, at)
		VALUES ($1, 1, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))
		ON CONFLICT (id) DO UPDATE SET beat = nodes.beat + 1, at = excluded.at RETURNING at, `+historyName, f.node[:]).
		Scan(&ms, &f.history)
	if err == nil && f.unreplicated.Load() {
		err = errNotReplicated
	}
	return at(ms), unavailable("heartbeat", err)
}

// Next returns the events from number seq on, in order, at most limit. It waits up to the given time for news before
// it looks.
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
	// In this mode the answer is binary, whatever mode the URL sets.
	rows, err := f.conn.Query(ctx,
		`SELECT `+eventColumns+`, `+eventRow+` FROM events WHERE seq >= $1 ORDER BY seq LIMIT $2`,
		pgx.QueryExecModeCacheDescribe, seq, limit)
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

// eventRow is the transaction that wrote the row: an event is written once and never changed, and a standby that
// takes over has the same one.
const eventRow = `xmin`

// readEvent reads eventColumns and eventRow in the server's binary format. Every node reads every event, and the
// driver's scanning took most of that time.
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
	r.id(&e.By.App)
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

// fixed takes a column that is a number of size bytes.
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

// announce wakes the other nodes. It is sent after the commit and on its own connection: inside the transaction it
// would take a lock that all commits of the server wait for, through the wait for the standby.
func (e *postgresEngine) announce(ctx context.Context) error {
	_, err := e.notifier.ExecContext(ctx, `SELECT pg_notify('`+channel+`', '')`)
	return err
}

// announceLoop wakes the other nodes after commits, once for all commits since the last time. A node that is not
// woken finds the events when it polls.
func (s *Store) announceLoop(e shared) {
	for {
		select {
		case <-s.news:
		case <-s.stop:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
		if err := e.announce(ctx); err != nil {
			s.opt.Log.Debug("other nodes were not woken; they find the events when they poll", "err", err)
		}
		cancel()
	}
}

// tellOthers makes announceLoop wake the other nodes.
func (s *Store) tellOthers() {
	select {
	case s.news <- struct{}{}:
	default: // there is no announcer, or it will run anyway
	}
}
