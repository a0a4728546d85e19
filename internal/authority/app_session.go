package authority

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// AppSignIn is a request to exchange a code for an app session, with what the code is bound to.
type AppSignIn struct {
	Code        exeunt.TokenHash
	Client      exeunt.ClientID
	RedirectURI string
	Challenge   string // computed from the app's PKCE verifier
}

// StartApp spends a code for an app session and returns its credential. Whatever is wrong with the code is
// ErrCodeSpent: the difference would only help whoever stole it. A code that would change nothing does not reach the
// committing goroutine: anybody may call this, and each commit waits for the disk. ErrUnavailable and
// ErrNotConfirmed are the store's; after ErrNotConfirmed the code may be spent, and presenting it again ends the app
// session.
func (a *Authority) StartApp(ctx context.Context, in AppSignIn) (exeunt.Token, Answer, error) {
	token, app := exeunt.NewToken(exeunt.UseApp), exeunt.NewAppSessionID()
	x := store.Exchange{
		Code: in.Code, Client: in.Client, RedirectURI: in.RedirectURI, Challenge: in.Challenge, App: app,
		Hash: token.Hash(),
	}
	if err := a.codeMatters(ctx, x); err != nil {
		return exeunt.Token{}, Answer{}, err
	}
	if err := a.store.ExchangeCode(ctx, x, a.now()); err != nil {
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

// AddCode stores a code of a live session for an app. It returns ErrSignedOut if the session has ended, and a
// ThrottledError if the session has signed in to apps too often lately.
func (a *Authority) AddCode(ctx context.Context, hash exeunt.TokenHash, c store.Code) error {
	judge, err := a.count(exeunt.LimitAppSignIns, perSessionCode, c.Session.String(), netip.Addr{})
	if err != nil {
		return err
	}
	err = a.store.AddCode(ctx, hash, c)
	judge(err)
	return err
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
