package exeunt

import (
	"strings"
	"testing"
	"time"
)

func TestTheStrictestPolicyCounts(t *testing.T) {
	p := DefaultPolicy()
	p.MaxSessions = 100
	p.Groups = []GroupPolicy{
		{Name: "lax", Idle: 1000 * time.Hour, Absolute: 10000 * time.Hour, MaxSessions: 1000, Factor: NoFactor},
		{Name: "staff", Idle: time.Hour, Absolute: 12 * time.Hour, MaxSessions: 10, Factor: AnyFactor},
		{Name: "night", Absolute: 30 * time.Minute, Factor: OnlyPasskey},
		{Name: "short", Idle: 5 * time.Second},
	}
	for _, c := range []struct {
		groups         string
		kind           SessionKind
		idle, absolute time.Duration
		most           int
		needs          Requirement
	}{
		{"", KindKept, 720 * time.Hour, 180 * 24 * time.Hour, 100, NoFactor},
		{"lax", KindKept, 720 * time.Hour, 180 * 24 * time.Hour, 100, NoFactor},
		{"unknown", KindShared, 15 * time.Minute, 4 * time.Hour, 100, NoFactor},
		{"staff", KindApp, time.Hour, 12 * time.Hour, 10, AnyFactor},
		{"staff lax", KindShared, 15 * time.Minute, 4 * time.Hour, 10, AnyFactor},
		{"lax staff night", KindKept, 30 * time.Minute, 30 * time.Minute, 10, OnlyPasskey},
		{"short night", "from a newer program", 5 * time.Second, 30 * time.Minute, 100, OnlyPasskey},
	} {
		groups := strings.Fields(c.groups)
		l := p.For(c.kind, groups...)
		if l.Idle != c.idle || l.Absolute != c.absolute || l.Warning <= 0 || l.Warning >= l.Idle {
			t.Errorf("%q, %s: %+v", c.groups, c.kind, l)
		}
		if of := p.Of(groups); of.MaxSessions != c.most || p.Needs(groups, nil) != c.needs {
			t.Errorf("%q: %d sessions, %s", c.groups, of.MaxSessions, p.Needs(groups, nil))
		}
		if got := p.Needs(groups, &Client{RequireFactor: true}); got != c.needs.Stricter(AnyFactor) {
			t.Errorf("%q, an app that requires a factor: %s", c.groups, got)
		}
	}
	if !p.Shortens() || DefaultPolicy().Shortens() || p.ShortestIdle() != 5*time.Second {
		t.Errorf("%v, %v", p.Shortens(), p.ShortestIdle())
	}
	if Requirement("from a newer program").Stricter(NoFactor) != OnlyPasskey {
		t.Error("an unknown requirement is met by less than the strictest")
	}
}

func TestRequirementsMet(t *testing.T) {
	for methods, met := range map[string][]bool{ // by NoFactor, AnyFactor, OnlyPasskey, and an unknown one
		"password":          {true, false, false, false},
		"password totp":     {true, true, false, false},
		"password recovery": {true, true, false, false},
		"passkey":           {true, true, true, true},
		"password passkey":  {true, true, true, true},
		"":                  {true, false, false, false},
	} {
		for i, r := range []Requirement{NoFactor, AnyFactor, OnlyPasskey, "newer"} {
			if got := r.MetBy(ParseMethods(methods)); got != met[i] {
				t.Errorf("%s is met by %q: %v", r, methods, got)
			}
		}
	}
	staff := GroupPolicy{Name: "staff", Factor: AnyFactor}
	if DefaultPolicy().Demands() || !(Policy{Factor: AnyFactor}).Demands() ||
		!(Policy{Groups: []GroupPolicy{{Name: "lax"}, staff}}).Demands() {
		t.Error("a policy that demands a factor is taken for one that does not, or the other way round")
	}
}

func TestPresets(t *testing.T) {
	for preset, want := range map[Preset]struct {
		idle, absolute time.Duration
		factor         Requirement
	}{
		"aal1": {30 * 24 * time.Hour, 30 * 24 * time.Hour, NoFactor},
		"aal2": {time.Hour, 24 * time.Hour, AnyFactor},
		"aal3": {15 * time.Minute, 12 * time.Hour, OnlyPasskey},
	} {
		p := preset.Policy()
		if p.Validate() != nil || p.Kept.Idle != want.idle || p.Kept.Absolute != want.absolute ||
			p.App.Absolute != want.absolute || p.Factor != want.factor || p.Shared != DefaultPolicy().Shared {
			t.Errorf("%s: %+v, %v", preset, p, p.Validate())
		}
		for _, change := range []func(*Policy){
			func(p *Policy) { p.Kept.Absolute += time.Second },
			func(p *Policy) { p.App.Absolute += time.Second },
			func(p *Policy) { p.Kept.Idle, p.Kept.Absolute = p.Kept.Idle+time.Second, p.Kept.Absolute+time.Second },
			func(p *Policy) { p.Shared.Absolute = want.absolute + time.Second },
		} {
			p := preset.Policy()
			change(&p)
			if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "allows at most") {
				t.Errorf("%s: %+v is allowed: %v", preset, p, err)
			}
		}
		p.Factor = NoFactor
		if err := p.Validate(); (err == nil) != (want.factor == NoFactor) {
			t.Errorf("%s without a factor: %v", preset, err)
		}
	}
	if Preset("aal4").Policy().Validate() != nil { // Validate refuses the name, which config keeps
		t.Error("an unknown preset changes the policy")
	}
}

func TestInvalidPolicies(t *testing.T) {
	for want, change := range map[string]func(*Policy){
		"aal1, aal2 or aal3":  func(p *Policy) { p.Preset = "aal4" },
		"policy.fresh":        func(p *Policy) { p.Fresh = 0 },
		"policy.factor":       func(p *Policy) { p.Factor = "always" },
		"staff: factor":       func(p *Policy) { p.Groups = []GroupPolicy{{Name: "staff", Factor: "never"}} },
		"staff twice":         func(p *Policy) { p.Groups = []GroupPolicy{{Name: "staff"}, {Name: "staff"}} },
		"is no group":         func(p *Policy) { p.Groups = []GroupPolicy{{Name: "St aff"}} },
		"the shortest is 1s":  func(p *Policy) { p.Groups = []GroupPolicy{{Name: "staff", Idle: time.Millisecond}} },
		"invalid max_session": func(p *Policy) { p.Groups = []GroupPolicy{{Name: "staff", MaxSessions: -1}} },
	} {
		p := DefaultPolicy()
		change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
