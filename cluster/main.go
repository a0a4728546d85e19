// Command cluster starts the production shape that docs/cluster.md describes on
// this one machine, plays the tour on it, loses the primary under load, and says
// what was lost with it and for how long nobody could sign out.
//
// It owns the processes it starts and the judgement of what clients were told.
// script/cluster installs the programs that it needs and runs it.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	ossignal "os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/demo"
)

type options struct {
	program      string
	data         string
	seconds      int
	keep         bool
	asynchronous bool
	silent       bool
}

func main() {
	var o options
	flag.StringVar(&o.program, "exeunt", "", "the program exeunt")
	flag.StringVar(&o.data, "data", "", "keep data and logs in this empty folder, instead of a temporary one that is deleted")
	flag.IntVar(&o.seconds, "seconds", 10, "of load, half before the primary is lost and half after another serves")
	flag.BoolVar(&o.keep, "keep", false, "stay up afterwards, until Ctrl-C")
	flag.BoolVar(&o.asynchronous, "asynchronous", false, "commit without a standby's word, to see sign-outs being lost")
	flag.BoolVar(&o.silent, "silent", false, "let the primary fall silent instead of dying, and wake up again as if it were the primary")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// limit of a run, --keep excepted.
const limit = 3 * time.Minute

func run(o options) (err error) {
	if os.Getuid() == 0 {
		return errors.New("PostgreSQL does not run as root: use script/cluster, which starts this as another user")
	}
	if err := adoptOrphans(); err != nil {
		return err
	}
	dir := o.data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "exeunt-cluster-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	ctx, stop := ossignal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := newCluster(dir, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	started := time.Now()
	held, err := c.play(bounded)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s, %d processors, %v in all.\n", runtime.Version(), runtime.NumCPU(), time.Since(started).Round(time.Second))
	if o.keep {
		fmt.Printf("\n  Exeunt  %s\n  Chirp   %s\n\nA browser has to be told to trust %s. Stop with Ctrl-C.\n", c.front.exeunt, c.front.chirp, filepath.Join(dir, "trusted.pem"))
		<-ctx.Done()
	}
	if !held {
		return errors.New("not all promises held")
	}
	return nil
}

// cluster is everything that runs.
type cluster struct {
	options
	servers  *servers
	front    *front
	ports    []int
	endChirp func()
}

func newCluster(dir string, o options) (*cluster, error) {
	ports, err := freePorts(13)
	if err != nil {
		return nil, err
	}
	c := &cluster{options: o, ports: ports, endChirp: func() {}}
	c.servers = &servers{asynchronous: o.asynchronous, password: rand.Text(), etcd: ports[0]}
	for i := range 3 {
		name := fmt.Sprintf("pg%d", i+1)
		c.servers.members = append(c.servers.members, &member{name: name, port: ports[2+i], rest: ports[5+i], dir: filepath.Join(dir, name)})
	}
	c.front = &front{
		dir: dir, program: o.program, exeunt: fmt.Sprintf("https://%s:%d", host, ports[11]), chirp: fmt.Sprintf("http://chirp.localhost:%d", ports[12]),
		key: exeunt.NewToken(exeunt.UseClient),
	}
	return c, nil
}

// stop ends every process that was started, and what those have started.
func (c *cluster) stop() error {
	c.endChirp()
	c.servers.stop()
	me := os.Getpid()
	signal(syscall.SIGTERM, descendants(me)...)
	ended := await(5*time.Second, func() error {
		if left := descendants(me); len(left) > 0 {
			return fmt.Errorf("%d processes are still running", len(left))
		}
		return nil
	})
	if ended == nil {
		return nil
	}
	left := descendants(me)
	signal(syscall.SIGKILL, left...)
	return gone(left...)
}

// step does something and says how it went.
func step(ctx context.Context, what string, do func() (string, error)) error {
	start := time.Now()
	said, err := do()
	took := time.Since(start).Round(time.Millisecond)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		fmt.Printf("  ✗ %s (%v)\n", what, took)
		return err
	}
	fmt.Printf("  ✓ %s: %s (%v)\n", what, said, took)
	return nil
}

// play starts everything, plays the tour and loses the primary.
func (c *cluster) play(ctx context.Context) (held bool, err error) {
	var primary *member
	replication := "synchronous replication"
	if c.asynchronous {
		replication = "asynchronous replication (sign-outs may be lost: this is the control)"
	}
	fmt.Println("Starting the production shape on this machine, with " + replication + ":")
	if err := step(ctx, "etcd", func() (string, error) { return "answers", startEtcd(c.front.dir, c.ports[0], c.ports[1]) }); err != nil {
		return false, err
	}
	if err := step(ctx, "Three PostgreSQL servers under Patroni", func() (string, error) {
		for _, m := range c.servers.members {
			if err := c.servers.start(m); err != nil {
				return "", err
			}
		}
		if primary, err = c.servers.whole(ctx, time.Minute); err != nil {
			return "", err
		}
		return primary.name + " is the primary, the others follow it", c.servers.createDatabase(ctx, primary)
	}); err != nil {
		return false, err
	}
	if err := step(ctx, "Three nodes and a load balancer", func() (string, error) {
		if err := c.front.certify(); err != nil {
			return "", err
		}
		if err := c.front.startNodes(c.servers.url("exeunt", "exeunt", c.servers.members...), c.ports[8:11]); err != nil {
			return "", err
		}
		if err := c.front.startBalancer(c.ports[11]); err != nil {
			return "", err
		}
		c.endChirp, err = c.front.serveChirp(c.ports[12])
		return "ready at " + c.front.exeunt, err
	}); err != nil {
		return false, err
	}
	fmt.Println("\nThe tour, over HTTPS through the load balancer:")
	person := demo.Account{Handle: "tour", Password: rand.Text()}
	place := demo.Place{Exeunt: c.front.exeunt, Chirp: c.front.chirp, Nodes: c.front.nodes, Staleness: staleness, Balanced: true}
	if held, err = demo.Tour(ctx, place, person, true, os.Stdout); err != nil {
		return false, err
	}
	survived, err := c.survive(ctx, primary, person)
	return held && survived, err
}
