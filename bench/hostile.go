package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	people       = 10
	calmRound    = 6 * time.Second  // for each of rounds
	hostileRound = 30 * time.Second // so that 20 rounds are ten minutes
	atOnce       = 14               // sign-ins beside /gate
	gateFor      = 10 * time.Second
	personPause  = 5 * time.Second
)

// town is a node with ordinary people and one who is hostile.
type town struct {
	node     *app.Node
	url      string
	dir      string
	passes   map[string]string // by handle
	http     *http.Client
	mallory  exeunt.AccountID
	failures []error
	refused  int // people, who do nothing too often
	mu       sync.Mutex
}

// hostile measures the sign-ins and sign-outs of ten people without, and then with, an account that does everything as
// often as it may; and /gate while people sign in.
func (b *bench) hostile(ctx context.Context, rounds int) (err error) {
	t, stop, err := newTown(ctx, filepath.Join(b.dir, "node"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := b.gateBesideSignIns(ctx, t); err != nil {
		return err
	}
	calm := t.live(ctx, time.Duration(rounds)*calmRound)
	before := t.size()
	busy, end := context.WithCancel(ctx)
	var floods sync.WaitGroup
	for _, flood := range t.floods() {
		floods.Go(func() { t.flood(busy, flood) })
	}
	half := t.live(ctx, time.Duration(rounds)*hostileRound/2)
	middle := t.size()
	beside := t.live(ctx, time.Duration(rounds)*hostileRound/2)
	after := t.size()
	end()
	floods.Wait()
	beside.in, beside.out = append(beside.in, half.in...), append(beside.out, half.out...)
	note := fmt.Sprintf("%s of the load; before it %s; after half of it %s; after it %s",
		time.Duration(rounds)*hostileRound, before, middle, after)
	for _, f := range []struct {
		row           string
		with, without []float64
	}{{rowHostileIn, beside.in, calm.in}, {rowHostileOut, beside.out, calm.out}} {
		b.add(figure{row: f.row, value: fmt.Sprintf("%.1f ms", median(f.with)), limit: fmt.Sprintf("%.1f ms", median(f.without)),
			judged: median(f.with) / median(f.without), note: note})
		note = fmt.Sprintf("p95 %.1f ms, without it %.1f ms; %d times of %d a person was told to come back", percentile(f.with, 95),
			percentile(f.without, 95), t.refused, t.refused+len(f.with)+len(f.without))
	}
	return errors.Join(t.failures...)
}

func percentile(v []float64, p int) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)*p/100]
}

func newTown(ctx context.Context, dir string) (*town, func() error, error) {
	c := config.Default()
	c.Addr, c.URL, c.Data, c.Development = "127.0.0.1:0", "http://exeunt.localhost", dir, true
	c.Clients = []config.Client{{ID: "chirp", Name: "Chirp", HomeURL: "http://chirp.localhost/",
		RedirectURIs: []string{"http://chirp.localhost/callback"}, KeySHA256: []string{exeunt.NewToken(exeunt.UseClient).Hash().String()}}}
	n, err := app.New(ctx, c, app.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, nil, errors.Join(err, n.Close())
	}
	serving, end := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- n.Serve(serving, l) }()
	t := &town{node: n, url: c.URL, dir: dir, passes: map[string]string{}, http: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 256, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		}}}}
	stop := func() error { end(); return errors.Join(<-served, n.Close()) }
	for i := range atOnce + 1 {
		handle := fmt.Sprint("person", i)
		if i == atOnce {
			handle = "mallory"
		}
		t.passes[handle] = exeunt.NewToken(exeunt.UseInvite).Reveal()
		id, err := n.Accounts.AddAccount(ctx, exeunt.Actor{Kind: exeunt.ActorOperator},
			account.NewAccount{Handle: handle, Password: t.passes[handle]}, false)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		t.mallory = id
	}
	return t, stop, nil
}

