package fault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/testnode"
)

// told is what the person was told who signed out.
type told uint8

const (
	nothing told = iota
	done         // it is recorded
	refused      // nothing was changed
	unknown      // an error that promises neither
)

// entry is one session, and what became of it.
type entry struct {
	token   exeunt.Token
	session exeunt.SessionID
	told    told
	at      time.Time // when it was told
}

func (e *entry) secret() client.Secret { return client.NewSecret(e.token.Reveal()) }

// ledger holds everything that anybody was told.
type ledger struct {
	t     testing.TB
	bound time.Duration // for how long another node may go on accepting

	mu      sync.Mutex
	entries []*entry
	ended   []*entry // those told done

	accepted atomic.Int64 // answers that let somebody in after the end
	checked  atomic.Int64 // answers about ended sessions
	wrong    atomic.Int64
}

// wrongly reports what must not be, the first few times.
func (l *ledger) wrongly(format string, args ...any) {
	if l.wrong.Add(1) <= 10 {
		l.t.Errorf(format, args...)
	}
}

// home starts the sessions: a node of the test's own on the same database.
type home struct {
	*testnode.Node
	people []exeunt.Proof
}

func newHome(t testing.TB, url string, people int) *home {
	t.Helper()
	h := &home{Node: testnode.New(t, testnode.Options{Database: url, Staleness: bound, Clients: []exeunt.Client{}})}
	h.populate(t, people)
	return h
}

// populate makes accounts on an operator's word: so many sign-ups from one
// address would be too many.
func (h *home) populate(t testing.TB, people int) {
	t.Helper()
	for i := range people {
		id, err := h.Accounts.AddAccount(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator, Label: "test"},
			account.NewAccount{Handle: fmt.Sprintf("person%d", i), Password: testnode.Password}, false)
		must(t, err)
		h.people = append(h.people, exeunt.Proof{Account: id, Methods: exeunt.Methods{exeunt.MethodPassword}, Generation: 1, CredentialVersion: 1})
	}
}

func (h *home) start(ctx context.Context, person int) (*entry, error) {
	token, s, err := h.Start(ctx, authority.SignIn{Proof: h.people[person], Kind: exeunt.KindApp, Label: "fault"})
	return &entry{token: token, session: s.ID}, err
}

// end signs a session out on a node and writes down what it was told.
func (l *ledger) end(ctx context.Context, n *node, e *entry) {
	err := n.api.End(ctx, e.secret())
	e.at = time.Now()
	switch {
	case err == nil:
		e.told = done
	case client.CodeOf(err) == "unavailable":
		e.told = refused
	default:
		e.told = unknown
		if !errors.Is(err, client.ErrUnavailable) {
			l.wrongly("signing out: %v", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	if e.told == done {
		l.ended = append(l.ended, e)
	}
}

// admits asks a node about a session that nobody has ended, so nobody may say
// that it has. The gate is asked one time in ten: it keeps what it says of the
// last quarter of a million sessions, and while that fills nobody could tell
// whether memory is flat.
func (l *ledger) admits(ctx context.Context, n *node, e *entry) {
	var over bool
	if rand.IntN(10) == 0 {
		_, err := n.api.Check(ctx, e.secret(), true)
		over = errors.Is(err, client.ErrSignedOut)
	} else {
		s, _ := n.api.State(ctx, e.secret())
		over = s.State == client.Over
	}
	if over {
		l.wrongly("%s is said to have ended, and nobody has ended it", e.session)
	}
}

// refuses asks a node about a session that has ended.
func (l *ledger) refuses(ctx context.Context, n *node, e *entry, when string) {
	_, err := n.api.Check(ctx, e.secret(), false)
	l.checked.Add(1)
	if err == nil {
		l.accepted.Add(1)
		l.wrongly("a session is accepted %s, %v after its sign-out was confirmed", when, time.Since(e.at))
	}
}

// load signs in and out on random nodes until ctx is done. Each turn waits for
// the pace, if there is one; a turn that cannot start waits for the next.
func (l *ledger) load(ctx context.Context, h *home, nodes []*node, pace <-chan struct{}) (wait func()) {
	var wg sync.WaitGroup
	for person := range h.people {
		wg.Go(func() {
			again := time.NewTicker(5 * time.Millisecond)
			defer again.Stop()
			for {
				if pace != nil {
					select {
					case <-pace:
					case <-ctx.Done():
					}
				}
				if ctx.Err() != nil {
					return
				}
				e, err := h.start(ctx, person)
				if err != nil {
					<-again.C
					continue
				}
				n := nodes[rand.IntN(len(nodes))]
				asked := context.WithoutCancel(ctx)
				l.admits(asked, nodes[rand.IntN(len(nodes))], e)
				if l.end(asked, n, e); e.told == done {
					l.refuses(asked, n, e, "by the node that ended it")
				} else {
					<-again.C
				}
			}
		})
	}
	// Meanwhile each node is asked about sessions that were ended longer ago
	// than the bound.
	for _, n := range nodes {
		wg.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				if e := l.old(); e != nil {
					l.refuses(context.WithoutCancel(ctx), n, e, "past the bound")
				}
			}
		})
	}
	return wg.Wait
}

// old picks a session that was ended longer ago than the bound: as often one that
// has just come to be as any.
func (l *ledger) old() *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.ended) - 1
	for last >= 0 && time.Since(l.ended[last].at) <= l.bound {
		last--
	}
	switch {
	case last < 0:
		return nil
	case rand.IntN(2) == 0:
		return l.ended[last]
	}
	return l.ended[rand.IntN(last+1)]
}

// compare compares what was told with what is recorded, and returns how many were
// told what.
func (l *ledger) compare(driver, source string) map[told]int {
	l.t.Helper()
	recorded := recordedEnds(l.t, driver, source)
	count := map[told]int{}
	for _, e := range l.entries {
		count[e.told]++
		switch over := recorded[e.session]; {
		case e.told == done && !over:
			l.wrongly("lost: the end of %s was confirmed and is not recorded", e.session)
		case e.told == refused && over:
			l.wrongly("the end of %s was refused, with nothing changed, and is recorded", e.session)
		}
	}
	return count
}

func recordedEnds(t testing.TB, driver, source string) map[exeunt.SessionID]bool {
	t.Helper()
	db, err := sql.Open(driver, source)
	must(t, err)
	defer db.Close()
	rows, err := db.Query(`SELECT id, ended_at IS NOT NULL FROM sessions`)
	must(t, err)
	defer rows.Close()
	out := map[exeunt.SessionID]bool{}
	for rows.Next() {
		var id exeunt.SessionID
		var over bool
		must(t, rows.Scan(&id, &over))
		out[id] = over
	}
	must(t, rows.Err())
	// The log is dense, and ends where its head says.
	var entries, last, head int64
	must(t, db.QueryRow(`SELECT count(*), coalesce(max(seq), 0), (SELECT seq FROM log_head) FROM events`).Scan(&entries, &last, &head))
	if entries != last || last != head {
		t.Errorf("the log has %d entries, the last is %d, and its head says %d", entries, last, head)
	}
	return out
}
