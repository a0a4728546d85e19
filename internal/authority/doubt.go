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

// unsettled is an ending that may or may not have been recorded.
type unsettled struct {
	by  exeunt.Actor
	rev exeunt.Revocation
	// change: the account was to change with it. That must not happen later
	// than the person was told, so it is not repeated.
	change bool
}

// doubts are the endings to be settled, oldest first.
type doubts struct {
	mu    sync.Mutex
	list  []unsettled
	added chan struct{}
}

// doubt has what the ending would have ended refused from now on, and its
// outcome found out.
func (a *Authority) doubt(u unsettled) {
	a.Live.Doubt(u.rev)
	a.Log.Warn("it is not known whether sessions have ended; until it is, they are refused",
		"account", u.rev.Account, "scope", u.rev.Scope, "session", u.rev.Session, "app", u.rev.AppSession)
	a.doubts.mu.Lock()
	a.doubts.list = append(a.doubts.list, u)
	a.doubts.mu.Unlock()
	select {
	case a.doubts.added <- struct{}{}:
	default: // it is awake already
	}
	a.Feed.Wake(u.rev.Account)
}

func (d *doubts) oldest() (u unsettled, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == 0 {
		return u, false
	}
	return d.list[0], true
}

// has reports whether an ending with that key of the actor's is to be settled.
func (d *doubts) has(by exeunt.Actor, key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.list, func(u unsettled) bool { return u.rev.Key == key && u.by.Key() == by.Key() })
}

func (d *doubts) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = d.list[1:]
}

// settleAgain is the pause before a store that could not tell is asked again.
const settleAgain = 250 * time.Millisecond

// settleDoubts finds out what became of endings until ctx is done. A process
// that ends before leaves it to the next start, which reads the log.
func (a *Authority) settleDoubts(ctx context.Context) {
	for {
		select {
		case <-a.doubts.added:
		case <-ctx.Done():
			return
		}
		for u, ok := a.doubts.oldest(); ok; u, ok = a.doubts.oldest() {
			if a.settle(ctx, u) {
				a.doubts.drop()
				continue
			}
			select {
			case <-time.After(settleAgain):
			case <-ctx.Done():
				return
			}
		}
	}
}

// settle reports whether it found out. The same wish is carried out once more:
// ending a session that has ended changes nothing, and an ending of many has a
// key by which the store knows it. One that came with a change of the account
// is only waited for.
func (a *Authority) settle(ctx context.Context, u unsettled) bool {
	ctx, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	var out Ending
	var err error
	if u.change {
		err = a.Store.CatchUp(ctx)
	} else {
		out, err = a.Store.End(ctx, u.by, u.rev, store.Change{}, a.Now())
	}
	if errors.Is(err, exeunt.ErrNotConfirmed) || errors.Is(err, exeunt.ErrUnavailable) {
		return false
	}
	// What was recorded in between by other nodes, or by the attempt that could
	// not tell, is in the log; memory must have it before the doubt is lifted.
	if a.Feed.Confirm(ctx) != nil {
		return false
	}
	a.Live.Settled(u.rev)
	a.Feed.Wake(u.rev.Account)
	a.Log.Info("settled whether sessions have ended", "account", u.rev.Account, "scope", u.rev.Scope, "session", u.rev.Session, "app", u.rev.AppSession,
		"seq", out.Seq, "ended", out.Ended, "already", out.Already, "refused", err)
	return true
}
