package app

import (
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
)

// Whatever one account asks for a thousand times within a moment, what is stored stays small, and its sign-out works.
// (The benchmark "hostile" has the same with people beside it.)
func TestOneAccountCannotFloodTheStore(t *testing.T) {
	c := config.Default()
	c.Addr, c.URL, c.Development = "127.0.0.1:0", "http://exeunt.localhost", true
	c.Data, c.MaxSessions = filepath.Join(t.TempDir(), "node"), 20
	c.Clients = []config.Client{{ID: "chirp", Name: "Chirp", HomeURL: "http://chirp.localhost/",
		RedirectURIs: []string{"http://chirp.localhost/callback"}, KeySHA256: aSecret()}}
	now := time.Now()
	n, err := New(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	must(t, err)
	defer n.Close()
	id, err := n.Accounts.AddAccount(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator},
		account.NewAccount{Handle: "mallory", Password: adasPassword}, false)
	must(t, err)
	started := 0
	start := func() (s exeunt.Session, err error) {
		proof, err := signin.Proof(n.SignIn.Password(t.Context(), "mallory", adasPassword, exeunt.System().Address))
		if err == nil {
			started++
			_, s, err = n.Authority.Start(t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindKept})
		}
		return s, err
	}
	s, err := start()
	must(t, err)
	gone, err := start()
	must(t, err)
	by := func() exeunt.Actor {
		return exeunt.Actor{Kind: exeunt.ActorPerson, Account: id, Session: s.ID}
	}
	end := func(scope exeunt.Scope, session exeunt.SessionID) error {
		_, err := n.Authority.End(t.Context(), by(), exeunt.Revocation{Reason: exeunt.ReasonSignedOut,
			Target: exeunt.Target{Account: id, Scope: scope, Session: session}, Key: exeunt.NewSessionID().String()})
		return err
	}
	must(t, end(exeunt.ScopeSession, gone.ID))
	verifier := "a-verifier-that-is-long-enough-for-rfc-7636-0123"
	dark := false
	for what, ask := range map[string]func() error{
		"display": func() error {
			dark = !dark
			return n.Accounts.ChangeDisplay(t.Context(), by(), map[bool]exeunt.Display{true: exeunt.DisplayDark,
				false: exeunt.DisplayLight}[dark])
		},
		"ended before": func() error { return end(exeunt.ScopeSession, gone.ID) },
		"others":       func() error { return end(exeunt.ScopeOthers, s.ID) },
		"sign-ins": func() error {
			next, err := start()
			if err == nil {
				s = next // the former goes when there are too many
			}
			return err
		},
		"apps": func() error {
			code, err := n.OAuth.GrantCode(t.Context(), id, s.ID, oauth.CodeRequest{Client: "chirp",
				RedirectURI: "http://chirp.localhost/callback", Challenge: challengeOf(verifier)})
			if err == nil {
				_, err = n.OAuth.ExchangeCode(t.Context(), oauth.CodeExchange{Code: code, Client: n.OAuth.Clients()["chirp"],
					RedirectURI: "http://chirp.localhost/callback", Verifier: verifier})
			}
			return err
		},
	} {
		refused := 0
		for range 1000 {
			var e *exeunt.ThrottledError
			switch err := ask(); {
			case errors.As(err, &e):
				refused++
			case err != nil:
				t.Fatalf("%s: %v", what, err)
			}
		}
		if refused < 400 { // (half of the settings asked for are those that are set)
			t.Errorf("%s: only %d of 1000 were refused", what, refused)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(c.Data, store.DatabaseFile))
	must(t, err)
	defer db.Close()
	for query, most := range map[string]int{
		`SELECT count(*) FROM sessions`:                            started,
		`SELECT count(*) FROM sessions WHERE ended_at IS NULL`:     c.MaxSessions,
		`SELECT live_sessions FROM accounts`:                       c.MaxSessions,
		`SELECT count(*) FROM app_sessions`:                        100,
		`SELECT count(*) FROM app_sessions WHERE ended_at IS NULL`: store.MaxAppSessions,
		`SELECT count(*) FROM codes`:                               100,
		`SELECT count(*) FROM outcomes`:                            20,
		`SELECT count(*) FROM events`:                              started + 200,
		`SELECT count(*) FROM audit`:                               started + 200,
	} {
		var got int
		must(t, db.QueryRow(query).Scan(&got))
		if got > most {
			t.Errorf("%s: %d, more than %d", query, got, most)
		}
	}
	if info, err := os.Stat(filepath.Join(c.Data, store.DatabaseFile) + "-wal"); err != nil || info.Size() > 64<<20 {
		t.Errorf("the write-ahead log has %d bytes (%v)", info.Size(), err)
	}
	must(t, end(exeunt.ScopeSession, s.ID))
}

// challengeOf: RFC 7636 section 4.2.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
