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
	"github.com/exeunt/exeunt/internal/password"
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
		conf.MaxSessions = 0 // of the one account that is measured
		conf.Addr, conf.URL, conf.Data, conf.Development = "127.0.0.1:0", "http://exeunt.localhost", filepath.Join(dir, "pg"+strconv.Itoa(i)), true
		conf.Database, conf.MasterKey = config.Secret(c.server.URL("postgres")), config.Secret(base64.StdEncoding.EncodeToString(master[:]))
		n, err := app.New(ctx, conf, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Hashing: password.Hashing{MemoryKiB: 1024, Iterations: 1, AtOnce: 2}})
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.nodes = append(c.nodes, n)
	}
	if c.proof, err = newAccount(ctx, c.nodes[0], "bench"); err != nil {
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
		_, sessions, err := startMany(ctx, c.nodes, c.proof, clusterNodes*clusterCallers*clusterEach)
		if err != nil {
			return err
		}
		e, err := endAll(ctx, c.nodes, sessions, clusterNodes*clusterCallers)
		if err != nil {
			return err
		}
		f, err := raw.perSecond()
		if err != nil {
			return err
		}
		ends, syncs, ratio = append(ends, e), append(syncs, f), append(ratio, e/f)
	}
	c.addEnds(rowEndPostgres, ends, syncs, ratio)
	return nil
}

// spread measures how long after the answer to a sign-out the other nodes
// refuse the token, at a hundred sign-outs a second.
func (c *cluster) spread(ctx context.Context) error {
	tokens, sessions, err := startMany(ctx, c.nodes, c.proof, pacedEnds)
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		for _, t := range tokens {
			if !n.Authority.Check(ctx, authority.Credential{Token: t, Use: authority.AsBearer}).Usable() {
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
				for n.Authority.Check(ctx, authority.Credential{Token: t, Use: authority.AsBearer}).State != live.Ended {
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
	for _, q := range []struct {
		row  string
		took float64
	}{{rowSpread50, late[len(late)/2]}, {rowSpread99, late[len(late)*99/100]}} {
		c.add(figure{row: q.row, value: fmt.Sprintf("%.2f ms", q.took), judged: q.took})
	}
	return nil
}
