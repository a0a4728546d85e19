package app

import (
	"testing"
	"time"
)

// The clock follows jumps ahead and takes none back.
func TestClockNeverGoesBack(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	var set, ran time.Duration // what the wall clock was set by, and how long it has run
	now := clockOf(begin, func() (time.Time, time.Duration) { return begin.Add(set + ran), ran })
	want := func(what string, d time.Duration) {
		t.Helper()
		if got := now().Sub(begin); got != d {
			t.Errorf("%s: %v after the start, want %v", what, got, d)
		}
	}
	want("at once", 0)
	ran = time.Minute
	want("a minute later", time.Minute)
	set = -time.Hour
	want("set back an hour", time.Minute)
	set = time.Hour
	want("set ahead an hour", time.Hour+time.Minute)
	set = 0
	want("and corrected", time.Hour+time.Minute)
	ran = 2 * time.Minute
	want("it goes on from there", time.Hour+2*time.Minute)
}
