package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
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

// Accounts are the demo's credentials, created once for each data folder and saved in
// demo.json, which only its owner can read.
type Accounts struct {
	Accounts []Account `json:"accounts"`
	Tour     Account   `json:"tour"`
	// Seeded reports that the accounts and their history are complete.
	Seeded bool `json:"seeded"`
	// MasterKey is shared by the nodes on one database.
	MasterKey string `json:"master_key,omitempty"`
}

// Account is a handle and its password.
type Account struct {
	Handle   string `json:"handle"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password"`
}

const demoFile = "demo.json"

// readDemo returns the credentials of a data folder, or new ones that are not seeded
// yet. It deletes the rest of an interrupted seeding, and refuses a folder with other
// data than the demo's.
func readDemo(dir string) (a Accounts, err error) {
	b, err := os.ReadFile(filepath.Join(dir, demoFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, name := range []string{store.DatabaseFile, chirpFile} {
			if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				return a, fmt.Errorf("%s has a %s that is not the demo's: name another folder", dir, name)
			}
		}
	case err != nil:
		return a, err
	default:
		if err := json.Unmarshal(b, &a); err != nil {
			return a, fmt.Errorf("%s is damaged (%w): delete the folder %s to start again", demoFile, err, dir)
		}
	}
	if a.Seeded {
		return a, nil
	}
	if err := deletePartialSeed(dir); err != nil {
		return a, err
	}
	return Accounts{
		Accounts: []Account{{"ada", "Ada Quill", newPassword()}, {"grace", "Grace Wren", newPassword()}},
		Tour:     Account{"tour", "On tour", newPassword()}, MasterKey: newMasterKey(),
	}, nil
}

// deletePartialSeed deletes the databases of a seeding that was interrupted, which will
// be created again.
func deletePartialSeed(dir string) (err error) {
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

// save writes the credentials, atomically.
func (a Accounts) save(dir string) error {
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

// newPassword returns 80 random bits in groups that are easy to type.
func newPassword() string {
	text := strings.ToLower(rand.Text())
	return text[0:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16]
}

// past is a clock that the seeding moves through the weeks before now, so that the
// usual code creates the history.
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
	{exeunt.KindShared, "Chrome on Windows", libraryAgent, "198.51.100.24",
		6 * day, 6*day - 5*time.Minute, 6*day - 8*time.Minute, 1},
	{exeunt.KindKept, "Safari on macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 " +
		"(KHTML, like Gecko) Version/26.0 Safari/605.1.15", "203.0.113.7", 14 * day, day, 0, 0},
	// Ends by its idle timeout.
	{exeunt.KindShared, "Firefox on Linux", laptopAgent, "192.0.2.14", 3 * day, 3 * day, 0, 0},
}

var gracesPast = []seeded{
	{exeunt.KindKept, "Firefox on Linux", laptopAgent, "192.0.2.31", 9 * day, 20 * time.Hour, 0, 0},
	{exeunt.KindApp, "iPad", "Chirp/4.2 (iPadOS 26.1)", "192.0.2.31", 30 * day, 9 * day, 4 * day, 0},
}

// seed creates the demo's accounts and their history.
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
		email := a.Handle + "@example.com"
		new := account.NewAccount{Handle: a.Handle, Name: a.Name, Email: email, Password: a.Password}
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
			tokens[i], sessions[i], err = node.Authority.Start(ctx, authority.SignIn{
				Proof: proof, Kind: h.kind, Label: h.label, UserAgent: h.agent, Address: address,
			})
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
			actor := exeunt.Actor{Kind: exeunt.ActorPerson, Account: by.Account, Session: by.ID, Label: by.Label}
			target := exeunt.Target{Account: by.Account, Scope: exeunt.ScopeSession, Session: sessions[i].ID}
			_, err := node.Authority.End(ctx, actor, exeunt.Revocation{Target: target, Reason: exeunt.ReasonSignedOut})
			return err
		}})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return cmp.Compare(b.ago, a.ago) })
	for _, m := range moments {
		clock.set(ago(m.ago))
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}
