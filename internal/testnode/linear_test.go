package testnode_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// What is asked of a session, and what is answered.
type (
	ask struct {
		session int
		node    int  // that is asked
		end     bool // otherwise check
	}
	reply uint8
)

const (
	usable reply = iota
	ended
	indeterminate
	done    // the end is recorded
	refused // nothing was changed
)

// A session, to whoever looks at it through one node, is live until it has been
// ended once, by whichever node, and ended for ever after.
var session = porcupine.Model{
	Partition: func(history []porcupine.Operation) (out [][]porcupine.Operation) {
		checks, ends := map[ask][]porcupine.Operation{}, map[int][]porcupine.Operation{}
		for _, op := range history {
			if in := op.Input.(ask); in.end {
				ends[in.session] = append(ends[in.session], op)
			} else {
				checks[in] = append(checks[in], op)
			}
		}
		for in, ops := range checks {
			out = append(out, append(decisive(ops), ends[in.session]...))
		}
		return out
	},
	Init: func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		over := state.(bool)
		switch output.(reply) {
		case usable:
			return !over, over
		case ended:
			return over, over
		case done:
			return true, true
		}
		return true, over
	},
}

// decisive leaves out the answers that others imply: if the "usable" that was
// asked for last can stand before the end, so can all; and if the "ended" that
// came back first can stand after it, so can all. (With thousands of answers that
// overlap one end the search for an order would not come to its end.)
func decisive(ops []porcupine.Operation) (out []porcupine.Operation) {
	var last, first *porcupine.Operation
	for i, op := range ops {
		switch op.Output.(reply) {
		case usable:
			if last == nil || op.Call > last.Call {
				last = &ops[i]
			}
		case ended:
			if first == nil || op.Return < first.Return {
				first = &ops[i]
			}
		}
	}
	for _, op := range []*porcupine.Operation{last, first} {
		if op != nil {
			out = append(out, *op)
		}
	}
	return out
}

// history records what several clients were told, by one clock.
type history struct {
	start time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) now() int64 { return int64(time.Since(h.start)) }

func (h *history) add(client int, in ask, out reply, call, back int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: back})
}

// check asks a node. Other nodes than the one that ends the session may answer
// as things were up to the bound ago.
func (h *history) check(client, i, k int, n *testnode.Node, token exeunt.Token, allowed time.Duration) {
	call := h.now()
	state := n.Check(context.Background(), token).State
	back := h.now()
	out := indeterminate
	switch state {
	case live.Usable:
		out = usable
	case live.Ended:
		out = ended
	}
	h.add(client, ask{session: i, node: k}, out, call-int64(allowed), back)
}

// end signs out until it is told an outcome.
func (h *history) end(t *testing.T, client, i int, n *testnode.Node, s exeunt.Session) {
	target := exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID}
	rev := exeunt.Revocation{Target: target, Reason: exeunt.ReasonSignedOut}
	for {
		call := h.now()
		_, err := n.End(context.Background(), testnode.PersonIn(s), rev)
		switch {
		case err == nil:
			h.add(client, ask{session: i, end: true}, done, call, h.now())
			return
		case errors.Is(err, exeunt.ErrNotConfirmed):
			// It may take effect at any time from its beginning on.
			h.add(client, ask{session: i, end: true}, done, call, math.MaxInt64)
		case errors.Is(err, exeunt.ErrUnavailable):
			h.add(client, ask{session: i, end: true}, refused, call, h.now())
		default:
			t.Errorf("end: %v", err)
			return
		}
		if call > int64(3*time.Minute) {
			t.Error("nobody could sign out for three minutes")
			return
		}
	}
}

const (
	held     = 24 // sessions
	goesOn   = 4 * time.Second
	faultAt  = time.Second
	lookEach = 15 * time.Millisecond
)

