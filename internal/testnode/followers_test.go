package testnode_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// make followers asks for a hundred thousand with connections cut each 60 ms. In
// short it is gentler: under the race detector a connection is hardly made in
// that time.
var (
	endings  = flag.Int("endings", 3000, "how many sessions TestFollowersMissNothing ends")
	cutEvery = flag.Duration("cut", 200*time.Millisecond, "how often TestFollowersMissNothing cuts all connections")
)

// record is what one follower has applied, in the order in which it did.
type record struct {
	mu       sync.Mutex
	applied  []exeunt.Event
	given    []exeunt.Event // but it is not known yet whether they were applied
	lookedAt int64          // how far it was when it asked last
	jumps    []string       // where it did not go on from where it was
}

// asked resolves whether events that the follower was given were applied: it asks for
// the events from the last one on that it has applied.
func (r *record) asked(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.given) > 0 && r.lookedAt < seq {
		e := r.given[0]
		r.given = r.given[1:]
		if e.Seq <= r.lookedAt {
			continue // the last one it had, to be recognised by
		}
		r.applied = append(r.applied, e)
		r.lookedAt = e.Seq
	}
	r.given = nil // applied, or its connection broke before
	if r.lookedAt != seq {
		r.jumps = append(r.jumps, "it went on from an event that it had not been given")
		r.lookedAt = seq
	}
}

// recorder sees every reading of the log on one connection.
type recorder struct {
	feed.Source
	*record
}

func (r recorder) Next(ctx context.Context, seq int64, limit int, wait time.Duration) ([]exeunt.Event, error) {
	r.asked(seq)
	list, err := r.Source.Next(ctx, seq, limit, wait)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given = slices.Clone(list)
	return list, err
}

// cutter ends every connection of every node, again and again until stopped, and
// returns how many it has ended.
func cutter(t *testing.T, server *testpg.Server) (stop func() int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	cut := 0
	var cutting sync.WaitGroup
	cutting.Go(func() {
		defer c.Close(context.Background())
		tick := time.NewTicker(*cutEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			tag, err := c.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exeunt'`)
			if err != nil {
				t.Errorf("cut connections: %v", err)
				return
			}
			cut += int(tag.RowsAffected())
		}
	})
	return func() int { close(done); cutting.Wait(); return cut }
}

// caller is somebody with an account of their own, so that an ending of many is
// theirs alone.
type caller struct {
	node         *testnode.Node
	sessions     []exeunt.Session
	tokens       []exeunt.Token
	ended, alive []exeunt.Token
}

func (c *caller) signIn(times int) error {
	ctx := context.Background()
	a := exeunt.Account{ID: exeunt.NewAccountID(), Name: "Somebody", Created: c.node.Now(), Generation: 1, CredentialVersion: 1}
	a.Handle = "h" + a.ID.String()[4:]
	if err := c.node.Store.AddAccount(ctx, a, store.Credential{PasswordHash: "none"}, nil, exeunt.System()); err != nil {
		return err
	}
	p := exeunt.Proof{Account: a.ID, Methods: exeunt.Methods{exeunt.MethodPassword}, Generation: 1, CredentialVersion: 1}
	for range times {
		token, s, err := c.node.Start(ctx, authority.SignIn{Proof: p, Kind: exeunt.KindApp, Label: "one"})
		if err != nil {
			return err
		}
		c.tokens, c.sessions = append(c.tokens, token), append(c.sessions, s)
	}
	return nil
}

// signOut ends the sessions one by one; of the last three, some together.
func (c *caller) signOut(told func(exeunt.Token)) error {
	ones := len(c.sessions) - 3
	for i, s := range c.sessions[:ones] {
		if err := c.end(s, exeunt.Revocation{Target: exeunt.Target{Scope: exeunt.ScopeSession, Session: s.ID}}); err != nil {
			return err
		}
		told(c.tokens[i])
	}
	c.ended, c.alive = c.tokens[:ones], c.tokens[ones:]
	last := c.sessions[ones+2]
	switch rand.IntN(3) {
	case 0:
		c.ended, c.alive = c.tokens[:ones+2], c.tokens[ones+2:]
		return c.end(last, exeunt.Revocation{Target: exeunt.Target{Scope: exeunt.ScopeOthers, Session: last.ID}})
	case 1:
		c.ended, c.alive = c.tokens, nil
		return c.end(last, exeunt.Revocation{Target: exeunt.Target{Scope: exeunt.ScopeAccount}})
	}
	return nil
}

// end repeats what is harmless to repeat until its outcome is known.
func (c *caller) end(by exeunt.Session, rev exeunt.Revocation) error {
	rev.Account, rev.Reason, rev.Key = by.Account, exeunt.ReasonSignedOut, by.ID.String()
	for limit := time.Now().Add(3 * time.Minute); ; {
		_, err := c.node.End(context.Background(), testnode.PersonIn(by), rev)
		if !errors.Is(err, exeunt.ErrUnavailable) && !errors.Is(err, exeunt.ErrNotConfirmed) || time.Now().After(limit) {
			return err
		}
	}
}

