package exeunt

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Limits are the timeouts of one kind of session (OWASP ASVS 5.0, 7.3.1 and 7.3.2). The server enforces them,
// whatever a cookie says.
type Limits struct {
	Idle     time.Duration // idle timeout
	Absolute time.Duration // absolute timeout
	Warning  time.Duration // how long before the idle timeout a page warns
}

// within returns the limits with an idle and an absolute timeout that are no longer than given; 0 is no limit.
func (l Limits) within(idle, absolute time.Duration) Limits {
	if absolute > 0 {
		l.Absolute = min(l.Absolute, absolute)
	}
	if idle > 0 {
		l.Idle = min(l.Idle, idle)
	}
	l.Idle = min(l.Idle, l.Absolute)
	l.Warning = WarningWithin(l.Warning, l.Idle)
	return l
}

// WarningWithin is how long before an idle timeout pages warn: at most a fifth of it, if the policy's warning would
// come before the timeout begins.
func WarningWithin(warning, idle time.Duration) time.Duration {
	if warning >= idle {
		return idle / 5
	}
	return warning
}

// Requirement says what a sign-in needs besides, or instead of, a password.
type Requirement string

const (
	// NoFactor: a password is enough.
	NoFactor Requirement = "optional"
	// AnyFactor: a second factor, or a passkey.
	AnyFactor Requirement = "required"
	// OnlyPasskey: a passkey, because nothing else resists phishing.
	OnlyPasskey Requirement = "passkey"
)

var requirements = []Requirement{NoFactor, AnyFactor, OnlyPasskey} // the strictest is the last

// Stricter returns the stricter of two requirements. "" is NoFactor; an unknown one is the strictest.
func (r Requirement) Stricter(o Requirement) Requirement {
	rank := func(r Requirement) int {
		if r == "" {
			return 0
		}
		if i := slices.Index(requirements, r); i >= 0 {
			return i
		}
		return len(requirements) - 1
	}
	return requirements[max(rank(r), rank(o))]
}

// MetBy reports whether somebody who has proved who they are by these methods has proved enough.
func (r Requirement) MetBy(m Methods) bool {
	switch r {
	case "", NoFactor:
		return true
	case AnyFactor:
		return m.Several()
	}
	return slices.Contains(m, MethodPasskey)
}

func (r Requirement) validate(setting string) error {
	if r != "" && !slices.Contains(requirements, r) {
		return fmt.Errorf("invalid %s %q: use optional, required or passkey", setting, r)
	}
	return nil
}

// Policy says how long sessions live and what a sign-in needs.
type Policy struct {
	Kept, Shared, App Limits
	// MaxSessions is how many live sessions an account may have. The oldest ends when another starts. 0 is no limit.
	MaxSessions int
	// Fresh is how long a proof of who somebody is counts before sensitive changes.
	Fresh time.Duration
	// ConfirmEndings: ending other sessions needs a fresh proof, too.
	ConfirmEndings bool
	// Accounts is how many accounts may be signed in in one browser. With one, whoever signs in takes the other's place.
	Accounts int
	// ConfirmSwitch: changing to another account that is signed in in the browser needs a fresh proof, too.
	ConfirmSwitch bool
	// Review is after how long people are reminded to look through their sessions and apps; 0 is never.
	Review time.Duration
	Factor Requirement // of everybody
	Preset Preset
	Groups []GroupPolicy
}

// GroupPolicy makes the policy stricter for the accounts in a group, and never laxer. Zero fields change nothing.
type GroupPolicy struct {
	Name           string
	Idle, Absolute time.Duration // of every kind of session
	MaxSessions    int
	Factor         Requirement
}

// MaxAccounts is how many accounts can be signed in in one browser at most: their cookies must stay small.
const MaxAccounts = 5

// DefaultPolicy is what an installation starts with.
func DefaultPolicy() Policy {
	const day = 24 * time.Hour
	return Policy{
		Kept:   Limits{Idle: 30 * day, Absolute: 180 * day, Warning: 2 * time.Minute},
		Shared: Limits{Idle: 15 * time.Minute, Absolute: 4 * time.Hour, Warning: 2 * time.Minute},
		App:    Limits{Idle: 30 * day, Absolute: 180 * day, Warning: 2 * time.Minute},
		Fresh:  10 * time.Minute, Review: 90 * day, Factor: NoFactor, Accounts: MaxAccounts,
	}
}

// For returns the limits of a kind for an account in these groups: the strictest of all that apply. An unknown kind
// gets Shared, the strictest.
func (p Policy) For(k SessionKind, groups ...string) Limits {
	of := p.Of(groups)
	switch k {
	case KindKept:
		return of.Kept
	case KindApp:
		return of.App
	}
	return of.Shared
}

// Kiosk are the computers that are always shared, by their addresses, and the limits of sessions that start there.
type Kiosk struct {
	Networks       []netip.Prefix
	Idle, Absolute time.Duration
}

// Has reports whether an address is one of a kiosk.
func (k Kiosk) Has(a netip.Addr) bool {
	return slices.ContainsFunc(k.Networks, func(n netip.Prefix) bool { return n.Contains(a.Unmap()) })
}

