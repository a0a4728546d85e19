package verify

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
)

// knowing is a verifier that knows n sessions and is fresh for an hour.
func knowing(t testing.TB, n int) (*Verifier, []client.Secret) {
	t.Helper()
	v := newFake().verifier(t, func(o *Options) {
		o.MaxSessions = 2 * n
		o.MaxStaleness, o.MaxAge = time.Hour, time.Hour
	})
	v.reset(client.Place{Epoch: "e1"})
	tokens := make([]client.Secret, n)
	for i := range tokens {
		tokens[i] = client.NewSecret(fmt.Sprintf("exa_%049d", i))
	}
	end := time.Now().Add(2 * time.Hour)
	for _, i := range rand.Perm(n) { // so that the tokens lie in another order than what is kept of them
		id := fmt.Sprintf("%026d", i)
		p := client.Person{Account: "acc_" + id, Session: "ses_" + id, AppSession: "app_" + id,
			Handle: fmt.Sprint("person_", i), Name: fmt.Sprint("Person ", i), Client: "chirp", IdleAt: end}
		answer := client.Checked{Person: p, Place: v.history.place(), Generation: 1, Idle: time.Hour, ExpiresAt: end}
		if !v.store(hashOf(tokens[i]), &answer, v.now()) {
			t.Fatal("not kept")
		}
	}
	v.window.Store(newWindow(v.now(), client.Position{Now: msNow()}, time.Hour))
	return v, tokens
}

func TestVerifierCheckAllocatesNothing(t *testing.T) {
	v, tokens := knowing(t, 100)
	for _, activity := range []bool{false, true} {
		check := func() {
			if p, err := v.Check(t.Context(), tokens[42], activity); err != nil || p.Handle != "person_42" {
				t.Fatal(p, err)
			}
		}
		check()
		if n := testing.AllocsPerRun(1000, check); n != 0 {
			t.Errorf("activity %v: %v allocations", activity, n)
		}
	}
}

func BenchmarkVerifierCheck(b *testing.B) {
	v, tokens := knowing(b, 50_000)
	b.ReportAllocs()
	b.ResetTimer()
	// In order: the text of a token is at hand when a request is checked.
	ctx, i := b.Context(), 0
	for b.Loop() {
		if _, err := v.Check(ctx, tokens[i], false); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(tokens) {
			i = 0
		}
	}
}

func BenchmarkVerifierCheckOfOne(b *testing.B) {
	v, tokens := knowing(b, 1)
	ctx := b.Context()
	for b.Loop() {
		if _, err := v.Check(ctx, tokens[0], true); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTokenHash is what BenchmarkVerifierCheck is held against.
func BenchmarkTokenHash(b *testing.B) {
	token := []byte(fmt.Sprintf("exa_%049d", 1))
	for b.Loop() {
		sha256.Sum256(token)
	}
}

func BenchmarkVerifierMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		v, tokens := knowing(b, 50_000)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(tokens)), "B/session")
		runtime.KeepAlive(v)
		runtime.KeepAlive(tokens)
	}
}
