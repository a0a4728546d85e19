// Command node runs the authority, Chirp and Gazette for the browser tests, with a
// clock that the tests move. It reads one JSON command a line from standard
// input and answers each with one line.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/demo"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testpg"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, stop); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

// clock is the system's clock, moved forward by the tests.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

func run(ctx context.Context, stop func()) error {
	var opt demo.Options
	var kept, shared time.Duration
	flag.StringVar(&opt.Data, "data", "", "data folder")
	flag.StringVar(&opt.Addr, "addr", "127.0.0.1:0", "the authority's address")
	flag.StringVar(&opt.AppAddr, "app-addr", "127.0.0.1:0", "Chirp's address")
	flag.StringVar(&opt.GazetteAddr, "gazette-addr", "127.0.0.1:0", "Gazette's address")
	flag.StringVar(&opt.MailboxAddr, "mailbox-addr", "127.0.0.1:0", "the mailbox's address")
	flag.DurationVar(&kept, "kept-idle", 30*24*time.Hour, "idle timeout of kept sessions")
	flag.DurationVar(&shared, "shared-idle", 15*time.Minute, "idle timeout of shared sessions")
	postgres := flag.Bool("postgres", false, "on a PostgreSQL server of its own instead of a file")
	level := flag.String("log", "error", "log level")
	flag.Parse()
	c := &clock{}
	opt.Now, opt.SignUp = c.now, config.SignUpOpen
	opt.Log = app.Logger(os.Stderr, config.Log{Level: *level, Format: "text"})
	slog.SetDefault(app.ForLibraries(opt.Log))
	opt.Hashing = password.Hashing{MemoryKiB: 1024, Iterations: 1, AtOnce: 4} // the tests sign in hundreds of times
	opt.Policy = config.Default().Policy
	opt.Policy.Kept.Idle, opt.Policy.Shared.Idle = kept, shared
	var db database
	if *postgres {
		if err := db.open(); err != nil {
			return err
		}
		defer db.Close()
		opt.Database = config.Secret(db.URL("postgres"))
	}
	var node *app.Node // the one that is open at last
	opt.Open = func(ctx context.Context, c config.Config, o demo.NodeOptions) (*demo.Node, error) {
		n, err := app.New(ctx, c, app.Options{Log: o.Log, Version: o.Version, Now: o.Now, Hashing: o.Hashing})
		if err != nil {
			return nil, err
		}
		node = n
		return &demo.Node{
			Authority: n.Authority, SignIn: n.SignIn, Accounts: n.Accounts, Serve: n.Serve, Close: n.Close,
		}, nil
	}
	stage, accounts, err := demo.Start(ctx, opt)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- stage.Serve(ctx) }()
	out := json.NewEncoder(os.Stdout)
	ready := map[string]any{"exeunt": stage.ExeuntURL, "chirp": stage.ChirpURL, "gazette": stage.GazetteURL,
		"mailbox": stage.MailboxURL, "accounts": accounts.Accounts}
	if err := out.Encode(ready); err != nil {
		return err
	}
	for line := range commands(ctx) {
		var cmd command
		answer := map[string]any{}
		if err := json.Unmarshal(line, &cmd); err != nil {
			answer["error"] = err.Error()
		} else if err := cmd.do(ctx, node, c, &db, answer); err != nil {
			answer["error"] = err.Error()
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	stop() // the tests are gone
	return errors.Join(<-served, stage.Close())
}

// commands are the lines of standard input, until it ends or the program is
// told to stop.
func commands(ctx context.Context) iter.Seq[[]byte] {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- bytes.Clone(in.Bytes())
		}
	}()
	return func(yield func([]byte) bool) {
		for {
			select {
			case line, ok := <-lines:
				if !ok || !yield(line) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// database is a server that a test can stop and restart.
type database struct {
	*testpg.Server
	resume func()
}

func (d *database) open() (err error) {
	d.Server, err = testpg.Start()
	return err
}

func (d *database) put(state string) (err error) {
	switch state {
	case "down": // at once, as in a crash
		return d.Signal(syscall.SIGQUIT)
	case "up":
		return d.Up()
	case "frozen": // its connections stay, and nothing answers
		d.resume, err = d.Pause()
		return err
	case "thawed":
		d.resume()
		return nil
	}
	return fmt.Errorf("invalid state %q of the database", state)
}

// command is one of a test's commands.
type command struct {
	Do      string `json:"do"`
	Handle  string `json:"handle"`
	Email   string `json:"email"` // with add: a confirmed one
	Seconds int    `json:"seconds"`
	Session string `json:"session"`
	Count   int    `json:"count"`
	Word    string `json:"password"`
	State   string `json:"state"`
}

func crowd(ctx context.Context, n *app.Node, c *command) error {
	proof, err := signin.Proof(n.SignIn.Password(ctx, c.Handle, c.Word, netip.Addr{}))
	for i := range c.Count {
		if err != nil {
			return err
		}
		_, _, err = n.Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: exeunt.KindApp,
			Label: fmt.Sprintf("App %d on Pixel %d", i+1, i%9), Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})})
	}
	return err
}

