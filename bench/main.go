// Command bench measures what the design promises to be fast. Each figure is a ratio to
// a limit of the same run, since machines differ and are noisy. With --write it writes
// the figures to a document.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
)

// parts are the measurements that can be chosen, in the order they run.
var parts = []struct {
	name    string
	measure func(*bench, context.Context, int) error
}{
	{"check", eachSize(onNode((*bench).check))},
	{"memory", eachSize((*bench).memory)},
	{"start", (*bench).starts},
	{"account", (*bench).wholeAccount},
	{"verifier", (*bench).verifier},
	{"under", onNode((*bench).checkUnder)},
	{"signout", onNode((*bench).signOuts)},
	{"manysignouts", onNode((*bench).manySignOuts)},
	{"gate", onNode((*bench).gate)},
	{"relay", onNode((*bench).relay)},
	{"tokens", onNode((*bench).tokens)},
	{"introspection", onNode((*bench).introspection)},
	{"deliveries", onNode((*bench).deliveries)},
	{"hostile", (*bench).hostile},
	{"postgres", onCluster},
	{"scs", beside},
}

// helpers are what this program does in processes that it starts.
var helpers = map[string]func(io.Reader, io.Writer) error{
	loadArgument:     loadOverStdin,
	startArgument:    startOverStdin,
	upstreamArgument: upstreamOverStdin,
}

func main() {
	if len(os.Args) == 2 && helpers[os.Args[1]] != nil {
		if err := helpers[os.Args[1]](os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	rounds := flag.Int("rounds", 21, "interleaved rounds of each measurement")
	profile := flag.String("profile", "", "file to write a CPU profile to")
	dir := flag.String("dir", "", "folder on the disk to measure; default a temporary one")
	only := flag.String("only", "", "the parts to run, with commas between; default all: "+strings.Join(partNames(), ","))
	write := flag.String("write", "", "file to write the figures to; what --only leaves out is said to be not measured")
	flag.Parse()
	slog.SetDefault(app.ForLibraries(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	if err := run(ctx, *rounds, *dir, *only, *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		pprof.StopCPUProfile()
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, dir, only, write string) error {
	chosen := partNames()
	if only != "" {
		chosen = strings.Split(only, ",")
	}
	for _, name := range chosen {
		if !slices.Contains(partNames(), name) {
			return fmt.Errorf("unknown part %q: use some of %s", name, strings.Join(partNames(), ", "))
		}
	}
	if dir == "" {
		temporary, err := os.MkdirTemp("", "exeunt-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	r := &report{machine: thisMachine(), rounds: rounds, began: time.Now()}
	fmt.Printf("%s, %s, %s, %d rounds\n\n", r.machine.goVersion, r.machine.cpu, r.machine.kernel, rounds)
	for _, p := range parts {
		if !slices.Contains(chosen, p.name) {
			continue
		}
		b := &bench{report: r, dir: filepath.Join(dir, p.name)}
		if err := os.Mkdir(b.dir, 0o700); err != nil {
			return err
		}
		if err := p.measure(b, ctx, rounds); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if write == "" {
		return nil
	}
	if err := r.missing(); err != nil && only == "" {
		return err
	}
	return os.WriteFile(write, r.document(), 0o644)
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// bench is where a part measures: a folder of its own and, for most, a node
// with an account to sign in to.
type bench struct {
	*report
	dir   string
	node  *app.Node
	proof exeunt.Proof

	sessions int // in memory: of check and memory
}

const million = 1_000_000

// eachSize measures with a million sessions in memory and with ten.
func eachSize(measure func(*bench, context.Context, int) error) func(*bench, context.Context, int) error {
	return func(b *bench, ctx context.Context, rounds int) error {
		dir := b.dir
		for _, b.sessions = range []int{million, 10 * million} {
			b.dir = filepath.Join(dir, strconv.Itoa(b.sessions))
			if err := errors.Join(os.Mkdir(b.dir, 0o700), measure(b, ctx, rounds)); err != nil {
				return err
			}
		}
		return nil
	}
}

// onNode opens a new node for a part, so that none measures what another has
// left behind.
func onNode(measure func(*bench, context.Context, int) error) func(*bench, context.Context, int) error {
	return func(b *bench, ctx context.Context, rounds int) (err error) {
		if b.node, b.proof, err = openNode(ctx, filepath.Join(b.dir, "node"), ""); err != nil {
			return err
		}
		return errors.Join(measure(b, ctx, rounds), b.node.Close())
	}
}

// onCluster measures several nodes on one PostgreSQL server.
func onCluster(b *bench, ctx context.Context, rounds int) error {
	c, err := newCluster(ctx, b.dir)
	if err != nil {
		return err
	}
	c.report = b.report
	return errors.Join(c.signOuts(ctx, b.dir, rounds), c.spread(ctx), c.close())
}

// newAccount makes an account and signs in to it.
func newAccount(ctx context.Context, node *app.Node, handle string) (exeunt.Proof, error) {
	password := exeunt.NewToken(exeunt.UseInvite).Reveal()
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "bench"}
	if _, err := node.Accounts.AddAccount(ctx, operator, account.NewAccount{Handle: handle, Password: password}, false); err != nil {
		return exeunt.Proof{}, err
	}
	return signin.Proof(node.SignIn.Password(ctx, handle, password, operator.Address))
}

// start starts a session of an app.
func (b *bench) start(ctx context.Context) (exeunt.Token, exeunt.Session, error) {
	return b.node.Authority.Start(ctx, authority.SignIn{Proof: b.proof, Kind: exeunt.KindApp, Label: "bench"})
}

// median returns the middle of the figures.
func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

// perSecond is how many of n fit into a second.
func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }
