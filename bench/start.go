package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	askedAtStart = 10_000
	replayed     = 100_000
	startRounds  = 9

	startSessions = 10 * million
)

// starts measures how long a node takes from its start until it has answered random
// tokens from memory, and how long reading the snapshot file takes: after a stop, and
// after a kill, with events since the file. Each start is in a process of its own: in
// one that is in use, the memory of earlier starts must be freed first.
func (b *bench) starts(ctx context.Context, _ int) error {
	o := startOrder{Data: filepath.Join(b.dir, "start")}
	if err := o.fill(ctx); err != nil {
		return err
	}
	debug.FreeOSMemory()
	database := filepath.Join(o.Data, store.DatabaseFile)
	for _, a := range []struct {
		row    string
		events int
	}{{rowStartClean, 0}, {rowStartCrash, replayed}} {
		if err := addEvents(database, a.events); err != nil {
			return err
		}
		before, err := os.ReadFile(database)
		if err != nil {
			return err
		}
		var starts, reads []float64
		for range startRounds {
			s, err := o.carriedOut(ctx)
			if err != nil {
				return err
			}
			starts, reads = append(starts, s.Start), append(reads, s.Read)
			// The process was gone without a stop: the file is as it was, and so
			// must be the database.
			for _, more := range []string{"-wal", "-shm"} {
				if err := os.Remove(database + more); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			if err := os.WriteFile(database, before, 0o600); err != nil {
				return err
			}
		}
		info, err := os.Stat(o.snapshot())
		if err != nil {
			return err
		}
		f := figure{row: a.row, value: fmt.Sprintf("%.0f ms", median(starts)), judged: median(starts) / 1000,
			limit: fmt.Sprintf("%.0f ms for %d MB", median(reads), info.Size()>>20)}
		f.note = "each start in a new process, which has first fetched as much memory as it will need and given it back: the host of a virtual machine may take many times as long to hand that out"
		b.add(f)
	}
	return nil
}

// startOrder is for a process that starts a node in a data folder and asks for
// tokens.
type startOrder struct {
	Data   string
	Tokens []string
}

// startTimes are in milliseconds.
type startTimes struct{ Read, Start float64 }

// startArgument makes this program that process.
const startArgument = "start-over-stdin"

func (o *startOrder) snapshot() string { return filepath.Join(o.Data, "live.snapshot") }

// fill leaves the data folder as a stop in order does.
func (o *startOrder) fill(ctx context.Context) error {
	node, err := o.node(ctx)
	if err != nil {
		return err
	}
	tokens, err := crowd(node.Live, startSessions, false)
	if err != nil {
		return err
	}
	for _, t := range tokens[:min(askedAtStart, len(tokens))] {
		o.Tokens = append(o.Tokens, t.Reveal())
	}
	return node.Close()
}

func (o *startOrder) carriedOut(ctx context.Context) (t startTimes, err error) {
	self, err := os.Executable()
	if err != nil {
		return t, err
	}
	var order bytes.Buffer
	if err := gob.NewEncoder(&order).Encode(o); err != nil {
		return t, err
	}
	command := exec.CommandContext(ctx, self, startArgument)
	command.Stdin, command.Stderr = &order, os.Stderr
	out, err := command.Output()
	if err != nil {
		return t, err
	}
	return t, gob.NewDecoder(bytes.NewReader(out)).Decode(&t)
}

// startOverStdin carries out an order. It does not stop the node, as after a kill.
func startOverStdin(in io.Reader, out io.Writer) error {
	var o startOrder
	if err := gob.NewDecoder(in).Decode(&o); err != nil {
		return err
	}
	var tokens []exeunt.Token
	for _, text := range o.Tokens {
		t, err := exeunt.ParseToken(text)
		if err != nil {
			return err
		}
		tokens = append(tokens, t)
	}
	info, err := os.Stat(o.snapshot())
	if err != nil {
		return err
	}
	if err := fetchMemory(int(info.Size()) * 3 / 2); err != nil {
		return err
	}
	var t startTimes
	if t.Read, err = timedRead(o.snapshot()); err != nil {
		return err
	}
	if t.Start, err = o.timed(context.Background(), tokens); err != nil {
		return err
	}
	return gob.NewEncoder(out).Encode(t)
}

// fetchMemory has the kernel own so many bytes that are free.
func fetchMemory(size int) error {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // it is advice
	for at := 0; at < size; at += os.Getpagesize() {
		b[at] = 1
	}
	return unix.Munmap(b)
}

func (o *startOrder) node(ctx context.Context) (*app.Node, error) {
	c := config.Default()
	c.MaxSessions = 0 // of the one account that is measured
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", o.Data, true
	return quiet(ctx, c)
}

func (o *startOrder) timed(ctx context.Context, tokens []exeunt.Token) (ms float64, err error) {
	begun := time.Now()
	node, err := o.node(ctx)
	if err != nil {
		return 0, err
	}
	for _, t := range tokens {
		if !node.Authority.Check(ctx, authority.Credential{Token: t, Use: authority.AsPair}).Usable() { // none of them is in the store
			return 0, errors.New("a session of the snapshot file is not in memory")
		}
	}
	return float64(time.Since(begun).Microseconds()) / 1000, nil
}

func quiet(ctx context.Context, c config.Config) (*app.Node, error) {
	return app.New(ctx, c, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Hashing: password.Hashing{MemoryKiB: 1024, Iterations: 1, AtOnce: 2}})
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

// addEvents appends endings of unknown sessions to the log of a database that no node
// has open.
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
		INSERT INTO events (seq, at, kind, account_id, scope, session_id, client_id, generation, version, reason, by_kind, by_label, by_address)
		SELECT (SELECT seq FROM log_head) + n, ?, 'ended', randomblob(16), 'session', randomblob(16), '', 0, 0, 'signed_out', 'system', '', '' FROM more`, n, time.Now().UnixMilli())
	if err == nil {
		_, err = db.Exec(`UPDATE log_head SET seq = seq + ?, touched = touched + ?`, n, n)
	}
	return err
}
