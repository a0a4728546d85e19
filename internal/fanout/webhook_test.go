package fanout

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/webhook"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

const (
	hookSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

func secret(t testing.TB, text string) webhook.Secret {
	t.Helper()
	s, err := webhook.ParseSecret(text)
	must(t, err)
	return s
}

// receiver takes messages.
type receiver struct {
	Webhook
	server *httptest.Server
	t      testing.TB

	mu   sync.Mutex
	hits []hit
}

type hit struct {
	header http.Header
	body   []byte
}

// newReceiver answers the n-th request with what answer returns; 0 is what it has answered itself, and nil is 204.
func newReceiver(
	t testing.TB, name exeunt.WebhookName, answer func(n int, w http.ResponseWriter) int, events ...exeunt.MessageType,
) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(req.Body)
		r.mu.Lock()
		n := len(r.hits)
		r.hits = append(r.hits, hit{req.Header, body.Bytes()})
		r.mu.Unlock()
		status := http.StatusNoContent
		if answer != nil {
			status = answer(n, w)
		}
		if status > 0 {
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(r.server.Close)
	r.Webhook = Webhook{Webhook: exeunt.Webhook{Name: name, URL: r.server.URL + "/hook", Events: events},
		Secrets: []webhook.Secret{secret(t, hookSecret)}}
	return r
}

func (r *receiver) got() []hit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.hits)
}

// message returns what a request says, which must be signed.
func (r *receiver) message(h hit) webhook.Message {
	r.t.Helper()
	seconds, _ := strconv.ParseInt(h.header.Get(webhook.HeaderTimestamp), 10, 64)
	m, err := webhook.Verify(h.header, h.body, secret(r.t, hookSecret), time.Unix(seconds, 0))
	must(r.t, err)
	return m
}

// nothingPending waits until webhooks have been told of everything up to the log's head.
func (s *site) nothingPending() {
	s.t.Helper()
	s.read()
	until(s.t, "no message to be pending", func() bool {
		owing, err := s.Store.OwingWebhooks(context.Background())
		must(s.t, err)
		return len(owing) == 0
	})
}

// mustHaveToldHook fails unless the webhook was told of a cause by one message of the end of v, and by another one if it
// secures the account.
func (s *site) mustHaveToldHook(t *testing.T, cause string, r *receiver, before int, v, other exeunt.Session) {
	t.Helper()
	s.nothingPending()
	head, err := s.Store.Head(context.Background())
	must(t, err)
	list, err := s.Store.Events(context.Background(), max(head-20, 0), 20)
	must(t, err)
	i := slices.IndexFunc(list, func(e exeunt.Event) bool {
		return e.Account == v.Account && e.Kind == exeunt.EventEnded && e.AppSession.IsZero() && e.Covers(v.Account, v.ID, v.Generation)
	})
	if i < 0 {
		t.Fatalf("%s: no event", cause)
	}
	e := list[i]
	want := webhook.Event{Type: webhook.SessionEnded, Timestamp: e.At, Data: webhook.Data{Account: v.Account.String(),
		Scope: string(e.Scope), Reason: string(e.Reason), By: string(e.By.Kind)}}
	switch e.Scope {
	case exeunt.ScopeSession:
		want.Data.Session = v.ID.String()
	case exeunt.ScopeOthers:
		want.Data.Kept = other.ID.String()
	}
	wanted := []webhook.Event{want}
	if strings.Contains(cause, "securing") || cause == "it was not they" {
		want.Type = webhook.AccountSecured
		wanted = append(wanted, want)
	}
	var got []webhook.Event
	ids := map[string]bool{}
	for _, h := range r.got()[before:] {
		m := r.message(h)
		// The timeouts end other sessions, too.
		if m.Data.Account == v.Account.String() && m.Data.Session != other.ID.String() {
			got = append(got, m.Event)
		}
		ids[m.ID] = true
	}
	slices.SortFunc(got, func(a, b webhook.Event) int { return -strings.Compare(a.Type, b.Type) })
	if !slices.Equal(got, wanted) || len(ids) != len(r.got())-before {
		t.Errorf("%s: the webhook was told %+v with %d IDs, want %+v", cause, got, len(ids), wanted)
	}
}

// What is sent: the headers, the body to the byte, and nothing that names anybody.
func TestWhatAWebhookReceives(t *testing.T) { onEachEngine(t, whatAWebhookReceives) }

