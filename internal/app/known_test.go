package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/signin"
)

// run is a node on a data folder, without its servers.
type run struct {
	*Node
	t *testing.T
}

func start(t *testing.T, c config.Config) run {
	t.Helper()
	n, err := New(context.Background(), c, Options{Log: slog.New(slog.DiscardHandler), Hashing: signin.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return run{n, t}
}

func (r run) stop() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
}

const password = "plum orbit candle ninety"

func (r run) signIn() (exeunt.Token, exeunt.Session) {
	r.t.Helper()
	proof, err := r.SignIn.Password(r.t.Context(), "ada", password, exeunt.System().Address)
	if err != nil {
		r.t.Fatal(err)
	}
	token, s, err := r.Authority.Start(r.t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindKept})
	if err != nil {
		r.t.Fatal(err)
	}
	r.want(token, live.Usable)
	return token, s
}

func (r run) want(token exeunt.Token, state live.State) {
	r.t.Helper()
	if got := r.Authority.Check(r.t.Context(), token).State; got != state {
		r.t.Errorf("the token is %v, want %v", got, state)
	}
}

func (r run) end(s exeunt.Session) {
	r.t.Helper()
	rev := exeunt.Revocation{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID, Reason: exeunt.ReasonSignedOut}
	if _, err := r.Authority.End(r.t.Context(), exeunt.System(), rev); err != nil {
		r.t.Fatal(err)
	}
}

// A run begins with the sessions that the last one knew, if nothing can have
// happened in between; otherwise with none. What has ended stays ended.
func TestSessionsAreKnownFromTheLastRun(t *testing.T) {
	c := config.Default()
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", filepath.Join(t.TempDir(), "node"), true
	path := filepath.Join(c.Data, knownFile)
	r := start(t, c)
	if _, err := r.SignIn.AddAccount(t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, signin.NewAccount{Handle: "ada", Password: password}, false); err != nil {
		t.Fatal(err)
	}
	living, l := r.signIn()
	dead, d := r.signIn()
	r.end(d)
	r.stop()

	r = start(t, c)
	if n := r.Authority.Live.Len(); n == 0 {
		t.Error("nothing is known")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file can be used again: %v", err)
	}
	r.want(living, live.Usable)
	r.want(dead, live.Ended)
	r.stop()

	for name, change := range map[string]func(c *config.Config, file []byte) []byte{
		"a stricter policy": func(c *config.Config, file []byte) []byte { c.Policy.Kept.Absolute /= 2; return file },
		"a damaged file":    func(_ *config.Config, file []byte) []byte { return file[:len(file)-1] },
		"an empty file":     func(*config.Config, []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			file := leave(t, c)
			changed := c
			if err := os.WriteFile(path, change(&changed, file), 0o600); err != nil {
				t.Fatal(err)
			}
			r := start(t, changed)
			if n := r.Authority.Live.Len(); n != 0 {
				t.Errorf("%d tokens are known", n)
			}
			r.want(living, live.Usable)
			r.want(dead, live.Ended)
			r.stop()
		})
	}

	// A file from before the session was ended, as a copy put back would be.
	before := leave(t, c)
	r = start(t, c)
	r.end(l)
	r.stop()
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	r = start(t, c)
	r.want(living, live.Ended)
	r.stop()
}

// leave returns the file that a run leaves.
func leave(t *testing.T, c config.Config) []byte {
	t.Helper()
	start(t, c).stop()
	file, err := os.ReadFile(filepath.Join(c.Data, knownFile))
	if err != nil {
		t.Fatal(err)
	}
	return file
}
