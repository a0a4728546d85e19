package verify

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exeunt/exeunt/client"
)

// The log's last event is replaced while its number and the epoch stay. The
// stream has told the old one, and has nothing to say about the new.
func TestAnotherEventWithTheSameNumberIsFound(t *testing.T) {
	for name, notice := range map[string]func(f *fake, v *Verifier){
		"by an echo": func(_ *fake, v *Verifier) { time.Sleep(v.MaxStaleness / 4) },
		"by a beat": func(f *fake, _ *Verifier) {
			var beat []byte
			f.set(func() { f.noEcho = true; beat, _ = json.Marshal(f.position()) })
			f.raw("event: beat\ndata: " + string(beat) + "\n\n")
		},
		"by the node that a new stream leads to": func(f *fake, v *Verifier) {
			f.set(func() { f.noEcho = true })
			f.breakStreams()
			time.Sleep(v.MaxStaleness / 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
				synctest.Wait()
				ada := f.person("ada", "1")
				f.expect(t, v, ada, "valid", 1)
				f.expect(t, v, ada, "valid", 0)
				f.replace(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada",
					Session: "ses_1"})
				notice(f, v)
				synctest.Wait()
				f.expect(t, v, ada, "ended", 1)
				f.set(func() { f.noEcho = false })
				time.Sleep(v.MaxStaleness)
				grace := f.person("grace", "2")
				f.expect(t, v, grace, "valid", 1)
				f.expect(t, v, grace, "valid", 0) // it has begun afresh, and not again and again
				if n := len(f.places()); n > 3 {
					t.Errorf("streams after %q, %q", f.places(), f.digests())
				}
			})
		})
	}
}

// A node may be further on in another history than the stream will ever come.
func TestAnotherHistoryThatIsAheadIsFound(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
		synctest.Wait()
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.held = true })
		f.replace(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		f.tell(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_grace", Generation: 3})
		time.Sleep(v.MaxStaleness / 4)
		f.expect(t, v, ada, "ended", 1)
	})
}

// So it is at the place where a verifier began, of which it has heard no event.
func TestAnotherEventWhereItBeganIsFound(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
		f.set(func() { f.epoch = "e2" })
		time.Sleep(2 * v.MaxStaleness)
		synctest.Wait()
		if v.history.place() != (client.Place{Epoch: "e2", Seq: 1, Digest: "d1"}) || !v.Fresh() {
			t.Fatalf("it did not begin again: %+v", v.history.place())
		}
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.replace(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
		time.Sleep(v.MaxStaleness / 4)
		f.expect(t, v, ada, "ended", 1)
	})
}

// A stream goes on where the verifier is, which it names by number and digest.
func TestAStreamGoesOnAfterTheEvent(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		for range 2 {
			f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
		}
		synctest.Wait()
		f.breakStreams()
		time.Sleep(v.MaxStaleness / 2)
		f.expect(t, v, ada, "valid", 0)
		if at, digests := f.places(), f.digests(); len(at) != 2 || at[1] != "2" || digests[1] != "d2" {
			t.Errorf("streams after %q, %q", at, digests)
		}
	})
}

// One node may be ahead of the one that the stream comes from, and of another
// history: what it says opens a window only if the stream comes to the same
// event.
func TestAnEchoFromAheadIsHeldAgainstTheStream(t *testing.T) {
	for name, same := range map[string]bool{"the same event": true, "another event": false} {
		t.Run(name, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				ada := f.person("ada", "1")
				f.expect(t, v, ada, "valid", 1)
				f.set(func() { f.held = true })
				f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
				if !same {
					f.set(func() { f.digest = "another" })
				}
				time.Sleep(v.MaxStaleness)
				if v.Fresh() {
					t.Error("it is fresh before the event has arrived")
				}
				f.set(func() { f.held, f.noEcho = false, true })
				synctest.Wait()
				if v.Fresh() != same || (v.table.count == 1) != same {
					t.Errorf("fresh: %v, %d sessions kept", v.Fresh(), v.table.count)
				}
			})
		})
	}
}

