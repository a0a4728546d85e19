package exeunt

import (
	"fmt"
	"time"
)

// Limits are the timeouts of one kind of session (OWASP ASVS 5.0, 7.3.1 and 7.3.2). The server enforces them,
// whatever a cookie says.
type Limits struct {
	Idle     time.Duration // idle timeout
	Absolute time.Duration // absolute timeout
	Warning  time.Duration // how long before the idle timeout a page warns
}

// Policy holds the limits for each kind of session.
type Policy struct {
	Kept, Shared, App Limits
}

// DefaultPolicy is what an installation starts with.
func DefaultPolicy() Policy {
	const day = 24 * time.Hour
	return Policy{
		Kept:   Limits{Idle: 30 * day, Absolute: 180 * day, Warning: 2 * time.Minute},
		Shared: Limits{Idle: 15 * time.Minute, Absolute: 4 * time.Hour, Warning: 2 * time.Minute},
		App:    Limits{Idle: 30 * day, Absolute: 180 * day, Warning: 2 * time.Minute},
	}
}

// For returns the limits of a kind; an unknown kind gets Shared, the strictest.
func (p Policy) For(k SessionKind) Limits {
	switch k {
	case KindKept:
		return p.Kept
	case KindApp:
		return p.App
	}
	return p.Shared
}

// LongestAbsolute is the longest any session can live.
func (p Policy) LongestAbsolute() time.Duration {
	return max(p.Kept.Absolute, p.Shared.Absolute, p.App.Absolute)
}

// ShortestIdle is the shortest idle timeout of any kind.
func (p Policy) ShortestIdle() time.Duration {
	return min(p.Kept.Idle, p.Shared.Idle, p.App.Idle)
}

// Validate returns an error for the first invalid limit.
func (p Policy) Validate() error {
	for _, l := range []struct {
		kind SessionKind
		Limits
	}{{KindKept, p.Kept}, {KindShared, p.Shared}, {KindApp, p.App}} {
		switch {
		case l.Idle < time.Second:
			return fmt.Errorf("policy.%s.idle is %v; the shortest is 1s", l.kind, l.Idle)
		case l.Absolute < l.Idle:
			return fmt.Errorf("policy.%s.absolute is %v, shorter than its idle timeout of %v",
				l.kind, l.Absolute, l.Idle)
		case l.Warning <= 0 || l.Warning >= l.Idle:
			return fmt.Errorf("policy.%s.warning is %v; it must be above 0 and below the idle timeout of %v",
				l.kind, l.Warning, l.Idle)
		}
	}
	return nil
}
