package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	accountMost   = 5 // rounds; before each, a million rows are put back
	smallAccounts = 15
)

// wholeAccount measures the sign-out of an account with a million sessions, and of
// accounts with one.
func (b *bench) wholeAccount(ctx context.Context, rounds int) error {
	c := config.Default()
	c.MaxSessions = 0 // of the one account that is measured
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", filepath.Join(b.dir, "account"), true
	node, err := quiet(ctx, c)
	if err != nil {
		return err
	}
	if err := node.Close(); err != nil { // it has made the tables
		return err
	}
	db, err := sql.Open("sqlite", filepath.Join(c.Data, store.DatabaseFile))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, q := range []string{`PRAGMA synchronous = OFF`, `PRAGMA cache_size = -1000000`} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	all, err := makeAccounts(ctx, db)
	if err != nil {
		return err
	}
	var many, one, ratio []float64
	for range min(rounds, accountMost) {
		if err := revive(ctx, db); err != nil {
			return err
		}
		m, o, err := timedAccounts(ctx, c, db, all)
		if err != nil {
			return err
		}
		many, one, ratio = append(many, m), append(one, o), append(ratio, m/o)
	}
	f := figure{row: rowAccount, value: fmt.Sprintf("%.2f ms", median(many)), limit: fmt.Sprintf("%.2f ms", median(one)), judged: median(ratio),
		note: fmt.Sprintf("%d rounds", len(ratio))}
	f.low, f.high = interval(ratio)
	b.add(f)
	return nil
}

// makeAccounts creates accounts with one session each and, in the middle, one with a
// million.
func makeAccounts(ctx context.Context, db *sql.DB) ([]exeunt.AccountID, error) {
	now := time.Now().UnixMilli()
	var all []exeunt.AccountID
	for i := range smallAccounts + 1 {
		id, n := exeunt.NewAccountID(), 1
		if i == smallAccounts/2 {
			n = million
		}
		all = append(all, id)
		_, err := db.ExecContext(ctx, `INSERT INTO accounts (id, handle, name, email, email_key, email_confirmed, display, profile_version, password_hash, password_set,
			status, created, generation, credential_version, live_sessions, last_ended)
			VALUES (?, ?, 'Bench', '', '', 0, 'system', 1, NULL, NULL, 'active', ?, 1, 1, 0, 0)`, id.Bytes(), fmt.Sprint("bench", i), now)
		if err == nil {
			_, err = db.ExecContext(ctx, `WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < ?4)
				INSERT INTO sessions (account_id, id, token_hash, kind, label, user_agent, address, methods, proved_at, started, seen, idle, expires, due, generation)
				SELECT ?1, randomblob(16), randomblob(32), 'kept', 'bench', '', '', 'password', ?2, ?2, ?2, ?3, ?2 + 2 * ?3, ?2 + ?3, 1 FROM more`,
				id.Bytes(), now, (24 * time.Hour).Milliseconds(), n)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// revive makes every session live again. No node may have the database open.
func revive(ctx context.Context, db *sql.DB) error {
	for _, q := range []string{
		`UPDATE sessions SET generation = (SELECT generation FROM accounts a WHERE a.id = account_id), ended_at = NULL, ended_reason = NULL, ended_by = NULL,
			ended_by_session = NULL, ended_by_label = NULL`,
		`UPDATE accounts SET live_sessions = (SELECT count(*) FROM sessions s WHERE s.account_id = accounts.id)`,
		`UPDATE log_head SET ends_written = seq`,
		`PRAGMA wal_checkpoint(TRUNCATE)`,
	} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// timedAccounts opens a node with all sessions in memory and signs every account out,
// one after the other. It returns the milliseconds for the big one, and the median for
// the others.
func timedAccounts(ctx context.Context, c config.Config, db *sql.DB, all []exeunt.AccountID) (many, one float64, err error) {
	if err := os.Remove(filepath.Join(c.Data, "live.snapshot")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, err
	}
	node, err := quiet(ctx, c)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	if err := remember(ctx, node.Live, db); err != nil {
		return 0, 0, err
	}
	heap() // what was made on the way is not to be cleared away meanwhile
	var others []float64
	for i, account := range all {
		target := exeunt.Target{Account: account, Scope: exeunt.ScopeAccount}
		rev := exeunt.Revocation{Target: target, Reason: exeunt.ReasonSignedOut}
		begun := time.Now()
		out, err := node.Authority.End(ctx, exeunt.Actor{Kind: exeunt.ActorOperator, Label: "bench"}, rev)
		took := float64(time.Since(begun).Microseconds()) / 1000
		switch want := map[bool]int64{true: million, false: 1}[i == smallAccounts/2]; {
		case err != nil:
			return 0, 0, err
		case out.Ended != want:
			return 0, 0, fmt.Errorf("%d sessions were ended, not %d", out.Ended, want)
		case want == million:
			many = took
		default:
			others = append(others, took)
		}
	}
	return many, median(others), nil
}

// remember puts every session into memory, as a check of its token does.
func remember(ctx context.Context, index *live.Index, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT account_id, id, token_hash, generation, started, idle, expires FROM sessions`)
	if err != nil {
		return err
	}
	defer rows.Close()
	s := live.Snapshot{Epoch: index.Epoch()}
	s.Seq = index.Applied()
	s.Session.Kind = exeunt.KindKept
	var hash []byte
	for rows.Next() {
		var started, idle, expires int64
		if err := rows.Scan(&s.Session.Account, &s.Session.ID, &hash, &s.Session.Generation, &started, &idle, &expires); err != nil {
			return err
		}
		copy(s.Hash[:], hash)
		s.AccountGeneration = s.Session.Generation
		s.Session.Started, s.Session.Seen = time.UnixMilli(started), time.UnixMilli(started)
		s.Session.ExpiresAt = time.UnixMilli(expires)
		s.Session.Idle = time.Duration(idle) * time.Millisecond
		if !index.Insert(s) {
			return errors.New("memory did not take a session")
		}
	}
	return rows.Err()
}
