package authority

import "time"

// pauses are the waits between repetitions of something that fails: each is twice as long as the one before.
type pauses struct{ first, longest, last time.Duration }

// next returns how long to wait now.
func (p *pauses) next() time.Duration {
	p.last = min(max(p.first, 2*p.last), p.longest)
	return p.last
}
