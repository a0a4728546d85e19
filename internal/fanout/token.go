package fanout

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/exeunt/exeunt"
)

// tokenLife is how long a logout token is valid: no longer than two minutes (OpenID Connect Back-Channel Logout 1.0
// section 4).
const tokenLife = 2 * time.Minute

// tokenType keeps a logout token from being taken for another one (section 2.4, RFC 8725 section 3.11).
const tokenType = "logout+jwt"

// claims are those of a logout token (section 2.4). It has no nonce.
type claims struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience string         `json:"aud"`
	IssuedAt int64          `json:"iat"`
	Expires  int64          `json:"exp"`
	ID       string         `json:"jti"`
	Events   map[string]any `json:"events"`
	Session  string         `json:"sid,omitempty"`
}

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// token returns a new logout token. Each attempt needs one: an app that remembers jti refuses the same one for ever.
func (s *Service) token(d exeunt.Delivery, c exeunt.Client, now time.Time) (string, error) {
	payload, err := json.Marshal(claims{
		Issuer: s.Issuer, Subject: d.Account.String(), Audience: string(d.Client), IssuedAt: now.Unix(),
		Expires: now.Add(tokenLife).Unix(), ID: rand.Text(), Events: map[string]any{logoutEvent: struct{}{}},
		Session: d.Session.String(),
	})
	if err != nil {
		return "", err
	}
	return s.Sign(c.Alg(), tokenType, payload)
}
