package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of whatever its descendants leave
// behind: Patroni's servers are no children of Patroni, and must not outlive us.
// It also asks to be told when whoever started us has gone.
func adoptOrphans() error {
	if err := errors.Join(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0)); err != nil {
		return err
	}
	// They must be reaped, or Patroni waits for a server that has exited.
	ends := make(chan os.Signal, 1)
	ossignal.Notify(ends, syscall.SIGCHLD)
	go func() {
		for range ends {
			for _, p := range processes() {
				if p.parent == os.Getpid() && p.ended {
					_, _ = syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil) // or exec has noticed
				}
			}
		}
	}()
	return nil
}

// process is a program that we started, in a process group of its own so that a
// Ctrl-C is ours to handle. What it says goes to a file.
type process struct {
	name, log string
	cmd       *exec.Cmd
	exited    chan struct{}
}

func start(dir, name string, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, append(os.Environ(), env...), out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.exited) }()
	return p, nil
}

// await waits until ready reports nil. It gives up when the program has ended.
func (p *process) await(limit time.Duration, ready func() error) error {
	return await(limit, func() error {
		select {
		case <-p.exited:
			return final{fmt.Errorf("%s has ended: %s", p.name, lastLines(p.log))}
		default:
		}
		if err := ready(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		return nil
	})
}

// final is an error after which waiting is useless.
type final struct{ error }

func await(limit time.Duration, ready func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		err := ready()
		if err == nil || errors.As(err, &final{}) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v: %w", limit, err)
		}
	}
}

func lastLines(file string) string {
	b, _ := os.ReadFile(file) // of an error's text
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// signal sends a signal to processes; one may have ended meanwhile.
func signal(sig syscall.Signal, pids ...int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

// running is a process of this machine.
type running struct {
	pid, parent int
	ended       bool // and waits for its parent to notice
}

// processes are those of this machine.
func processes() (out []running) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		// The name may hold anything, so what counts begins after its last bracket.
		after := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		p := running{ended: after[0] == "Z"}
		p.pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(file)))
		p.parent, _ = strconv.Atoi(after[1])
		out = append(out, p)
	}
	return out
}

// descendants are the processes that a process has started, and theirs, as far
// as they run.
func descendants(of int) (pids []int) {
	children := map[int][]running{}
	for _, p := range processes() {
		children[p.parent] = append(children[p.parent], p)
	}
	for next := children[of]; len(next) > 0; {
		p := next[0]
		next = append(next[1:], children[p.pid]...)
		if !p.ended {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// gone waits until processes have ended.
func gone(pids ...int) error {
	return await(10*time.Second, func() error {
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("process %d does not end", pid)
			}
		}
		return nil
	})
}

// freePorts are ports of loopback that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
