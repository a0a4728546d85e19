package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/testnode"
)

// site serves the API of a node.
type site struct {
	*testnode.Node
	mux  *http.ServeMux
	logs *bytes.Buffer
	doc  document // what it says of itself; every answer is compared with it
}

func newSite(t *testing.T) *site { t.Helper(); return newSiteWith(t, testnode.Options{}) }

func newSiteWith(t *testing.T, o testnode.Options) *site {
	t.Helper()
	s := &site{Node: testnode.New(t, o), mux: http.NewServeMux(), logs: &bytes.Buffer{}}
	New(Deps{Authority: s.Authority, SignIn: s.SignIn, Accounts: s.Accounts, OAuth: s.OAuth, URL: "https://id.example.com",
		Receipts: s.Receipts, Log: slog.New(slog.NewTextHandler(s.logs, nil))}).Mount(s.mux)
	s.doc = s.description(t)
	return s
}

// call makes a call and decodes the answer into out, which may be nil.
func (s *site) call(t *testing.T, method, path, token, body string, out any,
	headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	s.doc.conforms(t, r, w)
	if got := w.Header().Get("Cache-Control"); got != "no-store" && path != "/api/openapi.json" {
		t.Errorf("%s %s: Cache-Control %q", method, path, got)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, w.Code, w.Body, err)
		}
	}
	return w
}

// problem makes a call that must fail.
func (s *site) problem(t *testing.T, want int, code, method, path, token, body string,
	headers ...string) client.Problem {
	t.Helper()
	var p client.Problem
	w := s.call(t, method, path, token, body, &p, headers...)
	if w.Code != want || p.Status != want || p.Code != code || p.Detail == "" ||
		w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: %d %s %s, want %d %s", method, path, w.Code, w.Header().Get("Content-Type"), w.Body, want,
			code)
	}
	if want == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("%s %s: a 401 without WWW-Authenticate", method, path)
	}
	return p
}

func signInBody(handle, password string) string {
	b, _ := json.Marshal(map[string]string{"identifier": handle, "password": password, "label": "Chirp on Pixel 8"})
	return string(b)
}

func (s *site) signed(t *testing.T, handle string) (token string, session client.Session) {
	t.Helper()
	var in client.SignedIn
	if w := s.call(t, http.MethodPost, "/api/v1/signin", "", signInBody(handle, testnode.Password),
		&in); w.Code != http.StatusCreated {
		t.Fatalf("sign in: %d %s", w.Code, w.Body)
	}
	return string(in.Token), in.Session
}

func TestSignInListAndSignOut(t *testing.T) {
	s := newSite(t)
	s.NewAccount(t, "ada")
	token, session := s.signed(t, "ada")
	if session.Kind != "app" || session.Label != "Chirp on Pixel 8" || !session.Current ||
		!slices.Equal(session.Methods, []string{"password"}) || session.Proved.IsZero() ||
		session.Proved.After(session.Started) || session.Apps == nil {
		t.Errorf("%+v", session)
	}
	if session.ExpiresAt.Sub(session.Started) != 180*24*time.Hour ||
		session.IdleAt.Sub(session.Seen) != 30*24*time.Hour || session.Started.Location() != time.UTC {
		t.Errorf("times %+v", session)
	}
	other, otherSession := s.signed(t, "ada")

	var current client.Current
	s.call(t, http.MethodGet, "/api/v1/session", token, "", &current)
	if current.Session.ID != session.ID || current.Account.Handle != "ada" || current.Account.Name != "Ada" ||
		current.App != nil {
		t.Errorf("%+v", current)
	}
	var list client.SessionList
	s.call(t, http.MethodGet, "/api/v1/sessions", token, "", &list)
	if len(list.Sessions) != 2 {
		t.Fatalf("%d sessions", len(list.Sessions))
	}
	for _, x := range list.Sessions {
		if x.Current != (x.ID == session.ID) {
			t.Errorf("current: %+v", x)
		}
	}
	if w := s.call(t, http.MethodDelete, "/api/v1/sessions/"+otherSession.ID, token, "",
		nil); w.Code != http.StatusNoContent {
		t.Fatalf("end one: %d %s", w.Code, w.Body)
	}
	p := s.problem(t, 401, "signed_out", http.MethodGet, "/api/v1/session", other, "")
	if p.Ended == nil || p.Ended.Reason != "signed_out" || p.Ended.At.IsZero() || p.Ended.ByLabel != "" {
		t.Errorf("a dead token is told %+v", p.Ended)
	}
	s.call(t, http.MethodGet, "/api/v1/sessions?state=ended", token, "", &list)
	if len(list.Sessions) != 1 || list.Sessions[0].Ended == nil ||
		list.Sessions[0].Ended.ByLabel != "Chirp on Pixel 8" || list.Sessions[0].Ended.By != "person" {
		t.Errorf("ended: %+v", list.Sessions)
	}
	for range 2 { // again: 204 too
		if w := s.call(t, http.MethodDelete, "/api/v1/session", token, "", nil); w.Code != http.StatusNoContent {
			t.Errorf("sign out: %d %s", w.Code, w.Body)
		}
	}
	s.problem(t, 401, "signed_out", http.MethodGet, "/api/v1/sessions", token, "")
}

