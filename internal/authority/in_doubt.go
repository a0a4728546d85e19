package authority

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// inDoubtEnding is an ending that may or may not have been recorded.
type inDoubtEnding struct {
	by  exeunt.Actor
	rev exeunt.Revocation
	// change: the ending changes the account too. Repeating that later could surprise the person, who was told that
	// it failed, so it is not repeated.
	change bool
}

// inDoubt are the endings to be resolved, oldest first.
type inDoubt struct {
	mu    sync.Mutex
	list  []inDoubtEnding
	added chan struct{}
}

// putInDoubt has the sessions of the ending refused from now on, and its outcome resolved.
func (a *Authority) putInDoubt(e inDoubtEnding) {
	a.live.PutInDoubt(e.rev.Target)
	a.log.Warn("an ending is in doubt; until it is resolved its sessions are refused",
		"account", e.rev.Account, "scope", e.rev.Scope, "session", e.rev.Session, "app", e.rev.AppSession)
	a.inDoubt.mu.Lock()
	a.inDoubt.list = append(a.inDoubt.list, e)
	a.inDoubt.mu.Unlock()
	select {
	case a.inDoubt.added <- struct{}{}:
	default: // it is awake already
	}
	a.feed.Wake(e.rev.Account)
}

func (d *inDoubt) oldest() (e inDoubtEnding, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == 0 {
		return e, false
	}
	return d.list[0], true
}

// has reports whether an ending with that key of the actor's is in doubt.
func (d *inDoubt) has(by exeunt.Actor, key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.list, func(e inDoubtEnding) bool { return e.rev.Key == key && e.by.Key() == by.Key() })
}

func (d *inDoubt) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = d.list[1:]
}

// resolvePauses are the waits between two attempts to resolve. They grow, so as not to burden a store in trouble.
var resolvePauses = pauses{first: 250 * time.Millisecond, longest: 10 * time.Second}

// resolveAll resolves endings until ctx is done. What is left then is resolved by the next start, which reads the
// log.
func (a *Authority) resolveAll(ctx context.Context) {
	pause := resolvePauses
	for {
		select {
		case <-a.inDoubt.added:
		case <-ctx.Done():
			return
		}
		for e, ok := a.inDoubt.oldest(); ok; e, ok = a.inDoubt.oldest() {
			if a.resolve(ctx, e) {
				a.inDoubt.drop()
				pause = resolvePauses
				continue
			}
			select {
			case <-time.After(pause.next()):
			case <-ctx.Done():
				return
			}
		}
	}
}

// resolve reports whether the ending's outcome is known. It carries out the same request once more: ending a session
// that has ended changes nothing, and an ending of many has a key by which the store finds it. One that came with a
// change of the account is only waited for.
func (a *Authority) resolve(ctx context.Context, e inDoubtEnding) bool {
	ctx, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	var out Ending
	var err error
	if e.change {
		err = a.store.CatchUp(ctx)
	} else {
		out, err = a.store.End(ctx, e.by, e.rev, store.Change{}, a.now())
	}
	if errors.Is(err, exeunt.ErrNotConfirmed) || errors.Is(err, exeunt.ErrUnavailable) {
		return false
	}
	// What other nodes or the first attempt recorded meanwhile is in the log; memory must have it before the session
	// is answered for again.
	if a.feed.Confirm(ctx) != nil {
		return false
	}
	a.live.Resolve(e.rev.Target)
	a.feed.Wake(e.rev.Account)
	a.log.Info("an ending in doubt is resolved", "account", e.rev.Account, "scope", e.rev.Scope,
		"session", e.rev.Session, "app", e.rev.AppSession, "seq", out.Seq, "ended", out.Ended, "already", out.Already,
		"refused", err)
	return true
}