// call makes a call and decodes the answer. A refusal by a rate is returned as the time to wait.
func (t *town) call(ctx context.Context, method, path, token, key string, in, out any) (wait time.Duration, err error) {
	var body io.Reader
	if in != nil {
		content, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(content)
	}
	r, err := http.NewRequestWithContext(ctx, method, t.url+path, body)
	if err != nil {
		return 0, err
	}
	for name, value := range map[string]string{"Authorization": token, "Idempotency-Key": key} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := t.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		var p client.Problem
		if err := json.Unmarshal(content, &p); err != nil {
			return 0, err
		}
		return max(time.Duration(p.RetryAfter)*time.Second, time.Second), nil
	case resp.StatusCode >= 300:
		return 0, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, content)
	case out != nil:
		return 0, json.Unmarshal(content, out)
	}
	return 0, nil
}

// signIn returns a session's Authorization header and ID.
func (t *town) signIn(ctx context.Context, handle string) (token, id string, wait time.Duration, err error) {
	var out client.SignedIn
	wait, err = t.call(ctx, http.MethodPost, "/api/v1/signin", "", "",
		map[string]string{"identifier": handle, "password": t.passes[handle]}, &out)
	return "Bearer " + string(out.Token), out.Session.ID, wait, err
}

type times struct{ in, out []float64 }

// live has ten people sign in and out, with a pause, and returns how long each took in milliseconds.
func (t *town) live(ctx context.Context, d time.Duration) (all times) {
	until := time.Now().Add(d)
	var living sync.WaitGroup
	for i := range people {
		living.Go(func() {
			for time.Now().Before(until) && ctx.Err() == nil {
				begun := time.Now()
				token, _, wait, err := t.signIn(ctx, fmt.Sprint("person", i))
				in := millis(time.Since(begun))
				if err == nil && wait == 0 {
					begun = time.Now()
					wait, err = t.call(ctx, http.MethodDelete, "/api/v1/session", token, "", nil, nil)
				}
				t.mu.Lock()
				switch {
				case ctx.Err() != nil:
				case err != nil:
					t.failures = append(t.failures, err)
				case wait > 0:
					t.refused++
				default:
					all.in, all.out = append(all.in, in), append(all.out, millis(time.Since(begun)))
				}
				t.mu.Unlock()
				time.Sleep(personPause)
			}
		})
	}
	living.Wait()
	return all
}

