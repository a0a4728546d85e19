package authority

import (
	"context"

	"github.com/exeunt/exeunt"
)

// Required returns what a sign-in of an account needs by the policy; c is the app that it leads to, nil for the
// authority's own pages.
func (a *Authority) Required(ctx context.Context, account exeunt.AccountID, c *exeunt.Client) (exeunt.Requirement, error) {
	if !a.policy.Demands() && (c == nil || !c.RequireFactor) {
		return exeunt.NoFactor, nil
	}
	p, err := a.store.Profile(ctx, account)
	if err != nil {
		return exeunt.OnlyPasskey, err
	}
	return a.policy.Needs(p.Groups, c), nil
}

// Suffices returns ErrFactorNeeded if a session was started by less than Required. Sessions that are older than the
// policy may have been.
func (a *Authority) Suffices(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID, c *exeunt.Client,
) error {
	needs, err := a.Required(ctx, account, c)
	if err != nil || needs == exeunt.NoFactor {
		return err
	}
	s, err := a.store.Session(ctx, account, session)
	if err == nil && !needs.MetBy(s.Methods) {
		err = exeunt.ErrFactorNeeded
	}
	return err
}

// mayStart returns ErrFactorNeeded if an app's sign-in has proved less than Required. A browser's session starts all the
// same: its pages lead to adding a factor, and to nothing else.
func (a *Authority) mayStart(ctx context.Context, in SignIn) error {
	if in.Kind != exeunt.KindApp {
		return nil
	}
	needs, err := a.Required(ctx, in.Proof.Account, nil)
	if err == nil && !needs.MetBy(in.Proof.Methods) {
		err = exeunt.ErrFactorNeeded
	}
	return err
}