// OnKiosk returns the policy with the limits of a kiosk where they are shorter.
func (p Policy) OnKiosk(k Kiosk) Policy {
	p.Shared = p.Shared.within(k.Idle, k.Absolute)
	return p
}

// Of returns the policy of an account in these groups, which has no groups itself.
func (p Policy) Of(groups []string) Policy {
	for _, g := range p.Groups {
		if !slices.Contains(groups, g.Name) {
			continue
		}
		for _, l := range []*Limits{&p.Kept, &p.Shared, &p.App} {
			*l = l.within(g.Idle, g.Absolute)
		}
		if g.MaxSessions > 0 && (p.MaxSessions == 0 || g.MaxSessions < p.MaxSessions) {
			p.MaxSessions = g.MaxSessions
		}
		p.Factor = p.Factor.Stricter(g.Factor)
	}
	p.Groups = nil
	return p
}

// Needs returns what a sign-in of an account in these groups needs; client is the app that it leads to, or nil.
func (p Policy) Needs(groups []string, client *Client) Requirement {
	needs := p.Of(groups).Factor.Stricter(NoFactor)
	if client != nil && client.RequireFactor {
		needs = needs.Stricter(AnyFactor)
	}
	return needs
}

// Demands reports whether a password alone may not be enough for somebody, whatever app it leads to.
func (p Policy) Demands() bool {
	return p.Factor.Stricter(NoFactor) != NoFactor || slices.ContainsFunc(p.Groups, func(g GroupPolicy) bool {
		return g.Factor.Stricter(NoFactor) != NoFactor
	})
}

// Shortens reports whether there is a group with shorter timeouts, so that an account's limits are not known before
// it is.
func (p Policy) Shortens() bool {
	return slices.ContainsFunc(p.Groups, func(g GroupPolicy) bool { return g.Idle > 0 || g.Absolute > 0 })
}

// LongestAbsolute is the longest any session can live.
func (p Policy) LongestAbsolute() time.Duration {
	return max(p.Kept.Absolute, p.Shared.Absolute, p.App.Absolute)
}

// ShortestIdle is the shortest idle timeout of any session.
func (p Policy) ShortestIdle() time.Duration {
	for _, g := range p.Groups {
		for _, l := range []*Limits{&p.Kept, &p.Shared, &p.App} {
			*l = l.within(g.Idle, g.Absolute)
		}
	}
	return min(p.Kept.Idle, p.Shared.Idle, p.App.Idle)
}

// Validate returns an error for the first invalid setting.
func (p Policy) Validate() error {
	bounds, err := p.Preset.bounds()
	if err != nil {
		return err
	}
	if p.Accounts < 1 || p.Accounts > MaxAccounts {
		return fmt.Errorf("policy.accounts_per_browser is %d; use 1 to %d", p.Accounts, MaxAccounts)
	}
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
		case bounds.absolute > 0 && l.Absolute > bounds.absolute:
			return p.Preset.beyond(fmt.Sprintf("policy.%s.absolute", l.kind), l.Absolute, bounds.absolute)
		case bounds.idle > 0 && l.Idle > bounds.idle:
			return p.Preset.beyond(fmt.Sprintf("policy.%s.idle", l.kind), l.Idle, bounds.idle)
		}
	}
	switch {
	case p.Review != 0 && p.Review < 24*time.Hour:
		return fmt.Errorf("policy.review is %v; use 24h or more, or 0 for never", p.Review)
	case p.Fresh < time.Second || p.Fresh > 24*time.Hour:
		return fmt.Errorf("policy.fresh is %v; use 1s to 24h", p.Fresh)
	case p.Factor.validate("policy.factor") != nil:
		return p.Factor.validate("policy.factor")
	case p.Factor.Stricter(bounds.factor) != p.Factor.Stricter(NoFactor):
		return fmt.Errorf("policy.factor is %q; policy.preset %s needs %q", p.Factor, p.Preset, bounds.factor)
	}
	return p.validateGroups()
}

func (p Policy) validateGroups() error {
	seen := map[string]bool{}
	for _, g := range p.Groups {
		switch {
		case !ValidGroup(g.Name):
			return fmt.Errorf("policy.groups: %q is no group: %w", g.Name, ErrGroupName)
		case seen[g.Name]:
			return fmt.Errorf("policy.groups has %s twice: put its settings into one table", g.Name)
		case g.Idle != 0 && g.Idle < time.Second, g.Absolute != 0 && g.Absolute < time.Second:
			return fmt.Errorf("policy.groups %s: idle is %v and absolute %v; the shortest is 1s, and 0 changes nothing",
				g.Name, g.Idle, g.Absolute)
		case g.MaxSessions < 0:
			return fmt.Errorf("policy.groups %s: invalid max_sessions %d: use at least 1, or 0 to change nothing",
				g.Name, g.MaxSessions)
		}
		if err := g.Factor.validate("policy.groups " + g.Name + ": factor"); err != nil {
			return err
		}
		seen[g.Name] = true
	}
	return nil
}
