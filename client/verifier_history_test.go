package client

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
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
				f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
				synctest.Wait()
				ada := f.person("ada", "1")
				f.expect(t, v, ada, "valid", 1)
				f.expect(t, v, ada, "valid", 0)
				f.replace(LogEvent{Kind: EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
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

// So it is at the place where a verifier began, of which it has heard no event.
func TestAnotherEventWhereItBeganIsFound(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
		f.set(func() { f.epoch = "e2" })
		time.Sleep(2 * v.MaxStaleness)
		synctest.Wait()
		if v.history.base != (place{1, "d1"}) || !v.Fresh() {
			t.Fatalf("it did not begin again: %+v", v.history.base)
		}
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		f.replace(LogEvent{Kind: EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
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
			f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
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
				f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
				if !same {
					f.set(func() { f.digest = "another" })
				}
				time.Sleep(v.MaxStaleness)
				if v.Fresh() {
					t.Error("it is fresh before the event has arrived")
				}
				f.set(func() { f.held, f.noEcho = false, true })
				synctest.Wait()
				if v.Fresh() != same || (v.table.len() == 1) != same {
					t.Errorf("fresh: %v, %d sessions kept", v.Fresh(), v.table.len())
				}
			})
		})
	}
}

// What the gate says at a place that the stream has not come to is kept when it
// does, unless it is another event that it comes to: then the answer is of
// another history, and the verifier could not judge it by what follows in this.
func TestAnAnswerFromAheadIsKeptWhenTheStreamComesThere(t *testing.T) {
	for name, c := range map[string]struct {
		digest    string
		end       bool // the session ends next
		forgotten bool
		questions int
	}{
		"the same event":          {"d2", false, false, 0},
		"another event":           {"another", false, false, 1},
		"the same, and the end":   {"d2", true, false, 1},
		"forgotten meanwhile":     {"d2", false, true, 1},
		"from a node of old":      {"", false, false, 0},
		"one that is long gone":   {"d1", false, false, 1},
		"nonsense that breaks it": {"d 2", false, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			verifying(t, func(t *testing.T, f *fake, v *Verifier) {
				f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
				synctest.Wait()
				f.set(func() { f.held, f.digest, f.old = true, c.digest, c.digest == "" })
				f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_grace", Generation: 2})
				ada := f.person("ada", "1")
				f.expect(t, v, ada, "valid", 1)
				if c.digest != "" && v.table.len() != 0 {
					t.Error("it is kept before its place is known to be in this history")
				}
				if c.forgotten {
					v.Forget(ada)
				}
				if c.end {
					f.end(LogEvent{Kind: EventEnded, Scope: "session", Account: "acc_ada", Session: "ses_1"})
				}
				f.set(func() { f.held, f.digest, f.old = false, "", false })
				synctest.Wait()
				want := "valid"
				if c.end {
					want = "ended"
				}
				f.expect(t, v, ada, want, c.questions)
			})
		})
	}
}

// Of an event that is no longer remembered nobody can say whether it was another:
// it opens no window, and is no reason to forget either.
func TestAPlaceThatIsLongGoneOpensNoWindow(t *testing.T) {
	v := newFake().verifier(t)
	v.startOver(Position{Epoch: "e1", Seq: 10, Digest: "d10"})
	for seq := int64(11); seq <= 11+recentEvents; seq++ {
		if err := v.apply(LogEvent{Kind: EventEnded, Seq: seq, Digest: "d" + strconv.FormatInt(seq, 10), Scope: "account", Account: "acc_x", Generation: 2}); err != nil {
			t.Fatal(err)
		}
	}
	last := v.history.applied
	for _, c := range []struct {
		p    place
		want error
	}{
		{place{last, "d" + strconv.FormatInt(last, 10)}, nil},
		{place{last, "d11"}, errDiverged},
		{place{last, ""}, nil},
		{place{12, "d12"}, nil},
		{place{12, "d13"}, errDiverged},
		{place{11, "d11"}, errBehind},
		{place{11, ""}, nil},
		{place{1, "d1"}, errBehind},
	} {
		v.window.Store(nil)
		v.history.waiting = []told{{c.p, &window{}}}
		err := v.settle()
		if got := v.history.has(c.p); got != c.want || (err == errDiverged) != (c.want == errDiverged) || (v.window.Load() != nil) != (c.want == nil) {
			t.Errorf("%+v: %v, want %v; settled with %v, a window opened: %v", c.p, got, c.want, err, v.window.Load() != nil)
		}
	}
}

