package store

import (
	"database/sql"
	"io/fs"
	"slices"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/exeunt/exeunt/internal/testpg"
)

func TestANewerSchemaIsRefused(t *testing.T) { onEachEngine(t, aNewerSchemaIsRefused) }

// Nothing is touched, and the program that it is from goes on with it.
func aNewerSchemaIsRefused(t *testing.T, s *testStore) {
	a := s.account()
	s.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, $1)`, s.yes())
	s.Close()
	refusedOpening(t, s.url, "version 9999", "run the newer program")
	s.exec(`DELETE FROM goose_db_version WHERE version_id = 9999`)
	s = openStore(t, s.url)
	if _, err := s.Account(t.Context(), a.ID); err != nil {
		t.Errorf("after the refusal: %v", err)
	}
}

// Whoever waited long for a lock to change the schema would have everybody else wait behind themselves.
func TestMigratingDoesNotWaitForLong(t *testing.T) {
	s := openStore(t, testpg.NewDatabase(t))
	s.Close()
	s.downTo(0)
	db, _, _ := s.outside()
	defer db.Close()
	other, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback()
	if _, err := other.Exec(`CREATE TABLE marks (id BIGINT)`); err != nil {
		t.Fatal(err)
	}
	refusedOpening(t, s.url, "another program has locked a table", "No step is half done", "again")
	if err := other.Rollback(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, s.url)
	a := s.account()
	if out := s.end(endOne(s.session(a.ID))); out.Ended != 1 {
		t.Errorf("after the second try: %+v", out)
	}
}

// A node that stops in the middle of a migration leaves no table locked.
func TestMigrationsHaveLimits(t *testing.T) {
	s := openStore(t, testpg.NewDatabase(t))
	s.Close()
	s.downTo(0)
	tables := s.tables()
	s.exec(`CREATE TABLE limits (idle text, locks text)`)
	s.exec(`CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO limits VALUES (current_setting('idle_in_transaction_session_timeout'),
		current_setting('lock_timeout')); END $$`)
	s.exec(`CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION note()`)
	s = openStore(t, s.url)
	made := s.tables() - tables - 1 // that of the limits
	if n := s.count(`SELECT count(*) FROM limits WHERE idle = '1500ms' AND locks = '700ms'`); n != made || n == 0 {
		t.Errorf("%d of %d tables were made within the limits", n, made)
	}
}

func (s *testStore) tables() (n int64) {
	s.t.Helper()
	db, _, _ := s.outside()
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM pg_class WHERE relkind = 'r'
		AND relnamespace = 'public'::regnamespace`).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// Both engines have the same tables with the same columns: copying takes rows as they are.
func TestBothEnginesHaveTheSameColumns(t *testing.T) {
	file, server := newStore(t), openStore(t, testpg.NewDatabase(t))
	for _, table := range append([]string{"nodes"}, tables...) {
		columns := map[*testStore][]string{}
		for _, s := range []*testStore{file, server} {
			rows, err := s.read.Query(`SELECT * FROM ` + table)
			if err != nil {
				t.Fatal(err)
			}
			columns[s], _ = rows.Columns()
			rows.Close()
		}
		if !slices.Equal(columns[file], columns[server]) {
			t.Errorf("%s has the columns %v in a file and %v on a server", table, columns[file], columns[server])
		}
	}
}

// The error for a wrong password is the server's and does not contain the password.
func TestAWrongPassword(t *testing.T) {
	server := testpg.New(t)
	url := server.NewDatabase(t)
	with := func(password string) string {
		return "postgres://exeunt:" + password + url[len("postgres://exeunt"):]
	}
	server.Exec(t, "postgres", `ALTER USER exeunt PASSWORD 'right'`)
	server.Exec(t, "postgres", `DO $$ BEGIN EXECUTE format('COPY (VALUES (%L)) TO %L',
		'host all all 127.0.0.1/32 scram-sha-256', current_setting('hba_file')); END $$`)
	server.Exec(t, "postgres", `SELECT pg_reload_conf()`)
	for server.Try(`SELECT 1`) == nil { // until it asks for a password
	}
	refusedOpening(t, with("hunter2"), "password authentication failed", `user "exeunt"`)
	s := openStore(t, with("right"))
	s.account()
}

// downTo brings a closed database's schema back to a version.
func (s *testStore) downTo(version int64) {
	s.t.Helper()
	db, dialect, folder := s.outside()
	defer db.Close()
	dir, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := goose.NewProvider(dialect, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := p.DownTo(s.t.Context(), version); err != nil {
		s.t.Fatal(err)
	}
}

// outside opens the database beside the store.
func (s *testStore) outside() (db *sql.DB, dialect goose.Dialect, migrations string) {
	s.t.Helper()
	driver, source, dialect, folder := "sqlite", "", goose.DialectSQLite3, "sqlite"
	if Shared(s.url) {
		driver, source, dialect, folder = "pgx", s.url, goose.DialectPostgres, "postgres"
	} else {
		source = filePath(s)
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		s.t.Fatal(err)
	}
	return db, dialect, folder
}

func (s *testStore) exec(q string, args ...any) {
	s.t.Helper()
	db, _, _ := s.outside()
	defer db.Close()
	if _, err := db.Exec(q, args...); err != nil {
		s.t.Fatal(err)
	}
}

// yes is how goose's own table spells it.
func (s *testStore) yes() any {
	if Shared(s.url) {
		return true
	}
	return 1
}
