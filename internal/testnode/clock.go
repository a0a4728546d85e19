package testnode

import (
	"sync/atomic"
	"time"
)

// Clock is a node's clock. It runs or is stopped; in both cases a test can move it
// forward.
type Clock struct {
	stands time.Time // zero when it runs
	ahead  atomic.Int64
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	now := c.stands
	if now.IsZero() {
		now = time.Now()
	}
	return now.Add(time.Duration(c.ahead.Load()))
}

// Pass moves the clock forward.
func (c *Clock) Pass(d time.Duration) { c.ahead.Add(int64(d)) }
