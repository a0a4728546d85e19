package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exeunt/exeunt/client"
)

// fake stands for the authority on the other side of the network, so that a
// test decides what arrives, when, and how wrong it is.
type fake struct {
	mu       sync.Mutex
	epoch    string
	digest   string // what the gate and the echoes tell, if not that of their place
	events   int    // recorded in any history
	log      []client.LogEvent
	people   map[string]*fakePerson // by token
	streams  []*fakeStream
	held     bool // streams deliver nothing
	away     bool // nothing answers
	noEcho   bool
	age      int64
	slowGate time.Duration
	slowNo   time.Duration // the gate's refusals are held back for so long
	slowEcho time.Duration // by which its answers are held back
	asked    int           // questions at the gate
	echoes   int           // "how far is the log?"
	opened   []string      // "after" of each stream
	resumed  []string      // and its "digest"
	noted    []notedAt
	notes    int
	noteErr  bool

	slept atomic.Int64 // by how much the wall's clock is ahead of the steady one
}

type fakePerson struct {
	client.Person
	generation, idle, expires int64
	ended                     bool
}

// notedAt is activity as it was handed in.
type notedAt struct {
	token string
	at    time.Time
}

type fakeStream struct {
	in   chan []byte
	sent int
}

func newFake() *fake { return &fake{epoch: "e1", people: map[string]*fakePerson{}} }

func msNow() int64 { return time.Now().UnixMilli() }

// person signs somebody in and returns the app session's token.
func (f *fake) person(account, session string) client.Secret {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.people)
	token := fmt.Sprintf("exa_%049d", n)
	f.people[token] = &fakePerson{
		Person: client.Person{Account: "acc_" + account, Session: "ses_" + session,
			AppSession: fmt.Sprintf("app_%d", n), Handle: account, Client: "chirp",
			IdleAt: time.Now().Add(15 * time.Minute)},
		generation: 1, idle: (15 * time.Minute).Milliseconds(), expires: time.Now().Add(4 * time.Hour).UnixMilli(),
	}
	return client.NewSecret(token)
}

// end records an event, and what it does to people, and delivers it.
func (f *fake) end(e client.LogEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, f.event(int64(len(f.log)+1), e))
	f.happen(e)
	f.deliver()
}

// tell records an event that does nothing to people, and delivers it.
func (f *fake) tell(e client.LogEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, f.event(int64(len(f.log)+1), e))
	f.deliver()
}

// replace puts another event in the place of the last one, which happened in
// another history, where what that one ended was never ended.
func (f *fake) replace(e client.LogEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := len(f.log) - 1
	f.log[last] = f.event(int64(last+1), e)
	f.happen(e)
}

// event gives an event its number. It is called with mu held.
func (f *fake) event(seq int64, e client.LogEvent) client.LogEvent {
	f.events++
	e.Seq, e.At, e.Digest = seq, time.Now(), fmt.Sprint("d", f.events)
	return e
}

// happen does to people what the event does. It is called with mu held.
func (f *fake) happen(e client.LogEvent) {
	for _, p := range f.people {
		switch {
		case covers(&e, &p.Person, p.generation):
			p.ended = true
		case survives(&e, &p.Person):
			p.generation = e.Generation
		}
	}
}

// deliver tells the streams what they have not been told. Called with mu held.
func (f *fake) deliver() {
	for _, s := range f.streams {
		for ; !f.held && s.sent < len(f.log); s.sent++ {
			io.WriteString(s, logText(f.log[s.sent]))
		}
	}
}

// raw puts text on the streams.
func (f *fake) raw(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.streams {
		io.WriteString(s, text)
	}
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.deliver()
}

// breakStreams ends every stream, as a lost connection does.
func (f *fake) breakStreams() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.streams {
		s.in <- nil
	}
	f.streams = nil
}

// asks returns how often the gate was asked since the last call.
func (f *fake) asks() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asked
	f.asked = 0
	return n
}

// questions is how often it was asked how far the log is.
func (f *fake) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.echoes
}

// seen is what was handed in so far, and in how many notes.
func (f *fake) seen() (notes int, seen []notedAt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.notes, slices.Clone(f.noted)
}

// places are the numbers after which streams were asked for, "" for none.
func (f *fake) places() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.opened)
}

// digests are those that streams were asked for with.
func (f *fake) digests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.resumed)
}

