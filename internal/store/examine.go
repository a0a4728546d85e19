package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Durability is how a server keeps what is committed.
type Durability struct {
	Version        int64 // as 150004
	Fsync          string
	Commit         string // synchronous_commit, as this database's sessions have it
	FullPageWrites string
	Named          string        // synchronous_standby_names: whom commits wait for; "" for nobody
	Standbys       int64         // that stream
	Confirming     int64         // of them, those that commits wait for
	Ahead          time.Duration // how far its clock is ahead of ours
	Took           time.Duration // a question and its answer
}

// Examine asks a server how it keeps what is committed. It changes nothing.
func Examine(ctx context.Context, rawURL string, log *slog.Logger) (d Durability, err error) {
	e, err := newPostgres(Options{URL: rawURL, Log: log})
	if err != nil {
		return d, err
	}
	conn, err := dial(ctx, e.with(nil))
	if err != nil {
		return d, fmt.Errorf("database %s: %w", e.name(), err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	// The reset value is what sessions begin with; this one may have been given another.
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::bigint, current_setting('fsync'),
		(SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), current_setting('full_page_writes'),
		current_setting('synchronous_standby_names'),
		(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'),
		(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum'))`).
		Scan(&d.Version, &d.Fsync, &d.Commit, &d.FullPageWrites, &d.Named, &d.Standbys, &d.Confirming); err != nil {
		return d, err
	}
	var now time.Time
	begun := time.Now()
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return d, err
	}
	d.Took = time.Since(begun)
	d.Ahead = now.Sub(begun.Add(d.Took / 2))
	return d, nil
}