func TestEndMany(t *testing.T) {
	s := newSite(t)
	s.NewAccount(t, "ada")
	token, session := s.signed(t, "ada")
	for range 3 {
		s.signed(t, "ada")
	}
	var n client.EndedCount
	others := func(token, key string) string {
		t.Helper()
		n = client.EndedCount{}
		if w := s.call(t, http.MethodDelete, "/api/v1/sessions?scope=others", token, "", &n, "Idempotency-Key",
			key); w.Code != http.StatusOK || n.Ended != 3 {
			t.Errorf("others: %d %s", w.Code, w.Body)
		}
		return newToken("", n)
	}
	const k1 = "a-key-that-nobody-can-guess"
	old := token
	token = others(old, k1)
	// The same key gives the first outcome again: whoever has lost the answer gets the token, and whoever has the
	// token needs no other.
	if again := others(old, k1); again != token || token == old {
		t.Errorf("the lost answer had another token")
	}
	if again := others(token, k1); again != "" {
		t.Error("repeated with the new token, it gives another one")
	}
	// With another key, the old token is a copy in somebody's hands.
	s.problem(t, 409, "renewed", http.MethodDelete, "/api/v1/sessions?scope=others", old, "", "Idempotency-Key",
		"another-key-altogether")
	for _, c := range [][2]string{{"GET", "/api/v1/session"}, {"DELETE", "/api/v1/session"}, {"GET", "/api/v1/sessions"},
		{"DELETE", "/api/v1/sessions?scope=account"}, {"DELETE", "/api/v1/sessions/" + session.ID}} {
		s.problem(t, 409, "renewed", c[0], c[1], old, "")
	}
	s.problem(t, 422, "key_reused", http.MethodDelete, "/api/v1/sessions?scope=account", token, "", "Idempotency-Key", k1)
	s.call(t, http.MethodDelete, "/api/v1/sessions?scope=account", token, "", &n)
	if n.Ended != 1 {
		t.Errorf("account: %+v", n)
	}
	s.problem(t, 401, "signed_out", http.MethodGet, "/api/v1/session", token, "")
}

