package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
)

// Accounts are the demo's credentials, made once for each data folder and kept
// in demo.json for its owner alone.
type Accounts struct {
	Accounts []Account `json:"accounts"`
	Tour     Account   `json:"tour"`
	// Seeded: the accounts and their history are all there. It is false only
	// while they are being made.
	Seeded bool `json:"seeded"`
	// MasterKey is what nodes on one database share.
	MasterKey string `json:"master_key,omitempty"`
}

// Account is a handle and its password.
type Account struct {
	Handle   string `json:"handle"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password"`
}

const demoFile = "demo.json"

// readDemo returns the credentials of a data folder, or new ones that are not
// seeded yet. What an interrupted seeding left behind is removed. A folder with
// data that is not the demo's is refused.
func readDemo(dir string) (a Accounts, err error) {
	b, err := os.ReadFile(filepath.Join(dir, demoFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, name := range []string{store.DatabaseFile, chirpFile} {
			if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				return a, fmt.Errorf("%s holds data that is not the demo's; name another folder (there is a %s)", dir, name)
			}
		}
	case err != nil:
		return a, err
	default:
		if err := json.Unmarshal(b, &a); err != nil {
			return a, fmt.Errorf("%s is damaged (%w); delete the folder %s to start afresh", demoFile, err, dir)
		}
	}
	if a.Seeded {
		return a, nil
	}
	if err := clearHalfSeeded(dir); err != nil {
		return a, err
	}
	return Accounts{
		Accounts: []Account{{"ada", "Ada Quill", newPassword()}, {"grace", "Grace Wren", newPassword()}},
		Tour:     Account{"tour", "On tour", newPassword()}, MasterKey: newMasterKey(),
	}, nil
}

// clearHalfSeeded deletes the databases of a seeding that did not finish: they
// hold nothing but a part of what will be made again.
func clearHalfSeeded(dir string) (err error) {
	// Another demo may be seeding this very folder.
	release, err := store.LockFolder(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	for _, name := range []string{store.DatabaseFile, chirpFile} {
		for _, ending := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(filepath.Join(dir, name+ending)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// keep writes the credentials, whole or not at all.
func (a Accounts) keep(dir string) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, demoFile+".new")
	if err := os.WriteFile(temporary, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, demoFile))
}

// newPassword draws 80 random bits in groups that are easy to type.
func newPassword() string {
	text := strings.ToLower(rand.Text())
	return text[0:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16]
}

// past is a clock that the seeding moves through the weeks before now, so that
// the seeded history went through the same code as everything else.
type past struct{ ms atomic.Int64 }

func (p *past) now() time.Time      { return time.UnixMilli(p.ms.Load()) }
func (p *past) set(t time.Time)     { p.ms.Store(t.UnixMilli()) }
func ago(d time.Duration) time.Time { return time.Now().Add(-d) }

// A seeded session: when it started and was last used, and how it ended.
type seeded struct {
	kind    exeunt.SessionKind
	label   string
	agent   string
	address string
	started time.Duration // ago
	seen    time.Duration // ago
	ended   time.Duration // ago; 0: it has not
	from    int           // index of the session it was ended from; -1: itself
}

const day = 24 * time.Hour

var adasPast = []seeded{
	{exeunt.KindKept, "Firefox on Linux", laptopAgent, "203.0.113.7", 60 * day, 40 * day, 38 * day, -1},
	{exeunt.KindApp, "Pixel 8", "Chirp/4.2 (Android 16)", "203.0.113.80", 21 * day, 3 * time.Hour, 0, 0},
	{exeunt.KindShared, "Chrome on Windows", libraryAgent, "198.51.100.24", 6 * day, 6*day - 5*time.Minute, 6*day - 8*time.Minute, 1},
	{exeunt.KindKept, "Safari on macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15", "203.0.113.7", 14 * day, day, 0, 0},
	{exeunt.KindShared, "Firefox on Linux", laptopAgent, "192.0.2.14", 3 * day, 3 * day, 0, 0}, // left alone: ends by its idle timeout
}

var gracesPast = []seeded{
	{exeunt.KindKept, "Firefox on Linux", laptopAgent, "192.0.2.31", 9 * day, 20 * time.Hour, 0, 0},
	{exeunt.KindApp, "iPad", "Chirp/4.2 (iPadOS 26.1)", "192.0.2.31", 30 * day, 9 * day, 4 * day, 0},
}

// seed makes the accounts of the demo and their history.
func seed(ctx context.Context, c config.Config, opt Options, d Accounts) error {
	clock := &past{}
	clock.set(ago(70 * day))
	opt.Now = clock.now
	c.SignUp = config.SignUpOpen
	node, err := opt.Open(ctx, c, opt.NodeOptions)
	if err != nil {
		return err
	}
	for i, history := range [][]seeded{adasPast, gracesPast} {
		a := d.Accounts[i]
		clock.set(ago(70 * day))
		new := account.NewAccount{Handle: a.Handle, Name: a.Name, Email: a.Handle + "@example.com", Password: a.Password}
		operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "demo"}
		if _, err := node.Accounts.AddAccount(ctx, operator, new, true); err != nil {
			return errors.Join(fmt.Errorf("seed @%s: %w", a.Handle, err), node.Close())
		}
		if err := live(ctx, node, clock, a, history); err != nil {
			return errors.Join(fmt.Errorf("seed @%s: %w", a.Handle, err), node.Close())
		}
	}
	return node.Close()
}

// live plays an account's history in order of time.
func live(ctx context.Context, node *Node, clock *past, a Account, history []seeded) error {
	tokens := make([]exeunt.Token, len(history))
	sessions := make([]exeunt.Session, len(history))
	type moment struct {
		ago time.Duration
		do  func() error
	}
	var moments []moment
	for i, h := range history {
		moments = append(moments, moment{h.started, func() (err error) {
			address := netip.MustParseAddr(h.address)
			proof, err := signin.Proof(node.SignIn.Password(ctx, a.Handle, a.Password, address))
			if err != nil {
				return err
			}
			tokens[i], sessions[i], err = node.Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: h.kind, Label: h.label, UserAgent: h.agent, Address: address})
			return err
		}})
		moments = append(moments, moment{h.seen, func() error {
			c := authority.Credential{Token: tokens[i], Use: authority.AsBearer}
			if h.kind.Browser() {
				c.Use = authority.AsPair
			}
			node.Authority.Touch(node.Authority.Check(ctx, c))
			return node.Authority.FlushActivity(ctx)
		}})
		if h.ended == 0 {
			continue
		}
		moments = append(moments, moment{h.ended, func() error {
			by := sessions[i]
			if h.from >= 0 {
				by = sessions[h.from]
			}
			_, err := node.Authority.End(ctx, exeunt.Actor{Kind: exeunt.ActorPerson, Account: by.Account, Session: by.ID, Label: by.Label},
				exeunt.Revocation{Target: exeunt.Target{Account: by.Account, Scope: exeunt.ScopeSession, Session: sessions[i].ID}, Reason: exeunt.ReasonSignedOut})
			return err
		}})
	}
	for len(moments) > 0 {
		first := 0
		for i := range moments {
			if moments[i].ago > moments[first].ago {
				first = i
			}
		}
		clock.set(ago(moments[first].ago))
		if err := moments[first].do(); err != nil {
			return err
		}
		moments = append(moments[:first], moments[first+1:]...)
	}
	return nil
}