// run checks sessions on every node without pause while each of them is ended
// by one of the nodes, and fault happens in the middle of it.
func run(t *testing.T, cluster []*testnode.Node, fault func()) {
	type one struct {
		token   exeunt.Token
		session exeunt.Session
	}
	var sessions []one
	p := cluster[0].NewAccount(t, "ada")
	for range held {
		token, s := cluster[0].NewSession(t, p, exeunt.KindApp)
		sessions = append(sessions, one{token, s})
		for _, n := range cluster {
			until(t, n, token, live.Usable)
		}
	}
	h := &history{start: time.Now()}
	stop := make(chan struct{})
	var looking, ending sync.WaitGroup
	client := 0
	for i, s := range sessions {
		ender := i % len(cluster)
		for k, n := range cluster {
			id, allowed := client, staleness
			client++
			if k == ender {
				allowed = 0
			}
			looking.Go(func() {
				tick := time.NewTicker(lookEach)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						h.check(id, i, k, n, s.token, allowed)
					case <-stop:
						return
					}
				}
			})
		}
		id := client
		client++
		ending.Go(func() {
			<-time.After(rand.N(goesOn))
			h.end(t, id, i, cluster[ender], s.session)
		})
	}
	<-time.After(faultAt)
	fault()
	ending.Wait()
	for _, s := range sessions {
		for _, n := range cluster {
			until(t, n, s.token, live.Ended)
		}
	}
	close(stop)
	looking.Wait()
	told := map[reply]int{}
	for _, op := range h.ops {
		told[op.Output.(reply)]++
	}
	t.Logf("%d usable, %d ended, %d indeterminate; %d ends recorded or unknown, %d refused", told[usable], told[ended], told[indeterminate], told[done], told[refused])
	for _, part := range session.Partition(h.ops) {
		if got := porcupine.CheckOperationsTimeout(session, part, time.Minute); got != porcupine.Ok {
			t.Errorf("a history is %s:", got)
			for _, op := range part {
				t.Errorf("  %+v → %v  from %v to %v", op.Input, op.Output, time.Duration(op.Call), time.Duration(op.Return))
			}
		}
	}
}

func servers(t *testing.T) (primary, standby *testpg.Server) {
	t.Helper()
	primary = testpg.New(t)
	primary.NewDatabase(t)
	return primary, primary.Standby(t)
}

func TestHistoriesWithoutFault(t *testing.T) {
	t.Parallel()
	run(t, nodes(t, testpg.NewDatabase(t), 3), func() {})
}

func TestHistoriesWhileConnectionsBreak(t *testing.T) {
	t.Parallel()
	server := testpg.New(t)
	run(t, nodes(t, server.NewDatabase(t), 3), func() {
		for range 30 {
			server.Exec(t, "postgres", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exeunt'`)
			<-time.After(60 * time.Millisecond)
		}
	})
}

func TestHistoriesWhileTheServerStandsStill(t *testing.T) {
	t.Parallel()
	server := testpg.New(t)
	run(t, nodes(t, server.NewDatabase(t), 3), func() {
		thaw := server.Freeze(t)
		<-time.After(2 * staleness)
		thaw()
	})
}

func TestHistoriesThroughAFailover(t *testing.T) {
	t.Parallel()
	primary, standby := servers(t)
	run(t, nodes(t, primary.URL("test1", standby), 3), func() {
		primary.Kill(t)
		standby.Promote(t)
	})
}

// The old primary goes on, and does not know that it is none: what it answers
// must not count.
func TestHistoriesWithTwoPrimaries(t *testing.T) {
	t.Parallel()
	primary, standby := servers(t)
	url := primary.URL("test1", standby)
	cluster := nodes(t, url, 2)
	cluster = append(cluster, testnode.New(t, testnode.Options{Database: standby.URL("test1", primary), Staleness: staleness}))
	run(t, cluster, func() {
		standby.Promote(t)
		<-time.After(2 * staleness)
		primary.Kill(t) // somebody has noticed
	})
}

func TestHistoriesWhileAClockJumps(t *testing.T) {
	t.Parallel()
	cluster := nodes(t, testpg.NewDatabase(t), 3)
	run(t, cluster, func() {
		cluster[1].Clock.Pass(time.Hour)
		<-time.After(staleness)
		cluster[1].Clock.Pass(-time.Hour)
	})
}