// Ten at once, then one a second; a retry is told its outcome all the same.
func TestEndingsOfManyAreThrottled(t *testing.T) {
	s := newSiteWith(t, testnode.Options{Stands: time.UnixMilli(1_800_000_000_000)})
	s.NewAccount(t, "ada")
	token, session := s.signed(t, "ada")
	s.signed(t, "ada")
	const many = "/api/v1/sessions?scope=others"
	retry := func() {
		t.Helper()
		var n client.EndedCount
		if w := s.call(t, http.MethodDelete, many, token, "", &n, "Idempotency-Key", "k"); w.Code != http.StatusOK ||
			n.Ended != 1 {
			t.Errorf("with its key: %d %s", w.Code, w.Body)
		}
		token = newToken(token, n)
	}
	retry() // the first time
	for i := range 9 {
		var n client.EndedCount
		if w := s.call(t, http.MethodDelete, many, token, "", &n); w.Code != http.StatusOK {
			t.Fatalf("ending %d: %d %s", i+2, w.Code, w.Body)
		}
		token = newToken(token, n)
	}
	refused := func(wait int) {
		t.Helper()
		var p client.Problem
		w := s.call(t, http.MethodDelete, many, token, "", &p)
		if w.Code != 429 || p.Code != "endings_throttled" || p.RetryAfter != wait ||
			w.Header().Get("Retry-After") != strconv.Itoa(wait) ||
			!strings.Contains(p.Detail, "this time they were not") {
			t.Errorf("%d %+v %v", w.Code, p, w.Header())
		}
	}
	other, otherSession := s.signed(t, "ada")
	refused(1)
	s.problem(t, 429, "endings_throttled", http.MethodDelete, "/api/v1/sessions?scope=account", token, "")
	retry()
	for _, good := range []string{token, other} {
		if w := s.call(t, http.MethodGet, "/api/v1/session", good, "", nil); w.Code != http.StatusOK {
			t.Errorf("a refused ending has ended something: %d", w.Code)
		}
	}
	if w := s.call(t, http.MethodDelete, "/api/v1/sessions/"+otherSession.ID, token, "",
		nil); w.Code != http.StatusNoContent {
		t.Errorf("one session: %d %s", w.Code, w.Body)
	}
	s.Clock.Pass(999 * time.Millisecond)
	refused(1)
	s.Clock.Pass(time.Millisecond)
	var n client.EndedCount
	if w := s.call(t, http.MethodDelete, many, token, "", &n); w.Code != http.StatusOK {
		t.Errorf("a second later: %d %s", w.Code, w.Body)
	}
	token = newToken(token, n)
	refused(1)
	if w := s.call(t, http.MethodDelete, "/api/v1/session", token, "", nil); w.Code != http.StatusNoContent {
		t.Errorf("sign out of %s: %d %s", session.ID, w.Code, w.Body)
	}
	events, err := s.Store.Events(t.Context(), 2, 100) // after those of the two clients
	if err != nil || len(events) != 24 {
		t.Errorf("%d events, %v: 11 of many, each with a new token, and 2 of one", len(events), err)
	}
}

