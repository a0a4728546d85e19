// Package testsite is a real authority behind real HTTP, for the tests of the SDK. It
// decides nothing; only tests may import it.
package testsite

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/api"
	"github.com/exeunt/exeunt/internal/gate"
	"github.com/exeunt/exeunt/internal/oidc"
	"github.com/exeunt/exeunt/internal/stream"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/web"
)

// Site is a real authority behind real HTTP, under a name that only the SDK's own
// transport resolves.
type Site struct {
	*testnode.Node
	Server  *httptest.Server
	Client  *client.Client
	Streams atomic.Int32  // how many were opened at the authority
	Opened  chan struct{} // receives when one is opened
	Away    atomic.Bool   // the authority does not answer
	Mute    atomic.Bool   // the authority takes requests and says nothing; what is open stays open
	Gates   atomic.Int32  // requests to the gate
}

// Localhost is a server's address under a name below localhost.
func Localhost(s *httptest.Server, name string) string {
	u, _ := url.Parse(s.URL)
	return "http://" + name + ".localhost:" + u.Port()
}

// New returns a site with two clients, Chirp and another, that both use the
// redirect URI.
func New(t *testing.T, redirectURI string) *Site {
	t.Helper()
	s := &Site{Opened: make(chan struct{}, 64)}
	clients := []exeunt.Client{testnode.ClientAt(testnode.Chirp, redirectURI), testnode.ClientAt(testnode.Other, redirectURI)}
	for i := range clients {
		clients[i].Algorithm = "ES256" // whose keys take no time to make
	}
	s.Node = testnode.New(t, testnode.Options{Clients: clients})
	done := make(chan struct{})
	mux := http.NewServeMux()
	door := gate.New(s.Authority, s.OAuth.Registry)
	for _, path := range []string{gate.Path, gate.Path + "/"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.Gates.Add(1); door.ServeHTTP(w, r) })
	}
	api.New(api.Deps{Authority: s.Authority, SignIn: s.SignIn, Accounts: s.Accounts, OAuth: s.OAuth, Receipts: s.Receipts,
		Log: s.Log}).Mount(mux)
	stream.New(stream.Deps{
		Authority: s.Authority, Clients: s.OAuth.Registry, Now: s.Now, Done: done,
		Surface: web.Surface{Fail: api.Fail, Log: s.Log},
	}).MountBearer(mux)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Away.Load() {
			panic(http.ErrAbortHandler) // cuts the connection without an answer
		}
		for s.Mute.Load() {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		if strings.HasSuffix(r.URL.Path, "/stream") {
			s.Streams.Add(1)
			select {
			case s.Opened <- struct{}{}:
			default: // more than a test waits for
			}
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { close(done); s.Server.Close() })
	s.OAuth.Issuer = Localhost(s.Server, "exeunt")
	oidc.New(oidc.Deps{Authority: s.Authority, OAuth: s.OAuth, Languages: []string{"en"}, Log: s.Log}).Mount(mux)
	var err error
	s.Client, err = client.New(Localhost(s.Server, "exeunt"), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
