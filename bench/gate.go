package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
)

const (
	gateTokens = 100_000
	gateRound  = 400 * time.Millisecond
)

// gate measures /gate as a node serves it, and an empty handler behind the same server
// with the same requests.
func (b *bench) gate(ctx context.Context, rounds int) error {
	tokens, err := b.startMany(ctx, gateTokens)
	if err != nil {
		return err
	}
	requests := make([][]byte, len(tokens))
	for i, t := range tokens {
		requests[i] = []byte("GET /gate HTTP/1.1\r\nHost: exeunt.localhost\r\nUser-Agent: bench\r\n" +
			"Sec-Fetch-Mode: cors\r\nAuthorization: Bearer " + t.Reveal() + "\r\n\r\n")
	}
	l, err := newLoader()
	if err != nil {
		return err
	}
	s, err := serveBoth(b.node.Handler())
	if err != nil {
		return errors.Join(err, l.close())
	}
	defer s.Close()
	err = l.send(requests)
	for _, c := range []struct {
		row         string
		connections int
	}{{rowGate16, 16}, {rowGate64, 64}} {
		if err == nil {
			err = b.gateBeside(l, s, c.row, c.connections, rounds)
		}
	}
	return errors.Join(err, l.close())
}

func (b *bench) gateBeside(l *loader, s *switched, row string, connections, rounds int) error {
	var gate, none, ratio, gate99, none99, share []float64
	measure := func(empty bool) (tally, error) {
		s.empty.Store(empty)
		if empty {
			return l.round(order{Addr: s.addr, Connections: connections, For: gateRound, Holds: "HTTP/1.1 200 OK\r\n", Lacks: "Remote-User"})
		}
		return l.round(order{Addr: s.addr, Connections: connections, For: gateRound, Holds: "Remote-User: bench\r\n"})
	}
	// Every token's first sight is before the rounds.
	for seen := 0; seen < gateTokens; {
		t, err := measure(false)
		if err != nil {
			return err
		}
		seen += t.Answers
	}
	for i := range max(rounds, 20) + gateWarmUp {
		// The first of a pair alternates, so that neither always comes after
		// the other.
		a, err := measure(i%2 == 0)
		if err != nil {
			return err
		}
		z, err := measure(i%2 != 0)
		if err != nil {
			return err
		}
		g, e := z, a
		if i%2 != 0 {
			g, e = a, z
		}
		if i < gateWarmUp {
			continue
		}
		gate, none, ratio = append(gate, g.rate()), append(none, e.rate()), append(ratio, g.rate()/e.rate())
		gate99, none99 = append(gate99, millis(g.P99)), append(none99, millis(e.P99))
		share = append(share, g.share())
	}
	low, high := interval(ratio)
	b.add(figure{
		row: row, value: thousands(median(gate)) + "/s", limit: thousands(median(none)) + "/s",
		judged: median(ratio), low: low, high: high,
		note: fmt.Sprintf("p99 %.2f ms, of the empty handler %.2f ms; the load generator took %.0f %% of the CPU",
			median(gate99), median(none99), 100*median(share)),
	})
	return nil
}

// gateWarmUp is how many pairs of rounds are not counted.
const gateWarmUp = 2

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// switched is a server like a node's that uses a handler, or an empty one.
type switched struct {
	*http.Server
	addr  string
	empty atomic.Bool
}

func serveBoth(h http.Handler) (*switched, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &switched{addr: l.Addr().String()}
	s.Server = app.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.empty.Load() {
			h.ServeHTTP(w, r)
		}
	}), slog.New(slog.DiscardHandler), slog.LevelDebug)
	go s.Server.Serve(l)
	return s, nil
}

// startMany starts sessions, many at once so that they share commits.
func (b *bench) startMany(ctx context.Context, n int) ([]exeunt.Token, error) {
	const callers = 256
	tokens, errs := make([]exeunt.Token, n), make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += callers {
				tokens[i], _, errs[c] = b.start(ctx)
			}
		})
	}
	wg.Wait()
	return tokens, errors.Join(errs...)
}