func TestRefusals(t *testing.T) {
	s := newSite(t)
	_, foreign := s.NewSession(t, s.NewAccount(t, "grace"), exeunt.KindApp)
	proof := s.NewAccount(t, "ada")
	pair, browser := s.NewSession(t, proof, exeunt.KindKept)
	app, who := s.NewAppSession(t, browser, testnode.Chirp)
	token, _ := s.signed(t, "ada")
	for name, c := range map[string]struct {
		status                          int
		code, method, path, token, body string
	}{
		"no token":             {401, "signed_out", "GET", "/api/v1/session", "", ""},
		"no token to sign out": {401, "signed_out", "DELETE", "/api/v1/session", "", ""},
		"malformed token":      {401, "signed_out", "DELETE", "/api/v1/session", "exs_x", ""},
		"a code as token": {401, "signed_out", "DELETE", "/api/v1/session",
			exeunt.NewToken(exeunt.UseCode).Reveal(), ""},
		"a browser's token":        {401, "signed_out", "GET", "/api/v1/session", pair.Reveal(), ""},
		"a browser's token to end": {401, "signed_out", "DELETE", "/api/v1/session", pair.Reveal(), ""},
		"an app's token lists":     {403, "forbidden", "GET", "/api/v1/sessions", app.Reveal(), ""},
		"an app's token ends its own": {403, "forbidden", "DELETE", "/api/v1/sessions/" + browser.ID.String(),
			app.Reveal(), ""},
		"an app's token ends all": {403, "forbidden", "DELETE", "/api/v1/sessions?scope=account", app.Reveal(),
			""},
		"a foreign session": {404, "not_found", "DELETE", "/api/v1/sessions/" + foreign.ID.String(), token,
			""},
		"an unknown session": {404, "not_found", "DELETE",
			"/api/v1/sessions/" + exeunt.NewSessionID().String(), token, ""},
		"no session's name":     {404, "not_found", "DELETE", "/api/v1/sessions/x", token, ""},
		"an app session's name": {404, "not_found", "DELETE", "/api/v1/sessions/" + who.App.String(), token, ""},
		"no scope":              {422, "bad_request", "DELETE", "/api/v1/sessions", token, ""},
		"the scope of one":      {422, "bad_request", "DELETE", "/api/v1/sessions?scope=session", token, ""},
		"no such state":         {422, "bad_request", "GET", "/api/v1/sessions?state=all", token, ""},
		"wrong password": {401, "wrong_credentials", "POST", "/api/v1/signin", "",
			signInBody("ada", "wrong")},
		"unknown account": {401, "wrong_credentials", "POST", "/api/v1/signin", "",
			signInBody("nobody", "wrong")},
		"no JSON":            {400, "bad_request", "POST", "/api/v1/signin", "", "{"},
		"an empty body":      {400, "bad_request", "POST", "/api/v1/signin", "", ""},
		"a missing password": {422, "bad_request", "POST", "/api/v1/signin", "", `{"identifier":"ada"}`},
		"a body too long": {413, "bad_request", "POST", "/api/v1/signin", "",
			`{"identifier":"` + strings.Repeat("a", maxBody) + `"}`},
		"another method":               {405, "method_not_allowed", "GET", "/api/v1/signin", "", ""},
		"no token, before the rest":    {401, "signed_out", "DELETE", "/api/v1/sessions", "", ""},
		"no such call":                 {404, "not_found", "GET", "/api/v1/nothing", "", ""},
		"no such call beside the rest": {404, "not_found", "GET", "/api/", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.problem(t, c.status, c.code, c.method, c.path, c.token, c.body)
		})
	}
	if ans := s.Check(t.Context(), pair); !ans.Usable() {
		t.Error("the browser's session was ended by a refused call")
	}
}

func TestAProblemQuotesNoSecret(t *testing.T) {
	s := newSite(t)
	secret := strings.Repeat("secret", 200)
	var p client.Problem
	w := s.call(t, http.MethodPost, "/api/v1/signin", "", signInBody("ada", secret), &p)
	if w.Code != 422 || len(p.Fields) != 1 || p.Fields[0].Field != "password" {
		t.Errorf("%d %+v", w.Code, p)
	}
	if strings.Contains(w.Body.String(), "secret") || strings.Contains(s.logs.String(), "secret") {
		t.Errorf("a password is quoted: %s %s", w.Body, s.logs)
	}
}

func TestThrottling(t *testing.T) {
	s := newSite(t)
	s.NewAccount(t, "ada")
	for range 100 {
		var p client.Problem
		w := s.call(t, http.MethodPost, "/api/v1/signin", "", signInBody("ada", "wrong"), &p)
		if w.Code == http.StatusTooManyRequests {
			if p.Code != "throttled" || p.RetryAfter <= 0 || w.Header().Get("Retry-After") == "" {
				t.Errorf("%+v %v", p, w.Header())
			}
			return
		}
	}
	t.Error("a hundred wrong passwords were not throttled")
}

func TestDisabledAccount(t *testing.T) {
	s := newSite(t)
	proof := s.NewAccount(t, "ada")
	token, _ := s.signed(t, "ada")
	if _, err := s.Disable(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, proof.Account); err != nil {
		t.Fatal(err)
	}
	if p := s.problem(t, 401, "signed_out", http.MethodGet, "/api/v1/session", token, ""); p.Ended == nil ||
		p.Ended.Reason != "account_disabled" {
		t.Errorf("%+v", p.Ended)
	}
	s.problem(t, 403, "account_disabled", http.MethodPost, "/api/v1/signin", "", signInBody("ada", testnode.Password))
}

