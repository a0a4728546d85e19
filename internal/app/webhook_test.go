package app

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/webhook"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hookTold is what a webhook was told and has confirmed.
type hookTold struct {
	t      *testing.T
	server *httptest.Server
	moody  bool // every third request fails

	mu       sync.Mutex
	requests int
	events   map[string]webhook.Event // by the ID of the message
}

func newHookTold(t *testing.T, moody bool) *hookTold {
	h := &hookTold{t: t, moody: moody, events: map[string]webhook.Event{}}
	secret, err := webhook.ParseSecret(hookSecret)
	must(t, err)
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		// The nodes' clocks are not ours.
		var seconds int64
		_, _ = fmt.Sscan(r.Header.Get(webhook.HeaderTimestamp), &seconds)
		m, err := webhook.Verify(r.Header, body, secret, time.Unix(seconds, 0))
		if err != nil {
			h.t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.requests++; h.moody && h.requests%3 == 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if before, is := h.events[m.ID]; is && before != m.Event {
			h.t.Errorf("%s was first %+v, then %+v", m.ID, before, m.Event)
		}
		h.events[m.ID] = m.Event
	}))
	t.Cleanup(h.server.Close)
	return h
}

func (h *hookTold) config() []config.Webhook { return []config.Webhook{hookAt(h.server.URL)} }

func hookAt(url string) config.Webhook {
	return config.Webhook{Name: "siem", URL: url, Secret: hookSecret, Events: []string{"session.started", "session.ended", "account.secured"}}
}

// of returns what was told of that type, each with how many messages say it, however often each was sent.
func (h *hookTold) of(kind string) map[webhook.Data]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[webhook.Data]int{}
	for _, e := range h.events {
		if e.Type == kind {
			out[e.Data]++
		}
	}
	return out
}

// toldAll waits until webhooks have been told of the log up to its head, and returns that. pass lets time pass for the
// node.
func toldAll(t *testing.T, s *store.Store, pass func()) (head int64) {
	t.Helper()
	head, err := s.Head(t.Context())
	must(t, err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(3 * time.Minute); ; {
		at, err := s.LogCursor(t.Context())
		must(t, err)
		owing, err := s.OwingWebhooks(t.Context())
		must(t, err)
		if at.Seq >= head && len(owing) == 0 {
			return head
		}
		pass()
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the log is read up to %d of %d, and %v must be told", at.Seq, head, owing)
		}
	}
}

// endings are what a webhook is told of the log's ends up to an event, each once.
func endings(t *testing.T, s *store.Store, upTo int64) (ended, secured map[webhook.Data]int) {
	t.Helper()
	ended, secured = map[webhook.Data]int{}, map[webhook.Data]int{}
	for after := int64(0); ; {
		list, err := s.Events(t.Context(), after, 500)
		must(t, err)
		for _, e := range list {
			after = e.Seq
			if e.Kind != exeunt.EventEnded || !e.AppSession.IsZero() || e.Seq > upTo {
				continue
			}
			d := webhook.Data{Account: e.Account.String(), Scope: string(e.Scope), Reason: string(e.Reason), By: string(e.By.Kind)}
			switch e.Scope {
			case exeunt.ScopeSession:
				d.Session = e.Session.String()
			case exeunt.ScopeOthers:
				d.Kept = e.Session.String()
			}
			ended[d]++
			if e.Reason == exeunt.ReasonSecured || e.Reason == exeunt.ReasonNotMe {
				secured[d]++
			}
		}
		if len(list) == 0 {
			return ended, secured
		}
	}
}

// mustEqual fails unless each that is wanted was told once, and each that was told may be.
func mustEqual(t *testing.T, what string, told, want, may map[webhook.Data]int) {
	t.Helper()
	for d, n := range want {
		if told[d] != n {
			t.Errorf("%s: %d messages, want %d: %+v", what, told[d], n, d)
		}
	}
	for d, n := range told {
		if n > may[d] {
			t.Errorf("%s: %d messages of what happened %d times: %+v", what, n, may[d], d)
		}
	}
}

// mustKnowEnds fails unless the webhook was told of each end up to an event, once. It returns how many these are.
func (h *hookTold) mustKnowEnds(t *testing.T, s *store.Store, upTo int64) (ends, secures int) {
	t.Helper()
	ended, secured := endings(t, s, upTo)
	told, toldSecured := h.of(webhook.SessionEnded), h.of(webhook.AccountSecured)
	all, allSecured := endings(t, s, math.MaxInt64) // there may be more by now
	mustEqual(t, "ended", told, ended, all)
	mustEqual(t, "secured", toldSecured, secured, allSecured)
	return len(ended), len(secured)
}

// webhookUntilKilled is, in the environment, the address of the webhook of the program to be killed.
const webhookUntilKilled = "EXEUNT_TEST_KILLED_WEBHOOK"

// A node is killed while people sign in and out and it tells a webhook, again and again. In the end there was one message
// of every session that started, and one of every end, each under one ID however often it was sent.
func TestKilledWhileTellingWebhooks(t *testing.T) {
	c := site(t)
	told := newHookTold(t, true)
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		lines, enough := 0, 2+rand.IntN(40)
		killOn(t, c, func(string) bool {
			lines++
			return lines == enough
		}, webhookUntilKilled+"="+told.server.URL)
	}
	// Later, when what the killed ones had begun is theirs no more.
	c.Webhooks = told.config()
	now := Clock()
	n, err := New(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time {
		return now().Add(store.AttemptLease)
	}, Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	must(t, err)
	r := run{Node: n, t: t}
	ends, _ := told.mustKnowEnds(t, r.Store, toldAll(t, r.Store, func() {}))
	r.stop()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.Data, store.DatabaseFile))
	must(t, err)
	defer db.Close()
	rows, err := db.Query(`SELECT account_id, id FROM sessions`)
	must(t, err)
	defer rows.Close()
	started := map[webhook.Data]int{}
	for rows.Next() {
		var account exeunt.AccountID
		var session exeunt.SessionID
		must(t, rows.Scan(&account, &session))
		started[webhook.Data{Account: account.String(), Session: session.String(), Kind: "app"}]++
	}
	must(t, rows.Err())
	mustEqual(t, "started", told.of(webhook.SessionStarted), started, started)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(hookSecret, "whsec_"))
	must(t, err)
	files, err := filepath.Glob(filepath.Join(c.Data, "*"))
	must(t, err)
	for _, name := range files {
		text, _ := os.ReadFile(name) // there may be a folder
		if bytes.Contains(text, key) || bytes.Contains(text, []byte(hookSecret[6:])) {
			t.Errorf("the secret is in %s", name)
		}
	}
	t.Logf("%d kills, %d starts, %d ends, %d requests", rounds, len(started), ends, told.requests)
	if len(started) < 2*rounds || ends < rounds/2 {
		t.Errorf("that shows nothing: %d starts, %d ends", len(started), ends)
	}
}
