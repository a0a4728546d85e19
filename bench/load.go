package main

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loader is a process of its own that sends requests and counts the answers.
// It is one thread around epoll, to take as little CPU time as possible, and a process of
// its own, so that this time can be measured.
type loader struct {
	command *exec.Cmd
	in      io.Closer
	orders  *gob.Encoder
	tallies *gob.Decoder
}

// order asks for one round. Every connection sends a request, reads the whole
// answer, and sends the next.
type order struct {
	Requests    [][]byte // those to send from now on; nil keeps them
	Addr        string
	Connections int
	For         time.Duration
	Once        bool   // instead of For: until each request has been sent once
	Holds       string // every answer must contain it
	Lacks       string // no answer may contain it; "" is not looked for
}

// tally is the outcome of a round.
type tally struct {
	Answers  int
	Took     time.Duration
	CPU      time.Duration // of the loader
	P50, P99 time.Duration
	Fault    string

	server time.Duration // CPU of this process meanwhile
}

func (t tally) rate() float64 { return perSecond(t.Answers, t.Took) }

// share is the part of the CPU time that the loader took.
func (t tally) share() float64 { return t.CPU.Seconds() / (t.CPU + t.server).Seconds() }

// loadArgument makes this program a loader.
const loadArgument = "load-over-stdin"

func newLoader() (*loader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &loader{command: exec.Command(self, loadArgument)}
	l.command.Stderr = os.Stderr
	in, err := l.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := l.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.in, l.orders, l.tallies = in, gob.NewEncoder(in), gob.NewDecoder(out)
	return l, l.command.Start()
}

func (l *loader) close() error { return errors.Join(l.in.Close(), l.command.Wait()) }

// send gives the loader its requests.
func (l *loader) send(requests [][]byte) error {
	_, err := l.round(order{Requests: requests})
	return err
}

func (l *loader) round(o order) (t tally, err error) {
	before := cpuTime()
	if err := l.orders.Encode(o); err != nil {
		return t, err
	}
	if err := l.tallies.Decode(&t); err != nil {
		return t, err
	}
	t.server = cpuTime() - before
	if t.Fault != "" {
		return t, errors.New(t.Fault)
	}
	return t, nil
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// loadOverStdin runs the loader.
func loadOverStdin(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	orders, tallies := gob.NewDecoder(in), gob.NewEncoder(out)
	var requests [][]byte
	next := 0
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var t tally
		if o.Requests != nil {
			requests, next = o.Requests, 0
		} else if err := o.carryOut(requests, &next, &t); err != nil {
			t.Fault = err.Error()
		}
		if err := tallies.Encode(t); err != nil {
			return err
		}
		runtime.GC()
	}
}

type conversation struct {
	sent time.Time
	got  []byte
}

func (o order) carryOut(requests [][]byte, next *int, t *tally) error {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(poll)
	addr, err := net.ResolveTCPAddr("tcp4", o.Addr)
	if err != nil {
		return err
	}
	by := map[int32]*conversation{}
	for range o.Connections {
		fd, err := dial(addr)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		by[int32(fd)] = &conversation{got: make([]byte, 0, 4096)}
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	took := make([]time.Duration, 0, 1<<17)
	holds, lacks := []byte(o.Holds), []byte(o.Lacks)
	say := func(fd int32, c *conversation) error {
		r := requests[*next%len(requests)]
		*next++
		c.sent = time.Now()
		if n, err := unix.Write(int(fd), r); err != nil || n != len(r) {
			return fmt.Errorf("send a request: %d bytes, %w", n, err)
		}
		return nil
	}
	cpu, begun := cpuTime(), time.Now()
	for fd, c := range by {
		if o.Once && *next >= len(requests) {
			break
		}
		if err := say(fd, c); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, o.Connections)
	for end := begun.Add(o.For); ; {
		n, err := unix.EpollWait(poll, events, 5000)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("no answer: %w", err)
		}
		for _, e := range events[:n] {
			c := by[e.Fd]
			n, err := unix.Read(int(e.Fd), c.got[len(c.got):cap(c.got)])
			if err != nil || n == 0 {
				return fmt.Errorf("the connection broke after %q: %w", c.got, err)
			}
			c.got = c.got[:len(c.got)+n]
			if !isWhole(c.got) {
				continue
			}
			if !bytes.Contains(c.got, holds) || len(lacks) > 0 && bytes.Contains(c.got, lacks) {
				return fmt.Errorf("unexpected answer: %q", c.got)
			}
			c.got = c.got[:0]
			took = append(took, time.Since(c.sent))
			if o.Once && *next >= len(requests) {
				continue
			}
			if err := say(e.Fd, c); err != nil {
				return err
			}
		}
		if o.Once && len(took) == len(requests) || !o.Once && len(took) > 0 && !time.Now().Before(end) {
			break
		}
	}
	t.Took, t.CPU, t.Answers = time.Since(begun), cpuTime()-cpu, len(took)
	slices.Sort(took)
	t.P50, t.P99 = took[len(took)/2], took[len(took)*99/100]
	return nil
}

// isWhole reports whether an answer has come to its end (RFC 9112 section 6.3).
func isWhole(answer []byte) bool {
	head, body, ended := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !ended {
		return false
	}
	if _, value, told := bytes.Cut(head, []byte("\r\nContent-Length: ")); told {
		value, _, _ = bytes.Cut(value, []byte("\r\n"))
		length, err := strconv.Atoi(string(value))
		return err == nil && len(body) >= length
	}
	return !bytes.Contains(head, []byte("\r\nTransfer-Encoding: chunked")) || bytes.HasSuffix(body, []byte("0\r\n\r\n"))
}

func dial(addr *net.TCPAddr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	to := &unix.SockaddrInet4{Port: addr.Port}
	copy(to.Addr[:], addr.IP.To4())
	if err := errors.Join(unix.Connect(fd, to), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)); err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}
