package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/keys"
)

// typeIDToken tells ID tokens from the other tokens that the same keys sign (RFC 8725 section 3.11).
const typeIDToken = "JWT"

// The authentication context classes: the person has proved who they are by one factor, or by several.
const (
	ACR        = "urn:exeunt:acr:1"
	ACRSeveral = "urn:exeunt:acr:2"
)

// PicturePath is where pictures are found by their names, by whoever knows them.
const PicturePath = "/pictures/"

// PersonClaims are what an app with these scopes learns of a person (OpenID Connect Core section 5.1).
func (s *Service) PersonClaims(id exeunt.AccountID, p exeunt.Profile, scopes exeunt.Scopes) map[string]any {
	out := map[string]any{"sub": id.String()}
	if scopes.Has(exeunt.ScopeProfile) {
		out["preferred_username"], out["name"] = p.Handle, p.Name
		if p.Picture != "" {
			out["picture"] = s.Issuer + PicturePath + string(p.Picture)
		}
	}
	// Apps find accounts by the address, and some do not look at email_verified: an address that anybody could have
	// written is not told at all.
	if scopes.Has(exeunt.ScopeEmail) && p.Email != "" {
		out["email"], out["email_verified"] = p.Email, true
	}
	if scopes.Has(exeunt.ScopeGroups) {
		out["groups"] = append([]string{}, p.Groups...)
	}
	return out
}

// IDToken returns the ID token that goes with the tokens (OpenID Connect Core section 2), and "" if the app did not ask
// for openid.
func (s *Service) IDToken(ctx context.Context, c exeunt.Client, t Tokens) (Secret, error) {
	if !t.Scopes.Has(exeunt.ScopeOpenID) {
		return "", nil
	}
	session, err := s.Authority.Session(ctx, t.Account, t.Session)
	if err != nil {
		return "", fmt.Errorf("session %s for an ID token: %w", t.Session, err)
	}
	profile, err := s.Authority.Profile(ctx, t.Answer)
	if err != nil {
		return "", err
	}
	now := s.Now()
	claims := s.PersonClaims(t.Account, profile, t.Scopes)
	claims["iss"], claims["aud"] = s.Issuer, c.ID
	claims["iat"], claims["exp"] = now.Unix(), now.Add(c.LifeOfTokens()).Unix()
	claims["auth_time"], claims["acr"], claims["amr"] = session.Proved.Unix(), acr(session.Methods), amr(session.Methods)
	claims["sid"], claims["session_expiry"] = t.Session, session.ExpiresAt.Unix()
	claims["at_hash"] = accessTokenHash(c.Alg(), t.Access)
	if t.Nonce != "" {
		claims["nonce"] = t.Nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	token, err := s.Signers.Sign(c.Alg(), typeIDToken, payload)
	return Secret(token), err
}

// amr names the methods as RFC 8176 section 2 does: a passkey is a proof of possession of a key (pop), for which its
// holder was asked (user).
func amr(methods exeunt.Methods) (out []string) {
	for _, m := range methods {
		switch m {
		case exeunt.MethodPassword:
			out = append(out, "pwd")
		case exeunt.MethodTOTP, exeunt.MethodRecovery:
			out = append(out, "otp")
		case exeunt.MethodPasskey:
			out = append(out, "pop", "user")
		default:
			out = append(out, string(m))
		}
	}
	if methods.Several() {
		out = append(out, "mfa")
	}
	return out
}

func acr(methods exeunt.Methods) string {
	if methods.Several() {
		return ACRSeveral
	}
	return ACR
}

// accessTokenHash is the left half of a hash that goes with the algorithm (OpenID Connect Core section 3.1.3.6); with
// Ed25519, signatures are made with SHA-512 (RFC 8032 section 5.1).
func accessTokenHash(alg string, t exeunt.Token) string {
	if alg == string(keys.EdDSA) {
		sum := sha512.Sum512([]byte(t.Reveal()))
		return base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2])
	}
	sum := sha256.Sum256([]byte(t.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

// Hint is what an ID token of ours says, whenever that was.
type Hint struct {
	Account exeunt.AccountID
	Session exeunt.SessionID
	Client  exeunt.ClientID
}

// ReadHint reads an ID token that we signed and an app sent back (OpenID Connect Core section 3.1.2.1, OpenID Connect
// RP-Initiated Logout section 2). It may have expired. ok is false for any other text, and for one that is
// longer than any of them.
func (s *Service) ReadHint(token string) (h Hint, ok bool) {
	if token == "" || len(token) > maxHint {
		return h, false
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil || len(signed.Signatures) != 1 {
		return h, false
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != typeIDToken {
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

// MustProve reports whether whoever is signed in must prove again who they are for a request: by what it says itself, or
// because its hint names somebody else.
func (s *Service) MustProve(q *Request, who exeunt.Session) bool {
	if q.MustProve(who.Proved, s.Now()) {
		return true
	}
	expected := s.Expected(q)
	// Whoever has proved it for this request may be somebody else than the app expects: it finds out by the answer.
	return !expected.IsZero() && expected != who.Account && (q.Began.IsZero() || who.Proved.Before(q.Began))
}

// Expected is whom the request's hint names; zero if it has none of ours, or one that another app got: with that, an app
// could find out who is signed in here whom it does not know.
func (s *Service) Expected(q *Request) exeunt.AccountID {
	if !q.Expects.IsZero() {
		return q.Expects
	}
	hint, ok := s.ReadHint(q.Hint)
	if !ok || hint.Client != q.Client {
		return exeunt.AccountID{}
	}
	return hint.Account
}
