package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

const checksEach = 200_000

// check measures authority.Check in process over random tokens of many sessions,
// beside the SHA-256 of the same tokens, which no check can do without, with one
// goroutine and with two.
func (b *bench) check(ctx context.Context, rounds int) error {
	tokens, err := crowd(b.node.Live, b.sessions, false)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if !b.node.Authority.Check(ctx, authority.Credential{Token: t, Use: authority.AsPair}).Usable() {
			return errors.New("a live session is not usable")
		}
	}
	row := rowCheck1M
	if b.sessions > million {
		row = rowCheck10M
	}
	var one figure
	for _, workers := range []int{1, 2} {
		var ns, hash, ratio []float64
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			a := each(workers, tokens, func(t exeunt.Token) byte {
				if !b.node.Authority.Check(ctx, authority.Credential{Token: t, Use: authority.AsPair}).Usable() {
					panic("a live session is not usable")
				}
				return 0
			})
			h := each(workers, tokens, func(t exeunt.Token) byte {
				var block [64]byte
				return sha256.Sum256(block[:copy(block[:], t.Reveal())])[0]
			})
			ns, hash, ratio = append(ns, a), append(hash, h), append(ratio, a/h)
		}
		runtime.ReadMemStats(&after)
		allocations := float64(after.Mallocs-before.Mallocs) / float64(rounds*workers*checksEach)
		if workers > 1 {
			one.note += fmt.Sprintf("; by two at once %.0f ns, ratio %.2f", median(ns), median(ratio))
			break
		}
		one = figure{row: row, value: fmt.Sprintf("%.0f ns", median(ns)), limit: fmt.Sprintf("%.0f ns", median(hash)), judged: median(ratio),
			note: fmt.Sprintf("%.4f allocations each", allocations)}
		one.low, one.high = interval(ratio)
	}
	b.add(one)
	return nil
}

// each is how many nanoseconds f takes for a token, by the wall and for all
// workers together, so that it falls with every processor that helps.
func each[T any](workers int, tokens []T, f func(T) byte) float64 {
	var wg sync.WaitGroup
	sinks := make([]byte, workers)
	start := time.Now()
	for w := range workers {
		wg.Go(func() {
			at := w * len(tokens) / workers
			for range checksEach {
				sinks[w] ^= f(tokens[at])
				if at++; at == len(tokens) {
					at = 0
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	runtime.KeepAlive(sinks)
	return float64(took.Nanoseconds()) / float64(workers*checksEach)
}
