package app

import (
	"container/list"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// reserved are the descriptors that no connection of the public takes: the database, the operators' socket and their
// connections, the lock, the logs and the files that are open for a moment.
const reserved = 64

// maxConnections is how many connections of the public this process can have. Beyond the process's own limit on
// descriptors, accepting fails, and so do the database and the operators' socket.
func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	files := min(limit.Cur, 1<<20)
	return int(max(files-min(files/2, reserved), 1))
}

// maxStreams is how many of the connections may be event streams, which stay open for hours. The others are free
// soon, so that sign-outs get through.
func maxStreams(connections int) int { return connections / 2 }

// connections is a listener with at most a number of connections. When there are as many, it closes the one that has
// been idle for longest to make room.
type connections struct {
	net.Listener
	complaints *complaints
	most       int // 0: no limit

	mu    sync.Mutex
	open  int
	idle  *list.List // of *connection: without a request, longest first
	freed chan struct{}

	stop    chan struct{}
	stopped sync.Once
}

func newConnections(l net.Listener, most int, complaints *complaints) *connections {
	return &connections{
		Listener: l, complaints: complaints, most: most, idle: list.New(), freed: make(chan struct{}, 1), stop: make(chan struct{}),
	}
}

// Close ends Accept. The connections stay open.
func (c *connections) Close() error {
	c.stopped.Do(func() { close(c.stop) })
	return c.Listener.Close()
}

// Accept waits for a connection, and for room for it.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			c.complaints.say("no connection can be accepted: this process has no file descriptors left; raise its limit "+
				"(ulimit -n, LimitNOFILE=)", "err", err)
			c.closeIdle()
		} else if !errors.Is(err, net.ErrClosed) {
			c.complaints.say("a connection could not be accepted", "err", err)
		}
		return nil, err
	}
	for !c.enter() {
		if !c.closeIdle() {
			c.complaints.say("all connections are in use, so new ones wait; raise the limit on file descriptors "+
				"(ulimit -n, LimitNOFILE=)", "connections", c.most)
		}
		select {
		case <-c.freed:
		case <-time.After(newGrace / 10): // a new one may count as idle now
		case <-c.stop:
			return nil, errors.Join(net.ErrClosed, conn.Close())
		}
	}
	a := &connection{Conn: conn, of: c, began: time.Now()}
	c.set(a, true)
	return a, nil
}

func (c *connections) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most > 0 && c.open >= c.most {
		return false
	}
	c.open++
	return true
}

// newGrace is how long a new connection may take to begin its request before it counts as idle.
const newGrace = time.Second

// closeIdle closes the connection that has been idle for longest, and returns false if there is none.
func (c *connections) closeIdle() bool {
	a := c.longestIdle()
	if a != nil {
		a.Close()
	}
	return a != nil
}

func (c *connections) longestIdle() *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.idle.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*connection); a.used || time.Since(a.began) > newGrace {
			return a
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

// set notes that a connection is idle, or no longer.
func (c *connections) set(a *connection, idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case idle && a.idle == nil && !a.closed:
		a.idle = c.idle.PushBack(a)
		c.wake() // it may be closed now, if another waits
	case !idle && a.idle != nil:
		c.idle.Remove(a.idle)
		a.idle, a.used = nil, true
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
	of     *connections
	began  time.Time
	idle   *list.Element // in the list of its listener
	used   bool          // it has had a request
	closed bool
}

// Close makes room for another connection.
func (a *connection) Close() error {
	err := a.Conn.Close()
	a.of.set(a, false)
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	if !a.closed {
		a.closed = true
		a.of.open--
		a.of.wake()
	}
	return err
}

// follow notes which connections have a request. It is the ConnState of the server.
func (c *connections) follow(conn net.Conn, state http.ConnState) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = t.NetConn()
	}
	if a, ok := conn.(*connection); ok {
		c.set(a, state == http.StateNew || state == http.StateIdle)
	}
}
