package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testpg"
)

const (
	clusterNodes   = 3
	clusterCallers = 512 // on each node
	clusterEach    = 4   // endings of each caller in a round
	pace           = 10 * time.Millisecond
	pacedEnds      = 300
)

// cluster is several nodes on one PostgreSQL server, all on this machine.
type cluster struct {
	*report
	server *testpg.Server
	nodes  []*app.Node
	proof  exeunt.Proof
}

func newCluster(ctx context.Context, dir string) (c *cluster, err error) {
	c = &cluster{}
	if c.server, err = testpg.Start("max_connections = 100"); err != nil {
		return nil, err
	}
	master := exeunt.NewToken(exeunt.UseInvite).Hash()
	for i := range clusterNodes {
		conf := config.Default()
		conf.Addr, conf.URL, conf.Data, conf.Development = "127.0.0.1:0", "http://exeunt.localhost", filepath.Join(dir, "pg"+strconv.Itoa(i)), true
		conf.Database, conf.MasterKey = config.Secret(c.server.URL("postgres")), config.Secret(base64.StdEncoding.EncodeToString(master[:]))
		n, err := app.New(ctx, conf, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Hashing: signin.Hashing{MemoryKiB: 1024, Iterations: 1, AtOnce: 2}})
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.nodes = append(c.nodes, n)
	}
	if c.proof, err = newAccount(ctx, c.nodes[0]); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *cluster) close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.Close())
	}
	c.server.Close()
	return errors.Join(errs...)
}

// start starts sessions, many at once so that they share commits.
func (c *cluster) start(ctx context.Context, n int) ([]exeunt.Token, []exeunt.Session, error) {
	tokens, sessions, errs := make([]exeunt.Token, n), make([]exeunt.Session, n), make([]error, n)
	var wg sync.WaitGroup
	places := make(chan struct{}, 512)
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			tokens[i], sessions[i], errs[i] = c.nodes[i%clusterNodes].Authority.Start(ctx, authority.SignIn{Proof: c.proof, Kind: exeunt.KindApp, Label: "bench"})
		})
	}
	wg.Wait()
	return tokens, sessions, errors.Join(errs...)
}

func end(ctx context.Context, n *app.Node, s exeunt.Session) error {
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: s.Account, Session: s.ID}
	_, err := n.Authority.End(ctx, by, exeunt.Revocation{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID, Reason: exeunt.ReasonSignedOut})
	return err
}

// signOuts measures durable sign-outs of all nodes together beside raw
// fdatasync on the same disk.
func (c *cluster) signOuts(ctx context.Context, dir string, rounds int) error {
	raw, err := newRawDisk(filepath.Join(dir, "raw-pg"))
	if err != nil {
		return err
	}
	defer raw.close()
	var ends, syncs, ratio []float64
	for range rounds {
		const n = clusterNodes * clusterCallers * clusterEach
		_, sessions, err := c.start(ctx, n)
		if err != nil {
			return err
		}
		errs := make([]error, clusterNodes*clusterCallers)
		var wg sync.WaitGroup
		begun := time.Now()
		for i := range errs {
			wg.Go(func() {
				for k := range clusterEach {
					if err := end(ctx, c.nodes[i%clusterNodes], sessions[i*clusterEach+k]); err != nil {
						errs[i] = err
						return
					}
				}
			})
		}
		wg.Wait()
		e := perSecond(n, time.Since(begun))
		if err := errors.Join(errs...); err != nil {
			return err
		}
		begun = time.Now()
		for i := range endsEach {
			if err := raw.overwrite(i); err != nil {
				return err
			}
		}
		f := perSecond(endsEach, time.Since(begun))
		ends, syncs, ratio = append(ends, e), append(syncs, f), append(ratio, e/f)
	}
	if median(syncs) > implausible {
		fmt.Printf("PostgreSQL         %.0f sign-outs/s of %d nodes × %d callers; fdatasync claims %.0f/s, so this disk is not durable and there is no ratio\n", median(ends), clusterNodes, clusterCallers, median(syncs))
		return nil
	}
	fmt.Printf("PostgreSQL         %.0f sign-outs/s of %d nodes × %d callers, raw fdatasync %.0f/s, ratio %.2f (floor: 5, aim: 8, %s)\n",
		median(ends), clusterNodes, clusterCallers, median(syncs), median(ratio), verdict(median(ratio) >= 8))
	return nil
}

// spread measures how long after the answer to a sign-out the other nodes
// refuse the token, at a hundred sign-outs a second.
func (c *cluster) spread(ctx context.Context) error {
	tokens, sessions, err := c.start(ctx, pacedEnds)
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		for _, t := range tokens {
			if !n.Authority.Check(ctx, t).Usable() {
				return errors.New("a new session is not usable on every node")
			}
		}
	}
	var mu sync.Mutex
	var late []float64
	var wg sync.WaitGroup
	ended := make([]chan time.Time, len(tokens))
	for i := range ended {
		ended[i] = make(chan time.Time, clusterNodes)
	}
	for _, n := range c.nodes[1:] {
		news := n.Authority.Listen(c.proof.Account)
		defer news.Close()
		wg.Go(func() {
			for i, t := range tokens {
				at := <-ended[i]
				for n.Authority.Check(ctx, t).State != live.Ended {
					<-news.C()
				}
				took := max(time.Since(at), 0)
				mu.Lock()
				late = append(late, float64(took.Microseconds())/1000)
				mu.Unlock()
			}
		})
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i, s := range sessions {
		<-tick.C
		if err := end(ctx, c.nodes[0], s); err != nil {
			return err
		}
		for range c.nodes[1:] {
			ended[i] <- time.Now()
		}
	}
	wg.Wait()
	slices.Sort(late)
	p50, p99 := late[len(late)/2], late[len(late)*99/100]
	fmt.Printf("known elsewhere    %.2f ms in the middle and %.2f ms at the 99th percentile after the answer, at %d/s (floor: 1 and 5, aim: 0.5 and 3, %s)\n",
		p50, p99, time.Second/pace, verdict(p50 <= 0.5 && p99 <= 3))
	return nil
}
