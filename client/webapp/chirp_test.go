package webapp_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
	"github.com/exeunt/exeunt/client/webapp"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
)

// chirpApp is an app behind the middleware.
type chirpApp struct {
	*testsite.Site
	app      *webapp.App
	verifier *verify.Verifier // nil unless a test sets one
	server   *httptest.Server
	url      string
	posted   atomic.Int32
	open     atomic.Int32 // answers that stay open
	closed   chan closing
}

// closing says when and why the app has closed an answer that stays open.
type closing struct {
	at  time.Time
	why error
}

func newChirp(t *testing.T) *chirpApp {
	t.Helper()
	return newChirpWith(t, func(s *testsite.Site) client.Secret {
		return client.NewSecret(s.Keys[testnode.Chirp].Reveal())
	})
}

func newChirpWith(t *testing.T, key func(*testsite.Site) client.Secret) *chirpApp {
	t.Helper()
	var handler http.Handler
	c := &chirpApp{closed: make(chan closing, 1000), server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
	}))}
	c.url = testsite.Localhost(c.server, "chirp")
	c.Site = testsite.New(t, c.url+"/exeunt/callback")
	var err error
	c.app, err = webapp.New(webapp.Config{
		Client: c.Client, ID: "chirp", Key: key(c.Site), Name: "Chirp", URL: c.url, Log: c.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		p, ok := webapp.Who(r.Context())
		if !ok {
			io.WriteString(w, "welcome "+r.Header.Get("Remote-User")+r.Header.Get("Exeunt-Account"))
			return
		}
		io.WriteString(w, "private page of "+p.Handle)
	})
	mux.Handle("POST /post", c.app.RequirePerson(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.posted.Add(1)
		io.WriteString(w, "posted "+r.PostFormValue("text"))
	})))
	mux.HandleFunc("GET /live", c.live)
	handler = c.app.Middleware(mux)
	t.Cleanup(func() { c.app.Close(); c.server.Close() })
	return c
}

// live keeps its answer open until the session ends: as a socket if it is asked for one, otherwise as an event stream.
func (c *chirpApp) live(w http.ResponseWriter, r *http.Request) {
	ctx, stop := c.app.UntilEnd(r)
	defer stop()
	if r.Header.Get("Upgrade") != "" {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	} else {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
	}
	c.open.Add(1)
	defer c.open.Add(-1)
	<-ctx.Done()
	c.closed <- closing{time.Now(), context.Cause(ctx)}
}

// browser keeps cookies as a browser does and follows no redirect by itself.
type browser struct {
	t       *testing.T
	app     *chirpApp
	http    *http.Client
	cookies map[string]string
}

func (c *chirpApp) browser(t *testing.T) *browser {
	b := &browser{t: t, app: c, cookies: map[string]string{}, http: &http.Client{
		Transport:     client.NewTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

// newSignedIn is a Chirp and a browser that is signed in to it by a kept session.
func newSignedIn(t *testing.T) (*chirpApp, *browser, exeunt.Session) {
	t.Helper()
	c := newChirp(t)
	b := c.browser(t)
	_, s := c.NewSession(t, c.NewAccount(t, "ada"), exeunt.KindKept)
	b.signIn(s, "/")
	return c, b, s
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	for name, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: v})
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
			b.t.Errorf("cookie %s is not set as it must be: %+v", c.Name, c)
		}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	body, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (b *browser) request(method, path string, body io.Reader) *http.Request {
	b.t.Helper()
	r, err := http.NewRequest(method, b.app.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	r := b.request(http.MethodGet, path, nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	return b.do(r)
}

func (b *browser) post(path string, form url.Values) answer {
	b.t.Helper()
	r := b.request(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	return b.do(r)
}

// signIn goes through the code flow; what the person does at the authority's
// pages is done by the authority itself.
func (b *browser) signIn(s exeunt.Session, back string) answer {
	b.t.Helper()
	out := b.get("/exeunt/sign-in?return=" + url.QueryEscape(back))
	return b.get(b.granted(s, out))
}

// granted returns the callback's path for a redirect to the authority.
func (b *browser) granted(s exeunt.Session, out answer) string {
	b.t.Helper()
	to, err := url.Parse(out.header.Get("Location"))
	if err != nil || out.status != http.StatusSeeOther || to.Path != "/authorize" {
		b.t.Fatalf("sign-in: %d, Location %q", out.status, out.header.Get("Location"))
	}
	q := to.Query()
	code, err := b.app.OAuth.GrantCode(context.Background(), s.Account, s.ID, oauth.CodeRequest{
		Client: exeunt.ClientID(q.Get("client_id")), RedirectURI: q.Get("redirect_uri"),
		Challenge: q.Get("code_challenge"), Scopes: exeunt.ParseScopes(q.Get("scope")), Nonce: q.Get("nonce"),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return "/exeunt/callback?" + url.Values{"code": {code.Reveal()}, "state": {q.Get("state")},
		"iss": {b.app.Client.Issuer()}}.Encode()
}

func (b *browser) token() client.Secret { return client.NewSecret(b.cookies["__Host-chirp"]) }

func (b *browser) appSession() string {
	b.t.Helper()
	p, err := b.app.Client.For("chirp").Check(context.Background(), b.token(), false)
	if err != nil {
		b.t.Fatal(err)
	}
	return p.AppSession
}
