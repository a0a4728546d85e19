package live

import (
	"maps"

	"github.com/exeunt/exeunt"
)

// inDoubt are the targets of revocations whose outcome is unknown, and how many
// revocations of each. It is copied when it changes: that is rare, and checks read
// it.
type inDoubt map[exeunt.AccountID]map[exeunt.Target]int

// PutInDoubt says that a revocation may or may not have been recorded. Whatever its
// target covers is answered with Indeterminate from now on, also what is inserted
// later, until Resolve is called as often as PutInDoubt was. When an event ends the
// one session in question, the target is out of doubt at once. An event that ends
// many may be an older one, from before the sessions in question were started, so it
// resolves nothing by itself.
func (x *Index) PutInDoubt(t exeunt.Target) { x.addInDoubt(t, 1) }

// Resolve says that the outcome of a revocation is known, and that its event has
// been applied if there is one.
func (x *Index) Resolve(t exeunt.Target) { x.addInDoubt(t, -1) }

func (x *Index) addInDoubt(t exeunt.Target, by int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setInDoubt(t, func(n int) int { return n + by })
}

// decided is called with every event.
func (x *Index) decided(e *exeunt.Event) {
	if e.Kind == exeunt.EventEnded && e.Scope == exeunt.ScopeSession && (*x.inDoubt.Load())[e.Account][e.Target] > 0 {
		x.setInDoubt(e.Target, func(int) int { return 0 })
	}
}

func (x *Index) setInDoubt(t exeunt.Target, change func(int) int) {
	all := maps.Clone(*x.inDoubt.Load())
	of := maps.Clone(all[t.Account])
	if of == nil {
		of = map[exeunt.Target]int{}
	}
	if of[t] = change(of[t]); of[t] <= 0 {
		delete(of, t)
	}
	if all[t.Account] = of; len(of) == 0 {
		delete(all, t.Account)
	}
	x.inDoubt.Store(&all)
	c := x.core.Load()
	if n := c.current(wordsOf(t.Account.Raw())); n != 0 {
		c.cohort(n).flag(x.inDoubtFlag(t.Account), cohortInDoubt)
	}
}

func (x *Index) inDoubtFlag(account exeunt.AccountID) uint64 {
	if len((*x.inDoubt.Load())[account]) > 0 {
		return cohortInDoubt
	}
	return 0
}

// cover reports whether a revocation in doubt is about the session or app session.
func (d *inDoubt) cover(account exeunt.AccountID, session exeunt.SessionID, app exeunt.AppSessionID) bool {
	for t := range (*d)[account] {
		// An event of that revocation would have the next generation, so it
		// would cover every session born so far.
		e := exeunt.Event{Kind: exeunt.EventEnded, Target: t, Generation: maxGeneration + 1}
		if e.Covers(account, session, 0) || !app.IsZero() && e.CoversApp(app) {
			return true
		}
	}
	return false
}
