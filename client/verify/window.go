package verify

import (
	"time"

	"github.com/exeunt/exeunt/client"
)

// instant is a moment by two clocks: the steady one, which nobody can set, and
// the wall's, which goes on while the machine sleeps.
type instant struct{ steady, wall time.Duration }

// after is how long the moment is after another, by whichever clock says more.
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

// window is for how long the verifier may answer from memory. It was opened by
// an answer to "how far is the log?", and never changes: it is replaced.
type window struct {
	asked instant // before the question was sent
	until time.Duration
	now   time.Duration // the authority's time, at the earliest when asked
}

// sleepSlack is by how much the two clocks may part before it is taken for a
// sleep of the machine, or for somebody who sets the clock. Both close the
// window until the next answer.
const sleepSlack = 100 * time.Millisecond

// newWindow opens a window that is sound once every event up to the position
// has been applied. Whatever was answered before the question arrived is at or
// before the position, except for what the node itself may have missed in the
// last age: so until asked + staleness - age nothing that is older than
// staleness is unknown here. Counting from the answer instead would let an
// answer that was held back open the window for as long as it was held.
func newWindow(asked instant, p client.Position, staleness time.Duration) *window {
	return &window{
		asked: asked, until: asked.steady + staleness - time.Duration(p.Age)*time.Millisecond,
		now: time.Duration(p.Now) * time.Millisecond,
	}
}

// open reports whether the window is open at the moment.
func (w *window) open(at instant) bool {
	if w == nil || at.steady >= w.until {
		return false
	}
	apart := (at.wall - w.asked.wall) - (at.steady - w.asked.steady)
	return apart.Abs() < sleepSlack
}

// serverTime is the authority's time at the moment, in milliseconds since 1970,
// or a little later: what it said is taken to be of when it was asked.
func (w *window) serverTime(at instant) int64 {
	return (w.now + at.steady - w.asked.steady).Milliseconds()
}
