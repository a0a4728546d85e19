package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"time"

	"github.com/exeunt/exeunt"
)

const (
	checkTokens = 1000
	checksEach  = 200_000
)

// check measures authority.Check in process over random tokens, beside the
// SHA-256 of the same tokens, which no check can do without.
func (b *bench) check(ctx context.Context, rounds int) error {
	tokens := make([]exeunt.Token, checkTokens)
	for i := range tokens {
		t, _, err := b.start(ctx)
		if err != nil {
			return err
		}
		if !b.node.Authority.Check(ctx, t).Usable() {
			return fmt.Errorf("a new session is not usable")
		}
		tokens[i] = t
	}
	var ns, hash, ratio []float64
	var sink byte
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	checks := 0
	for range rounds {
		start := time.Now()
		for i := range checksEach {
			if !b.node.Authority.Check(ctx, tokens[i*7919%checkTokens]).Usable() {
				return fmt.Errorf("a live session is not usable")
			}
		}
		checks += checksEach
		a := float64(time.Since(start).Nanoseconds()) / checksEach
		start = time.Now()
		for i := range checksEach {
			text := tokens[i*7919%checkTokens].Reveal()
			var block [64]byte
			sum := sha256.Sum256(block[:copy(block[:], text)])
			sink ^= sum[0]
		}
		h := float64(time.Since(start).Nanoseconds()) / checksEach
		ns, hash, ratio = append(ns, a), append(hash, h), append(ratio, a/h)
	}
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(sink)
	fmt.Printf("check in process   %.0f ns, SHA-256 of the token %.0f ns, ratio %.2f; %.4f allocations each (aim: 0)\n",
		median(ns), median(hash), median(ratio), float64(after.Mallocs-before.Mallocs)/float64(checks))
	return nil
}
