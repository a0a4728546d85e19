package demo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/signin"
)

// Node is an authority that the demo runs. The program that starts the demo builds it,
// see Options.Open.
type Node struct {
	Authority *authority.Authority
	SignIn    *signin.Service
	Accounts  *account.Service
	Serve     func(context.Context, net.Listener) error
	Close     func() error
}

// NodeOptions are what a node takes besides its configuration.
type NodeOptions struct {
	Log     *slog.Logger
	Version string
	Now     func() time.Time // nil is the real clock
	Hashing password.Hashing // zero is the default
}

// HasAccount reports whether an account has that handle.
func (n *Node) HasAccount(ctx context.Context, handle string) (bool, error) {
	_, err := n.Authority.AccountByHandle(ctx, handle)
	if errors.Is(err, exeunt.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
