package store

import (
	"context"
	"database/sql"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/exeunt/exeunt"
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

func TestAnOlderSchemaIsBroughtUpToDate(t *testing.T) {
	onEachEngine(t, anOlderSchemaIsBroughtUpToDate)
}

// The first schema of all, with people in it: they stay, and so does the log.
func anOlderSchemaIsBroughtUpToDate(t *testing.T, s *testStore) {
	a := s.account()
	stays, goes := s.session(a.ID), s.session(a.ID)
	s.end(endOne(goes))
	s.Close()
	s.downTo(1)
	s = openStore(t, s.url)
	for _, v := range []exeunt.Session{stays, goes} {
		got, err := s.Session(t.Context(), a.ID, v.ID)
		if err != nil || (got.End != nil) != (v.ID == goes.ID) {
			t.Errorf("a session after the schema was brought up to date: %+v, %v", got, err)
		}
	}
	if out := s.end(endOne(stays)); out.Ended != 1 || out.Seq != 2 {
		t.Errorf("the next end: %+v", out)
	}
	s.announced = nil // not by this store
	s.checkLog()
}

// A backup reads all tables for as long as it takes. Whoever waited behind it to
// change one would have everybody else wait behind themselves.
func TestMigratingBesideABackup(t *testing.T) {
	s := openStore(t, testpg.NewDatabase(t))
	a := s.account()
	v := s.session(a.ID)
	s.Close()
	s.downTo(5)
	db, _, _ := s.outside()
	defer db.Close()
	backup, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer backup.Rollback()
	// The last of those that are changed, so that others have been changed before.
	if _, err := backup.Exec(`LOCK TABLE log_head IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	refused := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			// A follower gives up after a second, and refuses everybody then.
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := db.ExecContext(ctx, `SELECT count(*) FROM events, log_head`)
			cancel()
			if err != nil {
				t.Errorf("another node could not read: %v", err)
			}
			select {
			case <-refused:
				return
			default:
			}
		}
	})
	refusedOpening(t, s.url, "another program keeps a table locked", "nothing is half done", "again")
	close(refused)
	others.Wait()
	if err := backup.Rollback(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, s.url)
	if out := s.end(endOne(v)); out.Ended != 1 {
		t.Errorf("after the second try: %+v", out)
	}
}

// A node that stops in the midst of it does not keep a table locked.
func TestMigrationsHaveLimits(t *testing.T) {
	s := openStore(t, testpg.NewDatabase(t))
	s.Close()
	s.downTo(5)
	s.exec(`CREATE TABLE limits (idle text, locks text)`)
	s.exec(`CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO limits VALUES (current_setting('idle_in_transaction_session_timeout'), current_setting('lock_timeout')); END $$`)
	s.exec(`CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION note()`)
	s = openStore(t, s.url)
	for limits, want := range map[string]int64{
		`idle = '1500ms' AND locks = '700ms'`: 4, // the tables that are changed
		`idle = '1500ms' AND locks = '0'`:     1, // the indexes, which nobody waits behind
	} {
		if n := s.count(`SELECT count(*) FROM limits WHERE ` + limits); n != want {
			t.Errorf("%d statements had %s", n, limits)
		}
	}
}

// A password that is wrong is not told, and neither is it guessed at: the node
// says what the server says.
func TestAWrongPassword(t *testing.T) {
	server := testpg.New(t)
	url := server.NewDatabase(t)
	with := func(password string) string {
		return "postgres://exeunt:" + password + url[len("postgres://exeunt"):]
	}
	server.Exec(t, "postgres", `ALTER USER exeunt PASSWORD 'right'`)
	server.Exec(t, "postgres", `DO $$ BEGIN EXECUTE format('COPY (VALUES (%L)) TO %L', 'host all all 127.0.0.1/32 scram-sha-256', current_setting('hba_file')); END $$`)
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
	db, dialect, spelling := s.outside()
	defer db.Close()
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := goose.NewProvider(dialect, db, spelled{dir, spelling}, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := p.DownTo(s.t.Context(), version); err != nil {
		s.t.Fatal(err)
	}
}

// outside opens the database beside the store.
func (s *testStore) outside() (*sql.DB, goose.Dialect, *strings.Replacer) {
	s.t.Helper()
	driver, source, dialect, spelling := "sqlite", "", goose.DialectSQLite3, sqliteSpelling
	if Shared(s.url) {
		driver, source, dialect, spelling = "pgx", s.url, goose.DialectPostgres, postgresTypes
	} else {
		source = filePath(s)
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		s.t.Fatal(err)
	}
	return db, dialect, spelling
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
