package authority

import (
	"context"
	"errors"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// perAccount is how often the people of an account may end many of its sessions
// at once. Each time is an event that every node and every verifier reads and
// that is kept for months, also when there was nothing left to end.
var perAccount = throttle.Rate{Burst: 10, Every: time.Second}

// takePlace counts the ending of many sessions, before anything is written, and
// returns what to call once its outcome is known. Not counted are
//   - the ending of one session: there are only so many to end;
//   - operators, and the authority itself;
//   - an ending that comes with a change of the account: a new password, or the
//     disabling. Whoever has a thief to get rid of is never kept waiting;
//   - a request whose key has an outcome or is in doubt: it records nothing new,
//     and whoever repeats it must learn what became of it.
func (a *Authority) takePlace(ctx context.Context, by exeunt.Actor, rev exeunt.Revocation, change store.Change) (judge func(error), err error) {
	free := func(error) {}
	if by.Kind != exeunt.ActorPerson || rev.Scope == exeunt.ScopeSession || change != (store.Change{}) {
		return free, nil
	}
	var unread error
	if rev.Key != "" {
		// Before a place is taken: somebody who repeats one request without pause
		// must not hold the places that others need.
		var known bool
		if known, unread = a.store.HasOutcome(ctx, by, rev.Key); known || a.inDoubt.has(by, rev.Key) {
			return free, nil
		}
	}
	key := by.Account.String()
	switch wait := a.places.Take(key, perAccount, throttle.WideNetwork(by.Address)); {
	case wait > 0 && unread != nil:
		return nil, unread // it may have an outcome
	case wait > 0:
		return nil, &exeunt.ThrottledError{RetryAfter: wait, Endings: true}
	}
	return func(err error) {
		if err != nil && !errors.Is(err, exeunt.ErrNotConfirmed) {
			a.places.GiveBack(key, perAccount) // nothing was recorded
		}
	}, nil
}
