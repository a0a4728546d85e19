package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
)

func signedIn(t *testing.T, s *testsite.Site, handle string) (client.Secret, client.Session) {
	t.Helper()
	token, session, err := s.Client.SignIn(t.Context(), client.SignIn{Identifier: handle, Password: testnode.Password,
		Label: "Chirp on Pixel 8"})
	if err != nil {
		t.Fatal(err)
	}
	return token, session
}

func TestCalls(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	s.NewAccount(t, "ada")
	ctx := t.Context()
	token, session := signedIn(t, s, "ada")
	_, second := signedIn(t, s, "ada")
	signedIn(t, s, "ada")
	if cur, err := s.Client.Current(ctx, token); err != nil || cur.Session.ID != session.ID ||
		cur.Account.Handle != "ada" {
		t.Errorf("%+v, %v", cur, err)
	}
	if err := s.Client.EndSession(ctx, token, second.ID, "key"); err != nil {
		t.Error(err)
	}
	if err := s.Client.EndSession(ctx, token, exeunt.NewSessionID().String(), ""); client.CodeOf(err) != "not_found" {
		t.Error(err)
	}
	old := token
	n, token, err := s.Client.EndSessions(ctx, old, client.Others, "")
	if err != nil || n != 1 || token == old {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := s.Client.Current(ctx, old); client.CodeOf(err) != "renewed" || errors.Is(err, client.ErrSignedOut) {
		t.Errorf("the old token: %v", err)
	}
	if list, err := all(s.Client.Sessions(ctx, token, false)); err != nil || len(list) != 1 || !list[0].Current {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := all(s.Client.Sessions(ctx, token, true)); err != nil || len(list) != 2 || list[0].Ended == nil {
		t.Errorf("%+v, %v", list, err)
	}
	for range 2 {
		if err := s.Client.End(ctx, token); err != nil {
			t.Error(err)
		}
	}
	_, err = s.Client.Current(ctx, token)
	var p *client.Problem
	if !errors.Is(err, client.ErrSignedOut) || !errors.As(err, &p) || p.Ended == nil || p.Ended.Reason != "signed_out" {
		t.Errorf("%v, %+v", err, p)
	}
	if _, _, err := s.Client.SignIn(ctx, client.SignIn{Identifier: "ada",
		Password: "wrong"}); client.CodeOf(err) != "wrong_credentials" || errors.Is(err, client.ErrSignedOut) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	s.NewAccount(t, "ada")
	token, session := signedIn(t, s, "ada")
	p, err := s.Client.Check(t.Context(), token, false)
	if err != nil || p.Handle != "ada" || p.Session != session.ID || p.AppSession != "" ||
		!p.IdleAt.Equal(session.IdleAt) || p.IdleAt.Sub(p.WarnAt) != 2*time.Minute {
		t.Errorf("%+v, %v", p, err)
	}
	if st, err := s.Client.State(t.Context(), token); err != nil || st.State != client.Live ||
		st.Session != session.ID {
		t.Errorf("%+v, %v", st, err)
	}
	s.Client.End(t.Context(), token)
	_, err = s.Client.Check(t.Context(), token, false)
	var ended *client.EndedError
	if !errors.Is(err, client.ErrSignedOut) || !errors.As(err, &ended) || ended.Reason != "signed_out" ||
		ended.At.IsZero() {
		t.Errorf("%v", err)
	}
	if st, err := s.Client.State(t.Context(), token); err != nil || st.State != client.Over ||
		st.Reason != "signed_out" {
		t.Errorf("%+v, %v", st, err)
	}
	s.Server.Close()
	if _, err := s.Client.Check(t.Context(), token, false); !errors.Is(err, client.ErrUnavailable) ||
		errors.Is(err, client.ErrSignedOut) {
		t.Error(err)
	}
	if st, err := s.Client.State(t.Context(), token); !errors.Is(err, client.ErrUnavailable) ||
		st.State != client.Unknown {
		t.Errorf("%+v, %v", st, err)
	}
}

// What something in between answers says nothing about the session.
func TestAnswersFromInBetween(t *testing.T) {
	var h atomic.Pointer[http.HandlerFunc]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*h.Load())(w, r) }))
	defer server.Close()
	answer := func(f http.HandlerFunc) { h.Store(&f) }
	c, err := client.New(server.URL, client.Options{CheckTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	defer close(hang)
	for name, in := range map[string]http.HandlerFunc{
		"a captive portal's page": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "<html>Welcome to the train")
		},
		"a proxy's 401": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(401)
			fmt.Fprint(w, "no")
		},
		"a proxy's 502": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", 302)
		},
		"silence": func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
	} {
		answer(in)
		if _, err := c.Check(t.Context(), client.NewSecret("x"), false); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("%s: Check: %v", name, err)
		}
		if st, err := c.State(t.Context(), client.NewSecret("x")); st.State != client.Unknown ||
			!errors.Is(err, client.ErrUnavailable) {
			t.Errorf("%s: State: %+v %v", name, st, err)
		}
	}
	answer(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"token":"exs_secret",`)
	})
	if _, _, err := c.SignIn(t.Context(), client.SignIn{}); !errors.Is(err, client.ErrUnavailable) ||
		strings.Contains(err.Error(), "exs_") {
		t.Errorf("half an answer: %v", err)
	}
	answer(func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte(" "), 2<<20)) })
	if _, err := c.Current(t.Context(), client.NewSecret("x")); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("an endless answer: %v", err)
	}
}

// Only the authority's own answer confirms a sign-out.
func TestNoAnswerFromInBetweenConfirmsASignOut(t *testing.T) {
	status, kind, body := 0, "", ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer server.Close()
	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]struct {
		status     int
		kind, body string
	}{
		"a portal's page":      {200, "text/html", "<html>Welcome to the train"},
		"a portal's JSON":      {200, "application/json", "{}"},
		"an empty 200":         {200, "", ""},
		"a queue's 202":        {202, "application/json", `{"queued":true}`},
		"a rewritten 205":      {205, "", ""},
		"a proxy's 401":        {401, "application/json", `{"code":"signed_out"}`},
		"a proxy's 404":        {404, "text/html", "not here"},
		"a redirect elsewhere": {302, "text/html", ""},
	} {
		status, kind, body = in.status, in.kind, in.body
		kept := client.TokenFile{Dir: t.TempDir()}
		if err := kept.Save(client.NewSecret("exs_00000000000000000000")); err != nil {
			t.Fatal(err)
		}
		_, _, many := c.EndSessions(t.Context(), client.NewSecret("x"), client.Everywhere, "")
		for what, err := range map[string]error{
			"End": c.End(t.Context(), client.NewSecret("x")), "EndSession": c.EndSession(t.Context(),
				client.NewSecret("x"), "ses_x", ""), "EndSessions": many,
		} {
			if err == nil {
				t.Errorf("%s: %s takes it for a sign-out", name, what)
			}
			if in.status < 400 && !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		if err := c.SignOut(t.Context(), kept); !errors.Is(err, client.ErrPending) {
			t.Errorf("%s: SignOut: %v", name, err)
		}
	}
}

func TestNewRefusesPlainHTTPBeyondThisMachine(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://id.example": true, "http://exeunt.localhost:8080": true, "http://127.0.0.1:1": true,
		"http://[::1]:1":    true,
		"http://id.example": false, "http://localhost.example": false, "ftp://id.example": false, "id.example": false,
		"https://u:p@id.example": false, "": false,
	} {
		if _, err := client.New(address, client.Options{}); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := client.New("http://id.internal", client.Options{AllowPlainHTTP: true}); err != nil {
		t.Error(err)
	}
}

func TestNoSecretPrints(t *testing.T) {
	const text = "exs_VeryVerySecret"
	secret := client.NewSecret(text)
	hidden := struct {
		inner client.Secret
		list  []client.Secret
	}{secret, []client.Secret{secret}}
	bodies := []any{client.SignedIn{Token: text}, client.SignIn{Password: text},
		client.CodeGrant{Key: secret, Code: secret, Verifier: secret}}
	for _, v := range append(bodies, secret, &secret, hidden, &hidden, []client.Secret{secret},
		map[string]client.Secret{"a": secret}, client.Sent(text)) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "Secret\"") || strings.Contains(got, text) ||
				strings.Contains(got, fmt.Sprintf("%x", text)) {
				t.Errorf("%s of %T prints %s", verb, v, got)
			}
		}
	}
	for _, v := range []any{secret, hidden, map[string]any{"a": secret}} {
		if b, _ := json.Marshal(v); strings.Contains(string(b), text) {
			t.Errorf("%T marshals as %s", v, b)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "sent", client.Sent(text), "inside", hidden)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "sent", client.Sent(text), "body", bodies[0])
	if strings.Contains(log.String(), text) {
		t.Errorf("logged: %s", &log)
	}
	if b, err := json.Marshal(client.SignedIn{Token: text}); err != nil || !strings.Contains(string(b), text) {
		t.Errorf("a body does not carry its secret: %s, %v", b, err)
	}
	if secret.Reveal() != text || !(client.Secret{}).IsZero() || client.NewSecret("").Reveal() != "" {
		t.Error("Reveal")
	}
}

func TestStateOnTheWire(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for want, s := range map[string]client.State{
		`{"state":"live","session":"ses_x","warnIn":0,"idleIn":1500}`: {State: client.Live, Session: "ses_x",
			WarnIn: -time.Second, IdleIn: 1500 * time.Millisecond},
		`{"state":"live","session":"ses_x","warnIn":0,"idleIn":1500,"shared":true}`: {State: client.Live, Session: "ses_x",
			IdleIn: 1500 * time.Millisecond, Shared: true},
		`{"state":"ended","reason":"idle","at":"2026-11-23T09:00:00Z"}`: {State: client.Over, Reason: "idle", At: at},
		`{"state":"ended","reason":""}`:                                 {State: client.Over},
		`{"state":"unknown"}`:                                           {},
	} {
		b, err := json.Marshal(s)
		if err != nil || string(b) != want {
			t.Errorf("%s, want %s (%v)", b, want, err)
		}
		var back client.State
		if err := json.Unmarshal(b, &back); err != nil {
			t.Error(err)
		}
		if again, _ := json.Marshal(back); string(again) != want {
			t.Errorf("%s becomes %s", want, again)
		}
	}
	var s client.State
	if err := json.Unmarshal([]byte(`{"state":"something new"}`), &s); err != nil || s.State != client.Unknown {
		t.Errorf("%+v %v", s, err)
	}
}

func TestSignOutOfANativeApp(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	s.NewAccount(t, "ada")
	kept := client.TokenFile{Dir: filepath.Join(t.TempDir(), "chirp")}
	ctx := t.Context()
	if err := s.Client.SignOut(ctx, kept); !errors.Is(err, client.ErrNoToken) {
		t.Errorf("with nobody signed in: %v", err)
	}
	token, _ := signedIn(t, s, "ada")
	if err := kept.Save(token); err != nil {
		t.Fatal(err)
	}
	assertMode(t, kept.Dir, "token", 0o600)
	if got, err := kept.Load(); err != nil || got.Reveal() != token.Reveal() {
		t.Fatalf("Load: %v", err)
	}

	// Without network: signed out here at once, on the server later.
	s.Away.Store(true)
	if err := s.Client.SignOut(ctx, kept); !errors.Is(err, client.ErrPending) {
		t.Errorf("without network: %v", err)
	}
	if _, err := kept.Load(); !errors.Is(err, client.ErrNoToken) {
		t.Errorf("still signed in here: %v", err)
	}
	s.Away.Store(false)
	if _, err := s.Client.Check(ctx, token, false); err != nil {
		t.Fatalf("the server heard of it already: %v", err)
	}
	again := client.TokenFile{Dir: kept.Dir} // after a restart of the app
	if err := s.Client.FinishSignOuts(ctx, again); err != nil {
		t.Errorf("finish: %v", err)
	}
	if _, err := s.Client.Check(ctx, token, false); !errors.Is(err, client.ErrSignedOut) {
		t.Errorf("the session lives on the server: %v", err)
	}
	if left, _ := os.ReadDir(kept.Dir); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}

	token, _ = signedIn(t, s, "ada")
	kept.Save(token)
	if err := s.Client.SignOut(ctx, kept); err != nil {
		t.Errorf("with network: %v", err)
	}
	if _, err := s.Client.Check(ctx, token, false); !errors.Is(err, client.ErrSignedOut) {
		t.Error(err)
	}
}

func TestSigningInOverATokenOwesItsEnd(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	s.NewAccount(t, "ada")
	kept := client.TokenFile{Dir: t.TempDir()}
	first, _ := signedIn(t, s, "ada")
	second, _ := signedIn(t, s, "ada")
	kept.Save(first)
	kept.Save(second)
	if err := s.Client.FinishSignOuts(t.Context(), kept); err != nil {
		t.Error(err)
	}
	if _, err := s.Client.Check(t.Context(), first, false); !errors.Is(err, client.ErrSignedOut) {
		t.Errorf("the first: %v", err)
	}
	if got, err := kept.Load(); err != nil || got.Reveal() != second.Reveal() {
		t.Errorf("the second: %v", err)
	}
}

// Damaged files lead to a clean signed-out state, and what is owed stays owed.
func TestTokenFileSurvivesDamage(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	s.NewAccount(t, "ada")
	token, _ := signedIn(t, s, "ada")
	kept := client.TokenFile{Dir: t.TempDir()}
	kept.Save(token)
	kept.Retire()
	for name, junk := range map[string][]byte{"empty": nil, "binary": {0, 1, 2, 255},
		"long": bytes.Repeat([]byte("a"), 1<<20), "two lines": []byte("a\nb")} {
		os.WriteFile(filepath.Join(kept.Dir, "token"), junk, 0o600)
		os.WriteFile(filepath.Join(kept.Dir, "sign-out-junk"), junk, 0o600)
		if _, err := kept.Load(); !errors.Is(err, client.ErrNoToken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(kept.Dir, "token")); err == nil {
			t.Errorf("%s: the damaged file stays", name)
		}
	}
	// A well-formed text that is no token of ours is owed nothing either.
	kept.Save(client.NewSecret("exs_" + strings.Repeat("0", 49)))
	kept.Retire()
	if err := s.Client.FinishSignOuts(t.Context(), kept); err != nil {
		t.Error(err)
	}
	if _, err := s.Client.Check(t.Context(), token, false); !errors.Is(err, client.ErrSignedOut) {
		t.Errorf("what was owed: %v", err)
	}
	if left, _ := os.ReadDir(kept.Dir); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

func assertMode(t *testing.T, dir, name string, want os.FileMode) {
	t.Helper()
	st, err := os.Stat(filepath.Join(dir, name))
	if err != nil || st.Mode().Perm() != want {
		t.Errorf("%s: %v, %v", name, st.Mode(), err)
	}
}

// all collects a sequence up to its error.
func all(seq iter.Seq2[client.Session, error]) (list []client.Session, err error) {
	for v, err := range seq {
		if err != nil {
			return list, err
		}
		list = append(list, v)
	}
	return list, nil
}