func (f *fake) position() client.Position {
	p := client.Position{Place: client.Place{Epoch: f.epoch, Seq: int64(len(f.log))}, Age: f.age, Now: msNow()}
	if p.Seq > 0 {
		p.Digest = f.log[p.Seq-1].Digest
	}
	return p
}

// told is the position as the gate and the echoes tell it.
func (f *fake) told() client.Position {
	p := f.position()
	if f.digest != "" {
		p.Digest = f.digest
	}
	return p
}

// digestAt is that of an event, "" for none.
func (f *fake) digestAt(seq int64) string {
	if seq <= 0 || seq > int64(len(f.log)) {
		return ""
	}
	return f.log[seq-1].Digest
}

const fakeKey = "exk_fake"

// RoundTrip answers as the authority would.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{}, Body: http.NoBody, Request: r}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errors.New("no route to host")
	}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if r.URL.Path != "/gate" && bearer != fakeKey {
		resp.StatusCode, resp.Status = 401, "401 Unauthorized"
		return resp, nil
	}
	switch r.URL.Path {
	case "/gate":
		return f.gate(r, resp, bearer)
	case "/api/v1/events/echo":
		f.echoes++
		var in client.Echo
		json.NewDecoder(r.Body).Decode(&in)
		if f.noEcho {
			return nil, errors.New("no route to host")
		}
		out := client.Echoed{Position: f.told(), Nonce: in.Nonce, History: client.HistorySame}
		if in.Epoch != f.epoch || in.Seq <= out.Seq && in.Digest != f.digestAt(in.Seq) {
			out.History = client.HistoryReload
		}
		if d := f.slowEcho; d > 0 {
			f.mu.Unlock()
			err := sleep(r.Context(), d)
			f.mu.Lock()
			if err != nil {
				return nil, err
			}
		}
		body, _ := json.Marshal(out)
		resp.Body = io.NopCloser(bytes.NewReader(body))
	case "/api/v1/activity":
		var in client.ActivityNote
		json.NewDecoder(r.Body).Decode(&in)
		f.notes++
		if f.noteErr {
			resp.StatusCode, resp.Status = 503, "503 Service Unavailable"
			return resp, nil
		}
		for _, s := range in.Seen {
			f.noted = append(f.noted, notedAt{s.Token, time.Now().Add(-time.Duration(s.Ago) * time.Millisecond)})
		}
		out := client.ActivityNoted{Now: msNow(), Dead: []string{}}
		for _, s := range in.Seen {
			for token, p := range f.people {
				if fmt.Sprintf("%x", hashOf(client.NewSecret(token))) == s.Token && p.ended {
					out.Dead = append(out.Dead, s.Token)
				}
			}
		}
		body, _ := json.Marshal(out)
		resp.Body = io.NopCloser(bytes.NewReader(body))
	case "/api/v1/events":
		return f.open(r, resp)
	}
	return resp, nil
}

func (f *fake) gate(r *http.Request, resp *http.Response, token string) (*http.Response, error) {
	f.asked++
	h := resp.Header
	if r.Header.Get(client.HeaderClientKey) != fakeKey {
		resp.StatusCode, resp.Status = 403, "403 Forbidden"
		h.Set(client.HeaderReason, "client_key")
		return resp, nil
	}
	p := f.people[token]
	if p == nil || p.ended {
		resp.StatusCode, resp.Status = 401, "401 Unauthorized"
		h.Set(client.HeaderReason, "signed_out")
		return resp, f.hold(r, f.slowNo)
	}
	if r.Header.Get(client.HeaderActivity) == "yes" {
		p.IdleAt = time.Now().Add(time.Duration(p.idle) * time.Millisecond)
	}
	for name, v := range map[string]string{
		client.HeaderAccount: p.Account, client.HeaderSession: p.Session, client.HeaderAppSession: p.AppSession,
		client.HeaderUser: p.Handle, client.HeaderClient: p.Client,
		client.HeaderEpoch: f.epoch, client.HeaderDigest: f.told().Digest, client.HeaderSeq: strconv.Itoa(len(f.log)),
		client.HeaderGeneration: strconv.FormatInt(p.generation, 10),
		client.HeaderIdle:       strconv.FormatInt(p.idle, 10),
		client.HeaderExpiresAt:  strconv.FormatInt(p.expires, 10),
		client.HeaderIdleAt:     strconv.FormatInt(p.IdleAt.UnixMilli(), 10),
		client.HeaderWarnAt:     strconv.FormatInt(p.IdleAt.Add(-2*time.Minute).UnixMilli(), 10),
	} {
		h.Set(name, v)
	}
	return resp, f.hold(r, f.slowGate)
}

