package testnode_test

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// link is the network between a node and its server. While it is cut nothing is
// delivered and nothing is closed: what was sent waits, as TCP lets it, and
// arrives when the link is whole again.
type link struct {
	l  net.Listener
	to string
	wg sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{} // nil: the link is gone
	// A direction that is cut has a channel here, closed when it is whole again.
	up, down chan struct{}
}

// newLink makes a link to the server of a URL, and the URL by way of it.
func newLink(t *testing.T, database string) (*link, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{l: l, to: u.Host, open: map[net.Conn]struct{}{}}
	k.wg.Go(k.serve)
	t.Cleanup(k.close)
	u.Host = l.Addr().String()
	return k, u.String()
}

func (k *link) serve() {
	for {
		near, err := k.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", k.to)
		if err != nil {
			near.Close()
			continue
		}
		if !k.keep(near, far) {
			return
		}
		k.wg.Go(func() { k.carry(far, near, &k.up) })
		k.wg.Go(func() { k.carry(near, far, &k.down) })
	}
}

func (k *link) keep(conns ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range conns {
		if k.open == nil {
			c.Close()
			continue
		}
		k.open[c] = struct{}{}
	}
	return k.open != nil
}

// carry takes bytes from one end to the other, and its end too, once that
// direction is whole.
func (k *link) carry(to, from net.Conn, direction *chan struct{}) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		for {
			k.mu.Lock()
			cut := *direction
			k.mu.Unlock()
			if cut == nil {
				break
			}
			<-cut
		}
		if _, failed := to.Write(b[:n]); err != nil || failed != nil {
			return
		}
	}
}

// cut breaks the direction to the server, the one from it, or both.
func (k *link) cut(up, down bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if up {
		k.up = make(chan struct{})
	}
	if down {
		k.down = make(chan struct{})
	}
}

// heal makes the link whole.
func (k *link) heal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, cut := range []*chan struct{}{&k.up, &k.down} {
		if *cut != nil {
			close(*cut)
			*cut = nil
		}
	}
}

func (k *link) close() {
	k.l.Close()
	k.heal()
	k.mu.Lock()
	for c := range k.open {
		c.Close()
	}
	k.open = nil
	k.mu.Unlock()
	k.wg.Wait()
}

// A node that is cut off from the database believes its memory for the bound and
// no longer: then it lets nobody in, and calls nobody signed out. When the
// network is back so is the node, by itself.
func TestANodeThatIsCutOffRefuses(t *testing.T) {
	for name, direction := range map[string]struct{ up, down bool }{
		"in both directions":         {true, true},
		"its questions are lost":     {true, false},
		"the answers to it are lost": {false, true}, // its heartbeats are committed, and it does not know
	} {
		t.Run(name, func(t *testing.T) {
			database := testpg.NewDatabase(t)
			network, far := newLink(t, database)
			whole := nodes(t, database, 1)[0]
			cutOff := nodes(t, far, 1)[0]
			p := whole.NewAccount(t, "ada")
			stays, _ := whole.NewSession(t, p, exeunt.KindKept)
			goes, session := whole.NewSession(t, p, exeunt.KindKept)
			for _, n := range []*testnode.Node{whole, cutOff} {
				until(t, n, stays, live.Usable)
				until(t, n, goes, live.Usable)
			}
			network.cut(direction.up, direction.down)
			whole.SignOut(t, session)
			answered := time.Now()
			for refused := false; !refused; {
				for _, look := range []struct {
					what  string
					token exeunt.Token
				}{{"has ended", goes}, {"stays", stays}} {
					asked := time.Now()
					state := cutOff.Check(t.Context(), look.token).State
					switch late := asked.Sub(answered); {
					case state == live.Indeterminate:
						refused = true
					case state == live.Ended && !direction.down && look.token == goes:
						// A question that was on its way when the link was cut has been answered.
					case state == live.Ended:
						t.Fatalf("the session that %s is called ended; nobody can have told the node", look.what)
					case late > staleness:
						t.Fatalf("the session that %s is accepted %v after the end; the bound is %v", look.what, late, staleness)
					}
				}
			}
			if took := time.Since(answered); took < staleness/2 {
				t.Errorf("memory was given up after %v already; the bound is %v", took, staleness)
			}
			if got := whole.Check(t.Context(), stays).State; got != live.Usable {
				t.Errorf("the node that is not cut off answers %v", got)
			}
			network.heal()
			until(t, cutOff, goes, live.Ended)
			until(t, cutOff, stays, live.Usable)
		})
	}
}

// One of the nodes is cut off for long, and then hears nothing for long while
// what it says arrives.
func TestHistoriesThroughAPartition(t *testing.T) {
	database := testpg.NewDatabase(t)
	network, far := newLink(t, database)
	cluster := append(nodes(t, database, 2), nodes(t, far, 1)...)
	run(t, cluster, func() {
		for _, up := range []bool{true, false} {
			network.cut(up, true)
			<-time.After(2 * staleness)
			network.heal()
			<-time.After(staleness / 2)
		}
	})
}
