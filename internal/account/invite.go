package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// InviteLife is how long a link that an operator makes can be used.
const InviteLife = 7 * 24 * time.Hour

// FirstInviteLife is how long the link for the first account can be used.
const FirstInviteLife = 24 * time.Hour

// Invitation is a single-use link that creates an account. What it fills in
// cannot be chosen by whoever uses it.
type Invitation = store.Invite

// Invite makes a single-use link's token. What v fills in stands; the rest is
// chosen by whoever uses it. What could never become an account is refused
// here, not to the person who comes with the link: as a FieldError.
// A link that is still good for the same handle or e-mail address dies with it,
// which replaced tells.
func (s *Service) Invite(ctx context.Context, v Invitation) (t exeunt.Token, replaced bool, err error) {
	if v, err = s.cleanInvitation(ctx, v); err != nil {
		return t, false, err
	}
	t = exeunt.NewToken(exeunt.UseInvite)
	replaced, err = s.Store.AddInvite(ctx, t.Hash(), v, s.Now())
	return t, replaced, err
}

func (s *Service) cleanInvitation(ctx context.Context, v Invitation) (Invitation, error) {
	var err error
	if v.Handle != "" {
		if v.Handle, err = cleanHandle(v.Handle); err != nil {
			return v, err
		}
		switch _, err = s.Authority.AccountByHandle(ctx, v.Handle); {
		case err == nil:
			return v, errHandleTaken
		case !errors.Is(err, exeunt.ErrNotFound):
			return v, err
		}
	}
	if v.Name, err = cleanName(v.Name, ""); err != nil {
		return v, err
	}
	v.Email, err = cleanEmail(v.Email)
	return v, err
}

// Invites returns the links that can still be used.
func (s *Service) Invites(ctx context.Context) ([]Invitation, error) {
	return s.Store.Invites(ctx, s.Now())
}

// Uninvite withdraws the links for a handle; ErrNotFound when there is none.
func (s *Service) Uninvite(ctx context.Context, handle string) (int64, error) {
	h, ok := exeunt.ParseHandle(handle)
	if !ok {
		return 0, fmt.Errorf("link for %q: %w", handle, exeunt.ErrNotFound)
	}
	n, err := s.Store.DropInvites(ctx, h, s.Now())
	if err == nil && n == 0 {
		err = fmt.Errorf("link for @%s: %w", h, exeunt.ErrNotFound)
	}
	return n, err
}

// LookAtInvite returns an invitation that can still be used, or ErrInviteSpent.
// It spends nothing.
func (s *Service) LookAtInvite(ctx context.Context, t exeunt.Token) (Invitation, error) {
	return s.look(ctx, t, false)
}

// look returns a link that can still be used for what it is meant for.
func (s *Service) look(ctx context.Context, t exeunt.Token, reset bool) (Invitation, error) {
	if t.Use() != exeunt.UseInvite {
		return Invitation{}, exeunt.ErrInviteSpent
	}
	var v Invitation
	err := s.Authority.LookUp(ctx, exeunt.UseInvite, t.Hash(), exeunt.ErrInviteSpent, func(ctx context.Context) (err error) {
		v, err = s.Store.Invite(ctx, t.Hash(), s.Now())
		return err
	})
	if err == nil && reset == v.Account.IsZero() {
		return Invitation{}, exeunt.ErrInviteSpent
	}
	return v, err
}

// Redeem creates the account of an invite and spends it, both or neither.
func (s *Service) Redeem(ctx context.Context, t exeunt.Token, n NewAccount, from netip.Addr) (exeunt.Proof, error) {
	v, err := s.LookAtInvite(ctx, t)
	if err != nil {
		return exeunt.Proof{}, err
	}
	for _, f := range []struct{ mine, theirs *string }{{&n.Handle, &v.Handle}, {&n.Name, &v.Name}, {&n.Email, &v.Email}} {
		if *f.theirs != "" {
			*f.mine = *f.theirs
		}
	}
	hash := t.Hash()
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Address: from}
	return s.create(ctx, n, v.EmailConfirmed && n.Email == v.Email, &hash, by)
}
