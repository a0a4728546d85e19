package testnode_test

import (
	"database/sql"
	"flag"
	"slices"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testpg"
)

var (
	largeAccount = flag.Int("large", 5_000, "how many sessions the account has in TestALargeAccountHoldsNobodyUp")
	quiet        = flag.Bool("quiet", false, "the machine has nothing else to do, so that TestALargeAccountHoldsNobodyUp may judge by time")
)

// While everything of a large account is ended, and its ends are written on three
// nodes, others sign out as fast as before.
func TestALargeAccountHoldsNobodyUp(t *testing.T) {
	url := testpg.NewDatabase(t)
	cluster := nodes(t, url, 3)
	for _, n := range cluster {
		n.Tend(t)
	}
	proof := cluster[0].NewAccount(t, "ada")
	_, large := cluster[0].NewSession(t, proof, exeunt.KindKept)
	_, others := cluster[0].NewSession(t, cluster[0].NewAccount(t, "grace"), exeunt.KindKept)
	db, err := sql.Open("pgx", url)
	db.SetMaxOpenConns(1) // its temporary tables are one connection's
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const most = 3000
	multiply(t, db, large, *largeAccount)
	multiply(t, db, others, most)
	rest := sessionsOf(t, db, others.Account)
	// signOut ends others' sessions at a steady rate until over says so.
	signOut := func(over func(ended int) bool) (p99 time.Duration) {
		t.Helper()
		var took []time.Duration
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for !over(len(took)) && len(rest) > 0 {
			<-tick.C
			s := exeunt.Session{Account: others.Account, ID: rest[0]}
			rest = rest[1:]
			began := time.Now()
			cluster[len(took)%3].SignOut(t, s)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("%d sign-outs: p50 %v, p99 %v", len(took), took[len(took)/2], took[len(took)*99/100])
		return took[len(took)*99/100]
	}
	before := signOut(func(ended int) bool { return ended == 500 })
	cluster[0].SignOutEverywhere(t, large)
	open := func() (n int) {
		if err := db.QueryRow(`SELECT count(*) FROM sessions WHERE account_id = $1 AND ended_at IS NULL`, large.Account.Bytes()).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	looked := time.Now()
	during := signOut(func(ended int) bool {
		if time.Since(looked) < time.Second || ended < 300 {
			return false
		}
		looked = time.Now()
		return open() == 0
	})
	for n, limit := open(), time.Now().Add(10*time.Minute); n > 0; n = open() {
		if time.Now().After(limit) {
			t.Fatalf("%d ends are not written", n)
		}
		time.Sleep(time.Second)
	}
	if *quiet && during > 2*before {
		t.Errorf("the 99th percentile was %v before, and %v while the account was ended", before, during)
	}
}

// multiply gives the account of a session many more, without a sign-in for each.
func multiply(t *testing.T, db *sql.DB, s exeunt.Session, n int) {
	t.Helper()
	if _, err := db.Exec(`CREATE TEMP TABLE more AS SELECT * FROM sessions WHERE id = $1`, s.ID.Bytes()); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`CREATE TEMP TABLE made AS SELECT more.* FROM more, generate_series(1, $1)`,
		`UPDATE made SET id = substr(sha256((random()::text || ctid::text)::bytea), 1, 16), token_hash = sha256((random()::text || ctid::text)::bytea) WHERE $1 > 0`,
		`INSERT INTO sessions SELECT * FROM made WHERE $1 > 0`,
		`UPDATE accounts SET live_sessions = live_sessions + $1 WHERE id = (SELECT account_id FROM more)`,
		`DROP TABLE made, more`,
	} {
		args := []any{n}
		if q[0] == 'D' {
			args = nil
		}
		if _, err := db.Exec(q, args...); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func sessionsOf(t *testing.T, db *sql.DB, account exeunt.AccountID) (list []exeunt.SessionID) {
	t.Helper()
	rows, err := db.Query(`SELECT id FROM sessions WHERE account_id = $1`, account.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id exeunt.SessionID
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		list = append(list, id)
	}
	return list
}
