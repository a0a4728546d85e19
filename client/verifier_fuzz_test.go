package client

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Whatever a stream carries: the log is followed one number at a time or not at
// all, nothing is kept across another history, and no window opens by itself.
func FuzzEventStream(f *testing.F) {
	const hello = "event: hello\ndata: {\"epoch\":\"e1\",\"seq\":0}\n\n"
	event := logText(LogEvent{Kind: EventEnded, Seq: 1, Scope: "session", Account: "acc_ada", Session: "ses_1"})
	for _, s := range []string{
		"", hello, hello + event, hello + event + event, hello + logText(LogEvent{Kind: EventEnded, Seq: 2, Scope: "account", Account: "acc_x", Generation: 9}),
		hello + "event: beat\ndata: {\"epoch\":\"e1\",\"seq\":0,\"age\":1}\n\n", hello + "event: reload\ndata: {\"epoch\":\"e1\",\"seq\":7}\n\n",
		hello + "data\n\nid: 5\n:\n\nevent: log\ndata: {\"seq\":1}\n\n", strings.Repeat("data: x\n", 100) + "\n", hello + "event: new\ndata: {}\n\n" + event,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		v := newFake().verifier(t)
		v.startOver(Position{Epoch: "e1"})
		hash := hashOf("exa_x")
		p := Person{Account: "acc_ada", Session: "ses_1", AppSession: "app_1"}
		v.keep(hash, p, snapshot{epoch: "e1", generation: 1}, v.now())
		last, ended := int64(0), false
		err := readMessages(strings.NewReader(string(stream)), func() {}, func(m message) error {
			err := v.take(m)
			switch {
			case err == nil && m.event == "log":
				e, bad := logEvent(m)
				if bad != nil || e.Seq != last+1 {
					t.Fatalf("event %d was applied after %d: %v", e.Seq, last, bad)
				}
				ended = ended || e.covers(p.Account, p.Session, p.AppSession, 1)
			case err == nil && m.event == "reload":
				ended = true
			case err == nil && v.history.applied != last:
				t.Fatalf("%q moved the log from %d to %d", m.event, last, v.history.applied)
			}
			last = v.history.applied
			return err
		})
		if err == nil {
			t.Fatal("a stream ended without saying so")
		}
		if k, _ := v.table.find(&hash); k != nil && ended {
			t.Fatal("it was ended, and is kept")
		}
		if v.window.Load() != nil {
			t.Fatal("a stream opened a window")
		}
		v.lost(err)
		if errors.Is(err, errDiverged) && (v.table.len() != 0 || v.history.epoch != "") {
			t.Fatal("something was kept across another history")
		}
		if errors.Is(err, io.EOF) {
			t.Fatal("the end of a stream is not told apart")
		}
	})
}
