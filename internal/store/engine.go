package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// engine is what differs between the databases. Everything else is written once, in SQL that both understand.
type engine interface {
	// open brings the schema up to date and opens connections for reading.
	open(ctx context.Context) (read *sql.DB, err error)
	// connect opens the committer's connection, and a new one after that was dropped.
	connect(ctx context.Context) (*sql.Conn, error)
	// judge tells whether a COMMIT that answered err is durable.
	judge(err error) outcome
	// problem says what is wrong with the database, and what to do, if an error is about its disk; otherwise it
	// returns nil.
	problem(err error) error
	// name is the database's address without a password.
	name() string
	// traits are the engine's properties.
	traits() traits
	close() error
}

// mover is an engine whose database can move to another server.
type mover interface {
	// stale reports that a connection leads to where the database was before, and must be dropped.
	stale(*sql.Conn) bool
}

// tidier is an engine that has housekeeping to do, about once a second and between transactions.
type tidier interface {
	// tidy reports whether something is left to do, although nothing may be written meanwhile.
	tidy(t *tx) (more bool, err error)
}

// outcome says whether a transaction is durable, once COMMIT has answered.
type outcome uint8

const (
	durable outcome = iota
	notWritten
	unknown
)

type traits struct {
	begin string              // opens a transaction that will write
	spell func(string) string // from the common spelling of statements to the engine's
	// patience is how long a transaction may take before it is given up; its outcome may then be unknown. Zero: no
	// limit, because a local disk answers or the process hangs.
	patience time.Duration
	// exits: after an unknown outcome the process must exit, because only a restart can find out what is on the
	// disk. Otherwise the database can be asked again.
	exits bool
	// sole: no other process writes to the database, so the log's head is what this process committed last.
	sole bool
}

var errWhatURL = errors.New("invalid URL: use sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")

// openEngine returns the engine for a database URL. Its errors do not repeat an unreadable URL: a password may stand
// anywhere in it.
func openEngine(opt Options) (engine, error) {
	scheme, rest, ok := strings.Cut(opt.URL, ":")
	if !ok {
		return nil, errWhatURL
	}
	switch scheme {
	case "sqlite":
		path, ok := SQLitePath(opt.URL)
		if !ok {
			return nil, fmt.Errorf("invalid URL: use sqlite: and the path of a file")
		}
		return &sqliteEngine{path: path}, nil
	case "postgres", "postgresql":
		return newPostgres(opt)
	}
	if rest, ok := strings.CutPrefix(rest, "//"); !ok || rest == "" || !isScheme(scheme) {
		return nil, errWhatURL
	}
	return nil, fmt.Errorf("unknown engine %q; %w", scheme, errWhatURL)
}

// isScheme: RFC 3986 section 3.1.
var isScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`).MatchString

// Shared reports whether several nodes use the database at once, so that its log must be followed. A file has one
// process.
func Shared(rawURL string) bool {
	return strings.HasPrefix(rawURL, "postgres:") || strings.HasPrefix(rawURL, "postgresql:")
}

// SQLiteURL is the database URL of a file.
func SQLiteURL(path string) string { return "sqlite:" + (&url.URL{Path: path}).EscapedPath() }

// SQLitePath is the file that a database URL names, if it names one.
func SQLitePath(rawURL string) (path string, ok bool) {
	rest, ok := strings.CutPrefix(rawURL, "sqlite:")
	if !ok {
		return "", false
	}
	path, err := url.PathUnescape(rest)
	return path, err == nil && path != ""
}

//go:embed migrations/*/*.sql
var migrations embed.FS

// latestSchema is the version of the schema that this program makes. Both engines' migrations have the same numbers.
func latestSchema() (version int64) {
	list, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, name := range list {
		if n, err := goose.NumericComponent(name); err == nil {
			version = max(version, n)
		}
	}
	return version
}

func newerError(current, target int64) error {
	return fmt.Errorf("its schema is version %d, newer than this program's %d: run the newer program", current, target)
}

// migrate brings the schema up to date. It refuses the database of a newer program, because it does not know what
// its columns mean.
func migrate(
	ctx context.Context, dialect goose.Dialect, folder string, db *sql.DB, opts ...goose.ProviderOption,
) error {
	dir, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, dir, append(opts, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return newerError(current, target)
	}
	if current == target {
		return nil // without waiting for another node that has more to do
	}
	_, err = p.Up(ctx)
	return err
}
