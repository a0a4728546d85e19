package stream

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/web"
)

// site serves the streams of a node.
type site struct {
	*testnode.Node
	url     string
	done    chan struct{}
	streams *Stream
}

func newSite(t *testing.T, policy exeunt.Policy) *site {
	t.Helper()
	s := &site{Node: testnode.New(t, testnode.Options{Policy: policy}), done: make(chan struct{})}
	streams := New(Deps{Authority: s.Authority, Clients: s.OAuth.Registry, Browser: s.Browser, Now: s.Now,
		Done: s.done, Surface: web.Surface{Fail: func(w http.ResponseWriter, _ *http.Request, status int, _ error) {
			w.WriteHeader(status)
		}, Log: s.Log}})
	s.streams = streams
	m := http.NewServeMux()
	streams.MountBrowser(m)
	streams.MountBearer(m)
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *site) get(t *testing.T, path string, header http.Header) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close(); cancel() })
	return resp
}

// event is one server-sent event.
type event struct{ name, data string }

// eventsOf delivers the events of a stream, and closes when it ends.
func eventsOf(resp *http.Response) <-chan event {
	out := make(chan event, 64)
	go func() {
		defer close(out)
		var e event
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					out <- e
				}
				e = event{}
			}
		}
	}()
	return out
}

// next returns the next state of a stream, passing over other events.
func next(t *testing.T, in <-chan event) client.State {
	t.Helper()
	for {
		e, ok := testnode.Receive(t, in, "a state")
		if !ok {
			t.Fatal("the stream has ended")
		}
		if e.name != "state" {
			continue
		}
		var s client.State
		if err := json.Unmarshal([]byte(e.data), &s); err != nil {
			t.Fatalf("%s: %v", e.data, err)
		}
		return s
	}
}

func ends(t *testing.T, in <-chan event) {
	t.Helper()
	for ok := true; ok; {
		_, ok = testnode.Receive(t, in, "the end of the stream")
	}
}

func TestStreamEndsWithItsSession(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	proof := s.NewAccount(t, "ada")
	browserToken, browser := s.NewSession(t, proof, exeunt.KindKept)
	appToken, who := s.NewAppSession(t, browser, testnode.Chirp)
	for _, c := range []struct {
		name, path, id string
		header         http.Header
	}{
		{"a browser's pair", "/session/stream", browser.ID.String(), s.AsBrowser(browserToken)},
		{"an app session", "/api/v1/session/stream", who.App.String(), testnode.AsApp(appToken)},
	} {
		resp := s.get(t, c.path, c.header)
		if h := resp.Header; resp.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream" ||
			h.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %s, %v", c.name, resp.Status, resp.Header)
		}
		in := eventsOf(resp)
		first := next(t, in)
		if first.State != client.Live || first.Session != c.id || first.IdleIn < 29*24*time.Hour ||
			first.WarnIn != first.IdleIn-2*time.Minute {
			t.Fatalf("%s: %+v", c.name, first)
		}
		defer func() {
			last := next(t, in)
			if last.State != client.Over || last.Reason != "signed_out" || last.At.IsZero() {
				t.Errorf("%s: %+v", c.name, last)
			}
			ends(t, in)
		}()
	}
	s.SignOut(t, browser)
}

func TestStreamTellsThatTheListChanged(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	proof := s.NewAccount(t, "ada")
	token, _ := s.NewSession(t, proof, exeunt.KindApp)
	in := eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(token)))
	next(t, in)
	s.NewSession(t, proof, exeunt.KindApp)
	if e, _ := testnode.Receive(t, in, "the news"); e.name != "changed" || e.data != "{}" {
		t.Errorf("%+v", e)
	}
}

func TestStreamWarnsAndEndsWhenIdle(t *testing.T) {
	policy := exeunt.DefaultPolicy()
	policy.App = exeunt.Limits{Idle: 1500 * time.Millisecond, Absolute: time.Hour, Warning: time.Second}
	s := newSite(t, policy)
	token, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	in := eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(token)))
	if first := next(t, in); first.State != client.Live || first.WarnIn <= 0 {
		t.Fatalf("%+v", first)
	}
	if warning := next(t, in); warning.State != client.Live || warning.WarnIn != 0 || warning.IdleIn > time.Second {
		t.Errorf("%+v", warning)
	}
	if last := next(t, in); last.State != client.Over || last.Reason != "idle" {
		t.Errorf("%+v", last)
	}
	ends(t, in)
}

func TestStreamFollowsActivityElsewhere(t *testing.T) {
	policy := exeunt.DefaultPolicy()
	policy.App = exeunt.Limits{Idle: 4 * time.Second, Absolute: time.Hour, Warning: 3500 * time.Millisecond}
	s := newSite(t, policy)
	token, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	in := eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(token)))
	next(t, in)
	if warning := next(t, in); warning.WarnIn != 0 {
		t.Fatalf("%+v", warning)
	}
	s.Touch(s.Check(t.Context(), token))
	if again := next(t, in); again.State != client.Live || again.IdleIn < 2*time.Second {
		t.Errorf("after activity elsewhere: %+v", again)
	}
}