func whatAWebhookReceives(t *testing.T, database string) {
	r := newReceiver(t, "siem", nil, exeunt.MessageTypes...)
	s := newHookedSite(t, testnode.Options{Database: database}, []*receiver{r})
	_, v := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindShared)
	until(t, "the start", func() bool { return len(r.got()) == 1 })
	s.SignOut(t, v)
	s.nothingPending()
	list, err := s.Store.Events(t.Context(), 0, 100)
	must(t, err)
	ended := list[len(list)-1].At
	const form = "2006-01-02T15:04:05.999999999Z07:00"
	for i, want := range []string{
		fmt.Sprintf(`{"type":"session.started","timestamp":%q,"data":{"account_id":%q,"session_id":%q,"kind":"shared"}}`,
			v.Started.UTC().Format(form), v.Account, v.ID),
		fmt.Sprintf(`{"type":"session.ended","timestamp":%q,"data":{"account_id":%q,"session_id":%q,"scope":"session","reason":"signed_out","by":"person"}}`,
			ended.UTC().Format(form), v.Account, v.ID),
	} {
		in := r.got()[i]
		if string(in.body) != want {
			t.Errorf("it says\n%s, want\n%s", in.body, want)
		}
		m := r.message(in)
		if !strings.HasPrefix(m.ID, "msg_") || len(m.ID) != 36 || m.Sent.Before(s.Now().Add(-time.Minute)) || m.Sent.After(s.Now()) {
			t.Errorf("headers: %v", in.header)
		}
		if in.header.Get("Content-Type") != "application/json" || in.header.Get("User-Agent") != "Exeunt" || len(in.header["Cookie"]) > 0 {
			t.Errorf("headers: %v", in.header)
		}
		for _, name := range []string{"ada", "Ada", "Test on", "127.0.0.1"} {
			if strings.Contains(string(in.body), name) {
				t.Errorf("%s is in %s", name, in.body)
			}
		}
	}
	if len(r.got()) != 2 {
		t.Errorf("%d requests", len(r.got()))
	}
	for what, text := range map[string]string{"the log": s.said.String(), "the settings": fmt.Sprintf("%v %+v %#v", s.fan.Config, s.hooks, s.hooks)} {
		if strings.Contains(text, "MfKQ9r8") {
			t.Errorf("a secret is in %s: %s", what, text)
		}
	}
}

// Each sort of session that starts is told of once: of a browser, of an app that signs in by the API, and of an app on
// somebody's device. What a browser's session has in apps is none, and neither is a token that is renewed.
func TestStartsOfEverySort(t *testing.T) { onEachEngine(t, startsOfEverySort) }

func startsOfEverySort(t *testing.T, database string) {
	r := newReceiver(t, "siem", nil, exeunt.MessageStarted)
	deaf := newReceiver(t, "deaf", nil, exeunt.MessageSecured)
	chirp, phone := newApp(t, "chirp", nil), newApp(t, "phone", nil)
	phone.client.Auth, phone.client.BackchannelURI = exeunt.ClientPublic, ""
	s := newHookedSite(t, testnode.Options{Database: database}, []*receiver{r, deaf}, chirp, phone)
	p := s.NewAccount(t, "ada")
	token, kept := s.NewSession(t, p, exeunt.KindKept)
	_, api := s.NewSession(t, p, exeunt.KindApp)
	s.NewAppSession(t, kept, "chirp")
	_, native := s.NewAppSession(t, kept, "phone")
	if _, _, err := s.ReplacePassword(t.Context(), testnode.PersonIn(kept), token, "", "another hash", 1); err != nil {
		t.Fatal(err)
	}
	s.nothingPending()
	var got []webhook.Data
	for _, h := range r.got() {
		m := r.message(h)
		if m.Type != webhook.SessionStarted {
			t.Errorf("told of %s", m.Type)
		}
		got = append(got, m.Data)
	}
	want := []webhook.Data{{Account: p.Account.String(), Session: kept.ID.String(), Kind: "kept"},
		{Account: p.Account.String(), Session: api.ID.String(), Kind: "app"},
		{Account: p.Account.String(), Session: native.Session.String(), Kind: "app", Client: "phone"}}
	compare := func(a, b webhook.Data) int { return strings.Compare(a.Session, b.Session) }
	slices.SortFunc(got, compare)
	slices.SortFunc(want, compare)
	if !slices.Equal(got, want) {
		t.Errorf("told of %+v, want %+v", got, want)
	}
	if n := len(deaf.got()); n != 0 {
		t.Errorf("who does not want to know was told %d times", n)
	}
}

