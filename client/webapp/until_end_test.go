package webapp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

// holds opens an answer that stays open, with an app session's token unless that is "". hang closes it from outside.
func (c *chirpApp) holds(t *testing.T, token, head string) (status string, hang func() error) {
	t.Helper()
	conn, err := net.Dial("tcp", c.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if token != "" {
		head += "Cookie: __Host-chirp=" + token + "\r\n"
	}
	fmt.Fprintf(conn, "GET /live HTTP/1.1\r\nHost: %s\r\n%s\r\n", strings.TrimPrefix(c.url, "http://"), head)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line[len("HTTP/1.1 "):][:3], conn.Close
}

const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"

// opens opens so many answers of an account, half of them sockets, in sessions of a few app sessions each. It returns one
// of the sessions.
func (c *chirpApp) opens(t *testing.T, many int, account string) (s exeunt.Session) {
	t.Helper()
	proof := c.NewAccount(t, account)
	for i := range many {
		if i%5 == 0 {
			_, s = c.NewSession(t, proof, exeunt.KindKept)
		}
		token, _ := c.NewAppSession(t, s, testnode.Chirp)
		head, want := "", "200"
		if i%2 == 1 {
			head, want = upgrade, "101"
		}
		if got, _ := c.holds(t, token.Reveal(), head); got != want {
			t.Fatalf("open %d: %s", i, got)
		}
	}
	until(t, "all are open", func() bool { return c.open.Load() == int32(many) })
	return s
}

// verified is a Chirp with a verifier.
func verified(t *testing.T) *chirpApp {
	c := newChirp(t)
	c.verifier = verifier(t, c.Site, c.Client.URL("", nil), 2*time.Second)
	c.app.Verifier = c.verifier
	return c
}

// Whatever an app keeps open is closed within 100 ms of a sign-out elsewhere, 99 times of 100, with 200 open at once. A
// busy machine may need several attempts to show it.
func TestWhatIsOpenIsClosedAtOnce(t *testing.T) {
	t.Run("verified", func(t *testing.T) {
		c := verified(t)
		closesAtOnce(t, c, 200, slower*100*time.Millisecond, func(int) bool { return c.verifier.Fresh() && quiet(c) })
	})
	// Without a verifier there are as many streams, and the limit only tells news from asking once a second.
	t.Run("asked", func(t *testing.T) {
		c := newChirp(t)
		closesAtOnce(t, c, 20, slower*500*time.Millisecond, func(all int) bool { return c.Streams.Load() == int32(all) && quiet(c) })
	})
}

// quiet reports that nobody has asked the gate for a moment.
func quiet(c *chirpApp) bool {
	asked := c.Gates.Load()
	time.Sleep(20 * time.Millisecond)
	return c.Gates.Load() == asked
}

func closesAtOnce(t *testing.T, c *chirpApp, many int, within time.Duration, ready func(all int) bool) {
	const attempts = 20
	for attempt := 1; ; attempt++ {
		s := c.opens(t, many, fmt.Sprint("ada", attempt))
		until(t, "all is set", func() bool { return ready(attempt * many) })
		c.SignOutEverywhere(t, s)
		answered := time.Now()
		var took []time.Duration
		for range many {
			one, _ := testnode.Receive(t, c.closed, "the end of what is open")
			after := one.at.Sub(answered)
			if !errors.Is(one.why, client.ErrSignedOut) {
				// A machine that is so busy that no check is answered in time closes as if the authority were away.
				t.Logf("closed early: %v", one.why)
				after = time.Hour
			}
			took = append(took, after)
		}
		slices.Sort(took)
		p99 := took[many*99/100-1]
		t.Logf("attempt %d: half within %v, 99 of 100 within %v, all within %v", attempt, took[many/2], p99, took[many-1])
		if p99 <= within {
			return
		}
		if attempt == attempts {
			t.Fatalf("99 of 100 were closed within %v, not %v", p99, within)
		}
	}
}

// Without a verifier too, and the app learns why.
func TestWhatIsOpenIsClosedWithoutAVerifier(t *testing.T) {
	c := newChirp(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	c.opens(t, 5, "grace")
	token, _ := c.NewAppSession(t, s, testnode.Chirp)
	for range 40 { // more than there may be pages, whose places they do not take
		c.holds(t, token.Reveal(), upgrade)
	}
	b := c.browser(t)
	b.cookies["__Host-chirp"] = token.Reveal()
	expect(t, b.open(), client.Live)
	until(t, "all are open", func() bool { return c.open.Load() == 45 })
	c.SignOutEverywhere(t, s)
	for range 40 {
		var ended *client.EndedError
		if one, _ := testnode.Receive(t, c.closed, "the end of what is open"); !errors.As(one.why, &ended) || ended.Reason != "signed_out" {
			t.Errorf("%v", one.why)
		}
	}
	if n := c.open.Load(); n != 5 {
		t.Errorf("%d are open, not the other account's 5", n)
	}
}

// An app that has lost the authority closes what is open when it would refuse requests, and does not call it signed out.
func TestWhatIsOpenIsClosedWithoutTheAuthority(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *chirpApp{"asked": newChirp, "verified": verified} {
		for what, lose := range map[string]func(*chirpApp) *atomic.Bool{
			"away": func(c *chirpApp) *atomic.Bool { return &c.Away }, "mute": func(c *chirpApp) *atomic.Bool { return &c.Mute },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				c := start(t)
				c.opens(t, 20, "ada")
				time.Sleep(2500 * time.Millisecond) // longer than any answer counts
				if n := c.open.Load(); n != 20 {
					t.Fatalf("%d are open", n)
				}
				lost := time.Now()
				lose(c).Store(true)
				if what == "away" {
					c.Site.Server.CloseClientConnections()
				}
				var latest time.Duration
				for range 20 {
					one, _ := testnode.Receive(t, c.closed, "the end of what is open")
					if !errors.Is(one.why, client.ErrUnavailable) || errors.Is(one.why, client.ErrSignedOut) {
						t.Errorf("%v", one.why)
					}
					if latest = max(latest, one.at.Sub(lost)); one.at.Sub(lost) < 500*time.Millisecond {
						t.Errorf("after %v already", one.at.Sub(lost))
					}
				}
				t.Logf("all were closed after %v", latest)
				if latest > 3500*time.Millisecond { // 2 s, on a busy machine; package verify shows that exactly
					t.Errorf("closed after %v", latest)
				}
				lose(c).Store(false)
			})
		}
	}
}

