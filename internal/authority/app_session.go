package authority

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// codeLife is how long a code may wait to be exchanged.
const codeLife = time.Minute

// CodeRequest is an app's wish for an app session, as the browser brought it.
type CodeRequest struct {
	Client      exeunt.ClientID
	RedirectURI string
	Challenge   string // PKCE code_challenge; S256 is the only method
}

// CheckCodeRequest says what is wrong with a request before anybody is asked
// about it: ErrNotFound for an unknown client or an address that is not
// registered for it, in which case nobody may be sent there; ErrBadChallenge.
func (a *Authority) CheckCodeRequest(r CodeRequest) (exeunt.Client, error) {
	c, err := a.Client(r.Client)
	if err != nil {
		return c, fmt.Errorf("client %q: %w", r.Client, err)
	}
	if !c.MayRedirectTo(r.RedirectURI) {
		return c, fmt.Errorf("redirect address of client %s: %w", r.Client, exeunt.ErrNotFound)
	}
	// RFC 7636 section 4.2: BASE64URL(SHA256(verifier)), 43 characters. The
	// decoder alone would pass over line breaks.
	if b, err := base64.RawURLEncoding.Strict().DecodeString(r.Challenge); err != nil || len(b) != sha256.Size || len(r.Challenge) != 43 {
		return c, exeunt.ErrBadChallenge
	}
	return c, nil
}

// GrantCode gives the browser's session a single-use code for a client, bound
// to the client, the address and the PKCE challenge. ErrSignedOut if the
// session has ended meanwhile.
func (a *Authority) GrantCode(ctx context.Context, account exeunt.AccountID, session exeunt.SessionID, r CodeRequest) (exeunt.Token, error) {
	if _, err := a.CheckCodeRequest(r); err != nil {
		return exeunt.Token{}, err
	}
	code := exeunt.NewToken(exeunt.UseCode)
	err := a.store.AddCode(ctx, code.Hash(), store.Code{
		Account: account, Session: session, Client: r.Client,
		RedirectURI: r.RedirectURI, Challenge: r.Challenge, Expires: a.now().Add(codeLife),
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

// ExchangeCode spends a code for an app session and returns its credential.
// Whatever is wrong with the code is ErrCodeSpent: the difference would only
// help whoever stole it. What could change nothing is not given to the
// committing goroutine: anybody may call this, and each commit waits for the
// disk. ErrUnavailable and ErrNotConfirmed are the store's;
// after ErrNotConfirmed the code may be spent, and presenting it again ends
// what it gave.
func (a *Authority) ExchangeCode(ctx context.Context, x CodeExchange) (exeunt.Token, Answer, error) {
	if x.Code.Use() != exeunt.UseCode || len(x.Verifier) < 43 || len(x.Verifier) > 128 { // RFC 7636 section 4.1
		return exeunt.Token{}, Answer{}, exeunt.ErrCodeSpent
	}
	sum := sha256.Sum256([]byte(x.Verifier))
	token, app := exeunt.NewToken(exeunt.UseApp), exeunt.NewAppSessionID()
	ex := store.Exchange{
		Code: x.Code.Hash(), Client: x.Client, RedirectURI: x.RedirectURI,
		Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), App: app, Hash: token.Hash(),
	}
	if err := a.codeMatters(ctx, ex); err != nil {
		return exeunt.Token{}, Answer{}, err
	}
	if err := a.store.ExchangeCode(ctx, ex, a.now()); err != nil {
		return exeunt.Token{}, Answer{}, err
	}
	ans := a.check(ctx, token)
	if ans.State == live.Indeterminate {
		return exeunt.Token{}, ans, fmt.Errorf("app session %s: %w", app, exeunt.ErrNotConfirmed)
	}
	if !ans.Usable() {
		return exeunt.Token{}, ans, exeunt.ErrCodeSpent // ended in this very moment
	}
	a.feed.Wake(ans.Account)
	return token, ans, nil
}

func (a *Authority) codeMatters(ctx context.Context, x store.Exchange) error {
	matters := false
	err := a.LookUp(ctx, exeunt.UseCode, x.Code, exeunt.ErrNotFound, func(ctx context.Context) (err error) {
		matters, err = a.store.CodeMatters(ctx, x, a.now())
		return err
	})
	if errors.Is(err, exeunt.ErrNotFound) || err == nil && !matters {
		return exeunt.ErrCodeSpent
	}
	return err
}
