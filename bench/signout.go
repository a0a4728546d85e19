package main

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/authority"
)

const (
	endsEach    = 1000
	manyCallers = 256
)

// implausible is the rate of fdatasync above which a disk does not really write, and is
// no limit to compare with.
const implausible = 50_000

// signOuts measures durable sign-outs with one caller.
func (b *bench) signOuts(ctx context.Context, rounds int) error {
	return b.callers(ctx, rounds, rowEnd1, 1, endsEach)
}

// manySignOuts measures them with many callers, who share commits.
func (b *bench) manySignOuts(ctx context.Context, rounds int) error {
	return b.callers(ctx, rounds, rowEnd256, manyCallers, 16)
}

// callers measures sign-outs by several callers at once, and raw fdatasync of 4 KiB
// overwrites on the same disk, in alternating rounds.
func (b *bench) callers(ctx context.Context, rounds int, row string, callers, each int) error {
	raw, err := newRawDisk(filepath.Join(b.dir, "raw"))
	if err != nil {
		return err
	}
	defer raw.close()
	nodes := []*app.Node{b.node}
	var ends, syncs, ratio []float64
	for range rounds {
		_, sessions, err := startMany(ctx, nodes, b.proof, callers*each)
		if err != nil {
			return err
		}
		e, err := endAll(ctx, nodes, sessions, callers)
		if err != nil {
			return err
		}
		f, err := raw.perSecond()
		if err != nil {
			return err
		}
		ends, syncs, ratio = append(ends, e), append(syncs, f), append(ratio, e/f)
	}
	b.addEnds(row, ends, syncs, ratio)
	return nil
}

// startMany starts sessions on the nodes in turn, many at once so that they
// share commits.
func startMany(ctx context.Context, nodes []*app.Node, proof exeunt.Proof, n int) ([]exeunt.Token, []exeunt.Session, error) {
	tokens, sessions, errs := make([]exeunt.Token, n), make([]exeunt.Session, n), make([]error, n)
	var wg sync.WaitGroup
	running := make(chan struct{}, 512)
	for i := range n {
		running <- struct{}{}
		wg.Go(func() {
			defer func() { <-running }()
			tokens[i], sessions[i], errs[i] = nodes[i%len(nodes)].Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: exeunt.KindApp, Label: "bench"})
		})
	}
	wg.Wait()
	return tokens, sessions, errors.Join(errs...)
}

// endAll has several callers end the sessions, and returns how many ended in a second.
func endAll(ctx context.Context, nodes []*app.Node, sessions []exeunt.Session, callers int) (float64, error) {
	errs := make([]error, callers)
	each := len(sessions) / callers
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range callers {
		wg.Go(func() {
			for _, s := range sessions[i*each : (i+1)*each] {
				if errs[i] = end(ctx, nodes[i%len(nodes)], s); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return perSecond(callers*each, time.Since(begun)), errors.Join(errs...)
}

// end signs a session out as its page does, with an idempotency key.
func end(ctx context.Context, n *app.Node, s exeunt.Session) error {
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID}
	target := exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID}
	_, err := n.Authority.End(ctx, by, exeunt.Revocation{Target: target, Reason: exeunt.ReasonSignedOut, Key: rand.Text()})
	return err
}

// addEnds reports sign-outs beside fdatasync.
func (r *report) addEnds(row string, ends, syncs, ratio []float64) {
	f := figure{row: row, value: thousands(median(ends)) + "/s", limit: thousands(median(syncs)) + "/s", judged: median(ratio)}
	f.low, f.high = interval(ratio)
	if row == rowEndPostgres { // other things than the disk take most of the time
		f.judged = median(ends)
		f.low, f.high = interval(ends)
	}
	r.machine.disk = "raw fdatasync " + f.limit
	if median(syncs) > implausible {
		f.noLimit = "fdatasync claims " + f.limit + ", so this disk is not durable and there is no ratio"
		r.machine.disk = f.noLimit
	}
	r.add(f)
}

// rawDisk is a preallocated file to overwrite.
type rawDisk struct {
	f    *os.File
	page []byte
}

const rawPages = 256

func newRawDisk(path string) (*rawDisk, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	d := &rawDisk{f: f, page: make([]byte, 4096)}
	for i := range rawPages {
		if _, err := f.WriteAt(d.page, int64(i)*4096); err != nil {
			return nil, err
		}
	}
	return d, f.Sync()
}

func (d *rawDisk) overwrite(i int) error {
	d.page[0]++
	if _, err := d.f.WriteAt(d.page, int64(i%rawPages)*4096); err != nil {
		return err
	}
	return syscall.Fdatasync(int(d.f.Fd()))
}

// perSecond overwrites for a while and returns how often in a second.
func (d *rawDisk) perSecond() (float64, error) {
	begun := time.Now()
	for i := range endsEach {
		if err := d.overwrite(i); err != nil {
			return 0, err
		}
	}
	return perSecond(endsEach, time.Since(begun)), nil
}

func (d *rawDisk) close() { d.f.Close() }
