package feed

import (
	"time"

	"golang.org/x/sys/unix"
)

// awake notices that the machine was suspended: Go's monotonic clock does not count that time.
type awake struct{ behind time.Duration }

// tolerance is by how much two clocks may differ because they are read one after the other.
const tolerance = 200 * time.Millisecond

func newAwake() *awake { return &awake{suspended()} }

// slept reports whether the machine has slept since the last call.
func (a *awake) slept() bool {
	now := suspended()
	slept := now-a.behind > tolerance
	a.behind = now
	return slept
}

// suspended is how long the machine has slept since it was started.
func suspended() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}
