package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/authority"
)

const (
	underRate  = 10_000 // sign-outs a second
	underRound = time.Second
	underTick  = time.Millisecond
)

// checkUnder measures how long single checks take in process, with and without
// sign-outs at the same time, in alternating rounds.
func (b *bench) checkUnder(ctx context.Context, rounds int) error {
	tokens, err := crowd(b.node.Live, million, false)
	if err != nil {
		return err
	}
	var under, alone, ratio, rates []float64
	for i := range rounds {
		_, sessions, err := startMany(ctx, []*app.Node{b.node}, b.proof, int(underRate*underRound/time.Second))
		if err != nil {
			return err
		}
		var u, a, rate float64
		for turn := range 2 { // the first of a pair alternates
			if turn == i%2 {
				a = b.checksFor(ctx, tokens, underRound, nil)
				continue
			}
			var over atomic.Bool
			var wg sync.WaitGroup
			wg.Go(func() { rate, err = b.pacedEnds(ctx, sessions); over.Store(true) })
			u = b.checksFor(ctx, tokens, 0, &over)
			wg.Wait()
			if err != nil {
				return err
			}
		}
		under, alone, ratio, rates = append(under, u), append(alone, a), append(ratio, u/a), append(rates, rate)
	}
	f := figure{row: rowCheckUnder, value: fmt.Sprintf("%.0f ns", median(under)), limit: fmt.Sprintf("%.0f ns", median(alone)), judged: median(ratio),
		note: fmt.Sprintf("at %s sign-outs a second", thousands(median(rates)))}
	f.low, f.high = interval(ratio)
	if median(rates) < 0.95*underRate {
		f.noLimit = fmt.Sprintf("%.2f, but at %s sign-outs a second: this machine does no more beside the checks", f.judged, thousands(median(rates)))
	}
	b.add(f)
	return nil
}

// checksFor checks one token after the other, for a while or until it is over,
// and returns the 99th percentile of what each took, in nanoseconds. The clock
// is read once for each: a check lasts from one reading to the next.
func (b *bench) checksFor(ctx context.Context, tokens []exeunt.Token, d time.Duration, over *atomic.Bool) float64 {
	took := make([]int32, 0, 8<<20)
	begun, last := time.Now(), time.Duration(0)
	for i := 0; len(took) < cap(took); i++ {
		if over != nil && over.Load() || over == nil && last >= d {
			break
		}
		if !b.node.Authority.Check(ctx, authority.Credential{Token: tokens[i%len(tokens)], Use: authority.AsPair}).Usable() {
			panic("a live session is not usable")
		}
		now := time.Since(begun)
		took = append(took, int32(min(now-last, time.Second)))
		last = now
	}
	slices.Sort(took)
	return float64(took[len(took)*99/100])
}

// pacedEnds ends the sessions at the rate, by many callers, and returns the rate
// that it came to.
func (b *bench) pacedEnds(ctx context.Context, sessions []exeunt.Session) (float64, error) {
	due := make(chan exeunt.Session, len(sessions))
	errs := make([]error, manyCallers)
	var wg sync.WaitGroup
	begun := time.Now()
	for c := range errs {
		wg.Go(func() {
			for s := range due {
				if err := end(ctx, b.node, s); err != nil && errs[c] == nil {
					errs[c] = err
				}
			}
		})
	}
	tick := time.NewTicker(underTick)
	defer tick.Stop()
	for sent := 0; sent < len(sessions); {
		<-tick.C
		for want := min(len(sessions), int(time.Since(begun)*underRate/time.Second)); sent < want; sent++ {
			due <- sessions[sent]
		}
	}
	close(due)
	wg.Wait()
	return perSecond(len(sessions), time.Since(begun)), errors.Join(errs...)
}
