package testnode

import (
	"testing"
	"time"
)

// patience is how long a test waits for what must come. It only ever delays a
// failure.
const patience = 2 * time.Minute

// Receive waits for what a channel delivers next; ok is false when it is closed
// instead. The test fails if neither happens.
func Receive[T any](t testing.TB, in <-chan T, what string) (v T, ok bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case v, ok = <-in:
	case <-limit.C:
		t.Fatalf("waited %v in vain for %s", patience, what)
	}
	return v, ok
}
