package live

import (
	"maps"

	"github.com/exeunt/exeunt"
)

// inDoubt counts, for each target, the revocations whose outcome is unknown. Changes are rare and made on a copy,
// because checks read it without a lock.
type inDoubt map[exeunt.AccountID]map[exeunt.Target]int

// PutInDoubt says that a revocation may or may not have been recorded. Checks of what its target covers, also of what
// is inserted later, return Indeterminate until Resolve was called as often as PutInDoubt. An event that ends the one
// session of a target resolves it at once. An event that ends many sessions does not, because it may be older than the
// sessions in question.
func (x *Index) PutInDoubt(t exeunt.Target) { x.addInDoubt(t, 1) }

// Resolve says that the outcome of a revocation is known, and that its event, if there is one, has been applied.
func (x *Index) Resolve(t exeunt.Target) { x.addInDoubt(t, -1) }

func (x *Index) addInDoubt(t exeunt.Target, by int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setInDoubt(t, func(n int) int { return n + by })
}

// resolveBy is called with every event.
func (x *Index) resolveBy(e *exeunt.Event) {
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

// cover reports whether a revocation in doubt is about the session or app session. An ending of all other sessions may
// have renewed the one that it keeps, which ends its app sessions.
func (d *inDoubt) cover(account exeunt.AccountID, session exeunt.SessionID, app exeunt.AppSessionID) bool {
	for t := range (*d)[account] {
		// The revocation's event would have the next generation, so it would cover every session so far.
		e := exeunt.Event{Kind: exeunt.EventEnded, Target: t, Generation: maxGeneration + 1}
		if e.Covers(account, session, 0) || !app.IsZero() && (e.CoversApp(app, "") || e.Keeps(account, session)) {
			return true
		}
	}
	return false
}
