package fanout

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

const issuer = "https://id.example"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// onEachEngine runs a test on a new file and on a new database of a server.
func onEachEngine(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, "") })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, testpg.NewDatabase(t)) })
}

// site is a node that tells apps.
type site struct {
	*testnode.Node
	t       testing.TB
	fan     *Service
	signers *keys.Signers
	master  keys.Master
	said    *lockedBuffer
	hooks   []Webhook
	most    int    // messages that may be pending; 0: as usual
	stop    func() // its telling
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newSite(t testing.TB, o testnode.Options, apps ...*app) *site {
	t.Helper()
	return newHookedSite(t, o, nil, apps...)
}

// newHookedSite is a site with webhooks.
func newHookedSite(t testing.TB, o testnode.Options, hooks []*receiver, apps ...*app) *site {
	t.Helper()
	var list []Webhook
	for _, r := range hooks {
		list = append(list, r.Webhook)
	}
	o.Started = Started(list)
	if o.Clients == nil {
		o.Clients = []exeunt.Client{}
		for _, a := range apps {
			o.Clients = append(o.Clients, a.client)
		}
	}
	if o.Database != "" {
		o.Staleness = time.Minute // the tests' machine may be busy
	}
	n := testnode.New(t, o)
	master, err := keys.ParseMaster(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	must(t, err)
	s := &site{Node: n, t: t, said: &lockedBuffer{}, hooks: list, master: master, signers: keys.NewSigners(n.Store, master, "oidc", time.Hour, n.Now)}
	s.start()
	return s
}

// start has a new process tell apps.
func (s *site) start() {
	news := s.ListenAll()
	s.fan = New(Config{Store: s.Store, Sign: s.signers.Sign, Open: s.master.Open, Issuer: issuer, Webhooks: s.hooks,
		News: news.C(), Now: s.Now,
		Log: slog.New(slog.NewTextHandler(s.said, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if s.most > 0 {
		s.fan.mostMessages = s.most
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var once sync.Once
	go func() { defer close(done); s.fan.Run(ctx) }()
	s.stop = func() { once.Do(func() { cancel(); <-done; news.Close() }) }
	s.t.Cleanup(s.stop)
}

// app is an app that takes logout tokens.
type app struct {
	client exeunt.Client
	server *httptest.Server

	mu       sync.Mutex
	requests []*received
	under    map[string]int // requests under way, by account and session
	most     int            // of those at once
}

type received struct {
	token  string
	body   string
	header http.Header
	status int
}

// newApp answers the n-th request with what answer returns; nil is 200.
func newApp(t testing.TB, id string, answer func(n int, w http.ResponseWriter) int) *app {
	t.Helper()
	a := &app{client: testnode.ClientAt(exeunt.ClientID(id), "https://"+id+".example/callback"), under: map[string]int{}}
	a.client.Algorithm = "ES256"
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		r.Body = http.NoBody
		form := parseForm(body.String())
		in := &received{token: form.Get("logout_token"), body: body.String(), header: r.Header, status: 200}
		who := fmt.Sprint(claimsOf(in.token)["sub"], claimsOf(in.token)["sid"])
		a.mu.Lock()
		a.under[who]++
		a.most = max(a.most, a.under[who])
		n := len(a.requests)
		a.requests = append(a.requests, in)
		a.mu.Unlock()
		status := 200
		if answer != nil {
			status = answer(n, w)
		}
		a.mu.Lock()
		a.under[who]--
		in.status = status
		a.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(a.server.Close)
	a.client.BackchannelURI = a.server.URL + "/backchannel"
	return a
}

func (a *app) got() []*received {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*received(nil), a.requests...)
}

// until waits for a condition.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(2 * time.Minute); !is(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// states are those of the deliveries about a session, by client.
func (s *site) states(v exeunt.Session) map[exeunt.ClientID]exeunt.Delivery {
	s.t.Helper()
	list, err := s.Deliveries(context.Background(), v.Account, v.ID)
	must(s.t, err)
	out := map[exeunt.ClientID]exeunt.Delivery{}
	for _, d := range list {
		out[d.Client] = d
	}
	return out
}

// read waits until the log has been read up to its head.
func (s *site) read() {
	s.t.Helper()
	head, err := s.Store.Head(context.Background())
	must(s.t, err)
	s.Clock.Pass(saveEvery)
	until(s.t, "the log to be read", func() bool {
		c, err := s.Store.LogCursor(context.Background())
		must(s.t, err)
		return c.Seq >= head
	})
}

// testService is one without a store.
func testService(said *lockedBuffer) *Service {
	return New(Config{Log: slog.New(slog.NewTextHandler(said, nil))})
}

// disown says, in one session of an account, of another that it was somebody else's.
func (s *site) disown(in, of exeunt.Session) error {
	a, err := s.Store.Account(context.Background(), in.Account)
	if err != nil {
		return err
	}
	n := &store.NewNotice{ID: exeunt.NewNoticeID()}
	proof := exeunt.Proof{Account: a.ID, Methods: of.Methods, At: s.Now(), Generation: a.Generation,
		CredentialVersion: a.CredentialVersion}
	if _, _, err := s.Start(context.Background(), authority.SignIn{Proof: proof, Kind: exeunt.KindKept, Label: "a thief's",
		Recognised: store.Recognised{Notice: n}}); err != nil {
		return err
	}
	_, err = s.Accounts.NotMe(context.Background(), testnode.PersonIn(in), "", n.ID)
	return err
}
