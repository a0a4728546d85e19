package fault

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/testpg"
)

// question is one request to the gate on a connection of its own.
type question struct {
	conn net.Conn
	e    *entry
}

func dial(t *testing.T, n *node, e *entry) question {
	t.Helper()
	c, err := net.Dial("tcp", n.addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return question{c, e}
}

func (q question) ask(t *testing.T) {
	t.Helper()
	_, err := fmt.Fprintf(q.conn, "GET /gate HTTP/1.1\r\nHost: exeunt.test\r\nAuthorization: Bearer %s\r\n\r\n", q.e.token.Reveal())
	must(t, err)
}

func (q question) status(t *testing.T) int {
	t.Helper()
	must(t, q.conn.SetReadDeadline(time.Now().Add(patience)))
	resp, err := http.ReadResponse(bufio.NewReader(q.conn), nil)
	must(t, err)
	resp.Body.Close()
	return resp.StatusCode
}

// The program itself is stopped for longer than the bound, at any moment, while
// sessions are ended on another node. Whatever it is asked meanwhile it finds in
// its sockets when it goes on, and none of its first answers lets anybody in
// whose session has ended.
func TestANodeThatStandsStill(t *testing.T) {
	const short = 300 * time.Millisecond // the bound
	url := testpg.New(t).NewDatabase(t)
	h, l := newHome(t, url, 1), &ledger{t: t, bound: short}
	present := built(t, "../..")
	var nodes []*node
	for range 2 {
		n := newNode(t, t.TempDir(), "EXEUNT_DATABASE="+url, "EXEUNT_MAX_STALENESS="+short.String())
		n.start(present)
		nodes = append(nodes, n)
	}
	other, stopped := nodes[0], nodes[1]
	other.ready()
	stopped.ready()
	stays, err := h.start(t.Context(), 0)
	must(t, err)
	answers := map[int]int{}
	const held = 8
	for range rounds(40, 8) {
		var before, queued []question // asked before it stops, and while it stands
		for range held {
			e, err := h.start(t.Context(), 0)
			must(t, err)
			before, queued = append(before, dial(t, stopped, e)), append(queued, dial(t, stopped, e))
		}
		// It has them in memory, and would answer from there.
		for _, q := range before {
			q.ask(t)
			if got := q.status(t); got != http.StatusOK {
				t.Fatalf("a session that is live is answered %d", got)
			}
		}
		resume := stopped.suspend()
		for _, q := range queued[:held/2] {
			q.ask(t)
		}
		for _, q := range before {
			if l.end(t.Context(), other, q.e); q.e.told != done {
				t.Fatal("the other node could not sign out")
			}
		}
		for _, q := range queued[held/2:] {
			q.ask(t)
		}
		<-time.After(short - time.Since(before[held-1].e.at) + time.Millisecond)
		var new []question // connections that nobody has accepted yet
		for _, q := range before {
			late := dial(t, stopped, q.e)
			late.ask(t)
			new = append(new, late)
		}
		resume()
		for _, q := range append(queued, new...) {
			got := q.status(t)
			answers[got]++
			if got != http.StatusUnauthorized && got != http.StatusServiceUnavailable {
				t.Errorf("a node that stood still answers %d, %v after the end was confirmed", got, time.Since(q.e.at))
			}
		}
		// It lives, and knows the ended from the others.
		stopped.ready()
		if _, err := stopped.api.Check(t.Context(), stays.secret(), false); err != nil {
			t.Errorf("who did not sign out: %v", err)
		}
	}
	t.Logf("first answers after it stood still: %v", answers)
	if answers[http.StatusUnauthorized]+answers[http.StatusServiceUnavailable] == 0 {
		t.Error("there were none: that shows nothing")
	}
}
