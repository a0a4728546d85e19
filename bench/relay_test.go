package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A short run of the proxies: every answer is the app's, about whoever is signed in, and every connection is closed. Where
// oauth2-proxy has not been built, there is no figure of it.
func TestRelay(t *testing.T) {
	for _, program := range []string{filepath.Join(t.TempDir(), "missing"), oauth2Proxy} {
		b := &bench{report: &report{}}
		var err error
		if b.node, b.proof, err = openNode(t.Context(), filepath.Join(t.TempDir(), "node"), ""); err != nil {
			t.Fatal(err)
		}
		err = b.relayOf(t.Context(), program, relayRun{rounds: 1, closings: 1, sessions: 20, people: 2, each: 6, round: 10 * time.Millisecond})
		if err != nil {
			t.Errorf("%s: %v", program, err)
		}
		for _, row := range []string{rowRelay16, rowRelay64, rowClosed99} {
			if f := b.figure(rowNamed(t, row)); f.judged <= 0 {
				t.Errorf("%s: %+v", row, f)
			}
		}
		_, missing := os.Stat(program)
		for _, row := range []string{rowRelayOther16, rowRelayOther64} {
			f := b.figure(rowNamed(t, row))
			if missing == nil && (f.judged <= 0 || f.noLimit != "") ||
				missing != nil && (f.judged != 0 || f.limit != "" || !strings.Contains(f.noLimit, "not measured")) {
				t.Errorf("%s, built: %v: %+v", row, missing == nil, f)
			}
		}
		if err := b.node.Close(); err != nil {
			t.Error(err)
		}
	}
}
