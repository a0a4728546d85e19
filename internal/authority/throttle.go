package authority

import (
	"context"
	"errors"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// perAccount limits how often people may end many sessions of an account at once. Each time is an event that every
// node and every verifier reads and that is stored for months, even if it ended nothing.
var perAccount = throttle.Rate{Burst: 10, Every: time.Second}

// countEnding counts the ending of many sessions against the account's limit, before anything is written, and
// returns a function to call with its outcome. Not counted are
//   - the ending of one session: there are only so many to end;
//   - operators, and the authority itself;
//   - an ending with a change of the account, a new password or the disabling, because it may be needed against a
//     thief at once;
//   - a request whose key has an outcome or is in doubt: it records nothing new, and whoever repeats it must learn
//     the outcome.
func (a *Authority) countEnding(
	ctx context.Context, by exeunt.Actor, rev exeunt.Revocation, change store.Change,
) (judge func(error), err error) {
	free := func(error) {}
	if by.Kind != exeunt.ActorPerson || rev.Scope == exeunt.ScopeSession || change != (store.Change{}) {
		return free, nil
	}
	var unread error
	if rev.Key != "" {
		// This comes before Take, which counts: somebody who repeats one request without pause must not use up the
		// account's limit.
		var known bool
		if known, unread = a.store.HasOutcome(ctx, by, rev.Key); known || a.inDoubt.has(by, rev.Key) {
			return free, nil
		}
	}
	key := by.Account.String()
	switch wait := a.manyEndings.Take(key, perAccount, throttle.WideNetwork(by.Address)); {
	case wait > 0 && unread != nil:
		return nil, unread // the key may have an outcome
	case wait > 0:
		return nil, &exeunt.ThrottledError{RetryAfter: wait, Endings: true}
	}
	return func(err error) {
		if err != nil && !errors.Is(err, exeunt.ErrNotConfirmed) {
			a.manyEndings.GiveBack(key, perAccount) // nothing was recorded
		}
	}, nil
}
