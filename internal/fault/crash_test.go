package fault

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// under has a program run by strace, which makes those calls of each of its
// threads fail from the n-th on.
func under(t testing.TB, calls string, n int, p ...string) []string {
	t.Helper()
	return failing(t, calls, "EIO", n, p...)
}

// failing is under with another error.
func failing(t testing.TB, calls, err string, n int, p ...string) []string {
	t.Helper()
	strace(t)
	return append([]string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls,
		"-e", fmt.Sprintf("inject=%s:error=%s:when=%d+", calls, err, n)}, p...)
}

// failNow makes those calls of all threads of a running program fail from now on.
func failNow(t testing.TB, calls, err string, pid int) {
	t.Helper()
	strace(t)
	c := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "trace="+calls, "-e", fmt.Sprintf("inject=%s:error=%s", calls, err),
		"-p", strconv.Itoa(pid))
	told, e := c.StderrPipe()
	must(t, e)
	must(t, c.Start())
	line, e := bufio.NewReader(told).ReadString('\n') // "Process … attached", with all of its threads
	if e != nil {
		t.Fatalf("strace did not attach: %v", e)
	}
	t.Log(strings.TrimSpace(line))
	go io.Copy(io.Discard, told)
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
}

func strace(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing, which makes the disk fail: install Debian's package strace (script/test does)")
	}
	if out, err := exec.Command("strace", "-qq", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Fatalf("strace may not trace here, so the disk cannot be made to fail: allow ptrace "+
			"(kernel.yama.ptrace_scope below 2, and in a container the capability SYS_PTRACE): %v\n%s", err, out)
	}
}

// rounds is how often, in full and in short.
func rounds(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}

// strike has people sign in and out on three nodes while faults happen to those
// or to their server, and compares what they were told with what is recorded.
func strike(t *testing.T, faults func(server *testpg.Server, nodes []*node, l *ledger)) {
	t.Helper()
	t.Parallel()
	server := testpg.New(t)
	url := server.NewDatabase(t)
	h, l := newHome(t, url, 12), &ledger{t: t, bound: bound}
	nodes := cluster(t, itself(), url, 3)
	ctx, cancel := context.WithCancel(t.Context())
	wait := l.load(ctx, h, nodes, nil)
	faults(server, nodes, l)
	for n := 0; n < 8 && !l.crossed(); n++ { // now and then a fault comes while nobody is signing out
		faults(server, nodes, l)
	}
	cancel()
	wait()
	count := l.compare("pgx", url)
	if count[done] == 0 || count[unknown]+count[refused] == 0 || l.checked.Load() == 0 {
		t.Errorf("that shows nothing: %v", count)
	}
	t.Logf("%d sign-outs confirmed and all recorded, %d refused and none recorded, %d unknown; %d answers about ended sessions, %d let in",
		count[done], count[refused], count[unknown], l.checked.Load(), l.accepted.Load())
}

// crossed reports whether a fault has met somebody who was signing out.
func (l *ledger) crossed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries) > len(l.ended)
}

// enough waits until so many more sign-outs were confirmed.
func (l *ledger) enough(more int) {
	l.t.Helper()
	now := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.ended) }
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Minute)
	for want := now() + more; now() < want; {
		select {
		case <-tick.C:
		case <-limit:
			l.t.Fatalf("only %d of %d sign-outs were confirmed", now(), want)
		}
	}
}

// Nodes are killed under load and start again.
func TestNodesThatAreKilled(t *testing.T) {
	strike(t, func(_ *testpg.Server, nodes []*node, l *ledger) {
		for range rounds(6, 2) {
			n := nodes[rand.IntN(len(nodes))]
			l.enough(20 + rand.IntN(50))
			n.kill()
			l.enough(10) // the others go on
			n.start(itself())
			n.ready()
		}
	})
}

// The server is killed under load, every process of it, and starts again.
func TestAServerThatIsKilled(t *testing.T) {
	strike(t, func(server *testpg.Server, _ []*node, l *ledger) {
		for range rounds(3, 1) {
			l.enough(20 + rand.IntN(50))
			server.Kill(t)
			must(t, server.Up())
		}
		l.enough(20)
	})
}

