package live

import (
	"maps"

	"github.com/exeunt/exeunt"
)

// doubts are the revocations whose outcome is unknown, and how often each. It
// is copied when it changes: that is rare, and checks read it.
type doubts map[exeunt.AccountID]map[exeunt.Revocation]int

// Doubt says that a revocation may or may not have been recorded. What it
// covers is answered with CannotKnow from now on, also what is inserted later,
// until Settled is called as often as Doubt was. When an event ends the one
// session in question, there is nothing left to doubt. An event that ends many
// may be an older one, from before sessions that the doubt is about were
// started, so it settles nothing by itself.
func (x *Index) Doubt(rev exeunt.Revocation) { x.count(rev, 1) }

// Settled says that what has become of a revocation is known, and that its
// event has been applied if there is one.
func (x *Index) Settled(rev exeunt.Revocation) { x.count(rev, -1) }

func (x *Index) count(rev exeunt.Revocation, by int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.doubt(doubtOf(rev), func(n int) int { return n + by })
}

// settle is called with every event.
func (x *Index) settle(e *exeunt.Event) {
	if d := doubtOf(e.Revocation); e.Scope == exeunt.ScopeSession && (*x.doubts.Load())[e.Account][d] > 0 {
		x.doubt(d, func(int) int { return 0 })
	}
}

func (x *Index) doubt(d exeunt.Revocation, change func(int) int) {
	all := maps.Clone(*x.doubts.Load())
	of := maps.Clone(all[d.Account])
	if of == nil {
		of = map[exeunt.Revocation]int{}
	}
	if of[d] = change(of[d]); of[d] <= 0 {
		delete(of, d)
	}
	if all[d.Account] = of; len(of) == 0 {
		delete(all, d.Account)
	}
	x.doubts.Store(&all)
	c := x.core.Load()
	if n := c.current(wordsOf(d.Account.Raw())); n != 0 {
		c.cohort(n).flag(x.doubtFlag(d.Account), cohortDoubted)
	}
}

func (x *Index) doubtFlag(account exeunt.AccountID) uint64 {
	if len((*x.doubts.Load())[account]) > 0 {
		return cohortDoubted
	}
	return 0
}

// doubtOf is what of a revocation says whom it covers.
func doubtOf(r exeunt.Revocation) exeunt.Revocation {
	return exeunt.Revocation{Account: r.Account, Scope: r.Scope, Session: r.Session, AppSession: r.AppSession}
}

// cover reports whether any of the doubts is about the session or app session.
func (d *doubts) cover(account exeunt.AccountID, session exeunt.SessionID, app exeunt.AppSessionID) bool {
	for r := range (*d)[account] {
		// An event of that revocation would have the next generation, so it
		// would cover every session born so far.
		e := exeunt.Event{Revocation: r, Generation: maxGeneration + 1}
		if e.Covers(account, session, 0) || !app.IsZero() && e.CoversApp(app) {
			return true
		}
	}
	return false
}