// floods are what the hostile account does at the same time, each as often as it may.
func (t *town) floods() []func(context.Context) (wait time.Duration, err error) {
	dark := false
	var mu sync.Mutex
	var token, gone string // a session, and one that has ended
	session := func(ctx context.Context) (string, string, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		if token != "" {
			return token, gone, 0, nil
		}
		one, id, wait, err := t.signIn(ctx, "mallory")
		if err != nil || wait > 0 {
			return "", "", wait, err
		}
		token, gone = one, id
		return token, gone, 0, nil
	}
	call := func(method, path string) func(context.Context) (time.Duration, error) {
		return func(ctx context.Context) (time.Duration, error) {
			token, _, wait, err := session(ctx)
			if err != nil || wait > 0 {
				return wait, err
			}
			return t.call(ctx, method, path, token, exeunt.NewSessionID().String(), nil, nil)
		}
	}
	list := []func(context.Context) (time.Duration, error){
		call(http.MethodDelete, "/api/v1/sessions?scope=others"),
		func(ctx context.Context) (time.Duration, error) { // sign-ins, of which the others are ended
			_, _, wait, err := t.signIn(ctx, "mallory")
			return wait, err
		},
		func(ctx context.Context) (time.Duration, error) { // endings of what has ended, with fresh keys
			token, _, wait, err := session(ctx)
			if err != nil || wait > 0 {
				return wait, err
			}
			_, other, wait, err := t.signIn(ctx, "mallory")
			for i := 0; err == nil && wait == 0 && i < 200; i++ {
				wait, err = t.call(ctx, http.MethodDelete, "/api/v1/sessions/"+other, token, exeunt.NewSessionID().String(), nil, nil)
			}
			return wait, err
		},
		func(ctx context.Context) (time.Duration, error) {
			dark = !dark
			display := exeunt.DisplayLight
			if dark {
				display = exeunt.DisplayDark
			}
			id, err := t.anySession(ctx, session)
			if err != nil {
				return 0, err
			}
			return throttled(t.node.Accounts.ChangeDisplay(ctx, exeunt.Actor{Kind: exeunt.ActorPerson, Account: t.mallory, Session: id}, display))
		},
		func(ctx context.Context) (time.Duration, error) {
			const verifier, redirect = "a-verifier-that-is-long-enough-for-rfc-7636-0123", "http://chirp.localhost/callback"
			sum := sha256.Sum256([]byte(verifier))
			id, err := t.anySession(ctx, session)
			if err != nil {
				return 0, err
			}
			code, err := t.node.OAuth.GrantCode(ctx, t.mallory, id, oauth.CodeRequest{Client: "chirp", RedirectURI: redirect,
				Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
			if err == nil {
				_, err = t.node.OAuth.ExchangeCode(ctx, oauth.CodeExchange{Code: code, Client: t.node.OAuth.Clients()["chirp"], RedirectURI: redirect, Verifier: verifier})
			}
			return throttled(err)
		},
	}
	for range 200 { // twice as many streams as it may have
		list = append(list, call(http.MethodGet, "/api/v1/session/stream"))
	}
	return list
}

func (t *town) anySession(
	ctx context.Context, session func(context.Context) (string, string, time.Duration, error),
) (exeunt.SessionID, error) {
	_, id, _, err := session(ctx)
	if err != nil || id == "" {
		return exeunt.SessionID{}, errors.Join(err, errors.New("the hostile account has no session"))
	}
	return exeunt.ParseSessionID(id)
}

func throttled(err error) (time.Duration, error) {
	var e *exeunt.ThrottledError
	if errors.As(err, &e) {
		return e.RetryAfter, nil
	}
	return 0, err
}

// flood goes on until ctx is done. It waits only when told to.
func (t *town) flood(ctx context.Context, do func(context.Context) (time.Duration, error)) {
	for ctx.Err() == nil {
		wait, err := do(ctx)
		if err != nil && ctx.Err() == nil {
			wait = time.Second // its session has gone, as others of its doings cause
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// size is what may grow.
func (t *town) size() string {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	file := func(suffix string) string {
		info, err := os.Stat(filepath.Join(t.dir, store.DatabaseFile+suffix))
		if err != nil {
			return "none"
		}
		return fmt.Sprintf("%.1f MB", float64(info.Size())/1e6)
	}
	head, err := t.node.Store.Head(context.Background())
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d events, database %s, write-ahead log %s, heap %.0f MB, %d goroutines, %d tokens in memory",
		head, file(""), file("-wal"), float64(m.HeapAlloc)/1e6, runtime.NumGoroutine(), t.node.Authority.Known())
}

// gateBesideSignIns measures /gate with nothing else, and while fourteen people sign in at once, again and again.
func (b *bench) gateBesideSignIns(ctx context.Context, t *town) error {
	token, _, wait, err := t.signIn(ctx, "person0")
	if err != nil || wait > 0 {
		return fmt.Errorf("sign in: %s, %w", wait, err)
	}
	measure := func() (took []float64, err error) {
		for until := time.Now().Add(gateFor); time.Now().Before(until) && err == nil; {
			begun := time.Now()
			wait, err = t.call(ctx, http.MethodGet, "/gate", token, "", nil, nil)
			if err == nil && wait > 0 {
				err = fmt.Errorf("/gate says to wait %s", wait)
			}
			took = append(took, millis(time.Since(begun)))
		}
		return took, err
	}
	alone, err := measure()
	if err != nil {
		return err
	}
	busy, end := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range atOnce {
		all.Go(func() {
			t.flood(busy, func(ctx context.Context) (time.Duration, error) {
				_, _, wait, err := t.signIn(ctx, fmt.Sprint("person", i))
				return wait, err
			})
		})
	}
	beside, err := measure()
	end()
	all.Wait()
	if err != nil {
		return err
	}
	b.add(figure{row: rowGateSignIns, value: fmt.Sprintf("%.2f ms", median(beside)), limit: fmt.Sprintf("%.2f ms", median(alone)),
		judged: median(beside) / median(alone), note: fmt.Sprintf("p99 %.1f ms, alone %.1f ms", percentile(beside, 99), percentile(alone, 99))})
	return nil
}
