package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// postgresEngine is a PostgreSQL server, 15 or later, shared by several nodes. Every transaction that writes takes
// the row lock of the log's head first, so they follow one another across nodes as they do in a file: whatever a
// statement reads after that agrees with the log up to there.
type postgresEngine struct {
	config   *pgx.ConnConfig
	server   func() int64 // see Options
	node     [16]byte     // identifies its heartbeats; drawn at each start
	write    *sql.DB
	notifier *sql.DB // to wake other nodes
	// unreplicated is set when the server says that a commit did not wait for its standby. It says so in a mere
	// warning to a COMMIT that succeeds.
	unreplicated atomic.Bool
}

const (
	postgresPatience = 5 * time.Second
	connectPatience  = 3 * time.Second
	// A node that stops between two statements must not delay the others for longer; the server then rolls its
	// transaction back.
	lockPatience = "1500"
	readPatience = "5000"
	// migrationPatience is shorter than other nodes' followers wait for news.
	migrationPatience = "700"
)

// Statements are written for PostgreSQL, except for these types.
var postgresTypes = strings.NewReplacer(" AS BLOB)", " AS BYTEA)", " AS INTEGER)", " AS BIGINT)")

// postgresSpelling also numbers the values of statements for many rows.
func postgresSpelling(q string) string {
	var text strings.Builder
	for i, part := range strings.Split(postgresTypes.Replace(q), "?") {
		if i > 0 {
			text.WriteString("$" + strconv.Itoa(i))
		}
		text.WriteString(part)
	}
	return text.String()
}

func newPostgres(opt Options) (*postgresEngine, error) {
	c, err := pgx.ParseConfig(opt.URL)
	if err != nil {
		return nil, errUnreadable // its text repeats parts of the URL
	}
	if err := mustVerifyServer(c, opt); err != nil {
		return nil, err
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectPatience
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "exeunt"
	}
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	// A server that was the primary and is now read-only is skipped, so with several hosts in the URL the promoted
	// one is found.
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
		return errors.Join(mustBeDurable(ctx, c), noteServer(ctx, c))
	})
	if err := e.migrate(ctx, ready); err != nil {
		return nil, err
	}
	w := e.with(map[string]string{"idle_in_transaction_session_timeout": lockPatience})
	w.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { noteUnreplicated(&e.unreplicated, n) }
	e.write = openDB(w, ready)
	e.write.SetMaxOpenConns(1) // the committer's
	e.write.SetMaxIdleConns(0)
	e.notifier = openDB(e.with(map[string]string{"synchronous_commit": "off", "statement_timeout": readPatience}))
	e.notifier.SetMaxOpenConns(1)
	read := openDB(e.with(map[string]string{"default_transaction_read_only": "on", "statement_timeout": readPatience}),
		stdlib.OptionAfterConnect(e.refuseOutdated), stdlib.OptionResetSession(e.dropOutdated))
	read.SetMaxOpenConns(8)
	read.SetMaxIdleConns(8)
	read.SetConnMaxIdleTime(5 * time.Minute)
	return read, nil
}

// migrate brings the schema up to date. It does not wait long for a table's lock: nodes that are running would wait
// behind it.
func (e *postgresEngine) migrate(ctx context.Context, ready stdlib.OptionOpenDB) error {
	db := openDB(e.with(map[string]string{"lock_timeout": migrationPatience,
		"idle_in_transaction_session_timeout": lockPatience}), ready)
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	err = migrate(ctx, goose.DialectPostgres, "postgres", db, goose.WithSessionLocker(locker))
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "55P03" { // lock_not_available
		return fmt.Errorf("another program has locked a table, perhaps a backup, so the schema is not up to date. "+
			"No step is half done: run this again when that program has ended (%w)", err)
	}
	return err
}

// with returns the configuration with these parameters added.
func (e *postgresEngine) with(params map[string]string) *pgx.ConnConfig {
	c := e.config.Copy()
	maps.Copy(c.RuntimeParams, params)
	return c
}

// mustBeDurable refuses a server that confirms commits before they are on stable storage.
func mustBeDurable(ctx context.Context, c *pgx.Conn) error {
	var version int
	var fsync, synchronous string
	if err := c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'),
		current_setting('synchronous_commit')`).
		Scan(&version, &fsync, &synchronous); err != nil {
		return err
	}
	if version < 150000 {
		return fmt.Errorf("the server is PostgreSQL %d: use 15 or later", version/10000)
	}
	if fsync != "on" {
		return errors.New("the server runs with fsync off, so a crash would lose confirmed sign-outs: " +
			"set fsync = on in postgresql.conf")
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
	for _, db := range []*sql.DB{e.write, e.notifier} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// noteUnreplicated looks for "canceling wait for synchronous replication" (01000, a warning): the transaction is
// committed here, and may be lost with this server.
func noteUnreplicated(unreplicated *atomic.Bool, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" && n.Code == "01000" {
		unreplicated.Store(true)
	}
}

// problem: SQLSTATE class 53 is what the server has run out of, and 25006 says that it takes no writes.
func (*postgresEngine) problem(err error) error {
	var answer *pgconn.PgError
	switch {
	case !errors.As(err, &answer):
		return nil
	case answer.Code == "53100":
		return fmt.Errorf("no space left on the disk of the PostgreSQL server: free some there (%w)", err)
	case answer.Code == "25006":
		return fmt.Errorf("the PostgreSQL server is read-only: make it the primary again, or name the primary's host "+
			"in the setting database (%w)", err)
	case strings.HasPrefix(answer.Code, "53"):
		return fmt.Errorf("the PostgreSQL server has run out of something: see its log (%w)", err)
	}
	return nil
}

func (e *postgresEngine) judge(err error) outcome {
	if e.unreplicated.Swap(false) {
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

// serverIdentity differs between a server and another that has taken its place.
const serverIdentity = `CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS BIGINT)`

const serverKey = "exeunt server"

// noteServer stores in a connection which server it leads to.
func noteServer(ctx context.Context, c *pgx.Conn) error {
	var id int64
	if err := c.QueryRow(ctx, `SELECT `+serverIdentity).Scan(&id); err != nil {
		return err
	}
	c.PgConn().CustomData()[serverKey] = id
	return nil
}

// isCurrent reports whether a connection leads to the server that confirmed the last heartbeat, if any has, and not
// to a former primary.
func (e *postgresEngine) isCurrent(c *pgx.Conn) bool {
	server := e.server()
	return server == 0 || c.PgConn().CustomData()[serverKey] == server
}

// refuseOutdated refuses a connection to a server that is not current.
func (e *postgresEngine) refuseOutdated(ctx context.Context, c *pgx.Conn) error {
	if err := noteServer(ctx, c); err != nil {
		return err
	}
	if !e.isCurrent(c) {
		return errors.New("another server confirmed the last heartbeat: not reading from this one")
	}
	return nil
}

// dropOutdated drops a connection that is closed at the other end, or leads to a server that is not current.
func (e *postgresEngine) dropOutdated(_ context.Context, c *pgx.Conn) error {
	if !e.isCurrent(c) || c.PgConn().CheckConn() != nil {
		return driver.ErrBadConn
	}
	return nil
}

// stale hangs up on a server that is not current. A silent one would block the next transaction for all of its
// patience.
func (e *postgresEngine) stale(conn *sql.Conn) (is bool) {
	_ = conn.Raw(func(driver any) error {
		if c := driver.(*stdlib.Conn).Conn(); !e.isCurrent(c) {
			is = true
			c.PgConn().Conn().Close()
		}
		return nil
	})
	return is
}
