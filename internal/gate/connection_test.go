package gate

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

func serve(tb testing.TB, h http.Handler) *httptest.Server {
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return s
}

// connection asks over and over and allocates nothing itself.
type connection struct {
	net.Conn
	answers *bufio.Reader
}

func dial(tb testing.TB, s *httptest.Server) *connection {
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return &connection{c, bufio.NewReader(c)}
}

// ask sends a request and reads an answer without a body. It reports whether
// the answer has a line.
func (c *connection) ask(tb testing.TB, request []byte, line string) (has bool) {
	if _, err := c.Write(request); err != nil {
		tb.Error(err)
		return false
	}
	for {
		got, err := c.answers.ReadSlice('\n')
		if err != nil {
			tb.Error(err)
			return false
		}
		has = has || string(got) == line
		if string(got) == "\r\n" {
			return has
		}
	}
}

func requestText(token exeunt.Token) string {
	return "GET /gate/chirp HTTP/1.1\r\nHost: x\r\n" + client.HeaderActivity + ": no\r\nCookie: theme=dark; " +
		"__Host-chirp=" + token.Reveal() + "\r\n\r\n"
}

func nothing(http.ResponseWriter, *http.Request) {}

// For a known token little more is allocated than net/http takes for as many headers
// that are ready: the text of those that are about the session.
func TestGateAllocatesLittle(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	_, browser := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	token, _ := n.NewAppSession(t, browser, testnode.Chirp)
	g := New(n.Authority, n.OAuth.Registry)
	ready := ask(g, withBearer(token)).Header()
	allocations := func(h http.Handler) float64 {
		c, request := dial(t, serve(t, h)), []byte(requestText(token))
		const times = 100 // by which the whole number is divided
		return testing.AllocsPerRun(10, func() {
			for range times {
				if !c.ask(t, request, "Remote-User: ada\r\n") {
					t.Fatal("not admitted")
				}
			}
		}) / times
	}
	const texts = 3.5 // and half of one for pools, which the race detector empties
	gate, least := allocations(g),
		allocations(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { maps.Copy(w.Header(), ready) }))
	if gate > least+texts {
		t.Errorf("%.2f allocations, and %.2f for ready headers", gate, least)
	}
}

// What an answer holds, over a real connection. Nobody's name can end a header.
func TestGateAnswersOverAConnection(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	proof := n.NewAccount(t, "ada")
	_, browser := n.NewSession(t, proof, exeunt.KindKept)
	token, _ := n.NewAppSession(t, browser, testnode.Chirp)
	phone, s := n.NewSession(t, proof, exeunt.KindApp)
	gone, ended := n.NewSession(t, proof, exeunt.KindApp)
	n.SignOut(t, ended)
	name := " Ada\r\nRemote-User: mallory\n Lovelace\t"
	n.Live.SetProfile(s.Account, exeunt.Profile{Version: 1 << 20, Handle: "ada", Name: name, Email: "ada@example.com"})
	server := serve(t, g)
	for name, c := range map[string]struct {
		set    func(http.Header)
		status int
		names  int
	}{
		"an app's session":     {withBearer(token), http.StatusOK, 14},
		"a session of its own": {withBearer(phone), http.StatusOK, 14},
		"a caching client":     {withKey(n.Keys[testnode.Chirp], withBearer(token)), http.StatusOK, 20},
		"ended":                {withBearer(gone), http.StatusUnauthorized, 6},
		"nobody's key":         {withKey(exeunt.NewToken(exeunt.UseClient), withBearer(token)), http.StatusForbidden, 4},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/gate", nil)
			c.set(r.Header)
			r.Header.Set(client.HeaderActivity, "no")
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); resp.StatusCode != c.status || len(body) != 0 || err != nil {
				t.Fatalf("status %d, %q, %v", resp.StatusCode, body, err)
			}
			h := resp.Header
			if at, err := http.ParseTime(h.Get("Date")); err != nil || n.Now().Sub(at).Abs() > time.Minute {
				t.Errorf("the date is not the authority's: %v, %v", at, err)
			}
			if len(h) != c.names {
				t.Errorf("%d headers: %v", len(h), h)
			}
			if c.status == http.StatusOK && (h.Get(client.HeaderName) != "Ada  Remote-User: mallory  Lovelace" ||
				len(h[client.HeaderUser]) != 1) {
				t.Errorf("%v", h)
			}
		})
	}
}

// Whatever comes before and after on a connection, and meanwhile on others, an
// answer is about whoever asked.
func TestGateAnswersAboutWhoeverAsked(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	g := New(n.Authority, n.OAuth.Registry)
	mux := http.NewServeMux()
	mux.Handle("/gate/", g)
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "other") })
	mux.HandleFunc("/nothing", nothing)
	s := serve(t, mux)
	type question struct {
		method, text, user string
		status             int
	}
	questions := []question{
		{"GET", "GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "", http.StatusOK},
		{"GET", "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "", http.StatusOK},
		{"GET", requestText(exeunt.NewToken(exeunt.UseApp)), "", http.StatusUnauthorized},
	}
	for i := range 6 {
		user := fmt.Sprint("user", i)
		_, browser := n.NewSession(t, n.NewAccount(t, user), exeunt.KindKept)
		token, _ := n.NewAppSession(t, browser, testnode.Chirp)
		text := requestText(token)
		head, _ := strings.CutPrefix(text, "GET")
		post := "POST" + strings.TrimSuffix(head, "\r\n") + "Content-Length: 4\r\n\r\nbody"
		caching := strings.TrimSuffix(text, "\r\n") + client.HeaderClientKey + ": " +
			n.Keys[testnode.Chirp].Reveal() + "\r\n\r\n"
		stranger := strings.TrimSuffix(text, "\r\n") + client.HeaderClient + ": another\r\n\r\n"
		questions = append(questions,
			question{"GET", text, user, http.StatusOK}, question{"HEAD", "HEAD" + head, user, http.StatusOK},
			question{"POST", post, user, http.StatusOK},
			question{"GET", caching, user, http.StatusOK}, question{"GET", stranger, "", http.StatusUnauthorized})
	}
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			c, random := dial(t, s), rand.New(rand.NewPCG(seed, 0))
			for range 30 {
				asked := make([]question, 1+random.IntN(12))
				var text strings.Builder
				for i := range asked {
					asked[i] = questions[random.IntN(len(questions))]
					text.WriteString(asked[i].text)
				}
				if _, err := io.WriteString(c, text.String()); err != nil {
					t.Error(err)
					return
				}
				for _, q := range asked {
					resp, err := http.ReadResponse(c.answers, &http.Request{Method: q.method})
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					if got := resp.Header[client.HeaderUser]; resp.StatusCode != q.status || len(got) > 1 ||
						resp.Header.Get(client.HeaderUser) != q.user {
						t.Errorf("%q: status %d, %q, wanted %d, %q", q.text, resp.StatusCode, got, q.status, q.user)
					}
				}
			}
		})
	}
	wg.Wait()
}
