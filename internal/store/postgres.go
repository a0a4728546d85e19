package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// postgresEngine is a PostgreSQL server, 15 or later, shared by several nodes.
// Every transaction that writes takes the row lock of the log's head first, so
// they follow one another across nodes as they do in a file: whatever a
// statement reads after that is what the log says up to there.
type postgresEngine struct {
	config *pgx.ConnConfig
	server func() int64 // see Options
	node   [16]byte     // whose heartbeats are whose; drawn at each start
	write  *sql.DB
	bell   *sql.DB // to wake other nodes with
	// cut is set when the server tells that a commit has not waited for its
	// standby. It arrives as a mere warning to a COMMIT that succeeds.
	cut atomic.Bool
}

const (
	postgresPatience = 5 * time.Second
	connectPatience  = 3 * time.Second
	// A node that stops between two statements must not hold up the others for
	// longer; the server then rolls its transaction back.
	lockPatience = "1500"
	readPatience = "5000"
	// migrationPatience is shorter than what other nodes' followers wait for news.
	migrationPatience = "700"
)

// Statements are written as PostgreSQL has them, but for these types.
var postgresSpelling = strings.NewReplacer(" AS BLOB)", " AS BYTEA)", " AS INTEGER)", " AS BIGINT)")

func newPostgres(opt Options) (*postgresEngine, error) {
	c, err := pgx.ParseConfig(opt.URL)
	if err != nil {
		return nil, errUnreadable // its own text repeats parts of the URL
	}
	if err := mustKnowServer(c, opt); err != nil {
		return nil, err
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectPatience
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "exeunt"
	}
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	// A server that was the primary and is now read-only is passed over, so
	// that with several hosts in the URL the one that was promoted is found.
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	server := opt.Server
	if server == nil {
		server = func() int64 { return 0 }
	}
	e := &postgresEngine{config: c, server: server}
	rand.Read(e.node[:])
	return e, nil
}

func (*postgresEngine) traits() traits {
	return traits{begin: `BEGIN`, spell: postgresSpelling, patience: postgresPatience}
}

func (e *postgresEngine) open(ctx context.Context) (*sql.DB, error) {
	ready := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		return errors.Join(mustBeDurable(ctx, c), note(ctx, c))
	})
	if err := e.migrate(ctx, ready); err != nil {
		return nil, err
	}
	w := e.with(map[string]string{"idle_in_transaction_session_timeout": lockPatience})
	w.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { noteCut(&e.cut, n) }
	e.write = openDB(w, ready)
	e.write.SetMaxOpenConns(1) // the committer's
	e.write.SetMaxIdleConns(0)
	e.bell = openDB(e.with(map[string]string{"synchronous_commit": "off", "statement_timeout": readPatience}))
	e.bell.SetMaxOpenConns(1)
	read := openDB(e.with(map[string]string{"default_transaction_read_only": "on", "statement_timeout": readPatience}),
		stdlib.OptionAfterConnect(e.recognise), stdlib.OptionResetSession(e.mustCount))
	read.SetMaxOpenConns(8)
	read.SetMaxIdleConns(8)
	read.SetConnMaxIdleTime(5 * time.Minute)
	return read, nil
}

// migrate brings the schema up to date. It does not wait for long to lock a table:
// the nodes that go on meanwhile would wait behind it.
func (e *postgresEngine) migrate(ctx context.Context, ready stdlib.OptionOpenDB) error {
	db := openDB(e.with(map[string]string{"lock_timeout": migrationPatience, "idle_in_transaction_session_timeout": lockPatience}), ready)
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	err = migrate(ctx, goose.DialectPostgres, "postgres", db, goose.WithSessionLocker(locker))
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "55P03" { // lock_not_available
		return fmt.Errorf("another program keeps a table locked, perhaps a backup, so the schema was not brought up to date, or not as far as it goes; nothing is half done: run it again when that program has ended (%w)", err)
	}
	return err
}

// with returns the configuration with more of the server's parameters.
func (e *postgresEngine) with(params map[string]string) *pgx.ConnConfig {
	c := e.config.Copy()
	maps.Copy(c.RuntimeParams, params)
	return c
}

// mustBeDurable refuses a server whose word "committed" means less than that
// the commit is on stable storage.
func mustBeDurable(ctx context.Context, c *pgx.Conn) error {
	var version int
	var fsync, synchronous string
	if err := c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('synchronous_commit')`).
		Scan(&version, &fsync, &synchronous); err != nil {
		return err
	}
	if version < 150000 {
		return fmt.Errorf("the server is PostgreSQL %d; 15 or later is needed", version/10000)
	}
	if fsync != "on" {
		return errors.New("the server runs with fsync off: a crash would lose sign-outs that were confirmed; set fsync = on in postgresql.conf")
	}
	if synchronous != "on" && synchronous != "remote_apply" {
		_, err := c.Exec(ctx, `SET synchronous_commit = on`)
		return err
	}
	return nil
}

func (e *postgresEngine) connect(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	return e.write.Conn(ctx)
}

func (e *postgresEngine) close() error {
	var errs []error
	for _, db := range []*sql.DB{e.write, e.bell} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// noteCut watches for "canceling wait for synchronous replication" (01000, a
// warning): the transaction is committed here, and may be lost with this server.
func noteCut(cut *atomic.Bool, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" && n.Code == "01000" {
		cut.Store(true)
	}
}

func (e *postgresEngine) judge(err error) outcome {
	if e.cut.Swap(false) {
		return unknown
	}
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return durable
	case errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR":
		return notWritten
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), pgconn.SafeToRetry(err):
		return notWritten // it was never sent
	}
	return unknown
}

// serverIdentity tells one server from another that has taken its place.
const serverIdentity = `CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS BIGINT)`

const serverKey = "exeunt server"

// note notes which server a connection leads to.
func note(ctx context.Context, c *pgx.Conn) error {
	var id int64
	if err := c.QueryRow(ctx, `SELECT `+serverIdentity).Scan(&id); err != nil {
		return err
	}
	c.PgConn().CustomData()[serverKey] = id
	return nil
}

// counts reports whether a connection leads to the server that confirmed the last
// heartbeat, if any has: not to one that was the primary before.
func (e *postgresEngine) counts(c *pgx.Conn) bool {
	server := e.server()
	return server == 0 || c.PgConn().CustomData()[serverKey] == server
}

// recognise refuses a connection to a server that does not count.
func (e *postgresEngine) recognise(ctx context.Context, c *pgx.Conn) error {
	if err := note(ctx, c); err != nil {
		return err
	}
	if !e.counts(c) {
		return errors.New("this server has not confirmed a heartbeat; another has")
	}
	return nil
}

// mustCount gives up a connection that is closed at the other end, or leads to a
// server that does not count.
func (e *postgresEngine) mustCount(_ context.Context, c *pgx.Conn) error {
	if !e.counts(c) || c.PgConn().CheckConn() != nil {
		return driver.ErrBadConn
	}
	return nil
}

// stale hangs up on a server that counts no more. One that has fallen silent
// would keep the next transaction waiting for all of its patience, and whoever
// is in it.
func (e *postgresEngine) stale(conn *sql.Conn) (is bool) {
	_ = conn.Raw(func(driver any) error {
		if c := driver.(*stdlib.Conn).Conn(); !e.counts(c) {
			is = true
			c.PgConn().Conn().Close() // nothing more is said to it
		}
		return nil
	})
	return is
}
