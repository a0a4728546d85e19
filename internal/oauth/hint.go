package oauth

import (
	"encoding/json"

	"github.com/go-jose/go-jose/v4"

	"github.com/exeunt/exeunt"
)

// Hint is what an ID token of ours says, whenever that was.
type Hint struct {
	Account exeunt.AccountID
	Session exeunt.SessionID
	Client  exeunt.ClientID
}

// ReadHint reads an ID token that we signed and an app sent back (OpenID Connect Core section 3.1.2.1, OpenID Connect
// RP-Initiated Logout section 2). It may have expired. ok is false for any other text.
func (s *Service) ReadHint(token string) (h Hint, ok bool) {
	if token == "" {
		return h, false
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil || len(signed.Signatures) != 1 {
		return h, false
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != "JWT" {
		return h, false
	}
	text, err := s.Signers.JWKS()
	if err != nil {
		return h, false
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return h, false
	}
	for _, key := range set.Key(header.KeyID) {
		if key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := signed.Verify(key); err == nil {
			return s.readClaims(payload)
		}
	}
	return h, false
}

func (s *Service) readClaims(payload []byte) (h Hint, ok bool) {
	var claims struct {
		Issuer  string           `json:"iss"`
		Subject exeunt.AccountID `json:"sub"`
		Session exeunt.SessionID `json:"sid"`
		Client  exeunt.ClientID  `json:"aud"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Issuer != s.Issuer {
		return h, false
	}
	return Hint{claims.Subject, claims.Session, claims.Client}, true
}
