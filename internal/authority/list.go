package authority

import (
	"context"
	"fmt"
	"slices"

	"github.com/exeunt/exeunt"
)

// listLimit bounds how many sessions a list declares ended before it is read.
const listLimit = 500

// Sessions returns a page of sessions; among an account's active ones on a page,
// the latest activity comes first. An account's sessions whose time has run out are
// declared ended on the way, so that no list shows them as active.
func (a *Authority) Sessions(ctx context.Context, f exeunt.SessionFilter) (exeunt.Page[exeunt.Session], error) {
	if !f.Everyone {
		if err := a.declareOverdue(ctx, f.Account); err != nil {
			return exeunt.Page[exeunt.Session]{}, err
		}
	}
	p, err := a.store.Sessions(ctx, f)
	if err != nil || f.State == exeunt.SessionsEnded {
		return p, err
	}
	for i := range p.Items {
		a.refreshSeen(&p.Items[i])
	}
	now := a.now()
	// Those whose end is being recorded are no longer active.
	p.Items = slices.DeleteFunc(p.Items, func(s exeunt.Session) bool { return s.Overdue(now) != "" })
	if !f.Everyone {
		slices.SortStableFunc(p.Items, func(x, y exeunt.Session) int { return y.Seen.Compare(x.Seen) })
	}
	return p, nil
}

// CountSessions returns how many sessions are recorded as active, or as ended, on
// all pages together.
func (a *Authority) CountSessions(ctx context.Context, f exeunt.SessionFilter) (int64, error) {
	return a.store.CountSessions(ctx, f)
}

// Session returns one session of the account, or ErrNotFound, also when it is
// another account's.
func (a *Authority) Session(ctx context.Context, account exeunt.AccountID, id exeunt.SessionID) (exeunt.Session, error) {
	s, err := a.store.Session(ctx, account, id)
	if err == nil {
		a.refreshSeen(&s)
	}
	return s, err
}

// refreshSeen puts in the activity that the store has not been told of yet.
func (a *Authority) refreshSeen(s *exeunt.Session) {
	if seen, ok := a.live.SeenAt(s.ID); ok && s.End == nil && seen.After(s.Seen) {
		s.Seen = seen
	}
}

// declareOverdue asks before it saves any activity, so that a list waits for
// no commit. What the store takes for overdue because it does not know the
// latest activity yet, declare finds to be good.
func (a *Authority) declareOverdue(ctx context.Context, account exeunt.AccountID) error {
	overdue, err := a.store.OverdueOf(ctx, account, a.now(), listLimit)
	if err != nil {
		return err
	}
	for _, o := range overdue {
		if err := a.declare(ctx, o.Account, o.Session, o.Reason); err != nil {
			return err
		}
	}
	return nil
}

// SaveProfile has a changed profile saved, then takes it to memory. Whoever goes
// away while it is being committed has changed it all the same, and memory must
// follow.
func (a *Authority) SaveProfile(
	ctx context.Context, id exeunt.AccountID, save func(context.Context) (exeunt.Profile, error),
) (exeunt.Profile, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.patience)
	defer cancel()
	p, err := save(ctx)
	if err == nil {
		a.live.SetProfile(id, p)
	}
	return p, err
}

// Profile returns what is told about the account of a token that is known. It
// reads the store when memory does not have it; ErrUnavailable if that fails.
func (a *Authority) Profile(ctx context.Context, ans Answer) (exeunt.Profile, error) {
	if p, ok := a.live.Profile(ans); ok {
		return p, nil
	}
	p, err := a.store.Profile(ctx, ans.Account)
	if err == nil {
		a.live.SetProfile(ans.Account, p)
	}
	return p, err
}

// AccountByHandle returns the account that a handle names, or ErrNotFound.
func (a *Authority) AccountByHandle(ctx context.Context, handle string) (exeunt.Account, error) {
	h, ok := exeunt.ParseHandle(handle)
	if !ok {
		return exeunt.Account{}, fmt.Errorf("account %q: %w", handle, exeunt.ErrNotFound)
	}
	acct, _, err := a.store.Identify(ctx, h)
	return acct, err
}

// Audit returns a page of what was done to an account.
func (a *Authority) Audit(ctx context.Context, f exeunt.AuditFilter) (exeunt.Page[exeunt.AuditEntry], error) {
	return a.store.Audit(ctx, f)
}

// CountAudit returns how many entries there are on all pages together.
func (a *Authority) CountAudit(ctx context.Context, f exeunt.AuditFilter) (int64, error) {
	return a.store.CountAudit(ctx, f)
}

// Accounts returns a page of the accounts.
func (a *Authority) Accounts(ctx context.Context, f exeunt.AccountFilter) (exeunt.Page[exeunt.Account], error) {
	return a.store.Accounts(ctx, f)
}

// Count returns how many accounts there are, how many sessions have not ended, and
// the number of the last event.
func (a *Authority) Count(ctx context.Context) (accounts, sessions, head int64, err error) {
	if accounts, sessions, err = a.store.Count(ctx); err == nil {
		head, err = a.store.Head(ctx)
	}
	return accounts, sessions, head, err
}

// AccountOf returns the account of a session, or ErrNotFound.
func (a *Authority) AccountOf(ctx context.Context, id exeunt.SessionID) (exeunt.AccountID, error) {
	return a.store.AccountOf(ctx, id)
}
