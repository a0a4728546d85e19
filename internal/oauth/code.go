package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/store"
)

// codeLife is how long a code can be exchanged.
const codeLife = time.Minute

// Service grants codes to the registry's clients, exchanges them, and writes ID tokens. All fields are
// needed. It is safe for concurrent use.
type Service struct {
	*Registry
	Authority *authority.Authority
	Refreshes *keys.Ring    // authenticates refresh tokens, for as long as sessions last
	Requests  *keys.Ring    // seals requests that browsers keep
	Signers   *keys.Signers // of ID tokens
	Issuer    string        // the authority's address, by which apps know it
	Now       func() time.Time

	kept sync.Map // IDs of the keys that SignReceipt has stored
}

// Secret is a text that is masked when it is printed.
type Secret string

// String masks the secret.
func (s Secret) String() string { return "…" }

// GoString masks the secret.
func (s Secret) GoString() string { return "…" }

// LogValue masks the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue("…") }

// MarshalText masks the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte("…"), nil }

// Reveal returns the text, for handing it to its holder once.
func (s Secret) Reveal() string { return string(s) }

// GrantCode creates a single-use code of a browser's session for a client, bound to
// the client, the redirect address and the PKCE challenge. ErrNotAdmitted when the person is
// in none of the client's groups, ErrFactorNeeded when the session was started by less than the policy or the client
// requires; otherwise the errors of authority.AddCode.
func (s *Service) GrantCode(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID, q CodeRequest,
) (exeunt.Token, error) {
	c, err := s.check(q)
	if err == nil && !validChallenge(c, q.Challenge) {
		err = fmt.Errorf("code_challenge of client %s: %w", c.ID, exeunt.ErrBadRequest)
	}
	if err == nil {
		err = s.admits(ctx, c, account)
	}
	if err == nil {
		err = s.Authority.Suffices(ctx, account, session, &c)
	}
	if err != nil {
		return exeunt.Token{}, err
	}
	code := exeunt.NewToken(exeunt.UseCode)
	err = s.Authority.AddCode(ctx, code.Hash(), store.Code{
		Account: account, Session: session, Client: c.ID, Registration: c.Registration, RedirectURI: q.RedirectURI, Challenge: q.Challenge,
		Scopes: q.Scopes, Nonce: q.Nonce, Holder: q.Holder, Expires: s.Now().Add(codeLife),
	})
	return code, err
}

// CodeExchange is what an app presents to exchange a code, after it has shown that it is the client.
type CodeExchange struct {
	Code        exeunt.Token
	Client      exeunt.Client
	RedirectURI string
	Verifier    string // PKCE code_verifier; "" without
	// Device is where the app of a public client runs, which gets a session of its own.
	Device authority.Device
}

// Tokens are what an app gets for a code or a refresh token.
type Tokens struct {
	Access  exeunt.Token
	Refresh Secret // "" unless the app asked for one
	Scopes  exeunt.Scopes
	Nonce   string
	authority.Answer
}

// ExchangeCode spends a code for an app session and returns its credential. The errors are those of
// authority.StartApp.
func (s *Service) ExchangeCode(ctx context.Context, x CodeExchange) (Tokens, error) {
	if x.Code.Use() != exeunt.UseCode || x.RedirectURI == "" || // only a device's code has none
		x.Verifier != "" && (len(x.Verifier) < 43 || len(x.Verifier) > 128) { // RFC 7636 section 4.1
		return Tokens{}, exeunt.ErrCodeSpent
	}
	in := authority.AppSignIn{Code: x.Code.Hash(), RedirectURI: x.RedirectURI}
	if x.Verifier != "" {
		in.Challenge = Challenge(x.Verifier)
	}
	if x.Client.Site != nil {
		in.Fresh = x.Client.Site.Fresh
	}
	if x.Client.Public() {
		x.Device.Label = x.Client.Name
		in.Own = &x.Device
	}
	return s.start(ctx, x.Client, in)
}

// Challenge is the PKCE code_challenge of a verifier by S256 (RFC 7636 section 4.2).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// start exchanges the code for tokens of the client.
func (s *Service) start(ctx context.Context, c exeunt.Client, in authority.AppSignIn) (Tokens, error) {
	in.Client, in.Life = c.ID, c.LifeOfTokens()
	token, got, err := s.Authority.StartApp(ctx, in)
	if err != nil {
		return Tokens{}, err
	}
	out := Tokens{Access: token, Scopes: got.Scopes, Nonce: got.Nonce, Answer: got.Answer}
	if got.Scopes.Has(exeunt.ScopeOffline) {
		out.Refresh = Secret(s.newRefreshToken(got.Account, got.App, 0))
	}
	return out, nil
}

// Authenticate returns the client of that ID if the secret is its own, or if it has none and none was sent. Otherwise it
// returns ErrClientKey.
func (r *Registry) Authenticate(id, secret string) (exeunt.Client, error) {
	c, err := r.Client(exeunt.ClientID(id))
	if err != nil {
		return c, fmt.Errorf("%w (%w)", exeunt.ErrClientKey, err)
	}
	if c.Public() && secret == "" {
		return c, nil
	}
	key, err := exeunt.ParseToken(secret)
	if err != nil || key.Use() != exeunt.UseClient || !c.HasKey(key.Hash()) {
		return c, fmt.Errorf("client %s: %w", c.ID, exeunt.ErrClientKey)
	}
	return c, nil
}

// admits returns ErrNotAdmitted if the account may not use the client.
func (s *Service) admits(ctx context.Context, c exeunt.Client, account exeunt.AccountID) error {
	if len(c.Groups) == 0 {
		return nil
	}
	p, err := s.Authority.ProfileOf(ctx, account)
	if err == nil && !c.Admits(p.Groups) {
		err = exeunt.ErrNotAdmitted
	}
	return err
}
