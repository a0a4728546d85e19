package client

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"testing"
	"time"
)

func messageOf(name string, v any) message {
	data, _ := json.Marshal(v)
	return message{event: name, data: string(data)}
}

// A broken authority, or a proxy that is none of ours, is not believed.
func TestNumbersThatMeanNothing(t *testing.T) {
	const most = math.MaxInt64
	at := func(seq int64) Place { return Place{Epoch: "e", Seq: seq} }
	for _, p := range []Position{
		{Place: at(0), Age: 10_000_000_000_000}, {Place: at(0), Age: most / 500_000}, {Place: at(0), Age: -1},
		{Place: at(most)}, {Place: at(-1)},
		{Place: at(0), Now: most / 1000}, {Place: at(0), Now: -1}, {},
	} {
		for _, name := range []string{MessageSame, MessageReload, MessageBeat} {
			if _, err := logMessage(messageOf(name, p)); err != ErrMalformed {
				t.Errorf("%s %+v is believed", name, p)
			}
		}
	}
	for _, seq := range []string{"9223372036854775807", "9223372036854775806", "-1", "0"} {
		h := http.Header{}
		for _, name := range []string{HeaderGeneration, HeaderIdle, HeaderExpiresAt} {
			h.Set(name, "1")
		}
		h.Set(HeaderAppSession, "app_1")
		h.Set(HeaderEpoch, "e")
		h.Set(HeaderSeq, seq)
		if c := checkedOf(h); (c.Place == Place{}) == (seq == "0") {
			t.Errorf("an answer at %s is at %+v", seq, c.Place)
		}
	}
	e := LogEvent{Seq: most, Digest: "d", Kind: EventEnded, Scope: "account", Account: "acc_x", Generation: 2}
	m := messageOf(MessageLog, e)
	m.id = strconv.FormatInt(e.Seq, 10)
	if _, err := logMessage(m); err != ErrMalformed {
		t.Error("the last number there is is believed")
	}
}

// FuzzPlace: whatever names a place, it is taken only if it is a possible one, and
// what follows is asked for in a way that says the same.
func FuzzPlace(f *testing.F) {
	for _, s := range []struct{ position, id, seq, digest string }{
		{`{"epoch":"e1","seq":0}`, "1", "0", ""},
		{`{"epoch":"e1","seq":7,"digest":"479426320405146d63af8b773e384ebd","age":3,"now":1}`, "7", "7",
			"479426320405146d63af8b773e384ebd"},
		{`{"epoch":"e1","seq":7,"digest":"a&after=9"}`, "7", "7", "a b"},
		{`{"epoch":"e1&digest=x","seq":-1,"digest":null}`, "", "-1", "\x00"},
		{`{"epoch":"","seq":1e3,"digest":7}`, "1e3", "9007199254740993", "é"},
	} {
		f.Add(s.position, s.id, s.seq, s.digest)
	}
	c, err := New("http://exeunt.localhost", Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, id, seq, digest string) {
		if m, err := logMessage(message{event: MessageSame, data: text}); err == nil {
			p := m.Position.Place
			if p.Epoch == "" || p.Seq < 0 || p.Seq > maxCount || len(p.Digest) > 64 {
				t.Fatalf("%+v", p)
			}
			r, err := c.newRequest(t.Context(), request{method: http.MethodGet, path: "/api/v1/events",
				query: logQuery(p, time.Second)})
			if err != nil {
				t.Fatal(err)
			}
			q := r.URL.Query()
			if got := (Place{q.Get("epoch"), p.Seq, q.Get("digest")}); got != p ||
				q.Get("after") != fmt.Sprint(p.Seq) || len(q) != 4 {
				t.Fatalf("%+v is asked for as %q", p, r.URL.RawQuery)
			}
		}
		in := messageOf(MessageLog, map[string]any{"seq": json.Number(strconv.Itoa(len(id))), "digest": digest,
			"kind": "ended", "scope": "account", "account": "acc_x", "generation": 1})
		in.id = id
		if m, err := logMessage(in); err == nil && (!validDigest(m.Event.Digest) || m.Event.Digest == "" ||
			m.Event.Seq <= 0) {
			t.Fatalf("%+v", m.Event)
		}
		h := http.Header{}
		for _, name := range []string{HeaderGeneration, HeaderIdle, HeaderExpiresAt} {
			h.Set(name, "1")
		}
		h.Set(HeaderAppSession, "app_1")
		h.Set(HeaderEpoch, "e1")
		h.Set(HeaderSeq, seq)
		h.Set(HeaderDigest, digest)
		if p := checkedOf(h).Place; p != (Place{}) && (p.Seq < 0 || p.Seq > maxCount || !validDigest(p.Digest)) {
			t.Fatalf("%+v", p)
		}
	})
}
