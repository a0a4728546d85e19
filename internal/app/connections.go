package app

import (
	"container/list"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/exeunt/exeunt/internal/throttle"
)

// reserved are the descriptors that no connection of the public takes: the database, the operators' socket and their
// connections, the lock, the logs and the files that are open for a moment.
const reserved = 64

// maxConnections is how many connections of the public this process can have, at most as many as configured. Beyond the
// process's own limit on descriptors, accepting fails, and so do the database and the operators' socket.
func maxConnections(configured int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return configured
	}
	files := min(limit.Cur, 1<<20)
	return min(int(max(files-min(files/2, reserved), 1)), configured)
}

// plainShare is which part of the connections may be ones without TLS, which are only sent elsewhere.
const plainShare = 16

// maxStreams is how many of the connections may be event streams, which stay open for hours. The others are free
// soon, so that sign-outs get through.
func maxStreams(connections int) int { return connections / 2 }

// maxOfNetwork is how many of the connections one network may have. Behind one address there may be many people, so a
// few are left to each even where all are few.
func maxOfNetwork(connections int) int { return max(connections/4, 16) }

// connections is a listener with at most a number of connections, of all together and of each network. When there are
// as many, it closes the one that has been idle for longest to make room, or else the one whose request has been
// outstanding for longest.
type connections struct {
	net.Listener
	complaints *complaints
	most       int                   // 0: no limit, of networks neither
	exempt     func(netip.Addr) bool // whose connections are many people's: a trusted proxy's
	greedy     *complaints           // about networks

	mu       sync.Mutex
	open     int
	networks map[netip.Prefix]int // how many each has, but for those that are exempt
	idle     *list.List           // of *connection: without a request, longest first
	sending  *list.List           // of *connection: whose request has not arrived whole, longest first
	freed    chan struct{}

	stop    chan struct{}
	stopped sync.Once
}

// newConnections shares its complaints with other listeners, which run out of descriptors together.
func newConnections(l net.Listener, most int, exempt func(netip.Addr) bool, all *complaints) *connections {
	return &connections{
		Listener: l, complaints: all, most: most, exempt: exempt, greedy: &complaints{log: all.log},
		networks: map[netip.Prefix]int{}, idle: list.New(), sending: list.New(), freed: make(chan struct{}, 1),
		stop: make(chan struct{}),
	}
}

// Close ends Accept. The connections stay open.
func (c *connections) Close() error {
	c.stopped.Do(func() { close(c.stop) })
	return c.Listener.Close()
}

// Accept waits for a connection, and for room for it.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				c.complaints.say("no connection can be accepted: this process has no file descriptors left; raise its limit "+
					"(ulimit -n, LimitNOFILE=)", "err", err)
				c.closeOne(netip.Prefix{})
			} else if !errors.Is(err, net.ErrClosed) {
				c.complaints.say("a connection could not be accepted", "err", err)
			}
			return nil, err
		}
		a := &connection{Conn: conn, of: c, network: c.networkOf(conn), since: time.Now()}
		if !c.mayEnter(a.network) {
			// It does not wait: otherwise whoever has too many would keep others waiting.
			_ = conn.Close()
			continue
		}
		for !c.enter(a) {
			if !c.closeOne(netip.Prefix{}) {
				c.complaints.say("all connections are in use, so new ones wait; raise max_connections, or the limit on file "+
					"descriptors (ulimit -n, LimitNOFILE=)", "connections", c.most)
			}
			select {
			case <-c.freed:
			case <-time.After(grace / 10): // another may be closed now
			case <-c.stop:
				return nil, errors.Join(net.ErrClosed, conn.Close())
			}
		}
		return a, nil
	}
}

// networkOf returns the network that a connection counts for, and none for those that are exempt.
func (c *connections) networkOf(conn net.Conn) netip.Prefix {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil { // the operators' socket
		return netip.Prefix{}
	}
	if a := at.Addr().Unmap(); !c.exempt(a) {
		return throttle.Network(a)
	}
	return netip.Prefix{}
}

// mayEnter reports whether a network may have one more connection. If it has as many as it may, one that it does not
// need is closed.
func (c *connections) mayEnter(network netip.Prefix) bool {
	if c.most == 0 || !network.IsValid() {
		return true
	}
	c.mu.Lock()
	full := c.networks[network] >= maxOfNetwork(c.most)
	c.mu.Unlock()
	if !full || c.closeOne(network) {
		return true
	}
	c.greedy.say("a network has as many connections as one may have, so more are refused; if it is a proxy, add it to "+
		"trusted_proxies", "network", network, "connections", maxOfNetwork(c.most))
	return false
}

