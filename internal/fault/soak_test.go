package fault

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/testpg"
)

var (
	minutes = flag.Float64("minutes", 0, "how long TestSoak goes on; make soak says 20")
	seed    = flag.Uint64("seed", 0, "which faults TestSoak makes, and when; 0 draws one")
)

const (
	full   = 8 * time.Second // at full load, to find out what half of it is
	report = 10 * time.Second
	// What the last quarter's median may have over the first's.
	moreHeap, moreBytes      = 1.25, 8 << 20
	moreRoutines, routinesBy = 1.25, 30
)

// soak is a cluster under half of the load that it can do, with faults.
type soak struct {
	t      *testing.T
	server *testpg.Server
	nodes  []*node
	ledger *ledger
	random *rand.Rand
	faults map[string]int
}

// fault makes one of them, and returns when it is over. The first node is never
// restarted: it is the one that must not grow.
func (s *soak) fault() string {
	n := s.nodes[1+s.random.IntN(len(s.nodes)-1)]
	cut := func() {
		if err := s.server.Try(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exeunt'`); err != nil {
			s.t.Errorf("cut connections: %v", err)
		}
	}
	again := func(stop func()) {
		stop()
		n.start(itself())
		n.ready()
	}
	still := func(d time.Duration) {
		thaw := s.server.Freeze(s.t)
		<-time.After(d)
		thaw()
	}
	list := []struct {
		name string
		do   func()
	}{
		{"connections cut", cut},
		{"connections cut each 60 ms", func() {
			for range 20 {
				cut()
				<-time.After(60 * time.Millisecond)
			}
		}},
		{"server frozen within the bound", func() { still(bound / 2) }},
		{"server frozen past the bound", func() { still(2 * bound) }},
		{"node frozen past the bound", func() {
			resume := n.suspend()
			<-time.After(2 * bound)
			resume()
		}},
		{"node killed", func() { again(n.kill) }},
		{"node restarted", func() { again(n.stop) }},
		{"server killed", func() {
			s.server.Kill(s.t)
			must(s.t, s.server.Up())
		}},
		{"server restarted", func() {
			must(s.t, s.server.Signal(syscall.SIGINT))
			must(s.t, s.server.Up())
		}},
	}
	f := list[s.random.IntN(len(list))]
	f.do()
	s.faults[f.name]++
	return f.name
}

// TestSoak is make soak; with the other tests it goes on for some seconds.
func TestSoak(t *testing.T) {
	lasts := time.Duration(*minutes * float64(time.Minute))
	short := lasts == 0
	if short {
		lasts = 6 * time.Second
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1_000_000) + 1
	}
	server := testpg.New(t)
	url := server.NewDatabase(t)
	s := &soak{t: t, server: server, ledger: &ledger{t: t, bound: bound}, random: rand.New(rand.NewPCG(*seed, 3)), faults: map[string]int{}}
	h := newHome(t, url, 24)
	s.nodes = cluster(t, itself(), url, 3)

	measure, stopMeasuring := context.WithTimeout(t.Context(), min(full, lasts/3))
	begun := time.Now()
	s.ledger.load(measure, h, s.nodes, nil)()
	stopMeasuring()
	rate := float64(s.ledger.confirmed()) / time.Since(begun).Seconds() / 2
	t.Logf("seed %d; %.0f sign-outs/s at full load, so %.0f from now on for %v", *seed, 2*rate, rate, lasts)

	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	pace := make(chan struct{})
	var making sync.WaitGroup
	making.Go(func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			select {
			case pace <- struct{}{}:
			case <-ctx.Done():
				return
			default: // everybody is waiting for an answer
			}
		}
	})
	wait := s.ledger.load(ctx, h, s.nodes, pace)
	series := s.watch(ctx, begun)
	cancel()
	making.Wait()
	wait()
	for _, n := range s.nodes {
		n.ready()
	}
	count := s.ledger.compare("pgx", url)
	// A sample of everything, and all of the last minute, is asked everywhere.
	asked := 0
	for i, e := range s.ledger.ended {
		if i%max(len(s.ledger.ended)/1000, 1) == 0 || time.Since(e.at) < min(time.Minute, lasts/2) {
			for _, n := range s.nodes {
				s.ledger.refuses(t.Context(), n, e, "after the soak")
			}
			asked++
		}
	}
	t.Logf("%d sign-outs confirmed and all recorded, %d refused and none recorded, %d unknown; %d answers about ended sessions, %d let in; faults: %v",
		count[done], count[refused], count[unknown], s.ledger.checked.Load(), s.ledger.accepted.Load(), s.faults)
	if count[done] == 0 || asked == 0 || len(s.faults) == 0 {
		t.Error("that shows nothing")
	}
	if !short {
		flat(t, series)
	}
}

func (l *ledger) confirmed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ended)
}

// watch makes faults and reports until ctx is done, and returns the first
// node's figures.
func (s *soak) watch(ctx context.Context, begun time.Time) (series []figures) {
	told := time.NewTicker(report)
	defer told.Stop()
	before, last := s.ledger.confirmed(), "none"
	pause := func() time.Duration { return time.Second + time.Duration(s.random.Int64N(int64(8*time.Second))) }
	next := time.NewTimer(time.Second)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			last = s.fault()
			next.Reset(pause())
		case <-told.C:
			line := ""
			for i, n := range s.nodes {
				f, err := n.figures()
				if err != nil {
					s.t.Errorf("node %d: %v", i+1, err)
					continue
				}
				if i == 0 {
					series = append(series, f)
				}
				line += fmt.Sprintf("  %.1f MiB %d goroutines", float64(f.Heap)/(1<<20), f.Goroutines)
			}
			now, made := s.ledger.confirmed(), 0
			for _, n := range s.faults {
				made += n
			}
			s.t.Logf("%6.0fs  %4.0f/s %s  %d faults, the last: %s  %d wrong", time.Since(begun).Seconds(),
				float64(now-before)/report.Seconds(), line, made, last, s.ledger.wrong.Load())
			before = now
		case <-ctx.Done():
			return series
		}
	}
}

// flat compares the medians of the first and the last quarter. The very first
// figures are left out: rings and tables fill.
func flat(t *testing.T, series []figures) {
	t.Helper()
	series = series[min(len(series), max(len(series)/10, 3)):]
	quarter := len(series) / 4
	if quarter < 2 {
		t.Fatalf("%d figures are too few to tell whether they are flat; let it go on for longer", len(series))
	}
	middle := func(list []figures, of func(figures) float64) float64 {
		var v []float64
		for _, f := range list {
			v = append(v, of(f))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	heap := func(f figures) float64 { return float64(f.Heap) }
	routines := func(f figures) float64 { return float64(f.Goroutines) }
	first, last := series[:quarter], series[len(series)-quarter:]
	t.Logf("first and last quarter of the node that was never restarted: %.1f and %.1f MiB, %.0f and %.0f goroutines in the middle",
		middle(first, heap)/(1<<20), middle(last, heap)/(1<<20), middle(first, routines), middle(last, routines))
	if middle(last, heap) > moreHeap*middle(first, heap)+moreBytes {
		t.Error("its memory grows")
	}
	if middle(last, routines) > moreRoutines*middle(first, routines)+routinesBy {
		t.Error("its goroutines grow")
	}
}
