package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/exeunt/exeunt/examples/chirp"
	"github.com/exeunt/exeunt/internal/config"
)

// Start opens a stage with the demo's accounts. It keeps existing data, with its
// sessions.
func Start(ctx context.Context, opt Options) (*Stage, Accounts, error) {
	if err := os.MkdirAll(opt.Data, 0o700); err != nil {
		return nil, Accounts{}, fmt.Errorf("data folder: %w", err)
	}
	accounts, err := readDemo(opt.Data)
	if err != nil {
		return nil, accounts, err
	}
	opt.masterKey = accounts.MasterKey
	if accounts.Seeded {
		s, err := Open(ctx, opt)
		return s, accounts, err
	}
	if err := errors.Join(checkFree(opt.Addr, "--addr"), checkFree(opt.AppAddr, "--app-addr"),
		checkFree(opt.GazetteAddr, "--gazette-addr"), checkFree(opt.MailboxAddr, "--mailbox-addr")); err != nil {
		return nil, accounts, err
	}
	// Saved before seeding, so that the next start recognises an interrupted one.
	if err := accounts.save(opt.Data); err != nil {
		return nil, accounts, err
	}
	c := stageConfig(opt, "127.0.0.1:0", "http://exeunt.localhost")
	if err := seed(ctx, c, opt, accounts); err != nil {
		if opt.Database != "" {
			err = fmt.Errorf("%w (the database must be empty)", err)
		}
		return nil, accounts, err
	}
	s, err := Open(ctx, opt)
	if err != nil {
		return nil, accounts, err
	}
	member := func(a Account) chirp.Member { return chirp.Member{Handle: a.Handle, Name: a.Name} }
	ada, grace := member(accounts.Accounts[0]), member(accounts.Accounts[1])
	if err := s.Chirp.Seed(ctx, ada, grace, time.Now()); err != nil {
		return nil, accounts, errors.Join(fmt.Errorf("seed chirp: %w", err), s.Close())
	}
	accounts.Seeded = true
	if err := accounts.save(opt.Data); err != nil {
		return nil, accounts, errors.Join(err, s.Close())
	}
	return s, accounts, nil
}

// checkFree returns an error if an address is in use, before the seeding takes time.
func checkFree(addr, flag string) error {
	l, err := config.Listen(addr, flag)
	if err != nil {
		return err
	}
	return l.Close()
}

// Tour plays the tour and writes a line for each step. It reports whether all steps
// held.
func (s *Stage) Tour(ctx context.Context, a Accounts, out io.Writer) (held bool, err error) {
	exists, err := s.Node.HasAccount(ctx, a.Tour.Handle)
	if err != nil {
		return false, err
	}
	if exists {
		// Delete what the last tour posted, or it would pile up.
		if err := s.Chirp.DeletePosts(ctx, a.Tour.Handle); err != nil {
			return false, err
		}
	}
	var nodes []string
	for _, o := range s.others {
		nodes = append(nodes, o.l.Addr().String())
	}
	if len(nodes) > 0 {
		nodes = append(nodes, s.exeunt.Addr().String())
	}
	place := Place{Exeunt: s.ExeuntURL, Chirp: s.ChirpURL, Gazette: s.GazetteURL, Nodes: nodes, Staleness: s.config().MaxStaleness}
	return Tour(ctx, place, a.Tour, !exists, out)
}
