package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/exeunt/exeunt"
)

const endsEach = 200

// implausible is the rate of fdatasync above which a disk does not really
// write: then there is no limit to compare with.
const implausible = 50_000

// signOuts measures durable sign-outs with one caller beside raw fdatasync of
// 4 KiB overwrites on the same disk, round by round in turn.
func (b *bench) signOuts(ctx context.Context, rounds int) error {
	raw, err := newRawDisk(filepath.Join(b.dir, "raw"))
	if err != nil {
		return err
	}
	defer raw.close()
	var ends, syncs, ratio []float64
	for range rounds {
		sessions := make([]exeunt.Session, endsEach)
		for i := range sessions {
			if _, sessions[i], err = b.start(ctx); err != nil {
				return err
			}
		}
		start := time.Now()
		for _, s := range sessions {
			by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID, Label: s.Label}
			rev := exeunt.Revocation{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID, Reason: exeunt.ReasonSignedOut}
			if _, err := b.node.Authority.End(ctx, by, rev); err != nil {
				return err
			}
		}
		e := perSecond(endsEach, time.Since(start))
		start = time.Now()
		for i := range endsEach {
			if err := raw.overwrite(i); err != nil {
				return err
			}
		}
		f := perSecond(endsEach, time.Since(start))
		ends, syncs, ratio = append(ends, e), append(syncs, f), append(ratio, e/f)
	}
	if median(syncs) > implausible {
		fmt.Printf("sign-outs          %.0f/s with one caller; fdatasync claims %.0f/s, so this disk is not durable and there is no ratio\n", median(ends), median(syncs))
		return nil
	}
	fmt.Printf("sign-outs          %.0f/s with one caller, raw fdatasync %.0f/s, ratio %.2f\n", median(ends), median(syncs), median(ratio))
	return nil
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

func (d *rawDisk) close() { d.f.Close() }
