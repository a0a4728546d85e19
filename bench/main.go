// Command bench measures what the design promises to be fast, each figure as a
// ratio to a limit taken in the same run, since machines differ and are noisy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/signin"
)

func main() {
	rounds := flag.Int("rounds", 15, "interleaved rounds of each measurement")
	dir := flag.String("dir", "", "folder on the disk to measure; default a temporary one")
	only := flag.String("only", "", "measure only what has this in its name: check, sign-outs, gate, cluster")
	profile := flag.String("profile", "", "file to write a profile of the processor's time to")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		defer f.Close()
		defer pprof.StopCPUProfile()
	}
	if err := run(context.Background(), *rounds, *dir, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, dir, only string) error {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "exeunt-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	b, err := newBench(ctx, dir)
	if err != nil {
		return err
	}
	defer b.node.Close()
	fmt.Printf("%s, %d processors, %s/%s, %d rounds\n\n", runtime.Version(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, rounds)
	for _, m := range []struct {
		name    string
		measure func(context.Context, int) error
	}{{"check", b.check}, {"sign-outs", b.signOuts}, {"sign-outs", b.manySignOuts}, {"gate", b.gate}} {
		if !strings.Contains(m.name, only) {
			continue
		}
		if err := m.measure(ctx, rounds); err != nil {
			return err
		}
	}
	if !strings.Contains("cluster", only) {
		return nil
	}
	c, err := newCluster(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(c.signOuts(ctx, dir, rounds), c.spread(ctx), c.close())
}

// bench is a node with an account to sign in to.
type bench struct {
	node  *app.Node
	dir   string
	proof exeunt.Proof
}

func newBench(ctx context.Context, dir string) (*bench, error) {
	c := config.Default()
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", filepath.Join(dir, "node"), true
	node, err := app.New(ctx, c, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Hashing: signin.Hashing{MemoryKiB: 1024, Iterations: 1, AtOnce: 2}})
	if err != nil {
		return nil, err
	}
	b := &bench{node: node, dir: dir}
	b.proof, err = newAccount(ctx, node)
	return b, err
}

// newAccount makes an account and signs in to it.
func newAccount(ctx context.Context, node *app.Node) (exeunt.Proof, error) {
	password := exeunt.NewToken(exeunt.UseInvite).Reveal()
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "bench"}
	if _, err := node.SignIn.AddAccount(ctx, operator, signin.NewAccount{Handle: "bench", Password: password}, false); err != nil {
		return exeunt.Proof{}, err
	}
	return node.SignIn.Password(ctx, "bench", password, operator.Address)
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

// verdict says whether a figure reaches its aim.
func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "missed"
}
