package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

func (s *site) asChirp() http.Header {
	return http.Header{"Authorization": {"Bearer " + s.Keys[testnode.Chirp].Reveal()}}
}

// message waits for a message of a name, passing over beats, and decodes it.
func message[T any](t *testing.T, in <-chan event, name string) (v T) {
	t.Helper()
	for {
		e, ok := testnode.Receive(t, in, name)
		if !ok {
			t.Fatalf("the stream ended before %s", name)
		}
		if e.name == "beat" && name != "beat" {
			continue
		}
		if err := json.Unmarshal([]byte(e.data), &v); e.name != name || err != nil {
			t.Fatalf("%s %s instead of %s: %v", e.name, e.data, name, err)
		}
		return v
	}
}

func TestEventsAreToldInOrderAndResumeByNumber(t *testing.T) {
	s := newSite(t, exeunt.Policy{})
	proof := s.NewAccount(t, "ada")
	in := eventsOf(s.get(t, "/api/v1/events", s.asChirp()))
	begin := message[client.Position](t, in, "reload") // after the events of the two clients
	if begin.Seq != 2 || begin.Epoch != s.Feed.Position().Epoch || begin.Age != 0 {
		t.Errorf("%+v", begin)
	}
	_, one := s.NewSession(t, proof, exeunt.KindKept)
	_, two := s.NewSession(t, proof, exeunt.KindKept)
	app, ans := s.NewAppSession(t, two, testnode.Chirp)
	_ = app
	s.SignOut(t, one)
	if _, err := s.End(t.Context(), testnode.PersonIn(two),
		exeunt.Revocation{Target: exeunt.Target{Account: two.Account, Scope: exeunt.ScopeOthers, Session: two.ID},
			Reason: exeunt.ReasonSignedOut}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.End(t.Context(), exeunt.System(),
		exeunt.Revocation{Target: exeunt.Target{Account: two.Account, Scope: exeunt.ScopeSession, Session: two.ID,
			AppSession: ans.App}}); err != nil {
		t.Fatal(err)
	}
	s.SignOutEverywhere(t, two)
	want := []client.LogEvent{
		{Seq: 3, Kind: client.EventEnded, Scope: "session", Session: one.ID.String()},
		{Seq: 4, Kind: client.EventEnded, Scope: "others", Session: two.ID.String(), Generation: proof.Generation + 1},
		{Seq: 5, Kind: client.EventEnded, Scope: "session", Session: two.ID.String(), AppSession: ans.App.String()},
		{Seq: 6, Kind: client.EventEnded, Scope: "account", Generation: proof.Generation + 2},
	}
	digests := map[int64]string{begin.Seq: begin.Digest}
	check := func(in <-chan event, want []client.LogEvent) {
		t.Helper()
		for _, w := range want {
			got := message[client.LogEvent](t, in, "log")
			if got.At.IsZero() {
				t.Errorf("%d has no time", got.Seq)
			}
			w.Account, w.At, w.Digest = proof.Account.String(), got.At, digests[w.Seq]
			if w.Digest == "" {
				w.Digest, digests[w.Seq] = got.Digest, got.Digest
			}
			if got != w {
				t.Errorf("%+v, want %+v", got, w)
			}
		}
	}
	check(in, want)
	if beat := message[client.Position](t, in, "beat"); beat.Seq != 6 || beat.Digest != digests[6] {
		t.Errorf("%+v", beat)
	}
	resume := func(epoch string, after int64, digest string) <-chan event {
		q := url.Values{"epoch": {epoch}, "after": {fmt.Sprint(after)}, "digest": {digest}, "beat": {"100"}}
		return eventsOf(s.get(t, "/api/v1/events?"+q.Encode(), s.asChirp()))
	}
	for i := range want {
		after := begin.Seq + int64(i)
		again := resume(begin.Epoch, after, digests[after])
		if p := message[client.Position](t, again, "same"); p.Seq != 6 || p.Digest != digests[6] {
			t.Errorf("%+v", p)
		}
		check(again, want[i:])
	}
	whole := resume(begin.Epoch, 0, "")
	message[client.Position](t, whole, "same")
	for i, id := range []string{"chirp", "other"} {
		got := message[client.LogEvent](t, whole, "log")
		if want := (client.LogEvent{Seq: int64(i) + 1, Digest: got.Digest, At: got.At,
			Kind: client.EventClientChanged, Client: id}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	check(whole, want)
	for name, again := range map[string]<-chan event{
		"another event of that number": resume(begin.Epoch, 4, digests[5]),
		"no digest":                    resume(begin.Epoch, 4, ""),
		"another epoch":                resume("another", 4, digests[4]),
		"no epoch":                     resume("", 4, digests[4]),
		"an event that is not there":   resume(begin.Epoch, 7, digests[6]),
	} {
		if p := message[client.Position](t, again, "reload"); p.Seq != 6 || p.Digest != digests[6] ||
			p.Epoch != begin.Epoch {
			t.Errorf("after %s: %+v", name, p)
		}
	}
	close(s.done)
	for range in {
	}
}

// Who follows while the log is replaced is told so before anything of the new
// one, even where the numbers would go on.
func TestAnOpenStreamIsToldOfAnotherHistory(t *testing.T) {
	s := newSite(t, exeunt.Policy{})
	proof := s.NewAccount(t, "ada")
	_, session := s.NewSession(t, proof, exeunt.KindKept)
	_, later := s.NewSession(t, proof, exeunt.KindKept)
	s.SignOut(t, session)
	in := eventsOf(s.get(t, "/api/v1/events", s.asChirp()))
	message[client.Position](t, in, "reload")
	s.Feed.Begin(3)
	if p := message[client.Position](t, in, "reload"); p.Seq != 3 {
		t.Errorf("%+v", p)
	}
	s.SignOut(t, later)
	if e := message[client.LogEvent](t, in, "log"); e.Seq != 4 {
		t.Errorf("%+v", e)
	}
}

// No name, label or address goes out with an event: its readers check sessions,
// they do not watch people.
func TestEventsNameNobody(t *testing.T) {
	s := newSite(t, exeunt.Policy{})
	_, session := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	in := eventsOf(s.get(t, "/api/v1/events", s.asChirp()))
	message[client.Position](t, in, "reload")
	s.SignOut(t, session)
	for {
		e, ok := testnode.Receive(t, in, "an end")
		if !ok {
			t.Fatal("the stream ended")
		}
		if e.name == "log" {
			if strings.Contains(e.data, "ada") || strings.Contains(e.data, session.Label) ||
				strings.Contains(e.data, "signed_out") {
				t.Errorf("%s", e.data)
			}
			return
		}
	}
}

// Whoever may not follow the log any more is cut off from what they follow.
func TestARemovedClientFollowsNoMore(t *testing.T) {
	s := newSite(t, exeunt.Policy{})
	in := eventsOf(s.get(t, "/api/v1/events?beat=100", s.asChirp()))
	message[client.Position](t, in, "reload")
	if err := s.OAuth.Reconcile(t.Context(), nil, s.Now()); err != nil {
		t.Fatal(err)
	}
	for {
		if _, open := testnode.Receive(t, in, "the end"); !open {
			return
		}
	}
}

func TestEventsNeedAKey(t *testing.T) {
	s := newSite(t, exeunt.Policy{})
	phone, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	for _, token := range []string{"", "x", phone.Reveal(), exeunt.NewToken(exeunt.UseClient).Reveal(),
		s.Keys[testnode.Chirp].Reveal() + "x"} {
		h := http.Header{"Authorization": {"Bearer " + token}}
		if token == "" {
			h = http.Header{}
		}
		if resp := s.get(t, "/api/v1/events", h); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %s", token, resp.Status)
		}
	}
	for _, after := range []string{"x", "-1", "1e3", "99999999999999999999"} {
		if resp := s.get(t, "/api/v1/events?after="+after, s.asChirp()); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("after %q: %s", after, resp.Status)
		}
	}
}

// pipes is a listener whose connections hold nothing between their two ends, so
// that a reader who does not read stops the writer at once.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A reader that stops reading is cut off, holds up nobody, and misses nothing
// when it comes back with its number; one that was away too long is told so.
func TestASlowReaderIsCutOffAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testnode.New(t, testnode.Options{})
		done := make(chan struct{})
		m := http.NewServeMux()
		New(Deps{Authority: n.Authority, Clients: n.OAuth.Registry, Now: n.Now, Done: done}).MountBearer(m)
		listener := make(pipes)
		server := &http.Server{Handler: m}
		go server.Serve(listener)
		at := client.Place{Epoch: n.Feed.Position().Epoch}
		open := func() (<-chan event, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn,
				error) {
				ours, theirs := net.Pipe()
				listener <- theirs
				return ours, nil
			}}}
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet,
				fmt.Sprintf("http://exeunt/api/v1/events?epoch=%s&after=%d&digest=%s", at.Epoch, at.Seq, at.Digest),
				nil)
			r.Header.Set("Authorization", "Bearer "+n.Keys[testnode.Chirp].Reveal())
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			out := make(chan event) // holds nothing either
			go func() {
				defer close(out)
				for e := range eventsOf(resp) {
					select {
					case out <- e:
					case <-ctx.Done():
					}
				}
			}()
			return out, func() { cancel(); c.CloseIdleConnections() }
		}
		next := int64(0)
		end := func(many int) {
			var list []exeunt.Event
			for range many {
				next++
				list = append(list, exeunt.Event{Seq: next, Kind: exeunt.EventEnded,
					Target: exeunt.Target{Scope: exeunt.ScopeAccount, Account: exeunt.NewAccountID()}, Generation: 2})
			}
			if err := n.Feed.Own(list); err != nil {
				t.Fatal(err)
			}
		}
		in, cancel := open()
		end(3000)
		began := time.Now()
		time.Sleep(time.Minute) // it does not read
		end(1)
		if d := time.Since(began); d != time.Minute {
			t.Errorf("the log waited %v for a reader", d-time.Minute)
		}
		reload := false
		read := func(in <-chan event) {
			for e := range in {
				var v client.Place // of an event too
				if err := json.Unmarshal([]byte(e.data), &v); err != nil {
					t.Fatal(err)
				}
				switch e.name {
				case "reload":
					at, reload = v, true
				case "log":
					if at.Seq++; v.Seq != at.Seq {
						t.Fatalf("%d follows %d", v.Seq, at.Seq-1)
					}
					at.Digest = v.Digest
				}
				if at.Seq == next {
					return
				}
			}
		}
		read(in)
		cancel()
		if at.Seq == next || at.Seq == 0 {
			t.Fatalf("it was not cut off: it read %d of %d", at.Seq, next)
		}
		in, cancel = open()
		read(in)
		cancel()
		if at.Seq != next || reload {
			t.Errorf("resumed up to %d of %d, reload %v", at.Seq, next, reload)
		}
		end(9000)
		in, cancel = open()
		read(in)
		cancel()
		if !reload || at.Seq != next {
			t.Errorf("after %d lost events: up to %d, reload %v", 9000, at.Seq, reload)
		}
		close(done)
		close(listener)
		server.Close()
	})
}
