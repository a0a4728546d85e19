package testnode

import (
	"testing"
	"time"
)

// patience is how long a test waits before it fails.
const patience = 2 * time.Minute

// Receive waits for the next value of a channel; ok is false if it was closed. The test
// fails if neither happens.
func Receive[T any](t testing.TB, in <-chan T, what string) (v T, ok bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case v, ok = <-in:
	case <-limit.C:
		t.Fatalf("waited %v for %s", patience, what)
	}
	return v, ok
}
