package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var (
	// ErrNoToken: nobody is signed in here.
	ErrNoToken = errors.New("nobody is signed in here")
	// ErrPending: signed out on this device, and the server has not confirmed
	// it yet. Call FinishSignOuts later.
	ErrPending = errors.New("signed out on this device; the server has not confirmed it yet")
)

// TokenStore stores a native app's token on its device. TokenFile is one; an app
// with a keyring implements its own. A method returns nil only when its result
// survives a crash.
type TokenStore interface {
	// Load returns the token, or ErrNoToken if there is none or it is damaged.
	Load() (Secret, error)
	// Save stores the token of a new sign-in, and retires an existing one.
	Save(Secret) error
	// Retire moves the token, in one step, to the list of sign-outs that the
	// server has not confirmed: Load does not find it any more. Without a token
	// it does nothing.
	Retire() error
	// Finish calls end with each retired token and deletes the token when end
	// returns nil. It returns the other errors.
	Finish(end func(Secret) error) error
}

// RenewableStore is a TokenStore that can also replace its token. TokenFile is one.
type RenewableStore interface {
	TokenStore
	// Replace stores a new token of the same session in place of the old one, in one
	// step. The old one is not retired, because it names no session any more.
	Replace(Secret) error
}

// EndOthers ends every other session of the account and returns how many there were.
// The server gives this one another token in the same step, so that no copy of the old
// one is of use; EndOthers stores it. If an answer is lost it asks again, within the
// context's time and the 30 s for which the server repeats its answer. An error may
// leave the app signed out here, which the next call tells; the other sessions have
// then ended.
func (c *Client) EndOthers(ctx context.Context, store RenewableStore) (int64, error) {
	token, err := store.Load()
	if err != nil {
		return 0, err
	}
	key := rand.Text()
	for pause := renewPause; ; pause *= 2 {
		ended, next, err := c.EndSessions(ctx, token, Others, key)
		if err == nil && next.IsZero() {
			err = fmt.Errorf("%w: its answer has no new token", ErrUnavailable)
		}
		if err == nil {
			return ended, store.Replace(next)
		}
		if !errors.Is(err, ErrUnavailable) || pause > longestRenewPause {
			return 0, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, err
		}
	}
}

// The waits between two attempts of EndOthers.
const (
	renewPause        = 250 * time.Millisecond
	longestRenewPause = 4 * time.Second
)

// SignOut signs a native app out: it retires the token on this device first, then
// ends the session on the server. It returns
//   - nil: the server has recorded the end;
//   - ErrPending: the app is signed out here, and the server has not confirmed
//     it. Tell the person so, and call FinishSignOuts when the network is back
//     and whenever the app starts;
//   - ErrNoToken: nobody was signed in, and no sign-out is pending;
//   - any other error: the token could not be removed, so the app is still signed
//     in here; the error says whether the session ended on the server.
func (c *Client) SignOut(ctx context.Context, store TokenStore) error {
	token, err := store.Load()
	if err != nil && !errors.Is(err, ErrNoToken) {
		return fmt.Errorf("still signed in here, nothing was changed: %w", err)
	}
	if err := store.Retire(); err != nil {
		if c.endRetired(ctx, token) == nil {
			return fmt.Errorf("the session has ended on the server, but its token could not be removed here: %w", err)
		}
		return fmt.Errorf("still signed in here: the token could not be removed: %w", err)
	}
	pending := false
	err = c.finish(ctx, store, &pending)
	if token.IsZero() && !pending {
		return ErrNoToken
	}
	return err
}

// FinishSignOuts completes sign-outs that the server has not confirmed yet. It
// returns nil when none is left, and ErrPending otherwise.
func (c *Client) FinishSignOuts(ctx context.Context, store TokenStore) error {
	return c.finish(ctx, store, new(bool))
}

func (c *Client) finish(ctx context.Context, store TokenStore, pending *bool) error {
	err := store.Finish(func(t Secret) error {
		*pending = true
		return c.endRetired(ctx, t)
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPending, err)
	}
	return nil
}

// endRetired ends the session of a retired token. If the server says that there is
// no such session, the sign-out is complete too.
func (c *Client) endRetired(ctx context.Context, t Secret) error {
	err := c.End(ctx, t)
	var p *Problem
	if errors.As(err, &p) && p.Status == http.StatusUnauthorized && p.Code != "" {
		return nil
	}
	return err
}