// However many sessions end together, it is one message, also if the log's reader takes several steps for their apps.
func TestEverywhereIsOneMessage(t *testing.T) {
	r := newReceiver(t, "siem", nil, exeunt.MessageEnded)
	a := newApp(t, "chirp", nil)
	s := newHookedSite(t, testnode.Options{}, []*receiver{r}, a)
	p := s.NewAccount(t, "ada")
	var last exeunt.Session
	for i := range 1000 {
		if _, last = s.NewSession(t, p, exeunt.KindKept); i < 300 {
			s.NewAppSession(t, last, "chirp")
		}
	}
	s.SignOutEverywhere(t, last)
	for more := true; more; { // the ends of all are written into their rows
		var err error
		more, err = s.Store.WriteEnds(t.Context(), s.Now())
		must(t, err)
	}
	s.nothingPending()
	until(t, "the app to be told", func() bool { return len(a.got()) == 1 })
	if n := len(r.got()); n != 1 {
		t.Fatalf("%d messages", n)
	}
	if m := r.message(r.got()[0]); m.Data.Scope != webhook.ScopeAccount || m.Data.Session != "" || m.Data.Account != p.Account.String() {
		t.Errorf("told %+v", m)
	}
}

// A message that was not confirmed is sent again: the same ID and body, signed anew.
func TestWebhooksAreTriedAgain(t *testing.T) { onEachEngine(t, webhooksAreTriedAgain) }

func webhooksAreTriedAgain(t *testing.T, database string) {
	r := newReceiver(t, "siem", func(n int, _ http.ResponseWriter) int { return []int{500, 404, 302, 200}[n] }, exeunt.MessageEnded)
	s := newHookedSite(t, testnode.Options{Database: database}, []*receiver{r})
	_, v := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	s.SignOut(t, v)
	s.read()
	for n := 1; n < 4; n++ {
		until(t, "an attempt to be recorded", func() bool {
			totals, err := s.Store.MessageTotals(t.Context())
			return err == nil && len(totals) == 1 && totals[0].Error == fmt.Sprint("http_", []int{500, 404, 302}[n-1])
		})
		s.Clock.Pass(time.Minute)
		s.fan.wakeMessenger()
	}
	s.nothingPending()
	hits := r.got()
	if len(hits) != 4 {
		t.Fatalf("%d attempts", len(hits))
	}
	times := map[time.Time]bool{}
	for _, h := range hits {
		m := r.message(h)
		times[m.Sent] = true
		if h.header.Get(webhook.HeaderID) != hits[0].header.Get(webhook.HeaderID) || !bytes.Equal(h.body, hits[0].body) {
			t.Errorf("%v %s, the first was %v %s", h.header, h.body, hits[0].header, hits[0].body)
		}
	}
	if len(times) != 4 {
		t.Errorf("%d times of sending", len(times))
	}
	if totals, err := s.Store.MessageTotals(t.Context()); err != nil || len(totals) != 0 {
		t.Errorf("left: %+v, %v", totals, err)
	}
}

// While one secret takes over from another, each receiver verifies with the one that it has.
func TestTwoSecrets(t *testing.T) {
	r := newReceiver(t, "siem", nil, exeunt.MessageEnded)
	r.Secrets = []webhook.Secret{secret(t, otherSecret), secret(t, hookSecret)}
	s := newHookedSite(t, testnode.Options{}, []*receiver{r})
	_, v := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	s.SignOut(t, v)
	s.nothingPending()
	h := r.got()[0]
	for _, text := range []string{hookSecret, otherSecret} {
		if _, err := webhook.Verify(h.header, h.body, secret(t, text), s.Now()); err != nil {
			t.Error(err)
		}
	}
	if n := len(strings.Fields(h.header.Get(webhook.HeaderSignature))); n != 2 {
		t.Errorf("%d signatures", n)
	}
}

