package exeunt

import "time"

// Tier says how far a sign-out reaches an app.
type Tier string

const (
	// TierChecked: it asks the authority about each request, so it refuses from the moment of the sign-out.
	TierChecked Tier = "checked"
	// TierRelayed: its requests pass through our own proxy, which refuses them from then on, and closes what is open.
	TierRelayed Tier = "relayed"
	// TierProxied: another proxy asks about each request, and so refuses them from then on. But proxies do not ask again
	// about a connection that they have let through, such as a WebSocket.
	TierProxied Tier = "proxied"
	// TierTold: it is told, and confirms it, by OpenID Connect Back-Channel Logout 1.0 or by its API.
	TierTold Tier = "told"
	// TierExpires: its access expires by itself in a while, and cannot be renewed after the sign-out.
	TierExpires Tier = "expires"
	// TierAccount: it can only end everything that the person has in it, so it is told when all of their sessions end.
	TierAccount Tier = "account"
	// TierUntold: it can be told nothing.
	TierUntold Tier = "untold"
)

// Reach is how far a sign-out reaches an app.
type Reach struct {
	Tier Tier
	// Within, of TierExpires, is how long at most the app's access lasts after the sign-out.
	Within time.Duration
	// By, of TierExpires, is when its access expires if it is not renewed before the sign-out; after the sign-out it is
	// when it expires at the latest.
	By time.Time
}

// Reach returns how far the end of one session reaches the client, which has such an app session in it.
func (c Client) Reach(app AppSession, now time.Time) Reach {
	switch {
	case c.Site != nil && c.Site.Upstream != "":
		return Reach{Tier: TierRelayed}
	case c.Site != nil:
		return Reach{Tier: TierProxied}
	case c.Checked:
		return Reach{Tier: TierChecked}
	case c.IsTold() && !c.OnlyWhole():
		return Reach{Tier: TierTold}
	case !app.TokenExpires.IsZero():
		return Reach{TierExpires, max(c.LifeOfTokens(), app.TokenExpires.Sub(now)), app.TokenExpires}
	case c.IsTold():
		return Reach{Tier: TierAccount}
	}
	return Reach{Tier: TierUntold}
}

// ReachOfAll returns how far the end of every session of the account reaches the client.
func (c Client) ReachOfAll(app AppSession, now time.Time) Reach {
	if c.IsTold() && !c.Checked {
		return Reach{Tier: TierTold}
	}
	return c.Reach(app, now)
}

// Further returns of the reaches of two app sessions of one client the one that tells what is true of both.
func (r Reach) Further(o Reach) Reach {
	switch {
	case r.Tier == "":
		return o
	case r.Tier != TierExpires || o.Tier == "":
		return r
	case o.Tier != TierExpires:
		return o
	}
	r.Within = max(r.Within, o.Within)
	if o.By.After(r.By) {
		r.By = o.By
	}
	return r
}
