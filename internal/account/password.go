package account

import (
	"context"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/password"
)

// ChangePassword replaces the password of the actor's account, once they have
// proved who they are, and ends every session but the actor's (OWASP ASVS 5.0,
// 6.2.3 and 7.4.3). What might happen besides what prove and the authority's
// ReplacePassword say: a FieldError for the new password.
func (s *Service) ChangePassword(ctx context.Context, by exeunt.Actor, next string, prove Prove) (authority.Ending, error) {
	proof, err := s.prove(ctx, by, prove)
	if err != nil {
		return authority.Ending{}, err
	}
	account, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return authority.Ending{}, err
	}
	hash, err := s.hash(ctx, account, next)
	if err != nil {
		return authority.Ending{}, err
	}
	return s.Authority.ReplacePassword(ctx, by, by.Session, hash, proof.CredentialVersion)
}

// hash judges the new password of an account and hashes it.
func (s *Service) hash(ctx context.Context, a exeunt.Account, next string) (string, error) {
	if err := password.Judge(next, a.Handle, a.Name, a.Email); err != nil {
		return "", err
	}
	return s.Hasher.Hash(ctx, next)
}

// ResetLife is how long a link for a new password can be used.
const ResetLife = 24 * time.Hour

// OfferReset makes the token of a single-use link with which the account's
// owner sets a new password. A link made before for the account dies, and so
// does this one when the password changes in another way. Until it is used the
// present password stays good. What might happen: nil; ErrDisabled; what the
// store says.
func (s *Service) OfferReset(ctx context.Context, by exeunt.Actor, a exeunt.Account) (exeunt.Token, error) {
	t, now := exeunt.NewToken(exeunt.UseInvite), s.Now()
	return t, s.Store.AddReset(ctx, t.Hash(), Invitation{Handle: a.Handle, Account: a.ID, Expires: now.Add(ResetLife)}, by, now)
}

// LookAtReset returns the account whose password a link sets, or
// ErrInviteSpent. It spends nothing.
func (s *Service) LookAtReset(ctx context.Context, t exeunt.Token) (exeunt.Account, error) {
	v, err := s.look(ctx, t, true)
	if err != nil {
		return exeunt.Account{}, err
	}
	a, err := s.Store.Account(ctx, v.Account)
	if err == nil && a.Status != exeunt.AccountActive {
		err = exeunt.ErrInviteSpent // it would set the password of somebody who may not use it
	}
	return a, err
}

// Reset sets the password by a link, spends the link and ends every session of
// the account, all or nothing (OWASP ASVS 5.0, 6.4.3 and 7.4.3). What might
// happen: nil; a FieldError for the password; ErrInviteSpent; ErrUnavailable,
// ErrNotConfirmed.
func (s *Service) Reset(ctx context.Context, t exeunt.Token, next string, from netip.Addr) (authority.Ending, error) {
	a, err := s.LookAtReset(ctx, t)
	if err != nil {
		return authority.Ending{}, err
	}
	hash, err := s.hash(ctx, a, next)
	if err != nil {
		return authority.Ending{}, err
	}
	return s.Authority.ResetPassword(ctx, a.ID, t.Hash(), hash, a.CredentialVersion, from)
}