// What a webhook may answer, and what that means.
func TestWebhookAnswers(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	var next func(http.ResponseWriter)
	hangs, wrote := make(chan struct{}), make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { next(w) }))
	defer server.Close()
	defer close(hangs)
	s := New(Config{Now: func() time.Time { return now }})
	status := func(code int, headers ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
		}
	}
	post := func(to string) answer {
		w := &Webhook{Webhook: exeunt.Webhook{URL: to}, Secrets: []webhook.Secret{secret(t, hookSecret)}}
		a, _ := s.postMessage(t.Context(), w, "msg_1", []byte("{}"), 0)
		return a
	}
	const retry = "Retry-After"
	for what, c := range map[string]struct {
		answer func(http.ResponseWriter)
		want   answer
	}{
		"200": {status(200), answer{confirmed: true}}, "204": {status(204), answer{confirmed: true}},
		"400": {status(400), answer{err: "http_400"}}, "404": {status(404), answer{err: "http_404"}},
		"500":                     {status(500, retry, "60"), answer{err: "http_500"}},
		"410":                     {status(410), answer{err: "http_410", after: time.Hour}},
		"429":                     {status(429), answer{err: "http_429"}},
		"429, in two minutes":     {status(429, retry, "120"), answer{err: "http_429", after: 2 * time.Minute}},
		"503, in a day":           {status(503, retry, "86400"), answer{err: "http_503", after: time.Hour}},
		"503, in a million years": {status(503, retry, "31557600000000"), answer{err: "http_503", after: time.Hour}},
		"503, before":             {status(503, retry, "-5"), answer{err: "http_503"}},
		"503, soon":               {status(503, retry, "soon"), answer{err: "http_503"}},
		"503, at a time": {status(503, retry, now.Add(5*time.Minute).UTC().Format(http.TimeFormat)),
			answer{err: "http_503", after: 5 * time.Minute}},
		"503, at a time that was": {status(503, retry, now.Add(-time.Minute).UTC().Format(http.TimeFormat)), answer{err: "http_503"}},
		"a redirect":              {status(307, "Location", other.URL), answer{err: "http_307"}},
		"an endless body": {func(w http.ResponseWriter) {
			w.WriteHeader(200)
			n := 0
			for n < 1<<20 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					break
				}
				n++
			}
			wrote <- n
		}, answer{confirmed: true}},
		"too many headers": {func(w http.ResponseWriter) {
			for i := range 1000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 100))
			}
		}, answer{err: "connection"}},
	} {
		next = c.answer
		if got := post(server.URL); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
	if elsewhere != 0 {
		t.Error("a redirect was followed")
	}
	if n := <-wrote; n > 1<<16 {
		t.Errorf("%d KiB of an endless body were taken", n)
	}
	for to, want := range map[string]string{"http://169.254.169.254/latest": "address", "http://[fe80::1%25lo]/": "address",
		"http://[fd00:ec2::254]/": "address", deadPort(t): "connection_refused"} {
		if got := post(to); got != (answer{err: want}) {
			t.Errorf("%s: %+v", to, got)
		}
	}
	s.client.Timeout = 50 * time.Millisecond
	next = func(http.ResponseWriter) { <-hangs }
	if got := post(server.URL); got != (answer{err: "timeout"}) {
		t.Errorf("one that hangs: %+v", got)
	}
}

