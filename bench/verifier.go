package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/live"
)

const (
	verified     = 100_000
	verifiedStep = 3_000 // few enough that the node still has their profiles in memory
	verifierApp  = "bench"
	firstSights  = 16 // at once
)

// verifier measures a check by an app's verify.Verifier that follows a node over
// loopback, beside the SHA-256 of the same tokens.
func (b *bench) verifier(ctx context.Context, rounds int) (err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	key := exeunt.NewToken(exeunt.UseClient)
	c := config.Default()
	c.MaxSessions = 0 // of the one account that is measured
	c.Addr, c.Data, c.Development = l.Addr().String(), filepath.Join(b.dir, "verifier"), true
	_, port, _ := net.SplitHostPort(c.Addr)
	c.URL = "http://exeunt.localhost:" + port
	c.Clients = []config.Client{{
		ID: verifierApp, Name: "Bench", HomeURL: "http://bench.localhost/", RedirectURIs: []string{"http://bench.localhost/callback"},
		KeySHA256: []string{key.Hash().String()}, Checked: true,
	}}
	node, err := quiet(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	var asked atomic.Int64
	s := app.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gate" {
			asked.Add(1)
		}
		node.Handler().ServeHTTP(w, r)
	}), slog.New(slog.DiscardHandler), slog.LevelDebug)
	defer s.Close()
	go s.Serve(l)
	calls, err := client.New(c.URL, client.Options{})
	if err != nil {
		return err
	}
	v, err := verify.New(verify.Options{
		Client: calls, Key: client.NewSecret(key.Reveal()), MaxAge: time.Hour, MaxSessions: 2 * verified, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { v.Run(running) })
	defer done.Wait()
	defer stop()
	// The verifier caches nothing before it follows the log.
	for limit := time.Now().Add(10 * time.Second); !v.Fresh(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			return errors.New("the verifier did not become fresh")
		}
	}
	tokens, err := firstSeen(ctx, v, node.Live)
	if err != nil {
		return err
	}
	return b.verify(ctx, v, tokens, &asked, rounds)
}

// firstSeen makes app sessions in a node's memory, three to an account, and has
// the verifier ask about each. It returns their tokens in random order.
func firstSeen(ctx context.Context, v *verify.Verifier, index *live.Index) ([]client.Secret, error) {
	var tokens []client.Secret
	now := time.Now()
	sn := live.Snapshot{Epoch: index.Epoch(), Snapshot: exeunt.Snapshot{Seq: index.Applied(), AccountGeneration: 1, Session: exeunt.Session{
		Kind: exeunt.KindKept, Started: now, Seen: now, Idle: 24 * time.Hour, ExpiresAt: now.Add(48 * time.Hour), Generation: 1,
	}}}
	for first := 0; first < verified; first = len(tokens) {
		for i := first; i < min(first+verifiedStep, verified); i++ {
			if i%3 == 0 {
				sn.Session.Account = exeunt.NewAccountID()
				sn.Profile = exeunt.Profile{Version: 1, Handle: fmt.Sprint("person_", i), Name: fmt.Sprint("Person ", i)}
			}
			token := exeunt.NewToken(exeunt.UseApp)
			sn.Session.ID, sn.Hash, sn.AppHash = exeunt.NewSessionID(), exeunt.NewToken(exeunt.UseSession).Hash(), token.Hash()
			sn.App = &exeunt.AppSession{
				ID: exeunt.NewAppSessionID(), Session: sn.Session.ID, Account: sn.Session.Account, Client: verifierApp,
				Started: now, Seen: now,
			}
			if !index.Insert(sn) {
				return nil, errors.New("memory did not take a session")
			}
			tokens = append(tokens, client.NewSecret(token.Reveal()))
		}
		if err := checkAll(ctx, v, tokens[first:]); err != nil {
			return nil, err
		}
	}
	rand.Shuffle(len(tokens), func(i, k int) { tokens[i], tokens[k] = tokens[k], tokens[i] })
	for i, t := range tokens { // the text of a token is at hand when a request is checked
		tokens[i] = client.NewSecret(strings.Clone(t.Reveal()))
	}
	return tokens, nil
}

// checkAll has the verifier check tokens, some at once.
func checkAll(ctx context.Context, v *verify.Verifier, tokens []client.Secret) error {
	errs := make([]error, firstSights)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(tokens) && errs[w] == nil; i += firstSights {
				_, errs[w] = v.Check(ctx, tokens[i], false)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (b *bench) verify(
	ctx context.Context, v *verify.Verifier, tokens []client.Secret, asked *atomic.Int64, rounds int,
) error {
	var ns, hash, ratio []float64
	var before, after runtime.MemStats
	allocations := uint64(0)
	already := asked.Load()
	for range rounds {
		runtime.ReadMemStats(&before)
		a := each(1, tokens, func(t client.Secret) byte {
			if _, err := v.Check(ctx, t, false); err != nil {
				panic("a live session is not usable: " + err.Error())
			}
			return 0
		})
		runtime.ReadMemStats(&after)
		allocations += after.Mallocs - before.Mallocs
		h := each(1, tokens, func(t client.Secret) byte {
			var block [64]byte
			return sha256.Sum256(block[:copy(block[:], t.Reveal())])[0]
		})
		ns, hash, ratio = append(ns, a), append(hash, h), append(ratio, a/h)
	}
	if n := asked.Load() - already; n > 0 {
		return fmt.Errorf("the verifier asked the gate %d times about tokens in its memory", n)
	}
	f := figure{row: rowVerifier, value: fmt.Sprintf("%.0f ns", median(ns)), limit: fmt.Sprintf("%.0f ns", median(hash)), judged: median(ratio),
		note: fmt.Sprintf("%.4f allocations each, with those of following the node", float64(allocations)/float64(rounds*checksEach))}
	f.low, f.high = interval(ratio)
	b.add(f)
	return nil
}