// hold keeps an answer that is made back. It is called with mu held.
func (f *fake) hold(r *http.Request, d time.Duration) error {
	if d == 0 {
		return nil
	}
	f.mu.Unlock()
	defer f.mu.Lock()
	return sleep(r.Context(), d)
}

func (f *fake) open(r *http.Request, resp *http.Response) (*http.Response, error) {
	q := r.URL.Query()
	after, digest := q.Get("after"), q.Get("digest")
	f.opened, f.resumed = append(f.opened, after), append(f.resumed, digest)
	pr, pw := io.Pipe()
	s := &fakeStream{in: make(chan []byte, 1<<14), sent: len(f.log)}
	go s.run(r.Context(), pw)
	here, _ := json.Marshal(f.position())
	if n, err := strconv.Atoi(after); err == nil && n <= len(f.log) && q.Get("epoch") == f.epoch &&
		digest == f.digestAt(int64(n)) {
		s.sent = n
		fmt.Fprintf(s, "event: same\ndata: %s\n\n", here)
	} else {
		fmt.Fprintf(s, "event: reload\ndata: %s\n\n", here)
	}
	f.streams = append(f.streams, s)
	f.deliver()
	resp.Header.Set("Content-Type", "text/event-stream")
	resp.Body = pr
	return resp, nil
}

// Write stands for the network's own buffers: it never waits.
func (s *fakeStream) Write(p []byte) (int, error) {
	s.in <- bytes.Clone(p)
	return len(p), nil
}

// run carries what is written to the reader, until either has gone.
func (s *fakeStream) run(ctx context.Context, w *io.PipeWriter) {
	for {
		select {
		case p := <-s.in:
			if len(p) == 0 {
				w.CloseWithError(io.ErrUnexpectedEOF)
				return
			}
			if _, err := w.Write(p); err != nil {
				return
			}
		case <-ctx.Done():
			w.CloseWithError(ctx.Err())
			return
		}
	}
}

func logText(e client.LogEvent) string {
	data, _ := json.Marshal(e)
	return fmt.Sprintf("id: %d\nevent: log\ndata: %s\n\n", e.Seq, data)
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (f *fake) verifier(t testing.TB, change ...func(*Options)) *Verifier {
	t.Helper()
	c, err := client.New("http://exeunt.localhost", client.Options{Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Client: c, Key: client.NewSecret(fakeKey), Log: quietLog()}
	for _, f := range change {
		f(&o)
	}
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verifying runs a test inside a bubble of fake time, with a verifier that has
// become fresh.
func verifying(t *testing.T, test func(t *testing.T, f *fake, v *Verifier), change ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		v := f.verifier(t, change...)
		real := v.now
		v.now = func() instant {
			i := real()
			i.wall += time.Duration(f.slept.Load())
			return i
		}
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { v.Run(ctx) })
		time.Sleep(v.MaxStaleness/4 + time.Millisecond)
		if !v.Fresh() {
			t.Error("not fresh to begin with")
		} else {
			test(t, f, v)
		}
		stop()
		done.Wait()
		f.breakStreams()
		synctest.Wait()
	})
}

// valid checks and says what came out in a word.
func valid(t *testing.T, v *Verifier, token client.Secret) string {
	t.Helper()
	_, err := v.Check(context.Background(), token, false)
	switch {
	case err == nil:
		return "valid"
	case errors.Is(err, client.ErrSignedOut):
		return "ended"
	case errors.Is(err, client.ErrUnavailable):
		return "unavailable"
	}
	t.Fatalf("an outcome that is not in the contract: %v", err)
	return ""
}

// expect fails unless checking says so, after so many questions.
func (f *fake) expect(t *testing.T, v *Verifier, token client.Secret, want string, questions int) {
	t.Helper()
	f.asks()
	if got := valid(t, v, token); got != want {
		t.Errorf("it says %s, not %s", got, want)
	}
	if n := f.asks(); n != questions {
		t.Errorf("it asked the gate %d times, not %d", n, questions)
	}
}