// The server's disk fails at commits: it panics, recovers, and fails again.
func TestAServerWhoseLogCannotBeSynced(t *testing.T) {
	strike(t, func(server *testpg.Server, _ []*node, l *ledger) {
		l.enough(20)
		server.Kill(t)
		must(t, server.UpUnder(under(t, "fdatasync", 30)...))
		says(t, server, "PANIC:  could not fdatasync", rounds(3, 1))
		server.Kill(t)
		must(t, server.Up())
		l.enough(20)
	})
}

// The server's disk fails at a checkpoint: it panics, and cannot even recover
// before the disk is whole again.
func TestAServerWhoseCheckpointFails(t *testing.T) {
	strike(t, func(server *testpg.Server, _ []*node, l *ledger) {
		l.enough(20)
		must(t, server.Signal(syscall.SIGINT))
		must(t, server.UpUnder(under(t, "fsync", 12)...))
		l.enough(20)
		if err := server.Try(`CHECKPOINT`); err == nil {
			t.Error("the checkpoint did not fail")
		}
		says(t, server, "PANIC:  could not fsync file", 1)
		says(t, server, "LOG:  database system is shut down", 2) // in order, and now
		must(t, server.Up())
		l.enough(20)
	})
}

// says waits until the server has written that so often.
func says(t *testing.T, server *testpg.Server, text string, times int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(5 * time.Minute); strings.Count(server.Log(), text) < times; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the server has not said %q %d times:\n%s", text, times, server.Log())
		}
	}
}

// A file's disk fails: the node says 503 and ends; the next start knows the truth.
func TestAFileWhoseDiskFails(t *testing.T) {
	t.Parallel()
	const people, each = 4, 60
	data := t.TempDir()
	core := testnode.New(t, testnode.Options{})
	h := &home{Node: core}
	var fresh []*entry
	h.populate(t, people)
	for i := range people {
		for range each {
			e, err := h.start(t.Context(), i)
			must(t, err)
			fresh = append(fresh, e)
		}
	}
	must(t, core.Store.Close())
	file := filepath.Join(data, "exeunt.db")
	b, err := os.ReadFile(core.Path)
	must(t, err)
	must(t, os.WriteFile(file, b, 0o600))
	n, l := newNode(t, data), &ledger{t: t, bound: bound}
	settings := n.settings
	n.settings = append(settings[:len(settings):len(settings)], trusts+"=1") // the file was made elsewhere
	n.start(itself())
	n.ready()
	n.stop()
	n.settings = settings
	failures := 0
	for len(fresh) >= people*each/2 { // enough that the disk fails before they are used up
		n.start(program(under(t, "fsync,fdatasync", 15+rand.IntN(20), itself()...)))
		n.ready()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var wg sync.WaitGroup
		for _, list := range [][]*entry{fresh[:len(fresh)/2], fresh[len(fresh)/2:]} {
			wg.Go(func() {
				for failed := 0; len(list) > 0 && failed < 3; list = list[1:] {
					if l.end(ctx, n, list[0]); list[0].told != done {
						failed++
					}
				}
			})
		}
		wg.Wait()
		cancel()
		select {
		case <-n.exited:
			failures++
			if !strings.Contains(n.said(), "start again") {
				t.Errorf("it ended without saying that it must be started again: %s", n.said())
			}
		case <-time.After(patience):
			t.Error("its disk failed, and it goes on")
		}
		n.kill()
		left := fresh[:0]
		for _, e := range fresh {
			if e.told == nothing {
				left = append(left, e)
			}
		}
		fresh = left
	}
	n.start(itself())
	n.ready()
	for _, e := range l.entries {
		_, err := n.api.Check(t.Context(), e.secret(), false)
		switch {
		case e.told == done && client.CodeOf(err) == "" && err == nil:
			t.Errorf("the end of %s was confirmed, and it is accepted after the start", e.session)
		case e.told == refused && err != nil:
			t.Errorf("the end of %s was refused, and it is not accepted after the start: %v", e.session, err)
		}
	}
	n.stop()
	count := l.compare("sqlite", file)
	if failures == 0 || count[done] == 0 || count[unknown]+count[refused] == 0 {
		t.Errorf("that shows nothing: %d failures, %v", failures, count)
	}
	t.Logf("the disk failed %d times; %d sign-outs confirmed and all recorded, %d refused and none recorded, %d unknown", failures, count[done], count[refused], count[unknown])
}
