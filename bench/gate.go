package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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
			o := order{Connections: c.connections, For: gateRound, Holds: "Remote-User: bench\r\n"}
			err = b.besideEmpty(l, s, c.row, o, gateTokens, max(rounds, 20))
		}
	}
	return errors.Join(err, l.close())
}

// besideEmpty measures a handler and an empty one in turns, with the loader's requests. Each of those is answered before
// the rounds, so that none is the first with its token.
func (b *bench) besideEmpty(l *loader, s *switched, row string, o order, requests, rounds int) error {
	var rates, none, ratio, rates99, none99, share []float64
	o.Addr = s.addr
	measure := func(empty bool) (tally, error) {
		s.empty.Store(empty)
		o := o
		if empty {
			o.Holds, o.Lacks = "HTTP/1.1 200 OK\r\n", o.Holds
		}
		return l.round(o)
	}
	for seen := 0; seen < requests; {
		t, err := measure(false)
		if err != nil {
			return err
		}
		seen += t.Answers
	}
	for i := range rounds + gateWarmUp {
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
		rates, none, ratio = append(rates, g.rate()), append(none, e.rate()), append(ratio, g.rate()/e.rate())
		rates99, none99 = append(rates99, millis(g.P99)), append(none99, millis(e.P99))
		share = append(share, g.share())
	}
	low, high := interval(ratio)
	b.add(figure{
		row: row, value: thousands(median(rates)) + "/s", limit: thousands(median(none)) + "/s",
		judged: median(ratio), low: low, high: high,
		note: fmt.Sprintf("p99 %.2f ms, of the empty handler %.2f ms; the load generator took %.0f %% of the CPU",
			median(rates99), median(none99), 100*median(share)),
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

// startMany starts sessions, many at once.
func (b *bench) startMany(ctx context.Context, n int) ([]exeunt.Token, error) {
	tokens := make([]exeunt.Token, n)
	return tokens, inParallel(n, func(i int) (err error) {
		tokens[i], _, err = b.start(ctx)
		return err
	})
}