func (c *connections) enter(a *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most > 0 && c.open >= c.most {
		return false
	}
	c.open++
	if a.network.IsValid() {
		c.networks[a.network]++
	}
	a.put(c.idle)
	c.wake() // it may be closed now, if another waits
	return true
}

// grace is how long a new connection may take to begin its request before it counts as idle, and how long the rest of
// the request may take before the connection may be closed for others.
const grace = time.Second

// closeOne closes a connection to make room, and returns false if there is none that may be closed. With a network,
// it is one of that network's.
func (c *connections) closeOne(network netip.Prefix) bool {
	a := c.dispensable(network)
	if a != nil {
		a.Close()
	}
	return a != nil
}

func (c *connections) dispensable(network netip.Prefix) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range []*list.List{c.idle, c.sending} {
		for e := l.Front(); e != nil; e = e.Next() {
			a := e.Value.(*connection)
			if network.IsValid() && a.network != network {
				continue
			}
			if l == c.idle && a.used || time.Since(a.since) > grace {
				return a
			}
		}
	}
	return nil
}

// wake has Accept look for room again.
func (c *connections) wake() {
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// set notes in which list a connection is now: idle, sending, or nil for none, because its request is being answered.
func (c *connections) set(a *connection, l *list.List) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.closed || a.in == l {
		return
	}
	if a.put(l); l != nil {
		c.wake() // it may be closed now, if another waits
	} else {
		a.used = true
	}
}

// complaints logs what keeps listeners from accepting, at most once a second: otherwise a flood would fill the log too.
type complaints struct {
	log  *slog.Logger
	mu   sync.Mutex
	last time.Time
}

func (c *complaints) say(what string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) >= time.Second {
		c.last = time.Now()
		c.log.Error(what, args...)
	}
}

// connection is an accepted one.
type connection struct {
	net.Conn
	of      *connections
	network netip.Prefix // that it counts for, if any

	// Under the mutex of its listener:
	in     *list.List // idle, sending or nil
	at     *list.Element
	since  time.Time // when it came there
	used   bool      // it has had a whole request
	closed bool
}

func (a *connection) put(l *list.List) {
	if a.in != nil {
		a.in.Remove(a.at)
	}
	if a.in, a.at, a.since = l, nil, time.Now(); l != nil {
		a.at = l.PushBack(a)
	}
}

// Close makes room for another connection.
func (a *connection) Close() error {
	err := a.Conn.Close()
	c := a.of
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.closed {
		return err
	}
	a.put(nil)
	a.closed = true
	c.open--
	if a.network.IsValid() {
		if c.networks[a.network]--; c.networks[a.network] == 0 {
			delete(c.networks, a.network)
		}
	}
	c.wake()
	return err
}

// accepted returns the accepted connection below a server's.
func accepted(conn net.Conn) (a *connection, ok bool) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = t.NetConn()
	}
	a, ok = conn.(*connection)
	return a, ok
}

// serve has a server note what its connections do.
func (c *connections) serve(s *http.Server) {
	s.ConnState, s.ConnContext, s.Handler = c.follow, c.remember, c.arrived(s.Handler)
}

// follow notes which connections have a request, or a part of one.
func (c *connections) follow(conn net.Conn, state http.ConnState) {
	a, ok := accepted(conn)
	switch {
	case !ok || state == http.StateNew:
	case state == http.StateActive:
		c.set(a, c.sending)
	case state == http.StateIdle:
		c.set(a, c.idle)
	default:
		c.set(a, nil)
	}
}

type connectionKey struct{}

func (c *connections) remember(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// arrived notes which connections' requests have arrived whole. Over HTTP/2 the headers are enough: other requests of
// the same connection may be under way, so that it is not closed for the body of one.
func (c *connections) arrived(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(connectionKey{}).(net.Conn)
		if a, ok := accepted(conn); ok && r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{r.Body, func() { c.set(a, nil) }}
		} else if ok {
			c.set(a, nil)
		}
		next.ServeHTTP(w, r)
	})
}

// body tells when it has been read.
type body struct {
	io.ReadCloser
	read func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.read()
	}
	return n, err
}