// Three nodes write and three follow while all their connections are cut. What
// each of the six has applied is the log: every event, in its order, with its
// content.
func TestFollowersMissNothing(t *testing.T) {
	server := testpg.New(t)
	url := server.NewDatabase(t)
	const writers, followers = 3, 3
	callers := min(256, *endings/180) // on each node: so many share a commit
	records := make([]*record, writers+followers)
	cluster := make([]*testnode.Node, len(records))
	for i := range cluster {
		r := &record{}
		records[i] = r
		cluster[i] = testnode.New(t, testnode.Options{Database: url, Staleness: staleness, Source: func(s feed.Source) feed.Source { return recorder{s, r} }})
		cluster[i].Tend(t)
	}
	perCaller := *endings/(writers*callers) + 3
	var people []*caller
	for i := range writers * callers {
		people = append(people, &caller{node: cluster[i%writers]})
	}
	var sampled atomic.Pointer[exeunt.Token] // of a session that was ended more than the bound ago
	looked, stopLooking := atomic.Int64{}, make(chan struct{})
	var looking sync.WaitGroup
	for _, n := range cluster[writers:] {
		looking.Go(func() {
			tick := time.NewTicker(lookEach)
			defer tick.Stop()
			for {
				select {
				case <-stopLooking:
					return
				case <-tick.C:
				}
				if token := sampled.Load(); token != nil {
					if got := n.Check(context.Background(), *token).State; got == live.Usable {
						t.Error("a follower accepts a session past the bound")
						return
					}
					looked.Add(1)
				}
			}
		})
	}
	all := func(do func(*caller) error) {
		t.Helper()
		var wg sync.WaitGroup
		for _, c := range people {
			wg.Go(func() {
				if err := do(c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	all(func(c *caller) error { return c.signIn(perCaller) })
	stop := cutter(t, server)
	begun := time.Now()
	all(func(c *caller) error {
		return c.signOut(func(token exeunt.Token) {
			if c == people[0] {
				time.AfterFunc(staleness, func() { sampled.Store(&token) })
			}
		})
	})
	took := time.Since(begun)
	cut := stop()
	close(stopLooking)
	looking.Wait()

	head, err := cluster[0].Store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := wholeLog(t, cluster[0], head)
	for i, n := range cluster {
		for limit := time.Now().Add(time.Minute); n.Live.Applied() < head; {
			if time.Now().After(limit) {
				t.Fatalf("node %d has come to %d of %d", i, n.Live.Applied(), head)
			}
			if err := n.Feed.Confirm(t.Context()); err != nil {
				t.Log("confirm:", err)
			}
		}
		records[i].asked(n.Live.Applied())
		records[i].compare(t, i, log)
	}
	var ended, alive []exeunt.Token
	for _, c := range people {
		ended, alive = append(ended, c.ended...), append(alive, c.alive...)
	}
	for _, n := range cluster {
		for _, token := range sample(ended) {
			until(t, n, token, live.Ended)
		}
		for _, token := range sample(alive) {
			until(t, n, token, live.Usable)
		}
	}
	if len(ended) < *endings || cut == 0 || looked.Load() == 0 {
		t.Errorf("%d sessions were ended, %d connections cut, and followers were asked %d times: that shows nothing", len(ended), cut, looked.Load())
	}
	t.Logf("%d sessions ended in %v (%.0f/s) while %d connections were cut; %d events; %d alive to the end",
		len(ended), took.Round(time.Millisecond), float64(len(ended))/took.Seconds(), cut, head, len(alive))
}

// wholeLog reads the log's table, and fails if it has a hole.
func wholeLog(t *testing.T, n *testnode.Node, head int64) []exeunt.Event {
	t.Helper()
	log, err := n.Store.Events(t.Context(), 0, int(head)+1)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range log {
		if e.Seq != int64(i)+1 {
			t.Fatalf("the log's entry %d is numbered %d", i+1, e.Seq)
		}
	}
	if int64(len(log)) != head {
		t.Fatalf("the log has %d entries and its head is %d", len(log), head)
	}
	return log
}

// compare compares what was applied with the log.
func (r *record) compare(t *testing.T, node int, log []exeunt.Event) {
	t.Helper()
	for _, j := range r.jumps {
		t.Errorf("node %d: %s", node, j)
	}
	if len(r.applied) != len(log) {
		t.Errorf("node %d has applied %d events, and the log has %d", node, len(r.applied), len(log))
	}
	for i := range min(len(r.applied), len(log)) {
		if got, want := r.applied[i], log[i]; !got.Same(&want) || got.By != want.By {
			t.Errorf("node %d has applied %+v where the log has %+v", node, got, want)
			return
		}
	}
}

// sample picks a hundred, evenly.
func sample(list []exeunt.Token) (out []exeunt.Token) {
	step := max(len(list)/100, 1)
	for i := 0; i < len(list); i += step {
		out = append(out, list[i])
	}
	return out
}
