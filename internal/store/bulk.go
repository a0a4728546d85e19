package store

import "github.com/exeunt/exeunt"

// One statement for many of the same is much faster than one for each. What such
// a statement leaves undecided is decided one by one, by the statements that
// both engines share.

// ender is an engine that ends many sessions at once within a transaction, as
// tx.endSession and appendEvent do for one. It fills in the outcome of those it
// has ended and leaves the others alone.
type ender interface {
	end(t *tx, list []*ending) error
}

// aloneEnder is an engine that does so in a transaction of its own. Its error is
// to be judged as one of COMMIT, which may have been sent whatever went wrong.
// before, if there is one, is called first; it is a fault, in tests only.
type aloneEnder interface {
	endAlone(t *tx, list []*ending, before func() error) error
}

// actorKey is whose idempotency key it has, "" if it has none.
func (e *ending) actorKey() string {
	if e.rev.Key == "" {
		return ""
	}
	return e.by.Key()
}

// endings are those wishes of a batch that may be carried out together. A
// session, or an idempotency key, may come twice: the second is decided by
// itself, when the first one's outcome is there.
func endings(batch []*member) (list []*ending) {
	type key struct{ actor, key string }
	sessions, keys := map[exeunt.SessionID]bool{}, map[key]bool{}
	for _, m := range batch {
		if m.end == nil {
			continue
		}
		m.end.out = Ending{}
		session, k := m.end.rev.Session, key{m.end.actorKey(), plainText(m.end.rev.Key)}
		if sessions[session] || k.key != "" && keys[k] {
			continue
		}
		sessions[session] = true
		if k.key != "" {
			keys[k] = true
		}
		list = append(list, m.end)
	}
	return list
}

// simple reports whether it may be carried out together with others: one session
// ends, and nothing speaks against that in itself, since it is the wish of the
// session's own person, of an operator or of the system.
func (e *ending) simple() bool {
	return e.rev.Scope == exeunt.ScopeSession && e.rev.AppSession.IsZero() && e.change == (Change{}) &&
		(e.by.Kind != exeunt.ActorPerson || endsItself(e.by, e.rev))
}
