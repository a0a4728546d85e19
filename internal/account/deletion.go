package account

import (
	"context"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
)

// handleSum is what is kept of the handle of a deleted account.
func (s *Service) handleSum(handle string) store.HandleSum {
	return s.Master.Sum("handle " + handle)
}

// DeleteOwn begins the deletion of the actor's own account, once they have proved who they are. Every session of it ends.
// Besides the errors of prove and of the authority's BeginDeletion it returns none.
func (s *Service) DeleteOwn(ctx context.Context, by exeunt.Actor, key string, prove Prove) (authority.Ending, error) {
	proof, err := s.prove(ctx, by, prove)
	if err != nil {
		return authority.Ending{}, err
	}
	a, err := s.Store.Account(ctx, by.Account)
	if err != nil {
		return authority.Ending{}, err
	}
	return s.beginDeletion(ctx, by, a, key, false, proof.CredentialVersion)
}

// Delete begins the deletion of an account for an operator, with the same days in which it can be kept, or at once.
// Ending.Already reports that it had begun.
func (s *Service) Delete(
	ctx context.Context, by exeunt.Actor, a exeunt.Account, atOnce bool,
) (authority.Ending, error) {
	switch {
	case by.Kind != exeunt.ActorOperator:
		return authority.Ending{}, exeunt.ErrForbidden
	case a.Status == exeunt.AccountDeleted, !atOnce && !a.DeleteAfter.IsZero():
		return authority.Ending{Already: true}, nil
	}
	return s.beginDeletion(ctx, by, a, "", atOnce, 0)
}

func (s *Service) beginDeletion(
	ctx context.Context, by exeunt.Actor, a exeunt.Account, key string, atOnce bool, credential int64,
) (authority.Ending, error) {
	var mails []store.NewMail
	if !atOnce { // the mails of an account go with it
		var err error
		until := s.Now().Add(exeunt.DeletionGrace)
		if mails, err = s.Notify.ForAccount(a, ui.MailAccountDeleting, ui.MailData{At: s.Now(), Until: until}); err != nil {
			return authority.Ending{}, err
		}
	}
	return s.Authority.BeginDeletion(ctx, by, a.ID, key, s.handleSum(a.Handle), atOnce, credential, mails)
}

// Keep stops the deletion of an account: for an operator, or with a challenge for its owner, who has proved who they are.
// already reports that it was kept before, or not to be deleted. It may return ErrChallengeOver, and ErrDeleting when
// it is too late.
func (s *Service) Keep(
	ctx context.Context, by exeunt.Actor, a exeunt.Account, challenge exeunt.TokenHash,
) (already bool, err error) {
	if by.Kind != exeunt.ActorOperator && challenge == (exeunt.TokenHash{}) {
		return false, exeunt.ErrForbidden
	}
	k := store.Keep{Account: a.ID, Handle: s.handleSum(a.Handle), Challenge: challenge}
	if k.Mails, err = s.Notify.ForAccount(a, ui.MailAccountKept, ui.MailData{At: s.Now()}); err != nil {
		return false, err
	}
	return s.Store.KeepAccount(ctx, k, by, s.Now())
}
