package live

import (
	"slices"

	"github.com/exeunt/exeunt"
)

// Doubt says that nobody knows whether a revocation was recorded. Until its
// event arrives or Settled is called, the sessions it would have ended answer
// CannotKnow, those inserted meanwhile too: whoever asked for it has been told
// "not confirmed", and must not find the session usable.
func (x *Index) Doubt(rev exeunt.Revocation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	a := x.account(rev.Account)
	list := append(slices.Clone(a.doubted()), rev)
	a.doubts.Store(&list)
}

// Settled says that what became of a doubted revocation is known, and that its
// event, if there is one, has been applied.
func (x *Index) Settled(rev exeunt.Revocation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a := x.accounts[rev.Account]; a != nil {
		i := slices.Index(a.doubted(), rev)
		a.lift(func(j int, _ exeunt.Revocation) bool { return i == j })
	}
}

// arrived is called with mu held, after the event has been applied.
func (a *account) arrived(e *exeunt.Event) {
	a.lift(func(_ int, r exeunt.Revocation) bool { return r == e.Revocation })
}

func (a *account) lift(which func(int, exeunt.Revocation) bool) {
	var left []exeunt.Revocation
	for i, r := range a.doubted() {
		if !which(i, r) {
			left = append(left, r)
		}
	}
	if left == nil {
		a.doubts.Store(nil)
		return
	}
	a.doubts.Store(&left)
}

// doubted is not to be changed: checks read it without the lock.
func (a *account) doubted() []exeunt.Revocation {
	if list := a.doubts.Load(); list != nil {
		return *list
	}
	return nil
}

// inDoubt reports whether one of the revocations would have ended the session,
// or that app session of it.
func inDoubt(list []exeunt.Revocation, session exeunt.SessionID, app exeunt.AppSessionID) bool {
	for i := range list {
		r, hit := &list[i], true
		switch {
		case r.Scope == exeunt.ScopeSession && !r.AppSession.IsZero():
			hit = r.AppSession == app
		case r.Scope == exeunt.ScopeSession:
			hit = r.Session == session
		case r.Scope == exeunt.ScopeOthers:
			hit = r.Session != session
		}
		if hit {
			return true
		}
	}
	return false
}
