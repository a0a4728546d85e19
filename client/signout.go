package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

var (
	// ErrNoToken: nobody is signed in here.
	ErrNoToken = errors.New("nobody is signed in here")
	// ErrPending: signed out on this device, and the server has not confirmed
	// it yet. SettleSignOuts completes it.
	ErrPending = errors.New("signed out on this device; the server has not confirmed it yet")
)

// TokenStore keeps a native app's token on its device. TokenFile is one; an
// app with a keyring brings its own. Methods report done only when it will
// survive a crash.
type TokenStore interface {
	// Load returns the token, or ErrNoToken, also when what is kept is damaged.
	Load() (Secret, error)
	// Save keeps the token of a new sign-in. One that is there is retired.
	Save(Secret) error
	// Retire takes the token away, in one step, into a list of sign-outs owed
	// to the server: Load finds it no more. Without a token it does nothing.
	Retire() error
	// Settle gives each retired token to done and forgets it when that
	// returns nil. It returns the errors of the others.
	Settle(done func(Secret) error) error
}

// SignOut signs a native app out: the secret leaves this device's reach first,
// then the session ends on the server. What might happen:
//   - nil: the server has recorded the end.
//   - ErrPending: the app is signed out here and stays so; the server has not
//     confirmed. Tell the person so, and call SettleSignOuts when the network
//     is back and whenever the app starts.
//   - ErrNoToken: nobody was signed in, and nothing is owed to the server.
//   - anything else: the secret could not be taken away, so the app is still
//     signed in here; the error says whether the session ended on the server.
func (c *Client) SignOut(ctx context.Context, kept TokenStore) error {
	token, err := kept.Load()
	if err != nil && !errors.Is(err, ErrNoToken) {
		return fmt.Errorf("still signed in here, nothing was changed: %w", err)
	}
	if err := kept.Retire(); err != nil {
		if c.endOwed(ctx, token) == nil {
			return fmt.Errorf("the session has ended on the server, but its secret could not be removed here: %w", err)
		}
		return fmt.Errorf("still signed in here: the secret could not be removed: %w", err)
	}
	owed := false
	err = c.settle(ctx, kept, &owed)
	if token.IsZero() && !owed {
		return ErrNoToken
	}
	return err
}

// SettleSignOuts completes sign-outs that the server has not confirmed yet. It
// returns nil when none is left, and ErrPending otherwise.
func (c *Client) SettleSignOuts(ctx context.Context, kept TokenStore) error {
	return c.settle(ctx, kept, new(bool))
}

func (c *Client) settle(ctx context.Context, kept TokenStore, owed *bool) error {
	err := kept.Settle(func(t Secret) error {
		*owed = true
		return c.endOwed(ctx, t)
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPending, err)
	}
	return nil
}

// endOwed ends the session of a retired token. A refusal means that there is
// no such session, which is what was wanted.
func (c *Client) endOwed(ctx context.Context, t Secret) error {
	err := c.End(ctx, t)
	var p *Problem
	if errors.As(err, &p) && p.Status == http.StatusUnauthorized && p.Code != "" {
		return nil
	}
	return err
}
