package app

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
)

// tellsUntilKilled is, in the environment, the clients of the program to be killed: it signs in to them, and out.
const tellsUntilKilled = "EXEUNT_TEST_KILLED_TELLS"

// tellUntilKilled says "out" for each session that it has ended.
func tellUntilKilled(ctx context.Context, n *Node, proof exeunt.Proof, clients []string) error {
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	one := func() error {
		_, s, err := n.Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: exeunt.KindKept})
		if err != nil {
			return err
		}
		for _, id := range clients {
			c, err := n.OAuth.Client(exeunt.ClientID(id))
			if err != nil {
				return err
			}
			code := exeunt.NewToken(exeunt.UseCode)
			if err := n.Authority.AddCode(ctx, code.Hash(), store.Code{Account: s.Account, Session: s.ID, Client: c.ID,
				Registration: c.Registration, RedirectURI: c.RedirectURIs[0], Challenge: challenge, Expires: n.now().Add(time.Minute)}); err != nil {
				return err
			}
			if _, _, err := n.Authority.StartApp(ctx, authority.AppSignIn{Code: code.Hash(), Client: c.ID,
				RedirectURI: c.RedirectURIs[0], Challenge: challenge}); err != nil {
				return err
			}
		}
		_, err = n.Authority.End(ctx, exeunt.System(), exeunt.Revocation{Reason: exeunt.ReasonSignedOut,
			Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID}})
		return err
	}
	failed := make(chan error)
	var out sync.Mutex
	for range 4 {
		go func() {
			for {
				if err := one(); err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Println("out")
				out.Unlock()
			}
		}()
	}
	return <-failed
}

// listener is an app that notes of which sessions it was told.
type listener struct {
	id     string
	server *httptest.Server

	mu       sync.Mutex
	requests int
	told     map[string]int  // by session
	agreed   map[string]bool // answered with 200
}

func newListener(t *testing.T, id string, status func(n int) int) *listener {
	l := &listener{id: id, told: map[string]int{}, agreed: map[string]bool{}}
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var claims struct {
			Session string `json:"sid"`
		}
		parts := strings.Split(r.PostFormValue("logout_token"), ".")
		b, _ := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
		_ = json.Unmarshal(b, &claims)
		l.mu.Lock()
		code := status(l.requests)
		l.requests++
		l.told[claims.Session]++
		l.agreed[claims.Session] = l.agreed[claims.Session] || code == http.StatusOK
		l.mu.Unlock()
		w.WriteHeader(code)
	}))
	t.Cleanup(l.server.Close)
	return l
}

// A node is killed while it ends sessions and tells apps, again and again. In the end every app has been told of every
// end, and of none it was said that an app knew when it did not.
func TestKilledWhileTelling(t *testing.T) {
	c := site(t)
	listeners := map[string]*listener{}
	var ids []string
	r := start(t, c)
	for id, status := range map[string]func(n int) int{
		"good": func(int) int { return http.StatusOK },
		"moody": func(n int) int {
			if n%3 == 0 {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		},
	} {
		l := newListener(t, id, status)
		listeners[id], ids = l, append(ids, id)
		must(t, r.Store.AddClient(t.Context(), exeunt.Client{ID: exeunt.ClientID(id), Name: id, Algorithm: "ES256",
			Keys:         []exeunt.TokenHash{exeunt.NewToken(exeunt.UseClient).Hash()},
			RedirectURIs: []string{"https://" + id + ".example/callback"}, BackchannelURI: l.server.URL},
			exeunt.Actor{Kind: exeunt.ActorOperator}, r.now()))
	}
	r.stop()
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.Data, store.DatabaseFile))
	must(t, err)
	defer db.Close()
	// each reads the deliveries about sessions, in the order session, client, state.
	each := func(query string, f func(session exeunt.SessionID, client, state string)) {
		t.Helper()
		rows, err := db.Query(query)
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var session exeunt.SessionID
			var client, state string
			must(t, rows.Scan(&session, &client, &state))
			f(session, client, state)
		}
		must(t, rows.Err())
	}
	confirmed := 0
	mustBeTrue := func() {
		t.Helper()
		confirmed = 0
		each(`SELECT session_id, client_id, state FROM deliveries`, func(session exeunt.SessionID, client, state string) {
			l := listeners[client]
			l.mu.Lock()
			defer l.mu.Unlock()
			if state == "confirmed" {
				if confirmed++; !l.agreed[session.String()] {
					t.Errorf("%s is said to know of the end of %s, and does not", client, session)
				}
			}
		})
	}
	for range rounds {
		ends, enough := 0, 1+rand.IntN(12)
		killOn(t, c, func(line string) bool {
			if line == "out" {
				ends++
			}
			return ends == enough
		}, tellsUntilKilled+"="+strings.Join(ids, " "))
		mustBeTrue()
	}
	// Later, when what the killed ones had begun is theirs no more.
	now := Clock()
	n, err := New(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time {
		return now().Add(store.AttemptLease)
	}, Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	must(t, err)
	r = run{Node: n, t: t}
	head, err := r.Store.Head(t.Context())
	must(t, err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(3 * time.Minute); ; {
		at, err := r.Store.LogCursor(t.Context())
		must(t, err)
		owed, err := r.Store.OwingClients(t.Context())
		must(t, err)
		if at.Seq >= head && len(owed) == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the log is read up to %d of %d, and %v must be told", at.Seq, head, owed)
		}
	}
	r.stop()
	mustBeTrue()
	owed := 0
	each(`SELECT p.session_id, p.client_id, COALESCE((SELECT d.state FROM deliveries d WHERE d.account_id = p.account_id
		AND d.session_id = p.session_id AND d.client_id = p.client_id), 'none') FROM app_sessions p
		JOIN sessions s ON s.account_id = p.account_id AND s.id = p.session_id WHERE s.ended_at IS NOT NULL`,
		func(session exeunt.SessionID, client, state string) {
			owed++
			if l := listeners[client]; state != "confirmed" || l.told[session.String()] == 0 {
				t.Errorf("%s was told of the end of %s %d times: %s", client, session, l.told[session.String()], state)
			}
		})
	again := 0
	for _, l := range listeners {
		for _, n := range l.told {
			again += n - 1
		}
	}
	t.Logf("%d kills, %d deliveries owed and %d confirmed, %d told again", rounds, owed, confirmed, again)
	if owed < 2*rounds {
		t.Errorf("that shows nothing: %d deliveries", owed)
	}
}
