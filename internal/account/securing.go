package account

import (
	"context"
	"errors"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
)

// Securing is how far somebody has got with securing their account.
type Securing = store.Securing

// Secure ends every session of an account at once and starts securing it, for an operator or for the holder of a link that
// only the account's owner has got. Its owner goes on at the next sign-in. Its errors are those of the authority's End.
func (s *Service) Secure(ctx context.Context, by exeunt.Actor, id exeunt.AccountID) (authority.Ending, error) {
	return s.Authority.Secure(ctx, by, id)
}

// SecureOwn ends every session but the actor's, which gets another token instead of from, and starts securing the
// account. Nothing is asked before: somebody else may be in it.
func (s *Service) SecureOwn(
	ctx context.Context, by exeunt.Actor, from exeunt.Token, key string,
) (authority.Ending, exeunt.Token, error) {
	return s.Authority.SecureOthers(ctx, by, from, key)
}

// Securing returns what is under way or was last finished; the zero Securing when there is nothing.
func (s *Service) Securing(ctx context.Context, id exeunt.AccountID) (Securing, error) {
	v, err := s.Store.Securing(ctx, id)
	if errors.Is(err, exeunt.ErrNotFound) {
		err = nil
	}
	return v, err
}

// StepSecuring notes that the actor has called a step right.
func (s *Service) StepSecuring(ctx context.Context, by exeunt.Actor, step string) error {
	return s.Store.StepSecuring(ctx, by, step)
}

// FinishSecuring ends it, and tells the account's owner by mail what it did.
func (s *Service) FinishSecuring(ctx context.Context, by exeunt.Actor) error {
	v, err := s.Securing(ctx, by.Account)
	if err != nil || v.Started.IsZero() {
		return err
	}
	a, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return err
	}
	mails, err := s.Notify.ForAccount(a, ui.MailSecured, ui.MailData{At: v.Started, Ended: int(v.Ended)})
	if err != nil {
		return err
	}
	return s.Store.FinishSecuring(ctx, by, mails, s.Now())
}
