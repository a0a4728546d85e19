package exeunt

import (
	"testing"
	"time"
)

// What is said of an app is what is known of it: the first of these that is true.
func TestReach(t *testing.T) {
	now := time.Date(2026, 11, 30, 14, 0, 0, 0, time.UTC)
	renewable := AppSession{TokenExpires: now.Add(2 * time.Minute)}
	long := AppSession{TokenExpires: now.Add(time.Hour)}
	past := AppSession{TokenExpires: now.Add(-time.Hour)}
	const uri = "https://app.example/logout"
	for name, c := range map[string]struct {
		client    Client
		app       AppSession
		want, all Reach
	}{
		"checked": {Client{Checked: true, BackchannelURI: uri}, renewable, Reach{Tier: TierChecked}, Reach{Tier: TierChecked}},
		"relayed": {Client{Checked: true, Site: &Site{Upstream: "http://10.0.0.7:3000"}}, AppSession{}, Reach{Tier: TierRelayed}, Reach{Tier: TierRelayed}},
		"proxied": {Client{Checked: true, Site: &Site{}}, AppSession{}, Reach{Tier: TierProxied}, Reach{Tier: TierProxied}},
		"told":    {Client{BackchannelURI: uri}, renewable, Reach{Tier: TierTold}, Reach{Tier: TierTold}},
		"expires": {Client{}, renewable, Reach{TierExpires, DefaultTokenLife, renewable.TokenExpires},
			Reach{TierExpires, DefaultTokenLife, renewable.TokenExpires}},
		"expires later than a new token would": {Client{}, long, Reach{TierExpires, time.Hour, long.TokenExpires},
			Reach{TierExpires, time.Hour, long.TokenExpires}},
		"may renew an expired one": {Client{TokenLife: time.Minute}, past, Reach{TierExpires, time.Minute, past.TokenExpires},
			Reach{TierExpires, time.Minute, past.TokenExpires}},
		"account, and expires": {Client{BackchannelURI: uri, BackchannelAccount: true}, renewable,
			Reach{TierExpires, DefaultTokenLife, renewable.TokenExpires}, Reach{Tier: TierTold}},
		"account":           {Client{BackchannelURI: uri, BackchannelAccount: true}, AppSession{}, Reach{Tier: TierAccount}, Reach{Tier: TierTold}},
		"account, no where": {Client{BackchannelAccount: true}, AppSession{}, Reach{Tier: TierUntold}, Reach{Tier: TierUntold}},
		"connector":         {Client{Connector: &Connector{}}, AppSession{}, Reach{Tier: TierAccount}, Reach{Tier: TierTold}},
		"connector, and expires": {Client{Connector: &Connector{}}, renewable,
			Reach{TierExpires, DefaultTokenLife, renewable.TokenExpires}, Reach{Tier: TierTold}},
		"connector on every session": {Client{Connector: &Connector{OnSession: true}}, AppSession{}, Reach{Tier: TierTold},
			Reach{Tier: TierTold}},
		"connector, checked": {Client{Checked: true, Connector: &Connector{}}, AppSession{}, Reach{Tier: TierChecked},
			Reach{Tier: TierChecked}},
		"untold": {Client{SignOutURL: uri}, AppSession{}, Reach{Tier: TierUntold}, Reach{Tier: TierUntold}},
	} {
		if got := c.client.Reach(c.app, now); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got := c.client.ReachOfAll(c.app, now); got != c.all {
			t.Errorf("%s, all: %+v, want %+v", name, got, c.all)
		}
	}
}

// One line about several sign-ins of an app promises no more than what holds for each.
func TestReachOfSeveral(t *testing.T) {
	now := time.Date(2026, 11, 30, 14, 0, 0, 0, time.UTC)
	soon, late := Reach{TierExpires, time.Minute, now.Add(time.Minute)}, Reach{TierExpires, time.Hour, now.Add(time.Hour)}
	untold := Reach{Tier: TierUntold}
	for i, c := range []struct{ a, b, want Reach }{
		{Reach{}, soon, soon}, {soon, Reach{}, soon}, {soon, late, late}, {late, soon, late}, {soon, untold, untold},
		{untold, soon, untold},
	} {
		if got := c.a.Further(c.b); got != c.want {
			t.Errorf("%d: %+v, want %+v", i, got, c.want)
		}
	}
}
