package fault

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt/internal/testnode"
)

// A disk that is full: a node that runs refuses to sign out, is not ready, and says so once; one that starts says what
// is wrong and what to do.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	core := testnode.New(t, testnode.Options{})
	h, l := &home{Node: core}, &ledger{t: t, bound: bound}
	h.populate(t, 1)
	var fresh []*entry
	for range 40 {
		e, err := h.start(t.Context(), 0)
		must(t, err)
		fresh = append(fresh, e)
	}
	must(t, core.Store.Close())
	data := filepath.Dir(core.Path)
	n := newNode(t, data)
	settings := n.settings
	n.settings = append(settings[:len(settings):len(settings)], trusts+"=1") // the file was made elsewhere
	n.start(itself())
	n.ready()
	n.stop()
	n.settings = settings

	n.start(itself())
	n.ready()
	for _, e := range fresh[:5] {
		if l.end(t.Context(), n, e); e.told != done {
			t.Error("a sign-out is refused before the disk is full")
		}
	}
	failNow(t, "pwrite64", "ENOSPC", n.cmd.Process.Pid)
	failed := 0
	for _, e := range fresh[5:15] {
		if l.end(t.Context(), n, e); e.told == done {
			t.Error("a full disk takes a sign-out")
		} else if e.told != done {
			failed++
		}
	}
	if failed < 3 {
		t.Fatalf("that shows nothing: %d sign-outs were refused", failed)
	}
	resp, err := http.Get("http://" + n.addr + "/readyz")
	must(t, err)
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "cannot be written") {
		t.Errorf("it is ready: %d %s", resp.StatusCode, text)
	}
	if said := n.said(); strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, "no space left on the disk of") {
		t.Errorf("it said:\n%s", said)
	}
	n.kill()
	for _, kind := range []struct{ errno, words string }{
		{"ENOSPC", "no space left on the disk of " + data + ": free some"}, {"EROFS", "the disk of " + data + " is read-only"},
	} {
		n.start(program(failing(t, "pwrite64,fsync,fdatasync", kind.errno, 1, itself()...)))
		select {
		case <-n.exited:
		case <-time.After(patience):
			t.Fatal("it starts on a disk that cannot be written")
		}
		if said := n.said(); !strings.Contains(said, kind.words) {
			t.Errorf("%q is missing in: %s", kind.words, said)
		}
		n.kill()
	}
	n.start(itself())
	n.ready()
	n.stop()
	count := l.compare("sqlite", core.Path)
	t.Logf("%d sign-outs confirmed, %d refused, %d unknown", count[done], count[refused], count[unknown])
}
