package exeunt

import (
	"fmt"
	"time"
)

// Preset names a policy after an authentication assurance level of NIST SP 800-63B-4, section 2.
type Preset string

// bounds are what a level allows at most, and the factor that it needs; zero allows everything.
type bounds struct {
	idle, absolute time.Duration
	factor         Requirement
}

func (p Preset) bounds() (bounds, error) {
	switch p {
	case "":
		return bounds{}, nil
	case "aal1": // section 2.1.3
		return bounds{absolute: 30 * 24 * time.Hour}, nil
	case "aal2": // section 2.2.3
		return bounds{time.Hour, 24 * time.Hour, AnyFactor}, nil
	case "aal3": // section 2.3.3; only a passkey resists phishing
		return bounds{15 * time.Minute, 12 * time.Hour, OnlyPasskey}, nil
	}
	return bounds{}, fmt.Errorf("invalid policy.preset %q: use aal1, aal2 or aal3, or leave it out", string(p))
}

func (p Preset) beyond(setting string, is, most time.Duration) error {
	return fmt.Errorf("%s is %v; policy.preset %s allows at most %v: shorten it, or leave it out", setting, is, p, most)
}

// Policy returns the default policy, as strict as the preset needs. An unknown preset changes nothing; Validate refuses
// it.
func (p Preset) Policy() Policy {
	out := DefaultPolicy()
	b, err := p.bounds()
	if err != nil {
		return out
	}
	for _, l := range []*Limits{&out.Kept, &out.Shared, &out.App} {
		*l = l.within(b.idle, b.absolute)
	}
	out.Preset, out.Factor = p, out.Factor.Stricter(b.factor)
	return out
}
