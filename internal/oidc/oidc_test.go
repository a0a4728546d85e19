package oidc

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// TestMain keeps the library's lines out of the tests' output, as programs keep them out of their logs.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(WithoutLibrary(slog.NewTextHandler(os.Stderr, nil))))
	os.Exit(m.Run())
}

const (
	phone     = exeunt.ClientID("phone")     // public
	legacy    = exeunt.ClientID("legacy")    // sends no code_challenge
	tv        = exeunt.ClientID("tv")        // public, only for devices
	directory = exeunt.ClientID("directory") // may revoke, and signs nobody in
	verifier  = "a-verifier-that-is-long-enough-for-rfc-7636-0123"
)

func clients() []exeunt.Client {
	list := []exeunt.Client{
		testnode.ClientAt(testnode.Chirp, testnode.ChirpRedirect),
		testnode.ClientAt(testnode.Other, "http://other.localhost:8082/exeunt/callback"),
		testnode.ClientAt(phone, "http://127.0.0.1/callback"), testnode.ClientAt(legacy, "https://legacy.example.com/back"),
		{ID: tv, Name: "TV", HomeURL: "https://tv.example.com/", Auth: exeunt.ClientPublic, DeviceGrant: true},
		{ID: directory, Name: "Directory", HomeURL: "https://directory.example.com/", MayRevoke: true},
	}
	list[2].DeviceGrant, list[3].DeviceGrant = true, true
	list[2].Auth, list[3].Auth, list[3].NoPKCE = exeunt.ClientPublic, exeunt.ClientSecretPost, true
	for i := range list {
		list[i].Algorithm = "ES256" // the keys of RS256 take long to make
	}
	return list
}

// site serves the endpoints of a node, where somebody is signed in.
type site struct {
	*testnode.Node
	t       *testing.T
	mux     *http.ServeMux
	logs    *bytes.Buffer
	token   exeunt.Token
	session exeunt.Session
}

func newSite(t *testing.T) *site {
	t.Helper()
	return siteOf(t, testnode.New(t, testnode.Options{Clients: clients()}))
}

func siteOf(t *testing.T, n *testnode.Node) *site {
	t.Helper()
	s := &site{Node: n, t: t, mux: http.NewServeMux(), logs: &bytes.Buffer{}}
	New(Deps{Authority: n.Authority, OAuth: n.OAuth, Log: slog.New(slog.NewTextHandler(s.logs, nil))}).Mount(s.mux)
	s.token, s.session = n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	return s
}

// onEachEngine runs a test on a file and on a server.
func onEachEngine(t *testing.T, test func(s *site)) {
	t.Run("sqlite", func(t *testing.T) { test(newSite(t)) })
	t.Run("postgres", func(t *testing.T) {
		n := testnode.New(t, testnode.Options{Database: testpg.NewDatabase(t), Clients: []exeunt.Client{}})
		list := clients()
		for i := range list {
			if key := exeunt.NewToken(exeunt.UseClient); !list[i].Public() {
				n.Keys[list[i].ID], list[i].Keys = key, []exeunt.TokenHash{key.Hash()}
			}
		}
		if err := n.OAuth.Reconcile(t.Context(), list, n.Now()); err != nil {
			t.Fatal(err)
		}
		test(siteOf(t, n))
	})
}

// answered is the answer to a call.
type answered struct {
	t      *testing.T
	status int
	header http.Header
	body   map[string]any
	text   string
}

func (a answered) str(name string) string { s, _ := a.body[name].(string); return s }

// is checks a status and error code, "" for none.
func (a answered) is(what string, status int, code string) {
	a.t.Helper()
	if a.status != status || a.str("error") != code {
		a.t.Errorf("%s: %d %s, want %d %s", what, a.status, a.text, status, code)
	}
}

func (s *site) do(r *http.Request) answered {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	a := answered{t: s.t, status: w.Code, header: w.Header(), text: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
		s.t.Errorf("%s %s: %d %q: %v", r.Method, r.URL.Path, w.Code, w.Body, err)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		s.t.Errorf("%s %s: Cache-Control %q", r.Method, r.URL.Path, got)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		s.t.Errorf("%s %s: Content-Type %q", r.Method, r.URL.Path, got)
	}
	return a
}

func formRequest(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// post sends a form as a client.
func (s *site) post(path string, as exeunt.ClientID, form url.Values) answered {
	s.t.Helper()
	r := formRequest(path, form)
	if key, ok := s.Keys[as]; ok && !s.Client(s.t, as).Public() {
		r.SetBasicAuth(string(as), key.Reveal())
	} else {
		if !form.Has("client_id") {
			form.Set("client_id", string(as))
		}
		r = formRequest(path, form)
	}
	return s.do(r)
}

func (s *site) redirectURI(id exeunt.ClientID) string { return s.Client(s.t, id).RedirectURIs[0] }

// code grants a client a code.
func (s *site) code(id exeunt.ClientID, scopes exeunt.Scopes) string {
	s.t.Helper()
	q := oauth.CodeRequest{Client: id, RedirectURI: s.redirectURI(id), Challenge: testnode.Challenge(verifier),
		Scopes: scopes, Nonce: "n-1"}
	if id == legacy {
		q.Challenge = ""
	}
	code, err := s.OAuth.GrantCode(s.t.Context(), s.session.Account, s.session.ID, q)
	if err != nil {
		s.t.Fatal(err)
	}
	return code.Reveal()
}

func (s *site) exchange(id exeunt.ClientID, code string) url.Values {
	v := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.redirectURI(id)},
		"code_verifier": {verifier}}
	if id == legacy {
		v.Del("code_verifier")
	}
	return v
}

