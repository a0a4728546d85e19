package authority

import (
	"context"
	"fmt"
	"slices"

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
	list, err := a.store.Sessions(ctx, account, ended, listLimit)
	if err != nil || ended {
		return list, err
	}
	for i := range list {
		a.refreshSeen(&list[i])
	}
	slices.SortStableFunc(list, func(x, y exeunt.Session) int { return y.Seen.Compare(x.Seen) })
	return list, nil
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

// CountEnded returns how many ended sessions of the account are kept.
func (a *Authority) CountEnded(ctx context.Context, account exeunt.AccountID) (int, error) {
	return a.store.CountEnded(ctx, account)
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

// ProfileChange is what an account may change of its profile.
type ProfileChange = store.ProfileChange

// ChangeProfile changes an account's profile, in the store and in memory.
func (a *Authority) ChangeProfile(ctx context.Context, by exeunt.Actor, id exeunt.AccountID, c ProfileChange) error {
	if by.Kind == exeunt.ActorPerson && by.Account != id {
		return exeunt.ErrForbidden
	}
	_, err := a.profile(ctx, id, func(ctx context.Context) (exeunt.Profile, error) {
		return a.store.ChangeProfile(ctx, id, c, by, a.now())
	})
	return err
}

// ConfirmEmail confirms, on an operator's word, that an address is the account's
// owner's, and returns the address as it stands in the account. ErrOtherEmail
// when the account has another.
func (a *Authority) ConfirmEmail(ctx context.Context, by exeunt.Actor, id exeunt.AccountID, email string) (string, error) {
	if by.Kind != exeunt.ActorOperator {
		return "", exeunt.ErrForbidden
	}
	p, err := a.profile(ctx, id, func(ctx context.Context) (exeunt.Profile, error) {
		return a.store.ConfirmEmail(ctx, id, email, by, a.now())
	})
	return p.Email, err
}

// profile changes a profile in the store, then in memory. Whoever goes away
// while it is being committed has changed it all the same, and memory must
// follow.
func (a *Authority) profile(ctx context.Context, id exeunt.AccountID, change func(context.Context) (exeunt.Profile, error)) (exeunt.Profile, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.patience)
	defer cancel()
	p, err := change(ctx)
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

// Audit returns what was done to an account, latest first.
func (a *Authority) Audit(ctx context.Context, account exeunt.AccountID, limit int) ([]exeunt.AuditEntry, error) {
	return a.store.Audit(ctx, account, limit)
}

// Accounts returns accounts in the order of their handles, after the given one.
func (a *Authority) Accounts(ctx context.Context, after string, limit int) ([]exeunt.Account, error) {
	return a.store.Accounts(ctx, after, limit)
}

// AccountOf returns the account of a session, or ErrNotFound.
func (a *Authority) AccountOf(ctx context.Context, id exeunt.SessionID) (exeunt.AccountID, error) {
	return a.store.AccountOf(ctx, id)
}

// AllSessions returns the live sessions of every account, latest sign-in
// first, with the handles of their accounts.
func (a *Authority) AllSessions(ctx context.Context, limit int) ([]exeunt.Session, map[exeunt.AccountID]string, error) {
	list, err := a.store.AllSessions(ctx, limit)
	if err != nil {
		return nil, nil, err
	}
	handles := map[exeunt.AccountID]string{}
	alive := list[:0]
	for i := range list {
		s := &list[i]
		if a.refreshSeen(s); s.Overdue(a.now()) != "" {
			continue // its end is being recorded
		}
		alive = append(alive, *s)
		if handles[s.Account] == "" {
			acct, err := a.store.Account(ctx, s.Account)
			if err != nil {
				return nil, nil, err
			}
			handles[s.Account] = acct.Handle
		}
	}
	return alive, handles, nil
}