// One that asks to be left alone is, for all of its messages, and so is one that is gone.
func TestWebhooksThatAskForAPause(t *testing.T) {
	for status, pause := range map[int]time.Duration{429: 2 * time.Minute, 410: goneFor} {
		r := newReceiver(t, "siem", func(n int, w http.ResponseWriter) int {
			if n == 0 {
				w.Header().Set("Retry-After", "120")
				return status
			}
			return 200
		}, exeunt.MessageEnded)
		s := newHookedSite(t, testnode.Options{Stands: time.Unix(1_800_000_000, 0)}, []*receiver{r})
		p := s.NewAccount(t, "ada")
		_, one := s.NewSession(t, p, exeunt.KindKept)
		_, two := s.NewSession(t, p, exeunt.KindKept)
		pending := func() int64 {
			totals, err := s.Store.MessageTotals(t.Context())
			must(t, err)
			if len(totals) == 0 || totals[0].Error == "" {
				return 0
			}
			return totals[0].Pending.Count
		}
		s.SignOut(t, one)
		until(t, "the first answer", func() bool { return pending() == 1 })
		s.Clock.Pass(time.Second) // so that one is the oldest
		s.SignOut(t, two)
		until(t, "the second message", func() bool { return pending() == 2 })
		s.Clock.Pass(pause - saveEvery - 10*time.Second)
		s.read()
		for range 3 { // rounds that find what is due, and have no place
			if _, err := s.fan.messageRound(t.Context(), &sync.WaitGroup{}, map[exeunt.WebhookName]time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(r.got()); n != 1 {
			t.Errorf("after %d it was told %d times", status, n)
		}
		s.Clock.Pass(time.Hour)
		s.fan.wakeMessenger()
		s.nothingPending()
		if n := strings.Count(s.said.String(), "it is gone (410)"); n != map[int]int{410: 1}[status] {
			t.Errorf("%d lines about one that answers %d: %s", n, status, s.said)
		}
	}
}

// Webhooks that hang take nothing from apps, nor from one another.
func TestWebhooksThatHangSlowNobody(t *testing.T) {
	a := newApp(t, "chirp", nil)
	good := newReceiver(t, "good", nil, exeunt.MessageEnded)
	hooks := []*receiver{good}
	begun := make(chan struct{}, 1000)
	for i := range exeunt.MaxWebhooks - 1 {
		r := newReceiver(t, exeunt.WebhookName(fmt.Sprint("hangs", i)), nil, exeunt.MessageTypes...)
		free := make(chan struct{})
		r.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			<-free
		})
		t.Cleanup(func() { close(free) })
		hooks = append(hooks, r)
	}
	s := newHookedSite(t, testnode.Options{}, hooks, a)
	p := s.NewAccount(t, "ada")
	for range 8 {
		s.NewSession(t, p, exeunt.KindKept) // each is told to those that hang
	}
	for range (exeunt.MaxWebhooks - 1) * perClient {
		<-begun
	}
	began := time.Now()
	for i := range 4 {
		_, v := s.NewSession(t, p, exeunt.KindKept)
		s.NewAppSession(t, v, "chirp")
		s.SignOut(t, v)
		until(t, "the app to be told", func() bool { return s.allAre(v, 1, exeunt.DeliveryConfirmed) })
		until(t, "the good webhook to be told", func() bool { return len(good.got()) == i+1 })
	}
	if passed := time.Since(began); passed > postTimeout/2 {
		t.Errorf("it took %v, and must not wait for attempts that time out after %v", passed, postTimeout)
	}
}

// A webhook that is never reached is tried now and then, and what it is not told in 72 hours is given up; so is what is
// too much, and what is for a webhook that nobody knows.
func TestWebhooksGivenUp(t *testing.T) {
	r := newReceiver(t, "dead", nil, exeunt.MessageEnded)
	r.URL = deadPort(t)
	s := newHookedSite(t, testnode.Options{}, []*receiver{r})
	p := s.NewAccount(t, "ada")
	end := func() {
		_, v := s.NewSession(t, p, exeunt.KindKept)
		s.SignOut(t, v)
	}
	state := func() WebhookState {
		list, err := s.fan.States(t.Context())
		must(t, err)
		return list[0]
	}
	for range opensAfter {
		end()
	}
	until(t, "the circuit to open", func() bool {
		s.Clock.Pass(time.Minute)
		s.fan.wakeMessenger()
		return state().Open
	})
	// It is late when the clock was put forward while an attempt was about to begin.
	if v := state(); v.Error != "connection_refused" && v.Error != "late" || v.Pending.Count != opensAfter || !v.Known || v.URL != r.URL {
		t.Errorf("%+v", v)
	}
	if said := s.said.String(); strings.Count(said, "a webhook cannot be reached") != 1 || strings.Contains(said, r.URL) {
		t.Error(said)
	}
	s.Clock.Pass(store.GiveUpAfter)
	s.fan.wakeMessenger()
	until(t, "them to be given up", func() bool { v := state(); return v.Pending.Count == 0 && v.GaveUp.Count == opensAfter })
	// The next ones are too many.
	s.stop()
	s.most = 3
	s.start()
	for range 2 * opensAfter {
		end()
	}
	s.read()
	until(t, "the oldest to be given up", func() bool {
		s.Clock.Pass(tidyEvery)
		s.fan.wakeMessenger()
		return state().Pending.Count <= 3
	})
	if n := strings.Count(s.said.String(), "too many messages to a webhook"); n == 0 {
		t.Error(s.said)
	}
	// The file names it no more: what is left waits for a node that knows it, for as long as it would have been tried.
	s.stop()
	s.hooks = nil
	s.start()
	list, err := s.fan.States(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].Known || list[0].Name != "dead" || list[0].Pending.Count != 3 {
		t.Errorf("%+v", list)
	}
	s.Clock.Pass(store.GiveUpAfter)
	until(t, "the rest to be given up", func() bool {
		s.Clock.Pass(tidyEvery)
		s.fan.wakeMessenger()
		list, err := s.fan.States(t.Context())
		return err == nil && len(list) == 1 && list[0].Pending.Count == 0
	})
	n := 0
	totals, err := s.Store.MessageTotals(t.Context())
	must(t, err)
	for _, v := range totals {
		n += int(v.GaveUp.Count)
	}
	if n != 3*opensAfter {
		t.Errorf("%d were given up", n)
	}
}

