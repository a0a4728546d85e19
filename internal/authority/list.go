package authority

import (
	"context"
	"fmt"
	"slices"

	"github.com/exeunt/exeunt"
)

// listLimit bounds how many sessions a list declares ended before it is read.
const listLimit = 500

// Sessions returns a page of sessions; the active ones of one account are sorted by activity within a page, latest
// first. The account's sessions that have timed out are declared ended first, so that no list shows them as active.
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
	// Sessions whose end is being recorded are no longer active.
	p.Items = slices.DeleteFunc(p.Items, func(s exeunt.Session) bool { return s.Overdue(now) != "" })
	if !f.Everyone {
		slices.SortStableFunc(p.Items, func(x, y exeunt.Session) int { return y.Seen.Compare(x.Seen) })
	}
	return p, nil
}

// CountSessions returns how many sessions are recorded as active, or as ended, on all pages together.
func (a *Authority) CountSessions(ctx context.Context, f exeunt.SessionFilter) (int64, error) {
	return a.store.CountSessions(ctx, f)
}

// Session returns one session of the account. It returns ErrNotFound also for another account's session.
func (a *Authority) Session(
	ctx context.Context, account exeunt.AccountID, id exeunt.SessionID,
) (exeunt.Session, error) {
	s, err := a.store.Session(ctx, account, id)
	if err == nil {
		a.refreshSeen(&s)
	}
	return s, err
}

// refreshSeen sets the last activity to that of memory, if the store does not have it yet.
func (a *Authority) refreshSeen(s *exeunt.Session) {
	if seen, ok := a.live.SeenAt(s.ID); ok && s.End == nil && seen.After(s.Seen) {
		s.Seen = seen
	}
}

// declareOverdue asks the store before it saves any activity, so that a list waits for no commit. If the store calls
// a session overdue because it does not have the latest activity yet, declare finds out.
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

// SaveProfile saves a changed profile, then updates memory. It goes on when the caller goes away, because the commit
// may happen all the same and memory must have it.
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

// Profile returns the profile of an answer's account. It reads the store when memory does not have it;
// ErrUnavailable if that fails.
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

// Audit returns a page of an account's audit entries.
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

// Count returns how many accounts there are, how many sessions have not ended, and the number of the last event.
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
