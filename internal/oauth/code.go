package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/store"
)

// codeLife is how long a code can be exchanged.
const codeLife = time.Minute

// Service grants codes to the registry's clients and exchanges them. All fields are
// needed. It is safe for concurrent use.
type Service struct {
	*Registry
	Authority *authority.Authority
	Now       func() time.Time
}

// GrantCode creates a single-use code of a browser's session for a client, bound to
// the client, the redirect address and the PKCE challenge. It returns the errors of
// authority.AddCode, and ParseRequest's errors if the request is invalid.
func (s *Service) GrantCode(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID, q CodeRequest,
) (exeunt.Token, error) {
	if _, err := s.check(q); err != nil {
		return exeunt.Token{}, err
	}
	code := exeunt.NewToken(exeunt.UseCode)
	err := s.Authority.AddCode(ctx, code.Hash(), store.Code{
		Account: account, Session: session, Client: q.Client,
		RedirectURI: q.RedirectURI, Challenge: q.Challenge, Expires: s.Now().Add(codeLife), Holder: q.Holder,
	})
	return code, err
}

// CodeExchange is what an app's server presents to exchange a code.
type CodeExchange struct {
	Code        exeunt.Token
	Client      exeunt.ClientID
	RedirectURI string
	Verifier    string       // PKCE code_verifier
	Key         exeunt.Token // the client's secret key; zero if none was presented
}

// ExchangeCode spends a code for an app session and returns its credential. A client
// that has a key must present it (RFC 6749 section 3.2.1): otherwise the error is
// ErrClientKey, and the code is not spent. The other errors are those of
// authority.StartApp.
func (s *Service) ExchangeCode(ctx context.Context, x CodeExchange) (exeunt.Token, authority.Answer, error) {
	if x.Code.Use() != exeunt.UseCode || len(x.Verifier) < 43 || len(x.Verifier) > 128 { // RFC 7636 section 4.1
		return exeunt.Token{}, authority.Answer{}, exeunt.ErrCodeSpent
	}
	if c, err := s.Client(x.Client); err == nil && (len(c.Keys) > 0 || !x.Key.IsZero()) &&
		(x.Key.Use() != exeunt.UseClient || !c.HasKey(x.Key.Hash())) {
		return exeunt.Token{}, authority.Answer{}, exeunt.ErrClientKey
	}
	sum := sha256.Sum256([]byte(x.Verifier))
	return s.Authority.StartApp(ctx, authority.AppSignIn{
		Code: x.Code.Hash(), Client: x.Client, RedirectURI: x.RedirectURI,
		Challenge: base64.RawURLEncoding.EncodeToString(sum[:]),
	})
}
