package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/signin"
)

const (
	askedAtStart = 10_000
	replayed     = 100_000
	startRounds  = 3

	startSessions = 10 * million
)

// starts measures how long a node takes from nothing to having answered random
// tokens from memory, beside reading the file of known sessions: after a stop,
// and with events since the file as after a kill.
func (b *bench) starts(ctx context.Context, _ int) error {
	c := config.Default()
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", filepath.Join(b.dir, "start"), true
	node, err := quiet(ctx, c)
	if err != nil {
		return err
	}
	tokens, err := crowd(node.Authority.Live, startSessions, false)
	if err != nil {
		return err
	}
	tokens = tokens[:min(askedAtStart, len(tokens))]
	if err := node.Close(); err != nil {
		return err
	}
	node = nil
	path := filepath.Join(c.Data, "live.snapshot")
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, a := range []struct {
		row    string
		events int
	}{{rowStartClean, 0}, {rowStartCrash, replayed}} {
		if err := addEvents(filepath.Join(c.Data, app.DatabaseFile), a.events); err != nil {
			return err
		}
		var starts, reads, ratio []float64
		for range startRounds {
			heap() // the last round's memory is not this one's to clear away
			r, err := timedRead(path)
			if err != nil {
				return err
			}
			s, err := timedStart(ctx, c, tokens)
			if err != nil {
				return err
			}
			starts, reads, ratio = append(starts, s), append(reads, r), append(ratio, s/r)
			if err := os.WriteFile(path, file, 0o600); err != nil { // a stop has left another
				return err
			}
		}
		f := figure{row: a.row, value: fmt.Sprintf("%.0f ms", median(starts)), limit: fmt.Sprintf("%.0f ms for %d MB", median(reads), len(file)>>20), judged: median(ratio)}
		f.low, f.high = interval(ratio)
		b.add(f)
	}
	return nil
}

func quiet(ctx context.Context, c config.Config) (*app.Node, error) {
	return app.New(ctx, c, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Hashing: signin.Hashing{MemoryKiB: 1024, Iterations: 1, AtOnce: 2}})
}

func timedStart(ctx context.Context, c config.Config, tokens []exeunt.Token) (ms float64, err error) {
	begun := time.Now()
	node, err := quiet(ctx, c)
	if err != nil {
		return 0, err
	}
	for _, t := range tokens {
		if !node.Authority.Check(ctx, t).Usable() { // none of them is in the store
			return 0, errors.Join(errors.New("a session is not known from the file"), node.Close())
		}
	}
	ms = float64(time.Since(begun).Microseconds()) / 1000
	return ms, node.Close()
}

func timedRead(path string) (ms float64, err error) {
	buffer := make([]byte, 1<<20)
	begun := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Read(buffer)
	}
	if err != io.EOF {
		return 0, err
	}
	return float64(time.Since(begun).Microseconds()) / 1000, nil
}

// addEvents writes ends of sessions that nobody knows into the log of a database
// that no node has open.
func addEvents(path string, n int) error {
	if n == 0 {
		return nil
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(`WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < ?)
		INSERT INTO events (seq, at, account_id, scope, session_id, generation, version, reason, by_kind, by_label)
		SELECT (SELECT seq FROM log_head) + n, ?, randomblob(16), 'session', randomblob(16), 0, 0, 'signed_out', 'system', '' FROM more`, n, time.Now().UnixMilli())
	if err == nil {
		_, err = db.Exec(`UPDATE log_head SET seq = seq + ?, touched = touched + ?`, n, n)
	}
	return err
}