func TestStreamRefuses(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	token, session := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	dead, deadSession := s.NewSession(t, s.NewAccount(t, "grace"), exeunt.KindApp)
	s.SignOut(t, deadSession)
	for _, c := range []struct {
		name, path, want string
		header           http.Header
	}{
		{"nothing", "/session/stream", `{"state":"ended","reason":""}`, nil},
		{"half a pair", "/session/stream", `{"state":"ended","reason":""}`,
			http.Header{"Cookie": {"__Host-exeunt-" + session.ID.String() + "=" + token.Reveal()}}},
		{"a browser's token as bearer", "/api/v1/session/stream", `{"state":"ended","reason":""}`,
			testnode.AsApp(token)},
		{"a bearer token for the browser's address", "/session/stream", `{"state":"ended","reason":""}`,
			testnode.AsApp(token)},
		{"a dead token", "/api/v1/session/stream", `"reason":"signed_out","at":`, testnode.AsApp(dead)},
		{"a dead token's state", "/api/v1/session/state", `"reason":"signed_out","at":`, testnode.AsApp(dead)},
		{"garbage", "/api/v1/session/state", `{"state":"ended","reason":""}`,
			http.Header{"Authorization": {"Bearer exs_"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := s.get(t, c.path, c.header)
			var body strings.Builder
			bufio.NewReader(resp.Body).WriteTo(&body)
			if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body.String(), c.want) ||
				resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %q", resp.Status, body.String())
			}
			if strings.Contains(body.String(), session.Account.String()) || strings.Contains(body.String(), "ada") {
				t.Errorf("names somebody: %s", body.String())
			}
		})
	}
}

func TestStreamIsNoActivity(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	token, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	before := s.Check(t.Context(), token).IdleAt()
	s.Clock.Pass(time.Hour)
	next(t, eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(token))))
	s.get(t, "/api/v1/session/state", testnode.AsApp(token))
	if after := s.Check(t.Context(), token).IdleAt(); !after.Equal(before) {
		t.Errorf("the idle end moved from %v to %v", before, after)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	token, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	for range maxOpen {
		next(t, eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(token))))
	}
	if resp := s.get(t, "/api/v1/session/stream",
		testnode.AsApp(token)); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "10" {
		t.Errorf("stream %d: %s, %v", maxOpen+1, resp.Status, resp.Header)
	}
}

// The streams of one account are bounded too, over all its sessions and apps, and those of a client that follows the
// log. A refused one says when to try again; other accounts are not affected.
func TestStreamsOfAnAccountAreBounded(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	proof := s.NewAccount(t, "ada")
	refused := func(what string, err error) {
		t.Helper()
		var e *exeunt.ThrottledError
		if !errors.As(err, &e) || e.Limit != exeunt.LimitStreams || e.RetryAfter != retryAfter {
			t.Errorf("%s: %v", what, err)
		}
	}
	var open int
	for open < maxOfAccount {
		token, _ := s.NewSession(t, proof, exeunt.KindApp)
		for range min(maxOpen, maxOfAccount-open) {
			next(t, eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(token))))
			open++
		}
	}
	token, browser := s.NewSession(t, proof, exeunt.KindKept)
	app, _ := s.NewAppSession(t, browser, testnode.Chirp)
	for path, header := range map[string]http.Header{"/session/stream": s.AsBrowser(token),
		"/api/v1/session/stream": testnode.AsApp(app)} {
		resp := s.get(t, path, header)
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "10" {
			t.Errorf("%s: %s, %v", path, resp.Status, resp.Header)
		}
	}
	stranger, _ := s.NewSession(t, s.NewAccount(t, "grace"), exeunt.KindApp)
	next(t, eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(stranger))))
	for i := range maxReaders + 1 {
		leave, err := s.streams.enter(quota{holder{client: testnode.Chirp}, maxReaders})
		switch {
		case i == maxReaders:
			refused("a reader too many", err)
		case err != nil:
			t.Fatalf("reader %d: %v", i+1, err)
		default:
			defer leave()
		}
	}
	// All together leave connections to everything else.
	s.streams.mu.Lock()
	s.streams.Most = s.streams.open[holder{}]
	s.streams.mu.Unlock()
	if resp := s.get(t, "/api/v1/session/stream", testnode.AsApp(stranger)); resp.StatusCode != http.StatusServiceUnavailable ||
		resp.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the node's limit: %s, %v", resp.Status, resp.Header)
	}
}

func TestStreamsEndWithTheServer(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	token, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	in := eventsOf(s.get(t, "/api/v1/session/stream", testnode.AsApp(token)))
	next(t, in)
	close(s.done)
	ends(t, in)
}

// A reader that goes away frees its place.
func TestStreamLeavesWithItsReader(t *testing.T) {
	s := newSite(t, exeunt.DefaultPolicy())
	token, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	for range 3 * maxOpen {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		r, _ := http.NewRequest(http.MethodGet, s.url+"/api/v1/session/stream", nil)
		r.Header = testnode.AsApp(token)
		deadline := time.Now().Add(2 * time.Minute)
		for {
			if err := r.Write(conn); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode == http.StatusOK {
				break
			}
			if time.Now().After(deadline) { // a closed reader's place is freed soon, not at once
				t.Fatalf("a place was not freed: %s", resp.Status)
			}
			resp.Body.Close()
			conn.Close()
			if conn, err = net.Dial("tcp", strings.TrimPrefix(s.url, "http://")); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
	}
}
