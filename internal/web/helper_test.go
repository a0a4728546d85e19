package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// site is the browser's side of an authority on a real database.
type site struct {
	Browser
	t     testing.TB
	clock *atomic.Int64 // milliseconds after epoch
	store *store.Store
	chirp exeunt.Client
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, clock: &atomic.Int64{}, chirp: exeunt.Client{ID: "chirp", Name: "Chirp",
		HomeURL: "http://chirp.example", RedirectURIs: []string{"http://chirp.example/cb"}}}
	s.Now = func() time.Time { return epoch.Add(time.Duration(s.clock.Load()) * time.Millisecond) }
	var f *feed.Feed
	var err error
	log := slog.New(slog.DiscardHandler)
	s.store, err = store.Open(context.Background(),
		store.Options{URL: store.SQLiteURL(filepath.Join(t.TempDir(), "exeunt.db")), Log: log,
			Committed: func(list []exeunt.Event) error { return f.Own(list) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.store.Close() })
	index := live.New(0, live.Options{})
	f = feed.New(authority.Memory(index), nil)
	if err := s.store.ReconcileClients(context.Background(), []exeunt.Client{s.chirp}, exeunt.System(),
		epoch); err != nil {
		t.Fatal(err)
	}
	s.Authority = authority.New(authority.Config{Store: s.store, Live: index, Feed: f, Policy: exeunt.DefaultPolicy(),
		Retention: store.Retention{Ended: time.Hour, Audit: time.Hour}, Now: s.Now, Log: log})
	s.Cookies = newCookies(t, s.store)
	return s
}

func newCookies(t testing.TB, s *store.Store) Cookies {
	t.Helper()
	master, err := keys.LoadMaster(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ring := func(purpose string) *keys.Ring {
		r, err := keys.Open(context.Background(), s, master, purpose, time.Hour, epoch)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	return Cookies{Pairs: ring("pair"), Notices: ring("notice"), Forms: ring("form"), Tickets: ring("ticket")}
}

func (s *site) pass(d time.Duration) { s.clock.Add(d.Milliseconds()) }

// signIn starts a session and returns the cookies its browser holds then.
func (s *site) signIn(kind exeunt.SessionKind) (exeunt.Token, exeunt.Session, []*http.Cookie) {
	s.t.Helper()
	id := exeunt.NewAccountID()
	a := exeunt.Account{ID: id, Handle: "h" + strings.ToLower(id.String()[4:20]), Name: "A Person", Created: s.Now()}
	if err := s.store.AddAccount(context.Background(), a, store.Credential{}, nil, exeunt.System()); err != nil {
		s.t.Fatal(err)
	}
	proof := exeunt.Proof{Account: id, Methods: exeunt.Methods{exeunt.MethodPassword}, Generation: 1,
		CredentialVersion: 1}
	token, v, err := s.Authority.Start(context.Background(),
		authority.SignIn{Proof: proof, Kind: kind, Label: "a browser"})
	if err != nil {
		s.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Cookies.SetPair(w, v.ID, token, kind, time.Hour)
	return token, v, w.Result().Cookies()
}

// appToken signs the session in to Chirp and returns the app session's token.
func (s *site) appToken(v exeunt.Session) exeunt.Token {
	s.t.Helper()
	code, app := exeunt.NewToken(exeunt.UseCode).Hash(), s.chirp
	known, err := s.store.Client(context.Background(), app.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.AddCode(context.Background(), code, store.Code{Account: v.Account, Session: v.ID, Client: app.ID,
		Registration: known.Registration, RedirectURI: app.RedirectURIs[0], Challenge: "c", Expires: s.Now().Add(time.Minute)}); err != nil {
		s.t.Fatal(err)
	}
	token, _, err := s.Authority.StartApp(context.Background(),
		authority.AppSignIn{Code: code, Client: app.ID, RedirectURI: app.RedirectURIs[0], Challenge: "c"})
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// queued carries out the endings that were left for later.
func (s *site) queued() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Authority.Run(ctx); close(done) }()
	// Run takes endings in order: when a marker's has been carried out, all
	// before it have.
	_, marker, _ := s.signIn(exeunt.KindKept)
	l := s.Authority.Listen(marker.Account)
	defer l.Close()
	s.Authority.EndSoon(exeunt.Revocation{Target: exeunt.Target{Account: marker.Account, Scope: exeunt.ScopeSession,
		Session: marker.ID}, Reason: exeunt.ReasonSignedOut})
	<-l.C()
	stop()
	<-done
}

func (s *site) endOf(v exeunt.Session) *exeunt.Ended {
	s.t.Helper()
	got, err := s.store.Session(context.Background(), v.Account, v.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return got.End
}

func request(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// rawRequest sends a Cookie header as it is.
func rawRequest(headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Cookie"] = headers
	return r
}
