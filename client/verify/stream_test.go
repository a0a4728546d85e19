package verify

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exeunt/exeunt/client"
)

// What is malformed closes the window at once. Nothing is forgotten, and the
// next stream goes on after the last event that was good.
func TestMalformedMessagesCutTheStream(t *testing.T) {
	good := client.LogEvent{Kind: client.EventEnded, Seq: 2, Digest: "d2", Scope: "account", Account: "acc_grace",
		Generation: 2}
	text := logText(good)
	for name, bad := range map[string]string{
		"no JSON":    "id: 2\nevent: log\ndata: {\n\n",
		"no data":    "id: 2\nevent: log\n\n",
		"another id": "id: 3" + text[5:],
		"no id":      text[6:],
		"no account": logText(client.LogEvent{Kind: client.EventEnded, Seq: 2, Digest: "d2", Scope: "account",
			Generation: 2}),
		"no generation": logText(client.LogEvent{Kind: client.EventEnded, Seq: 2, Digest: "d2", Scope: "account",
			Account: "acc_grace"}),
		"no session": logText(client.LogEvent{Kind: client.EventEnded, Seq: 2, Digest: "d2", Scope: "session",
			Account: "acc_grace"}),
		"no session to keep": logText(client.LogEvent{Kind: client.EventEnded, Seq: 2, Digest: "d2", Scope: "others",
			Account: "acc_grace", Generation: 2}),
		"no app": logText(client.LogEvent{Kind: client.EventEnded, Seq: 2, Digest: "d2", Scope: "session",
			Account: "acc_grace", Session: "ses_1", AppSession: "x"}),
		"no scope": logText(client.LogEvent{Kind: client.EventEnded, Seq: 2, Digest: "d2",
			Account: "acc_grace", Generation: 2}),
		"number 0": logText(client.LogEvent{Kind: client.EventEnded, Digest: "d2", Scope: "account",
			Account: "acc_grace", Generation: 2}),
		"no position": "event: beat\ndata: x\n\n",
		"no epoch":    "event: beat\ndata: {\"seq\":1}\n\n",
		"no digest": logText(client.LogEvent{Kind: client.EventEnded, Seq: 2, Scope: "account",
			Account: "acc_grace", Generation: 2}),
		"no history":        "event: reload\ndata: {\"seq\":1}\n\n",
		"a second greeting": "event: same\ndata: {\"epoch\":\"e1\",\"seq\":1}\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
				ada := f.person("ada", "1")
				f.expect(t, v, ada, "valid", 1)
				synctest.Wait()
				f.raw(bad)
				synctest.Wait()
				if v.Fresh() {
					t.Error("it is fresh all the same")
				}
				f.set(func() { f.streams = nil })
				f.expect(t, v, ada, "valid", 1)
				f.end(good)
				time.Sleep(2 * time.Second)
				if at := f.places(); len(at) != 2 || at[1] != "1" {
					t.Errorf("resumed after %q", at)
				}
				f.expect(t, v, ada, "valid", 0)
			})
		})
	}
}

// A stream that tells of another history makes everything that was kept
// worthless: forget, and begin at the head.
func TestAnotherHistoryIsBegunAfresh(t *testing.T) {
	event := func(seq int64) string {
		return logText(client.LogEvent{Kind: client.EventEnded, Seq: seq, Digest: fmt.Sprint("d", seq),
			Scope: "account", Account: "acc_grace", Generation: 2})
	}
	for name, bad := range map[string]string{
		"a duplicate":                    event(1),
		"an old one":                     event(2) + event(1),
		"a gap":                          event(3),
		"a beat of another epoch":        "event: beat\ndata: {\"epoch\":\"e2\",\"seq\":1}\n\n",
		"a beat ahead of what was told":  "event: beat\ndata: {\"epoch\":\"e1\",\"seq\":2}\n\n",
		"a beat behind what was told":    "event: beat\ndata: {\"epoch\":\"e1\",\"seq\":0}\n\n",
		"a reload of another epoch":      "event: reload\ndata: {\"epoch\":\"e2\",\"seq\":1}\n\n",
		"an event of an unheard history": event(9),
	} {
		t.Run(name, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
				ada := f.person("ada", "1")
				f.expect(t, v, ada, "valid", 1)
				f.raw(bad)
				synctest.Wait()
				if v.Fresh() || v.table.count != 0 {
					t.Errorf("fresh %v, %d kept", v.Fresh(), v.table.count)
				}
				f.set(func() { f.streams = nil })
				time.Sleep(2 * time.Second)
				if at := f.places(); len(at) != 2 || at[1] != "" {
					t.Errorf("resumed after %q", at)
				}
				f.expect(t, v, ada, "valid", 1)
				f.expect(t, v, ada, "valid", 0)
			})
		})
	}
}

// A node that starts again, or whose database was put back, is another history,
// however alike the numbers are.
func TestARestartIsAnotherHistory(t *testing.T) {
	for name, change := range map[string]func(f *fake){
		"another epoch":  func(f *fake) { f.epoch = "e2" },
		"a log put back": func(f *fake) { f.log = f.log[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				for range 2 {
					f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
				}
				ada := f.person("ada", "1")
				f.expect(t, v, ada, "valid", 1)
				f.set(func() { change(f) })
				f.breakStreams()
				time.Sleep(4 * time.Second)
				if at := f.places(); len(at) != 2 || at[1] != "2" {
					t.Errorf("streams after %q", at)
				}
				f.expect(t, v, ada, "valid", 1)
				f.expect(t, v, ada, "valid", 0)
			})
		})
	}
}

// The stream may hang on a node that is no more; what another answers tells.
func TestAnEchoOfAnotherEpochCutsTheStream(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.set(func() { f.epoch = "e2"; f.streams = nil })
		time.Sleep(3 * time.Second)
		if !v.Fresh() || v.history.epoch != "e2" {
			t.Errorf("fresh %v, epoch %s", v.Fresh(), v.history.epoch)
		}
	})
}

func TestReloadForgets(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.set(func() {
			f.log = append(f.log, make([]client.LogEvent, 5)...)
			for _, s := range f.streams {
				s.sent = 5
			}
		})
		f.raw("event: reload\ndata: {\"epoch\":\"e1\",\"seq\":5}\n\n")
		synctest.Wait()
		if v.Fresh() || v.table.count != 0 {
			t.Errorf("fresh %v, %d kept", v.Fresh(), v.table.count)
		}
		time.Sleep(v.MaxStaleness / 2)
		f.expect(t, v, ada, "valid", 1)
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		synctest.Wait()
		f.expect(t, v, ada, "ended", 1)
		if at := f.places(); len(at) != 1 {
			t.Errorf("streams after %q", at)
		}
	})
}

// A stream that falls silent is taken for lost.
func TestASilentStreamIsReplaced(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.set(func() { f.streams = nil }) // it stays open and says nothing more
		time.Sleep(10 * time.Second)
		if at := f.places(); len(at) < 2 || at[1] != "0" {
			t.Errorf("streams after %q", at)
		}
	})
}
