package store

import (
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// bulk is an engine that does many of the same at once, where one statement for
// all is much faster than one for each. What a bulk statement leaves undecided
// is decided one by one, by the statements that both engines share.
type bulk interface {
	// end ends sessions in a transaction of its own, as tx.endSession and
	// appendEvent do for one. It fills in the outcome of those it has ended and
	// leaves the others alone. Its error is to be judged as one of
	// COMMIT, which may have been sent whatever went wrong. before, if there is
	// one, is called first; it is a fault, in tests only.
	end(t *tx, list []*ending, before func() error) error
	saveActivity(t *tx, list []live.Activity) error
}

// ending is a wish to end one session that nothing speaks against in itself:
// by the session's own person, an operator or the system.
type ending struct {
	by  exeunt.Actor
	rev exeunt.Revocation
	now time.Time
	out *Ending // where the outcome goes; Seq stays 0 while it is undecided
}

// simple reports whether a revocation may go through bulk.end.
func simple(by exeunt.Actor, rev exeunt.Revocation, change Change) bool {
	return rev.Scope == exeunt.ScopeSession && rev.AppSession.IsZero() && change == (Change{}) &&
		(by.Kind != exeunt.ActorPerson || by.Session == rev.Session)
}
