package webapp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

// open opens an app's event stream in a tab and delivers its states.
func (b *browser) open() <-chan client.State {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := b.request(http.MethodGet, "/exeunt/stream", nil).WithContext(ctx)
	r.AddCookie(&http.Cookie{Name: "__Host-chirp", Value: b.token().Reveal()})
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { cancel(); resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" {
		b.t.Fatalf("stream: %s %v", resp.Status, resp.Header)
	}
	out := make(chan client.State, 16)
	go func() {
		defer close(out)
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var s client.State
				if json.Unmarshal([]byte(data), &s) == nil {
					out <- s
				}
			}
		}
	}()
	return out
}

// expect waits for a state, passing over others.
func expect(t *testing.T, in <-chan client.State, want client.Liveness) client.State {
	t.Helper()
	for {
		s, ok := testnode.Receive(t, in, "the state "+string(want))
		if !ok {
			t.Fatalf("the stream ended before %q", want)
		}
		if s.State == want {
			return s
		}
	}
}

func TestAppPagesLearnOfTheEnd(t *testing.T) {
	c, b, s := newSignedIn(t)
	id := b.appSession()
	var tabs []<-chan client.State
	for range 5 {
		tabs = append(tabs, b.open())
		if first := expect(t, tabs[len(tabs)-1], client.Live); first.Session != id || first.IdleIn <= first.WarnIn {
			t.Errorf("%+v", first)
		}
	}
	testnode.Receive(t, c.Opened, "one stream to the authority")
	c.SignOutEverywhere(t, s)
	begun := time.Now() // the sign-out has been answered
	for _, tab := range tabs {
		if last := expect(t, tab, client.Over); last.Reason != "signed_out" || last.At.IsZero() {
			t.Errorf("%+v", last)
		}
		if _, more := <-tab; more {
			t.Error("the stream goes on after the end")
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the pages learned of it after %v", took)
	}
	if n := c.Streams.Load(); n != 1 {
		t.Errorf("%d streams to the authority for one app session", n)
	}
}

func TestAppPagesAreUnknownWhileTheAuthorityIsLost(t *testing.T) {
	c, b, s := newSignedIn(t)
	tab := b.open()
	expect(t, tab, client.Live)
	testnode.Receive(t, c.Opened, "the stream to the authority")
	c.Away.Store(true)
	c.Site.Server.CloseClientConnections()
	expect(t, tab, client.Unknown)
	c.SignOutEverywhere(t, s) // meanwhile
	c.Away.Store(false)
	if last := expect(t, tab, client.Over); last.Reason != "signed_out" {
		t.Errorf("%+v", last)
	}
}

// What only looks like a token begins no stream to the authority.
func TestAppAsksBeforeItFollows(t *testing.T) {
	c := newChirp(t)
	b := c.browser(t)
	for i := range 5 {
		b.cookies["__Host-chirp"] = fmt.Sprintf("exa_only_looks_like_a_token_%d", i)
		if a := b.get("/exeunt/stream"); a.status != http.StatusUnauthorized {
			t.Errorf("status %d", a.status)
		}
	}
	select {
	case <-c.Opened:
		t.Error("a stream to the authority was begun")
	case <-time.After(300 * time.Millisecond):
	}
}

func TestAppStreamsEndWithTheServer(t *testing.T) {
	c, b, _ := newSignedIn(t)
	tab := b.open()
	expect(t, tab, client.Live)
	c.app.Close()
	for range tab {
	}
}
