package store

import (
	"time"

	"github.com/exeunt/exeunt"
)

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

// ending is a wish to end one session that nothing speaks against in itself:
// by the session's own person, an operator or the system.
type ending struct {
	by  exeunt.Actor
	rev exeunt.Revocation
	now time.Time
	out *Ending // where the outcome goes; Seq stays 0 while it is undecided
}

// actorKey is whose idempotency key it has, "" if it has none.
func (e *ending) actorKey() string {
	if e.rev.Key == "" {
		return ""
	}
	return e.by.Key()
}

// own: a session ends itself.
func (e *ending) own() bool { return endsItself(e.by, e.rev) }

// remembered: its outcome is written under its key.
func (e *ending) remembered() bool { return e.rev.Key != "" && !e.own() }

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
		*m.end.out = Ending{}
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

// simple reports whether a revocation may be carried out together with others.
func simple(by exeunt.Actor, rev exeunt.Revocation, change Change) bool {
	return rev.Scope == exeunt.ScopeSession && rev.AppSession.IsZero() && change == (Change{}) &&
		(by.Kind != exeunt.ActorPerson || by.Session == rev.Session)
}