func TestAppSession(t *testing.T) {
	s := newSite(t)
	_, browser := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindShared)
	s.NewAppSession(t, browser, testnode.Other)
	token, who := s.NewAppSession(t, browser, testnode.Chirp)
	var got client.Current
	if w := s.call(t, http.MethodGet, "/api/v1/session", token.Reveal(), "", &got); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got.App == nil || got.App.Client != "chirp" || got.App.ID != who.App.String() || got.Account.Handle != "ada" || got.Session.ID != browser.ID.String() ||
		got.Session.Kind != "shared" {
		t.Errorf("%+v", got)
	}
	if len(got.Session.Apps) != 1 || got.Session.Apps[0].ID != got.App.ID || got.Session.Apps[0].Name != "Chirp" {
		t.Errorf("an app is shown other apps: %+v", got.Session.Apps)
	}
	// Only this app: the browser stays signed in.
	if w := s.call(t, http.MethodDelete, "/api/v1/session", token.Reveal(), "",
		nil); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.problem(t, 401, "signed_out", http.MethodGet, "/api/v1/session", token.Reveal(), "")
	if one, err := s.Session(t.Context(), browser.Account, browser.ID); err != nil || one.End != nil {
		t.Errorf("the browser's session: %+v, %v", one, err)
	}
}