// signIn has a client sign in.
func (s *site) signIn(id exeunt.ClientID, scopes exeunt.Scopes) answered {
	s.t.Helper()
	a := s.post(Token, id, s.exchange(id, s.code(id, scopes)))
	if a.status != http.StatusOK {
		s.t.Fatalf("sign in to %s: %d %s", id, a.status, a.text)
	}
	return a
}

func (s *site) refresh(id exeunt.ClientID, token string) answered {
	s.t.Helper()
	return s.post(Token, id, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (s *site) userInfo(token string) answered {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, UserInfo, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return s.do(r)
}

func (s *site) state(token string) authority.State {
	s.t.Helper()
	parsed, err := exeunt.ParseToken(token)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Check(s.t.Context(), parsed).State
}

// Whoever asks about tokens all the time is told to wait, and is not told that a token is of no use; others are answered.
func TestQuestionsAboutTokensAreBounded(t *testing.T) {
	s := siteOf(t, testnode.New(t, testnode.Options{Clients: clients(), Stands: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}))
	token, other := s.signIn(testnode.Chirp, "openid").str("access_token"), s.signIn(testnode.Other, "openid").str("access_token")
	introspect := func(id exeunt.ClientID) answered {
		return s.post(Introspect, id, url.Values{"token": {token}})
	}
	for what, c := range map[string]struct {
		ask, others func() answered
		burst       int
	}{
		"introspection": {func() answered { return introspect(testnode.Chirp) }, func() answered { return introspect(testnode.Other) }, 1000},
		"userinfo":      {func() answered { return s.userInfo(token) }, func() answered { return s.userInfo(other) }, 300},
	} {
		asked := 0
		for ; asked < 2000; asked++ {
			if a := c.ask(); a.status != http.StatusOK {
				a.is(what, http.StatusTooManyRequests, "temporarily_unavailable")
				if a.header.Get("Retry-After") != "1" {
					t.Errorf("%s: Retry-After %q", what, a.header.Get("Retry-After"))
				}
				break
			}
		}
		if asked != c.burst {
			t.Errorf("%s: %d questions are answered at once", what, asked)
		}
		c.others().is(what+" of others", http.StatusOK, "")
		s.Clock.Pass(20 * time.Millisecond)
		c.ask().is(what+" later", http.StatusOK, "")
	}
}

// An app gets its tokens, may ask for new ones, learns whose they are, and signs out.
func TestTokens(t *testing.T) {
	onEachEngine(t, func(s *site) {
		for _, id := range []exeunt.ClientID{testnode.Chirp, legacy, phone} {
			first := s.signIn(id, "openid profile offline_access")
			life := int64(exeunt.DefaultTokenLife / time.Second)
			if got, _ := first.body["expires_in"].(float64); int64(got) > life || int64(got) < life-30 {
				s.t.Errorf("%s: expires in %v", id, got)
			}
			if first.str("token_type") != "Bearer" || first.str("scope") != "openid profile offline_access" ||
				first.str("id_token") == "" {
				s.t.Errorf("%s: %s", id, first.text)
			}
			second := s.refresh(id, first.str("refresh_token"))
			second.is("refresh", http.StatusOK, "")
			if second.str("access_token") == first.str("access_token") || second.str("id_token") == "" {
				s.t.Errorf("%s: %s", id, second.text)
			}
			who := s.userInfo(second.str("access_token"))
			if who.str("sub") != s.session.Account.String() || who.str("preferred_username") != "ada" ||
				who.str("name") != "Ada" || len(who.body) != 3 {
				s.t.Errorf("%s: %s", id, who.text)
			}
			s.post(Revoke, id, url.Values{"token": {second.str("refresh_token")}}).is("revoke", http.StatusOK, "")
			s.refresh(id, second.str("refresh_token")).is("refresh after a sign-out", http.StatusBadRequest, "invalid_grant")
			s.userInfo(second.str("access_token")).is("after a sign-out", http.StatusUnauthorized, "invalid_token")
		}
		// An app that does not ask to refresh has one token, which lasts as long as its session, and no ID token without openid.
		a := s.signIn(testnode.Chirp, "profile")
		if got, _ := a.body["expires_in"].(float64); got < 86400 || a.body["refresh_token"] != nil || a.body["id_token"] != nil {
			s.t.Errorf("%s", a.text)
		}
		s.SignOut(s.t, s.session)
		s.userInfo(a.str("access_token")).is("after the browser's sign-out", http.StatusUnauthorized, "invalid_token")
		if s.logs.Len() > 0 {
			s.t.Errorf("logged: %s", s.logs)
		}
	})
}
