package authority

import (
	"context"
	"fmt"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// listLimit bounds how many sessions a list shows.
const listLimit = 500

// Sessions returns an account's sessions: those usable now, latest activity
// first, or those that have ended, latest end first. Sessions whose time has
// run out are declared ended on the way, so that no list shows them as active.
func (a *Authority) Sessions(ctx context.Context, account exeunt.AccountID, ended bool) ([]exeunt.Session, error) {
	if err := a.declareOverdue(ctx, account); err != nil {
		return nil, err
	}
	list, err := a.Store.Sessions(ctx, account, ended, listLimit)
	if err != nil || ended {
		return list, err
	}
	for i := range list {
		a.refreshSeen(&list[i])
	}
	return list, nil
}

// Session returns one session of the account, or ErrNotFound, also when it is
// another account's.
func (a *Authority) Session(ctx context.Context, account exeunt.AccountID, id exeunt.SessionID) (exeunt.Session, error) {
	s, err := a.Store.Session(ctx, account, id)
	if err == nil {
		a.refreshSeen(&s)
	}
	return s, err
}

// refreshSeen puts in the activity that the store has not been told of yet.
func (a *Authority) refreshSeen(s *exeunt.Session) {
	if seen, ok := a.Live.SeenAt(s.ID); ok && s.End == nil && seen.After(s.Seen) {
		s.Seen = seen
	}
}

// CountEnded returns how many ended sessions of the account are kept.
func (a *Authority) CountEnded(ctx context.Context, account exeunt.AccountID) (int, error) {
	return a.Store.CountEnded(ctx, account)
}

func (a *Authority) declareOverdue(ctx context.Context, account exeunt.AccountID) error {
	if err := a.FlushActivity(ctx); err != nil {
		return err
	}
	overdue, err := a.Store.OverdueOf(ctx, account, a.Now(), listLimit)
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

// ProfileChange is what an account may change of its profile.
type ProfileChange = store.ProfileChange

// ChangeProfile changes an account's profile, in the store and in memory.
func (a *Authority) ChangeProfile(ctx context.Context, by exeunt.Actor, id exeunt.AccountID, c ProfileChange) error {
	if by.Kind == exeunt.ActorPerson && (by.Account != id || c.ConfirmEmail) {
		return exeunt.ErrForbidden
	}
	p, err := a.Store.ChangeProfile(ctx, id, c, by, a.Now())
	if err == nil {
		a.Live.SetProfile(id, p)
	}
	return err
}

// AccountByHandle returns the account that a handle names, or ErrNotFound.
func (a *Authority) AccountByHandle(ctx context.Context, handle string) (exeunt.Account, error) {
	h, ok := exeunt.ParseHandle(handle)
	if !ok {
		return exeunt.Account{}, fmt.Errorf("account %q: %w", handle, exeunt.ErrNotFound)
	}
	acct, _, err := a.Store.Identify(ctx, h)
	return acct, err
}

// Audit returns what was done to an account, latest first.
func (a *Authority) Audit(ctx context.Context, account exeunt.AccountID, limit int) ([]exeunt.AuditEntry, error) {
	return a.Store.Audit(ctx, account, limit)
}

// Accounts returns accounts in the order of their handles, after the given one.
func (a *Authority) Accounts(ctx context.Context, after string, limit int) ([]exeunt.Account, error) {
	return a.Store.Accounts(ctx, after, limit)
}

// AccountOf returns the account of a session, or ErrNotFound.
func (a *Authority) AccountOf(ctx context.Context, id exeunt.SessionID) (exeunt.AccountID, error) {
	return a.Store.AccountOf(ctx, id)
}

// AllSessions returns the live sessions of every account, latest sign-in
// first, with the handles of their accounts.
func (a *Authority) AllSessions(ctx context.Context, limit int) ([]exeunt.Session, map[exeunt.AccountID]string, error) {
	list, err := a.Store.AllSessions(ctx, limit)
	if err != nil {
		return nil, nil, err
	}
	handles := map[exeunt.AccountID]string{}
	live := list[:0]
	for i := range list {
		s := &list[i]
		if a.refreshSeen(s); s.Overdue(a.Now()) != "" {
			continue // its end is being recorded
		}
		live = append(live, *s)
		if handles[s.Account] == "" {
			acct, err := a.Store.Account(ctx, s.Account)
			if err != nil {
				return nil, nil, err
			}
			handles[s.Account] = acct.Handle
		}
	}
	return live, handles, nil
}