// An app on a person's device has its session for itself alone, and signs out of it.
func TestAnAppsOwnSessionEndsWithItsSignOut(t *testing.T) {
	phone := testnode.ClientAt("phone", "http://127.0.0.1/back")
	phone.Auth = exeunt.ClientPublic
	s := newSiteWith(t, testnode.Options{Clients: []exeunt.Client{phone}})
	_, browser := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	token, who := s.NewAppSession(t, browser, "phone")
	for range 2 {
		if w := s.call(t, http.MethodDelete, "/api/v1/session", token.Reveal(), "", nil); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	for id, ended := range map[exeunt.SessionID]bool{who.Session: true, browser.ID: false} {
		if v, err := s.Session(t.Context(), browser.Account, id); err != nil || (v.End != nil) != ended {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

func TestUnavailable(t *testing.T) {
	s := newSite(t)
	s.NewAccount(t, "ada")
	token, _ := s.signed(t, "ada")
	s.Store.Close()
	for _, c := range [][2]string{{"GET", "/api/v1/sessions"}, {"DELETE", "/api/v1/session"}} {
		if p := s.problem(t, 503, "unavailable", c[0], c[1], token, ""); p.RetryAfter != 1 {
			t.Errorf("%+v", p)
		}
	}
}

// The list comes in pages, each tells how many there are, and the SDK reads all of them.
func TestSessionsComeInPages(t *testing.T) {
	s := newSite(t)
	p := s.NewAccount(t, "ada")
	token, _ := s.signed(t, "ada")
	const many = 230
	for range many - 1 {
		s.NewSession(t, p, exeunt.KindKept)
	}
	seen := map[string]bool{}
	pages := 0
	for after := ""; pages == 0 || after != ""; pages++ {
		var page client.SessionList
		s.call(t, http.MethodGet, "/api/v1/sessions?limit=100&after="+url.QueryEscape(after), token, "", &page)
		if page.Total != many || len(page.Sessions) > 100 {
			t.Errorf("a page of %d says that there are %d", len(page.Sessions), page.Total)
		}
		for _, v := range page.Sessions {
			seen[v.ID] = true
			if v.AppCount != 0 || v.LastAddress != v.Address {
				t.Errorf("%+v", v)
			}
		}
		after = page.Next
	}
	if len(seen) != many || pages != 3 {
		t.Errorf("%d sessions on %d pages", len(seen), pages)
	}
	var n client.EndedCount
	if w := s.call(t, http.MethodDelete, "/api/v1/sessions?scope=others", token, "", &n); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	token = newToken(token, n)
	var ended client.SessionList
	s.call(t, http.MethodGet, "/api/v1/sessions?state=ended&limit=2", token, "", &ended)
	if ended.Total != many-1 || len(ended.Sessions) != 2 || ended.Next == "" {
		t.Errorf("%d of %d have ended", len(ended.Sessions), ended.Total)
	}
	s.problem(t, 400, "bad_request", http.MethodGet, "/api/v1/sessions?after=x", token, "")
	s.problem(t, 422, "bad_request", http.MethodGet, "/api/v1/sessions?limit=501", token, "")
}

// newToken returns the token that an answer gives instead of the old one, if it does.
func newToken(old string, n client.EndedCount) string {
	if n.Token == "" {
		return old
	}
	return n.Token.Secret().Reveal()
}

// An account with a second step gets a session only for both, and the challenge of one surface starts nothing of another.
func TestASecondStep(t *testing.T) {
	s := newSite(t)
	account := s.NewAccount(t, "ada")
	token, session := s.signed(t, "ada")
	first, err := exeunt.ParseToken(token)
	must(t, err)
	id, err := exeunt.ParseSessionID(session.ID)
	must(t, err)
	secret, codes := s.GiveApp(t, exeunt.Actor{Kind: exeunt.ActorPerson, Account: account.Account, Session: id}, first, 1)
	ask := func() string {
		var p client.Problem
		w := s.call(t, http.MethodPost, "/api/v1/signin", "", signInBody("ada", testnode.Password), &p)
		if w.Code != http.StatusUnauthorized || p.Code != "factor_required" || p.Challenge == nil ||
			strings.Join(p.Challenge.Methods, " ") != "totp recovery_code" || !p.Challenge.Expires.After(s.Now()) {
			t.Fatalf("%d %+v", w.Code, p)
		}
		return string(p.Challenge.Token)
	}
	answer := func(challenge, code string) (*httptest.ResponseRecorder, client.Problem, client.SignedIn) {
		body, err := json.Marshal(map[string]string{"challenge": challenge, "code": code, "label": "Chirp on Pixel 8"})
		must(t, err)
		w := s.call(t, http.MethodPost, "/api/v1/signin/answer", "", string(body), nil)
		var p client.Problem
		var in client.SignedIn
		must(t, json.Unmarshal(w.Body.Bytes(), &p))
		must(t, json.Unmarshal(w.Body.Bytes(), &in))
		return w, p, in
	}
	challenge := ask()
	if w, p, _ := answer(challenge, "000"); w.Code != http.StatusUnprocessableEntity || p.Code != "wrong_code" {
		t.Errorf("a wrong code: %d %+v", w.Code, p)
	}
	code := factor.Code(secret, factor.Step(s.Now()))
	w, _, in := answer(challenge, code)
	if w.Code != http.StatusCreated || in.Session.Label != "Chirp on Pixel 8" ||
		strings.Join(in.Session.Methods, " ") != "password totp" {
		t.Fatalf("%d %+v", w.Code, in)
	}
	if w, p, _ := answer(challenge, code); w.Code != http.StatusUnauthorized || p.Code != "challenge_over" {
		t.Errorf("the same answer again: %d %+v", w.Code, p)
	}
	if w, p, _ := answer(ask(), code); w.Code != http.StatusUnprocessableEntity || p.Code != "code_used" {
		t.Errorf("the same code for another challenge: %d %+v", w.Code, p)
	}
	if w, _, in := answer(ask(), codes[0].Reveal()); w.Code != http.StatusCreated ||
		strings.Join(in.Session.Methods, " ") != "password recovery_code" {
		t.Errorf("a recovery code: %d %+v", w.Code, in)
	}
	step, err := s.SignIn.Password(t.Context(), "ada", testnode.Password, netip.Addr{})
	_, err = s.SignIn.Ask(t.Context(), "a browser's form", step, err)
	var more *exeunt.FactorRequiredError
	if !errors.As(err, &more) {
		t.Fatal(err)
	}
	if w, p, _ := answer(more.Challenge.Reveal(), codes[1].Reveal()); w.Code != http.StatusUnauthorized ||
		p.Code != "challenge_over" {
		t.Errorf("a browser's challenge: %d %+v", w.Code, p)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
