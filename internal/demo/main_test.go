package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/password"
)

// childFolder names, in a copy of the test's own program, the data folder to
// serve from: what is killed must be a process.
const childFolder = "EXEUNT_TEST_SERVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// privateDir makes a folder that nobody else may read, as a data folder must be.
func privateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// testOptions serve on any free ports. Hashing is quick: the tests sign in
// thousands of times.
func testOptions(dir string) Options {
	return Options{
		Data: dir, Addr: "127.0.0.1:0", AppAddr: "127.0.0.1:0", GazetteAddr: "127.0.0.1:0", MailboxAddr: "127.0.0.1:0",
		SignUp: config.SignUpOpen,
		Open:   openNode,
		NodeOptions: NodeOptions{
			Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
			Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 4},
		},
	}
}

func openNode(ctx context.Context, c config.Config, opt NodeOptions) (*Node, error) {
	n, err := app.New(ctx, c, app.Options{Log: opt.Log, Version: opt.Version, Now: opt.Now, Hashing: opt.Hashing})
	if err != nil {
		return nil, err
	}
	return &Node{Authority: n.Authority, SignIn: n.SignIn, Accounts: n.Accounts, Serve: n.Serve, Close: n.Close}, nil
}

// crowdHandle is the n-th of the accounts that the tests make beside the
// demo's own.
func crowdHandle(n int) string { return fmt.Sprintf("crowd_%d", n) }

const (
	crowdPassword = "nine geese over the weir"
	crowdSize     = 6
)

// addCrowd makes the tests' accounts unless they are there.
func addCrowd(ctx context.Context, s *Stage) error {
	for i := range crowdSize {
		exists, err := s.Node.HasAccount(ctx, crowdHandle(i))
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		by := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}
		if _, err := s.Node.Accounts.AddAccount(ctx, by, account.NewAccount{Handle: crowdHandle(i), Password: crowdPassword}, false); err != nil {
			return err
		}
	}
	return nil
}

// newcomer makes an account of nobody else's.
func newcomer(t *testing.T, s *Stage) Account {
	t.Helper()
	a := Account{Handle: "n" + strings.ToLower(rand.Text())[:12], Password: crowdPassword}
	by := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"}
	if _, err := s.Node.Accounts.AddAccount(t.Context(), by, account.NewAccount{Handle: a.Handle, Password: a.Password}, false); err != nil {
		t.Fatal(err)
	}
	return a
}

// where a child answers.
type where struct{ Exeunt, Chirp string }

// serveChild serves a folder, and says where once it does.
func serveChild(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, _, err := Start(ctx, testOptions(dir))
	if err != nil {
		return err
	}
	if err := addCrowd(ctx, s); err != nil {
		return errors.Join(err, s.Close())
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	if err := json.NewEncoder(os.Stdout).Encode(where{s.ExeuntURL, s.ChirpURL}); err != nil {
		return err
	}
	return errors.Join(<-served, s.Close())
}

// perform opens a stage on a folder and serves it until the test is over or
// the returned function is called.
func perform(t *testing.T, dir string) (*Stage, Accounts, func()) {
	t.Helper()
	return performWith(t, testOptions(dir))
}

func performWith(t *testing.T, opt Options) (*Stage, Accounts, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, accounts, err := Start(ctx, opt)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	over := false
	end := func() {
		if over {
			return
		}
		over = true
		cancel()
		if err := errors.Join(<-served, s.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	return s, accounts, end
}