// Whoever hangs up, signs out or shuts down leaves no goroutine.
func TestWhatIsOpenLeavesNothing(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *chirpApp{"asked": newChirp, "verified": verified} {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			proof := c.NewAccount(t, "ada")
			_, s := c.NewSession(t, proof, exeunt.KindKept)
			watching := func() int {
				buf := make([]byte, 16<<20)
				return strings.Count(string(buf[:runtime.Stack(buf, true)]), ").watch(")
			}
			for round := range 3 {
				token, _ := c.NewAppSession(t, s, testnode.Chirp)
				var hangs []func() error
				for range 20 {
					_, hang := c.holds(t, token.Reveal(), "")
					hangs = append(hangs, hang)
				}
				until(t, "all are open", func() bool { return c.open.Load() == 20 && watching() == 20 })
				switch round {
				case 0:
					for _, hang := range hangs {
						hang()
					}
				case 1:
					c.SignOut(t, s)
					_, s = c.NewSession(t, proof, exeunt.KindKept)
				case 2:
					c.app.Close()
				}
				until(t, "all are closed", func() bool { return c.open.Load() == 0 && watching() == 0 })
			}
		})
	}
}

// For a request of nobody there is nothing that could end, but the app.
func TestWhatIsOpenForNobody(t *testing.T) {
	c := newChirp(t)
	c.holds(t, "", "")
	until(t, "it is open", func() bool { return c.open.Load() == 1 })
	c.app.Close()
	if one, _ := testnode.Receive(t, c.closed, "the end"); errors.Is(one.why, client.ErrSignedOut) || errors.Is(one.why, context.Canceled) {
		t.Errorf("%v", one.why)
	}
}

// A page of another site cannot open a socket with somebody's cookie. Programs send no origin.
func TestAppRefusesSocketsOfOtherSites(t *testing.T) {
	c, b, _ := newSignedIn(t)
	for head, want := range map[string]string{
		"": "101", "Origin: " + c.url + "\r\nSec-Fetch-Site: same-origin\r\n": "101", "Origin: " + c.url + "\r\n": "101",
		"Origin: https://evil.example\r\n": "403", "Origin: null\r\n": "403", "Sec-Fetch-Site: cross-site\r\n": "403",
		"Origin: http://other.localhost\r\nSec-Fetch-Site: same-site\r\n": "403",
	} {
		if got, _ := c.holds(t, b.token().Reveal(), upgrade+head); got != want {
			t.Errorf("%q: %s", head, got)
		}
	}
	if got, _ := c.holds(t, b.token().Reveal(), "Origin: https://evil.example\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"); got != fmt.Sprint(http.StatusForbidden) {
		t.Errorf("another spelling: %s", got)
	}
}
