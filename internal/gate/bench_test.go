package gate

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/web"
)

// The gate's handler by itself.
func BenchmarkGateHandler(b *testing.B) {
	g, token := benchGate(b)
	r := onConnection(b, gateRequest(token))
	b.ReportAllocs()
	w := &reused{h: http.Header{}}
	for b.Loop() {
		g.ServeHTTP(w, r)
	}
}

// The gate behind a real server, to be compared with BenchmarkEmpty.
func BenchmarkGate(b *testing.B) {
	g, token := benchGate(b)
	overNetwork(b, g, token)
}

// An empty handler behind the same server: what net/http itself costs.
func BenchmarkEmpty(b *testing.B) {
	_, token := benchGate(b)
	overNetwork(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) }), token)
}

func benchGate(b *testing.B) (*Gate, exeunt.Token) {
	n := testnode.New(b, testnode.Options{})
	_, browser := n.NewSession(b, n.NewAccount(b, "ada"), exeunt.KindKept)
	token, ans := n.NewAppSession(b, browser, testnode.Chirp)
	if !ans.Usable() {
		b.Fatal("not usable")
	}
	return New(n.Authority), token
}

func gateRequest(token exeunt.Token) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/gate", nil)
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	r.Header.Set(client.HeaderActivity, "no")
	return r
}

func overNetwork(b *testing.B, h http.Handler, token exeunt.Token) {
	s := httptest.NewUnstartedServer(h)
	s.Listener = web.TakeLines(s.Config, s.Listener)
	s.Start()
	defer s.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
		defer c.CloseIdleConnections()
		r := gateRequest(token)
		r.RequestURI = ""
		r.URL.Scheme, r.URL.Host = "http", s.Listener.Addr().String()
		for pb.Next() {
			resp, err := c.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			resp.Body.Close()
		}
	})
}
