package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testpg"
)

// killedFolder names, in the environment, the data folder on which this program
// is to work until it is killed, instead of running tests.
const killedFolder = "EXEUNT_TEST_KILLED_FOLDER"

func TestMain(m *testing.M) {
	slog.SetDefault(ForLibraries(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	if dir := os.Getenv(killedFolder); dir != "" {
		if err := workUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if dir := os.Getenv(fewDescriptors); dir != "" {
		if err := serveWithFew(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// Nothing stops what looks for hosts in Pebble, the CA of tests.
	testpg.Main(m, goleak.IgnoreTopFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))
}

// workUntilKilled signs in and out and says so, "in TOKEN" and "out TOKEN", while
// it leaves one file after another, "saved".
func workUntilKilled(dir string) error {
	c := config.Default()
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", dir, true
	mailServer := os.Getenv(mailsUntilKilled)
	if mailServer != "" {
		c.SMTP = smtpAt(mailServer)
	}
	if url := os.Getenv(webhookUntilKilled); url != "" {
		c.Webhooks = []config.Webhook{hookAt(url)}
	}
	n, err := New(context.Background(), c, Options{Log: slog.New(slog.DiscardHandler),
		Hashing: password.Hashing{MemoryKiB: 64, Iterations: 1, AtOnce: 1}})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if mailServer != "" {
		return mailUntilKilled(ctx, n)
	}
	proof, err := signin.Proof(n.SignIn.Password(ctx, "ada", adasPassword, exeunt.System().Address))
	if err != nil {
		return err
	}
	if tokens := os.Getenv(endedByKilled); tokens != "" {
		return endUntilKilled(ctx, n, proof, strings.Fields(tokens))
	}
	if clients := os.Getenv(tellsUntilKilled); clients != "" {
		return tellUntilKilled(ctx, n, proof, strings.Fields(clients))
	}
	failed := make(chan error)
	var out sync.Mutex
	say := func(words ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(words...)
	}
	for range 4 {
		go func() {
			for {
				token, s, err := n.Authority.Start(ctx, authority.SignIn{Proof: proof, Kind: exeunt.KindApp})
				if err != nil {
					failed <- err
				}
				n.Authority.Check(ctx, authority.Credential{Token: token, Use: authority.AsBearer})
				say("in", token.Reveal())
				if s.ID.Raw()[0]%4 == 0 {
					continue
				}
				rev := exeunt.Revocation{Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession,
					Session: s.ID}, Reason: exeunt.ReasonSignedOut}
				if _, err := n.Authority.End(ctx, exeunt.System(), rev); err != nil {
					failed <- err
				}
				say("out", token.Reveal())
			}
		}()
	}
	go func() {
		for {
			if err := n.saveSnapshotFile(ctx); err != nil {
				failed <- err
			}
			say("saved")
		}
	}()
	go func() {
		for {
			if err := numberNow(ctx, n); err != nil {
				failed <- err
			}
		}
	}()
	return <-failed
}

// A node is killed while it ends sessions and saves what it knows. The next one
// begins with the last file, and nothing that was acknowledged as ended is usable.
func TestKilledWhileSaving(t *testing.T) {
	c := site(t)
	said := map[string]string{}
	for range 2 {
		ends, saved := 0, false // ends since the first file
		killOn(t, c, func(line string) bool {
			word, text, _ := strings.Cut(line, " ")
			switch token, err := exeunt.ParseToken(text); {
			case word == "saved":
				saved = true
			case err == nil:
				said[token.Reveal()] = word
				if saved && word == "out" {
					ends++
				}
			}
			return ends == 60
		})

		r := start(t, c)
		known := 0
		for text, word := range said {
			token, _ := exeunt.ParseToken(text)
			state := r.Live.Check(token.Hash(), r.now()).State
			if state != live.Absent && word == "in" {
				known++
			}
			if word == "out" && (state == live.Usable ||
				r.Authority.Check(t.Context(), authority.Credential{Token: token, Use: authority.AsBearer}).Usable()) {
				t.Error("a session that was acknowledged as ended is usable")
			}
		}
		if known == 0 {
			t.Error("no session was in memory")
		}
		for text, word := range said {
			if word != "in" {
				continue
			}
			token, _ := exeunt.ParseToken(text)
			c := authority.Credential{Token: token, Use: authority.AsBearer}
			if state := r.Authority.Check(t.Context(), c).State; state != live.Usable && state != live.Ended {
				t.Errorf("a session that was started is %v", state)
			}
		}
		r.stop()
	}
}
