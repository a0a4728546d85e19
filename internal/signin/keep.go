package signin

import (
	"context"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// AskToKeep returns a challenge for somebody who has proved all that a sign-in asks for, and whose account is about to be
// deleted: with it they can keep the account, and do nothing else. form is what they have back then.
func (s *Service) AskToKeep(ctx context.Context, form string, p exeunt.Proof) (exeunt.Token, error) {
	t := exeunt.NewToken(exeunt.UseChallenge)
	return t, s.Store.AddChallenge(ctx, store.Challenge{Hash: t.Hash(), Purpose: store.ChallengeKeep, Proof: p, Form: form,
		Expires: s.Now().Add(exeunt.ChallengeLife)}, maxChallenges)
}

// Keeping is an account that somebody may keep.
type Keeping struct {
	Account exeunt.Account
	Proof   exeunt.Proof
	Form    string // what AskToKeep was given
}

// ToKeep returns what a challenge of AskToKeep is about, also when it was kept, or ErrChallengeOver.
func (s *Service) ToKeep(ctx context.Context, t exeunt.Token) (k Keeping, err error) {
	if t.Use() != exeunt.UseChallenge {
		return k, exeunt.ErrChallengeOver
	}
	c, err := s.Store.Challenge(ctx, t.Hash(), s.Now())
	if err == nil && c.Purpose != store.ChallengeKeep {
		err = exeunt.ErrChallengeOver
	}
	if err != nil {
		return k, err
	}
	k.Account, err = s.Store.Account(ctx, c.Proof.Account)
	k.Proof, k.Form = c.Proof, c.Form
	return k, err
}