func TestAnswersFromAheadAreBounded(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.set(func() { f.held = true })
		f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
		for n := range maxAside + 10 {
			f.expect(t, v, f.person("ada", strconv.Itoa(n)), "valid", 1)
		}
		if n := len(v.history.aside); n != maxAside {
			t.Errorf("%d are held", n)
		}
		f.set(func() { f.held = false })
		synctest.Wait()
		if n := v.table.len(); n != maxAside || len(v.history.aside) != 0 {
			t.Errorf("%d are kept, %d are held", n, len(v.history.aside))
		}
	})
}

// An answer by the same number, but another event, is good for this once.
func TestAnAnswerByAnotherEventIsNotKept(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
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

// Nodes are replaced one after the other by a program that tells digests, and
// put back: nothing is forgotten on the way, and the epoch still tells of
// another history.
func TestNodesThatTellNoDigests(t *testing.T) {
	verifying(t, func(t *testing.T, f *fake, v *Verifier) {
		ada := f.person("ada", "1")
		f.expect(t, v, ada, "valid", 1)
		for i, old := range []bool{true, false, true, true, false} {
			f.set(func() { f.old = old })
			f.breakStreams()
			time.Sleep(v.MaxStaleness)
			f.end(LogEvent{Kind: EventEnded, Scope: "account", Account: "acc_x", Generation: 2})
			f.set(func() { f.old = !old }) // echoes and the gate are another node's
			time.Sleep(v.MaxStaleness)
			f.expect(t, v, ada, "valid", 0)
			grace := f.person("grace", strconv.Itoa(i+2))
			f.expect(t, v, grace, "valid", 1)
			f.expect(t, v, grace, "valid", 0)
			f.end(LogEvent{Kind: EventEnded, Scope: "session", Account: "acc_grace", Session: "ses_" + strconv.Itoa(i+2)})
			synctest.Wait()
			f.expect(t, v, grace, "ended", 1)
		}
		f.set(func() { f.old, f.epoch = true, "e2" })
		time.Sleep(v.MaxStaleness)
		f.expect(t, v, ada, "valid", 1)
	})
}

// FuzzPlace: whatever names a place, a verifier goes on from it only if it is a
// possible one, and asks for what follows in a way that says the same.
func FuzzPlace(f *testing.F) {
	for _, s := range []struct{ position, id, seq, digest string }{
		{`{"epoch":"e1","seq":0}`, "1", "0", ""},
		{`{"epoch":"e1","seq":7,"digest":"479426320405146d63af8b773e384ebd","age":3,"now":1}`, "7", "7", "479426320405146d63af8b773e384ebd"},
		{`{"epoch":"e1","seq":7,"digest":"a&after=9"}`, "7", "7", "a b"},
		{`{"epoch":"e1","seq":-1,"digest":null}`, "", "-1", "\x00"},
		{`{"epoch":"","seq":1e3,"digest":7}`, "1e3", "9007199254740993", "é"},
	} {
		f.Add(s.position, s.id, s.seq, s.digest)
	}
	v := newFake().verifier(f)
	f.Fuzz(func(t *testing.T, text, id, seq, digest string) {
		if p, err := position(message{data: text}); err == nil {
			v.startOver(p)
			h := &v.history
			if h.epoch == "" || h.applied < 0 || h.applied > maxCount || len(h.digest(h.applied)) > 64 {
				t.Fatalf("%+v", h.base)
			}
			if h.has(p.place()) != nil {
				t.Fatalf("%+v is not in the history that begins there", p)
			}
			if p.Digest != "" && h.has(place{p.Seq, p.Digest + "0"}) == nil {
				t.Fatalf("another event is taken for %+v", p)
			}
			r, err := v.Client.newRequest(t.Context(), request{method: http.MethodGet, path: "/api/v1/events", query: h.query(), token: v.Key})
			if err != nil {
				t.Fatal(err)
			}
			q := r.URL.Query()
			if q.Get("after") != strconv.FormatInt(p.Seq, 10) || q.Get("digest") != p.Digest || len(q) > 2 {
				t.Fatalf("%+v is asked for as %q", p, r.URL.RawQuery)
			}
		}
		data, _ := json.Marshal(map[string]any{"seq": json.Number(strconv.Itoa(len(id))), "digest": digest, "scope": "account", "account": "acc_x", "generation": 1})
		if e, err := logEvent(message{event: "log", id: id, data: string(data)}); err == nil && (!soundDigest(e.Digest) || e.Seq <= 0) {
			t.Fatalf("%+v", e)
		}
		h := http.Header{}
		for _, name := range []string{HeaderGeneration, HeaderIdle, HeaderExpiresAt} {
			h.Set(name, "1")
		}
		h.Set(HeaderEpoch, "e1")
		h.Set(HeaderSeq, seq)
		h.Set(HeaderDigest, digest)
		if s := snapshotOf(h); s != (snapshot{}) && (s.seq < 0 || s.seq > maxCount || !soundDigest(s.digest)) {
			t.Fatalf("%+v", s)
		}
	})
}
