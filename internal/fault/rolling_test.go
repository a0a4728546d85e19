package fault

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// before is the program that is replaced. As long as no version has been released,
// it is another build of this source, with the same protocol.
var before = flag.String("before", "", "the commit whose program TestARollingRestart replaces; none: another build of this source")

// sourceOf unpacks an earlier state of the source.
func sourceOf(t *testing.T, commit string) string {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("sh", "-c", `git -C ../.. archive "$1" >"$2/source.tar" && tar -xf "$2/source.tar" -C "$2"`, "sh", commit, dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("the program that is to be replaced is commit %s, and the history is not here; fetch it (git fetch --unshallow): %v\n%s", commit, err, out)
	}
	return dir
}

// stream reads a node's event log, as an app does that checks in its own process,
// and comes back with its place whenever the node has gone.
type stream struct {
	node *node
	key  exeunt.Token

	mu       sync.Mutex
	told     []client.LogEvent
	at       client.Place
	restarts int      // of the node
	passed   int      // times that the node no longer had what came next, and said so
	wrong    []string // what must not be
}

func (s *stream) follow(ctx context.Context) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for ctx.Err() == nil {
		s.read(ctx)
		<-again.C
	}
}

func (s *stream) read(ctx context.Context) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/api/v1/events?beat=100&%s", s.node.addr, s.place()), nil)
	if err != nil {
		s.fail("%v", err)
		return
	}
	r.Host = "exeunt.test"
	r.Header.Set("Authorization", "Bearer "+s.key.Reveal())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return // it is being restarted
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode != http.StatusServiceUnavailable {
			s.fail("the event stream answers %s", resp.Status)
		}
		return
	}
	event := ""
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			event = value
		case name == "data" && event == "log":
			var e client.LogEvent
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				s.fail("%q: %v", value, err)
			}
			s.take(e)
		case name == "data" && event == client.MessageReload:
			var p client.Position
			if err := json.Unmarshal([]byte(value), &p); err != nil {
				s.fail("%q: %v", value, err)
			}
			s.pass(p.Place)
		}
	}
}

func (s *stream) position() int64 { s.mu.Lock(); defer s.mu.Unlock(); return s.at.Seq }

// place is from where it asks for what follows.
func (s *stream) place() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return url.Values{"epoch": {s.at.Epoch}, "after": {strconv.FormatInt(s.at.Seq, 10)}, "digest": {s.at.Digest}}.Encode()
}

func (s *stream) take(e client.LogEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Seq != s.at.Seq+1 {
		s.wrong = append(s.wrong, fmt.Sprintf("event %d was told after %d", e.Seq, s.at.Seq))
	}
	s.at.Seq, s.at.Digest = e.Seq, e.Digest
	s.told = append(s.told, e)
}

// pass notes that the node cannot tell what came next: one that has just started
// begins at the log's end. So does the stream itself.
func (s *stream) pass(p client.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.Epoch != "" {
		if s.passed++; s.passed > s.restarts || p.Seq < s.at.Seq {
			s.wrong = append(s.wrong, fmt.Sprintf("it passed from %d to %d without having been restarted", s.at.Seq, p.Seq))
		}
	}
	s.at = p
}

func (s *stream) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// Three nodes are replaced one after the other by another build of the program
// while people sign in and out, the schema first.
func TestARollingRestart(t *testing.T) {
	t.Parallel()
	present, source := built(t, "../.."), "../.."
	if *before != "" {
		source = sourceOf(t, *before)
	}
	old := built(t, source, "-ldflags=-s")
	server := testpg.New(t)
	url := server.NewDatabase(t)
	key := exeunt.NewToken(exeunt.UseClient)
	file := filepath.Join(t.TempDir(), "exeunt.toml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "[[clients]]\nid = \"chirp\"\nname = \"Chirp\"\nhome_url = \"https://chirp.test/\"\nredirect_uris = [\"https://chirp.test/exeunt/callback\"]\nkey_sha256 = [\"%s\"]\nchecked = true\n", key.Hash()), 0o600))
	var nodes []*node
	var streams []*stream
	for range 3 {
		n := newNode(t, t.TempDir(), "EXEUNT_DATABASE="+url, "EXEUNT_CONFIG="+file)
		n.start(old)
		nodes, streams = append(nodes, n), append(streams, &stream{node: n, key: key})
	}
	for _, n := range nodes {
		n.ready()
	}
	migrate := exec.Command(present[0], "migrate")
	migrate.Env = append(os.Environ(), "EXEUNT_DATABASE="+url)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate while old nodes run: %v\n%s", err, out)
	}
	h, l := newHome(t, url, 12), &ledger{t: t, bound: bound}
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for _, s := range streams {
		reading.Go(func() { s.follow(ctx) })
	}
	under, lift := context.WithCancel(t.Context())
	wait := l.load(under, h, nodes, nil)
	for i, n := range nodes {
		l.enough(rounds(500, 50)) // both builds side by side
		streams[i].mu.Lock()
		streams[i].restarts++
		streams[i].mu.Unlock()
		n.stop()
		n.start(present)
		n.ready()
	}
	l.enough(rounds(500, 50))
	lift()
	wait()
	count := l.compare("pgx", url)
	compareStreams(t, h.Node, streams)
	cancel()
	reading.Wait()
	http.DefaultClient.CloseIdleConnections()
	t.Logf("%d sign-outs confirmed and all recorded, %d refused and none recorded, %d unknown; %d answers about ended sessions, %d let in",
		count[done], count[refused], count[unknown], l.checked.Load(), l.accepted.Load())
}

// compareStreams waits until every stream has come to the log's end, and
// compares what was told with it.
func compareStreams(t *testing.T, h *testnode.Node, streams []*stream) {
	t.Helper()
	head, err := h.Store.Head(t.Context())
	must(t, err)
	log, err := h.Store.Events(t.Context(), 0, int(head)+1)
	must(t, err)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for i, s := range streams {
		for s.position() < head {
			select {
			case <-tick.C:
			case <-limit:
				t.Fatalf("stream %d has come to %d of %d", i+1, s.position(), head)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, w := range s.wrong {
			t.Errorf("stream %d: %s", i+1, w)
		}
		for _, got := range s.told {
			e := log[got.Seq-1]
			want := client.LogEvent{
				Seq: e.Seq, At: got.At, Kind: client.EventKind(e.Kind), Scope: string(e.Scope), Account: e.Account.String(),
				Session: e.Session.String(), AppSession: e.AppSession.String(), Generation: e.Generation, Digest: got.Digest,
				Client: string(e.Client)}
			if got != want || !got.At.Equal(e.At) {
				t.Fatalf("stream %d was told %+v where the log has %+v", i+1, got, e)
			}
		}
		t.Logf("stream %d: %d of %d events told, in order and as recorded; passed on %d times after %d restarts", i+1, len(s.told), head, s.passed, s.restarts)
		if len(s.told) == 0 {
			t.Error("that shows nothing")
		}
	}
}
