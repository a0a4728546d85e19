package chirp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
)

// authority stands for the session authority, which to Chirp is the outside
// world: it knows who a token belongs to, and when it is away.
type authority struct {
	mu     sync.Mutex
	people map[string]client.Person // by token
	nonce  string                   // of the sign-in under way
	away   bool
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	p, ok := a.people[token]
	h := w.Header()
	switch r.Method + " " + r.URL.Path {
	case "GET /gate/chirp", "GET /gate": // posts, and pages by the verifier
		if !ok {
			h.Set(client.HeaderReason, "signed_out")
			h.Set(client.HeaderEndedAt, "2026-11-23T09:00:00Z")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.Set(client.HeaderAccount, p.Account)
		h.Set(client.HeaderUser, p.Handle)
		h.Set(client.HeaderName, p.Name)
		h.Set(client.HeaderAppSession, p.AppSession)
		h.Set(client.HeaderClient, "chirp")
		h.Set(client.HeaderIdleAt, strconv.FormatInt(time.Now().Add(15*time.Minute).UnixMilli(), 10))
		h.Set(client.HeaderWarnAt, strconv.FormatInt(time.Now().Add(13*time.Minute).UnixMilli(), 10))
	case "POST /oauth/token": // the token is the code
		claims := fmt.Sprintf(`{"iss":"http://%s","aud":"chirp","nonce":"%s"}`, r.Host, a.nonce)
		fmt.Fprintf(w, `{"access_token":"%s","token_type":"Bearer","id_token":"e30.%s.c2ln"}`, r.FormValue("code"),
			base64.RawURLEncoding.EncodeToString([]byte(claims)))
	case "GET /api/v1/session":
		json.NewEncoder(w).Encode(client.Current{App: &client.AppRef{Client: "chirp"}, Session: client.Session{Kind: "shared"}})
	case "DELETE /api/v1/session":
		delete(a.people, token)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (a *authority) end(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.people, token)
}

// stage is Chirp and its authority, served.
type stage struct {
	*App
	authority *authority
	url       string
	issuer    string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{authority: &authority{people: map[string]client.Person{}}}
	behind := httptest.NewServer(s.authority)
	t.Cleanup(behind.Close)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.App.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	s.url, s.issuer = front.URL, behind.URL
	var err error
	s.App, err = New(Config{Authority: behind.URL, URL: s.url, Key: client.NewSecret("exk_chirp"), Database: filepath.Join(t.TempDir(), "chirp.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.App.Close() })
	return s
}

// browser is somebody at Chirp; the zero token is nobody.
type browser struct {
	t     *testing.T
	stage *stage
	token string
	form  string // the app session that forms name
}

// signIn lets somebody in, as if by the code flow.
func (s *stage) signIn(t *testing.T, account, handle, name string) *browser {
	s.authority.mu.Lock()
	defer s.authority.mu.Unlock()
	token := "exa_" + strings.Repeat("0", 40) + strconv.Itoa(len(s.authority.people)) + handle
	b := &browser{t, s, token, "app_" + token}
	s.authority.people[token] = client.Person{Account: account, Handle: handle, Name: name, AppSession: b.form}
	return b
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) get(path string) answer { return b.do(http.MethodGet, path, nil) }

func (b *browser) post(path string, pairs ...string) answer {
	form := url.Values{"session": {b.form}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, path, form)
}

func (b *browser) do(method, path string, form url.Values) answer {
	b.t.Helper()
	r, err := http.NewRequest(method, b.stage.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.token != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-chirp", Value: b.token})
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}
