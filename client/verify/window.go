package verify

import (
	"time"

	"github.com/exeunt/exeunt/client"
)

// instant is a moment by two clocks: the steady one, which nobody can set, and the
// wall clock, which runs while the machine sleeps.
type instant struct{ steady, wall time.Duration }

// after is the time since another instant, by the clock that says more.
func (i instant) after(other instant) time.Duration {
	return max(i.steady-other.steady, i.wall-other.wall)
}

// clock returns the system's clocks; steady counts from now.
func clock() func() instant {
	start := time.Now()
	return func() instant {
		t := time.Now()
		return instant{t.Sub(start), time.Duration(t.UnixNano())}
	}
}

// window is the time in which the verifier may answer from memory. An answer with the
// log's end opens it. It never changes: a later window replaces it.
type window struct {
	asked instant // before the question was sent
	until time.Duration
	now   time.Duration // the authority's time, at the earliest when asked
}

// sleepSlack is how much the two clocks may differ. If they differ more, the machine
// slept or somebody set the clock, and the window is closed until the next answer.
const sleepSlack = 100 * time.Millisecond

// newWindow returns a window that is valid once every event up to the position has
// been applied. Every event that was answered before the question arrived is at or
// before the position, except those that the node may have missed during the last
// p.Age. So until asked + staleness - age, every event older than staleness is known
// here. If the window counted from the answer instead, a delayed answer would extend
// it by the delay.
func newWindow(asked instant, p client.Position, staleness time.Duration) *window {
	return &window{
		asked: asked, until: asked.steady + staleness - time.Duration(p.Age)*time.Millisecond,
		now: time.Duration(p.Now) * time.Millisecond,
	}
}

// open reports whether the window is open.
func (w *window) open(at instant) bool {
	if w == nil || at.steady >= w.until {
		return false
	}
	apart := (at.wall - w.asked.wall) - (at.steady - w.asked.steady)
	return apart.Abs() < sleepSlack
}

// serverTime is the authority's time in milliseconds since 1970, or a little later,
// because its answer is taken as its time when it was asked.
func (w *window) serverTime(at instant) int64 {
	return (w.now + at.steady - w.asked.steady).Milliseconds()
}
