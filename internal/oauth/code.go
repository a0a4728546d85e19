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

// codeLife is how long a code may wait to be exchanged.
const codeLife = time.Minute

// Service grants and exchanges codes of the registry's clients. All fields are
// needed. It is safe for concurrent use.
type Service struct {
	*Registry
	Authority *authority.Authority
	Now       func() time.Time
}

// GrantCode gives the browser's session a single-use code for a client, bound
// to the client, the address and the PKCE challenge. ErrSignedOut if the
// session has ended meanwhile; what is wrong with the request, as ParseRequest
// says it.
func (s *Service) GrantCode(ctx context.Context, account exeunt.AccountID, session exeunt.SessionID, q CodeRequest) (exeunt.Token, error) {
	if _, err := s.check(q); err != nil {
		return exeunt.Token{}, err
	}
	code := exeunt.NewToken(exeunt.UseCode)
	err := s.store.AddCode(ctx, code.Hash(), store.Code{
		Account: account, Session: session, Client: q.Client,
		RedirectURI: q.RedirectURI, Challenge: q.Challenge, Expires: s.Now().Add(codeLife),
	})
	if err != nil {
		return exeunt.Token{}, err
	}
	return code, nil
}

// CodeExchange is what an app presents at the back end.
type CodeExchange struct {
	Code        exeunt.Token
	Client      exeunt.ClientID
	RedirectURI string
	Verifier    string // PKCE code_verifier
}

// ExchangeCode spends a code for an app session and returns its credential. The
// errors are those of authority.StartApp.
func (s *Service) ExchangeCode(ctx context.Context, x CodeExchange) (exeunt.Token, authority.Answer, error) {
	if x.Code.Use() != exeunt.UseCode || len(x.Verifier) < 43 || len(x.Verifier) > 128 { // RFC 7636 section 4.1
		return exeunt.Token{}, authority.Answer{}, exeunt.ErrCodeSpent
	}
	sum := sha256.Sum256([]byte(x.Verifier))
	return s.Authority.StartApp(ctx, authority.AppSignIn{
		Code: x.Code.Hash(), Client: x.Client, RedirectURI: x.RedirectURI, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]),
	})
}