// Two nodes share the work: one message for each event, and each is sent once.
func TestTwoNodesTellWebhooks(t *testing.T) {
	t.Parallel()
	database := testpg.NewDatabase(t)
	r := newReceiver(t, "siem", nil, exeunt.MessageStarted, exeunt.MessageEnded)
	sites := []*site{newHookedSite(t, testnode.Options{Database: database}, []*receiver{r}),
		newHookedSite(t, testnode.Options{Database: database, Clients: []exeunt.Client{}}, []*receiver{r})}
	p := sites[0].NewAccount(t, "ada")
	const n = 40
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, v := sites[i%2].NewSession(t, p, exeunt.KindKept)
			sites[(i/2)%2].SignOut(t, v)
		})
	}
	wg.Wait()
	sites[0].nothingPending()
	ids, sessions := map[string]bool{}, map[string]map[string]bool{webhook.SessionStarted: {}, webhook.SessionEnded: {}}
	for _, h := range r.got() {
		m := r.message(h)
		ids[m.ID] = true
		sessions[m.Type][m.Data.Session] = true
	}
	if len(r.got()) != 2*n || len(ids) != 2*n || len(sessions[webhook.SessionStarted]) != n || len(sessions[webhook.SessionEnded]) != n {
		t.Errorf("%d requests with %d IDs, of %d starts and %d ends", len(r.got()), len(ids), len(sessions[webhook.SessionStarted]),
			len(sessions[webhook.SessionEnded]))
	}
}

// A node stops while it tells a webhook: another one does it, with the same ID.
func TestAnotherNodeTellsTheWebhook(t *testing.T) {
	t.Parallel()
	database := testpg.NewDatabase(t)
	begun, free := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, "siem", func(n int, _ http.ResponseWriter) int {
		if n == 0 {
			close(begun)
			<-free
		}
		return 200
	}, exeunt.MessageEnded)
	defer close(free)
	first := newHookedSite(t, testnode.Options{Database: database}, []*receiver{r})
	_, v := first.NewSession(t, first.NewAccount(t, "ada"), exeunt.KindKept)
	first.SignOut(t, v)
	<-begun
	first.stop()
	second := newHookedSite(t, testnode.Options{Database: database, Clients: []exeunt.Client{}}, []*receiver{r})
	second.nothingPending()
	hits := r.got()
	if len(hits) != 2 || hits[0].header.Get(webhook.HeaderID) != hits[1].header.Get(webhook.HeaderID) {
		t.Errorf("%d requests: %+v", len(hits), hits)
	}
}

// A ping is sent once, and its sender reads what is answered.
func TestPing(t *testing.T) {
	r := newReceiver(t, "siem", func(n int, w http.ResponseWriter) int {
		if n == 0 {
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write(bytes.Repeat([]byte("no "), 1000))
			return 0
		}
		return 200
	}, exeunt.MessageEnded)
	s := newHookedSite(t, testnode.Options{}, []*receiver{r})
	said, err := s.fan.Test(t.Context(), "siem")
	must(t, err)
	if said.Status != 418 || said.Error != "http_418" || len(said.Body) != saidLength || said.Took <= 0 {
		t.Errorf("%+v", said)
	}
	if said, err = s.fan.Test(t.Context(), "siem"); err != nil || said.Error != "" || said.Status != 200 {
		t.Errorf("%+v, %v", said, err)
	}
	m := r.message(r.got()[0])
	if m.Type != webhook.Ping || m.Data != (webhook.Data{}) || r.message(r.got()[1]).ID == m.ID {
		t.Errorf("%+v", m)
	}
	if _, err := s.fan.Test(t.Context(), "other"); exeunt.CodeOf(err) != exeunt.ErrNotFound.Code {
		t.Error(err)
	}
	s.stop()
	s.hooks[0].URL = "http://169.254.169.254/"
	s.start()
	if said, err := s.fan.Test(t.Context(), "siem"); err != nil || said.Error != "address" || said.Status != 0 {
		t.Errorf("%+v, %v", said, err)
	}
}