func (c *command) do(ctx context.Context, n *app.Node, clock *clock, db *database, answer map[string]any) error {
	switch c.Do {
	case "database":
		return db.put(c.State)
	case "advance": // move the clock and do what is due then
		clock.offset.Add(int64(time.Duration(c.Seconds) * time.Second))
		return n.Authority.Maintain(ctx)
	case "now":
		answer["now"] = clock.now()
		return nil
	case "crowd": // sign an account in to many apps
		return crowd(ctx, n, c)
	case "sessions": // of an account, live and ended
		return c.sessions(ctx, n, answer)
	case "end": // as an operator
		return c.end(ctx, n)
	case "reset": // a link for a new password, as an operator makes it
		a, err := n.Authority.AccountByHandle(ctx, c.Handle)
		if err != nil {
			return err
		}
		link, err := n.Accounts.OfferReset(ctx, exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}, a)
		answer["link"] = n.Config.URL + "/reset/" + link.Reveal()
		return err
	case "add": // an account, as an operator
		_, err := n.Accounts.AddAccount(ctx, exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"},
			account.NewAccount{Handle: c.Handle, Password: c.Word, Email: c.Email}, c.Email != "")
		return err
	case "invite": // a link for a new account
		link, _, err := n.Accounts.Invite(ctx, account.Invitation{Handle: c.Handle, Expires: clock.now().Add(time.Hour)})
		answer["link"] = n.Config.URL + "/setup/" + link.Reveal()
		return err
	case "change": // an account's e-mail address, as its owner does
		return c.change(ctx, n)
	case "confirm": // an account's e-mail address, as an operator
		a, err := n.Authority.AccountByHandle(ctx, c.Handle)
		if err == nil {
			_, err = n.Accounts.ConfirmEmail(ctx, exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}, a.ID, a.Email)
		}
		return err
	case "account":
		a, err := n.Authority.AccountByHandle(ctx, c.Handle)
		answer["id"] = a.ID.String()
		answer["name"], answer["display"], answer["passwords"] = a.Name, a.Display, a.CredentialVersion
		answer["language"] = a.Language
		answer["email"], answer["confirmed"], answer["pending"] = a.Email, a.EmailConfirmed, a.EmailPending
		if err == nil {
			var p exeunt.Profile
			p, err = n.Authority.ProfileOf(ctx, a.ID)
			answer["picture"] = p.Picture
		}
		return err
	case "drop_factors": // as an operator does for somebody who has lost them
		a, err := n.Authority.AccountByHandle(ctx, c.Handle)
		if err == nil {
			_, _, err = n.Accounts.DropFactors(ctx, exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}, a, exeunt.FactorID{})
		}
		return err
	case "head":
		head, err := n.Store.Head(ctx)
		answer["head"] = head
		return err
	}
	return fmt.Errorf("there is no command %q", c.Do)
}

// change enters another address from a session of its own, which it ends.
func (c *command) change(ctx context.Context, n *app.Node) error {
	proof, err := signin.Proof(n.SignIn.Password(ctx, c.Handle, c.Word, netip.Addr{}))
	if err != nil {
		return err
	}
	token, s, err := n.Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: exeunt.KindApp})
	if err != nil {
		return err
	}
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID}
	err = n.Accounts.ChangeProfile(ctx, by, token, account.Profile{Name: c.Handle, Email: c.Email},
		func(context.Context) (exeunt.Proof, error) { return proof, nil })
	_, ended := n.Authority.End(ctx, by, exeunt.Revocation{Reason: exeunt.ReasonSignedOut,
		Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID}})
	return errors.Join(err, ended)
}

func (c *command) sessions(ctx context.Context, n *app.Node, answer map[string]any) error {
	a, err := n.Authority.AccountByHandle(ctx, c.Handle)
	if err != nil {
		return err
	}
	for _, state := range []exeunt.SessionState{exeunt.SessionsActive, exeunt.SessionsEnded} {
		list, err := n.Authority.Sessions(ctx, exeunt.SessionFilter{Account: a.ID, State: state})
		if err != nil {
			return err
		}
		out := []map[string]any{}
		for _, s := range list.Items {
			one := map[string]any{
				"id": s.ID.String(), "kind": s.Kind, "label": s.Label, "started": s.Started, "seen": s.Seen,
			}
			if s.End != nil {
				one["reason"], one["at"] = s.End.Reason, s.End.At
			}
			out = append(out, one)
		}
		answer[string(state)] = out
	}
	return nil
}

func (c *command) end(ctx context.Context, n *app.Node) error {
	by := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}
	a, err := n.Authority.AccountByHandle(ctx, c.Handle)
	if err != nil {
		return err
	}
	target := exeunt.Target{Account: a.ID, Scope: exeunt.ScopeAccount}
	rev := exeunt.Revocation{Target: target, Reason: exeunt.ReasonAdministrator}
	if c.Session != "" {
		rev.Scope = exeunt.ScopeSession
		if rev.Session, err = exeunt.ParseSessionID(c.Session); err != nil {
			return err
		}
	}
	_, err = n.Authority.End(ctx, by, rev)
	return err
}