// What the gate says at a place that the stream has not come to is good for this
// once. It is kept when it is said again at a place that the stream has come to, if
// that is the same event: otherwise the answer is of another history, and the
// verifier could not judge it by what follows in this.
func TestAnAnswerFromAheadIsNotKept(t *testing.T) {
	for name, c := range map[string]struct {
		digest string
		end    bool // the session ends next
		kept   bool
	}{
		"the same event":          {"d2", false, true},
		"another event":           {"another", false, false},
		"the same, and the end":   {"d2", true, false},
		"one that is long gone":   {"d1", false, false},
		"none":                    {"", false, true},
		"nonsense that breaks it": {"d 2", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
				synctest.Wait()
				f.set(func() { f.held, f.noEcho, f.digest = true, true, c.digest })
				f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
				ada := f.person("ada", "1")
				f.expect(t, v, ada, "valid", 1)
				if v.table.count != 0 {
					t.Error("it is kept before its place is known to be in this history")
				}
				if c.end {
					f.end(client.LogEvent{Kind: client.EventEnded, Scope: "session", Account: "acc_ada",
						Session: "ses_1"})
				}
				f.set(func() { f.held = false })
				synctest.Wait()
				if c.end {
					f.expect(t, v, ada, "ended", 1)
					return
				}
				f.expect(t, v, ada, "valid", 1)
				if kept := v.table.count == 1; kept != c.kept {
					t.Errorf("kept: %v", kept)
				}
			})
		})
	}
}

// Of an event that is no longer remembered nobody can say whether it was another:
// it opens no window, and is no reason to forget either.
func TestAPlaceThatIsLongGoneOpensNoWindow(t *testing.T) {
	v := newFake().verifier(t)
	at := func(seq, digest int64) client.Place {
		return client.Place{Epoch: "e1", Seq: seq, Digest: fmt.Sprint("d", digest)}
	}
	v.reset(at(10, 10))
	if v.history.place() != at(10, 10) || v.history.has(at(9, 9)) || v.history.has(at(11, 11)) {
		t.Errorf("it begins at %+v", v.history.place())
	}
	for seq := int64(11); seq <= 11+recentEvents; seq++ {
		if err := v.apply(client.LogEvent{Kind: client.EventEnded, Seq: seq, Digest: at(seq, seq).Digest,
			Scope: "account", Account: "acc_x", Generation: 2}); err != nil {
			t.Fatal(err)
		}
	}
	last := v.history.applied
	for _, c := range []struct {
		p    client.Place
		has  bool
		want error
	}{
		{at(last, last), true, nil},
		{at(last, 11), false, errDiverged},
		{client.Place{Epoch: "e1", Seq: last}, false, errDiverged},
		{client.Place{Epoch: "e2", Seq: last, Digest: at(last, last).Digest}, false, errDiverged},
		{at(12, 12), true, nil},
		{at(12, 13), false, errDiverged},
		{at(11, 11), false, nil},
		{at(1, 1), false, nil},
	} {
		v.window.Store(nil)
		v.history.pending = []pendingWindow{{c.p, &window{}}}
		err := v.openWindows()
		if got := v.history.has(c.p); got != c.has || err != c.want || (v.window.Load() != nil) != c.has {
			t.Errorf("%+v: in the history %v, %v; a window opened: %v", c.p, got, err, v.window.Load() != nil)
		}
	}
}

// An answer by the same number, but another event, is good for this once.
func TestAnAnswerByAnotherEventIsNotKept(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.end(client.LogEvent{Kind: client.EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
		synctest.Wait()
		ada := f.person("ada", "1")
		f.set(func() { f.digest = "another"; f.noEcho = true })
		f.expect(t, v, ada, "valid", 1)
		f.expect(t, v, ada, "valid", 1)
		f.set(func() { f.digest = "" })
		f.expect(t, v, ada, "valid", 1)
		f.expect(t, v, ada, "valid", 0)
	})
}
