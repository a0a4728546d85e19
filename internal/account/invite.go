package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/store"
)

// InviteLife is how long an operator's link can be used.
const InviteLife = 7 * 24 * time.Hour

// FirstInviteLife is how long the link for the first account can be used.
const FirstInviteLife = 24 * time.Hour

// Invitation is a single-use link that creates an account. Whoever uses it cannot
// change the fields that it fills in.
type Invitation = store.Invite

// Invite creates the token of a single-use link. Whoever uses it chooses the fields
// that v leaves empty. Invalid fields are refused here with a FieldError, so that
// the operator learns of them and not the person with the link. It withdraws an
// unused link for the same handle or e-mail address, and replaced reports that.
func (s *Service) Invite(ctx context.Context, v Invitation) (t exeunt.Token, replaced bool, err error) {
	t = exeunt.NewToken(exeunt.UseInvite)
	replaced, err = s.InviteBy(ctx, t, v)
	return t, replaced, err
}

// InviteBy is Invite by a link that was made before, with a token of the use UseInvite.
func (s *Service) InviteBy(ctx context.Context, t exeunt.Token, v Invitation) (replaced bool, err error) {
	if v, err = s.cleanInvitation(ctx, v); err != nil {
		return false, err
	}
	return s.Store.AddInvite(ctx, t.Hash(), v, s.Now())
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
		switch past, err := s.Store.PastHandle(ctx, s.handleSum(v.Handle), s.Now()); {
		case err != nil:
			return v, err
		case past:
			return v, errHandleTaken
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
	h, ok := exeunt.ParseHandle(names.Key(handle))
	if !ok {
		return 0, fmt.Errorf("link for %q: %w", handle, exeunt.ErrNotFound)
	}
	n, err := s.Store.DropInvites(ctx, h, s.Now())
	if err == nil && n == 0 {
		err = fmt.Errorf("link for @%s: %w", h, exeunt.ErrNotFound)
	}
	return n, err
}

// LookAtInvite returns an invitation that can still be used, or ErrInviteSpent. It
// does not spend it.
func (s *Service) LookAtInvite(ctx context.Context, t exeunt.Token) (Invitation, error) {
	return s.link(ctx, t, false)
}

// link returns a link that can still be used: one that resets a password, or one
// that creates an account.
func (s *Service) link(ctx context.Context, t exeunt.Token, reset bool) (Invitation, error) {
	if t.Use() != exeunt.UseInvite {
		return Invitation{}, exeunt.ErrInviteSpent
	}
	var v Invitation
	read := func(ctx context.Context) (err error) {
		v, err = s.Store.Invite(ctx, t.Hash(), s.Now())
		return err
	}
	err := s.Authority.LookUp(ctx, exeunt.UseInvite, t.Hash(), exeunt.ErrInviteSpent, read)
	if err == nil && reset == v.Account.IsZero() {
		return Invitation{}, exeunt.ErrInviteSpent
	}
	return v, err
}

// Redeem creates the account of an invitation and spends it, in one transaction.
func (s *Service) Redeem(ctx context.Context, t exeunt.Token, n NewAccount, from netip.Addr) (exeunt.Proof, error) {
	v, err := s.LookAtInvite(ctx, t)
	if err != nil {
		return exeunt.Proof{}, err
	}
	if err := s.countLink(t, from); err != nil {
		return exeunt.Proof{}, err
	}
	n.Handle, n.Name, n.Email = cmp.Or(v.Handle, n.Handle), cmp.Or(v.Name, n.Name), cmp.Or(v.Email, n.Email)
	hash := t.Hash()
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Address: from}
	return s.create(ctx, n, v.EmailConfirmed && n.Email == v.Email, &store.Origin{Link: &hash}, by)
}
