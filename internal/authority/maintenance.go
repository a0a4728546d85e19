package authority

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// maxSaveEvery is how often due activity is saved. A crash can lose that of the last such interval, and of a quantum
// more, see live.Due. What is lost only makes a session end earlier.
const maxSaveEvery = 5 * time.Second

// maintainEvery is how often each duty of maintenance is done. When it fails, the pauses grow up to longestPause.
const (
	maintainEvery = 5 * time.Second
	longestPause  = 5 * time.Minute
)

// restFactor is how much longer maintenance rests between two steps than the last one took: sign-outs wait behind
// each step, on all nodes.
const restFactor = 9

// Run does the maintenance until ctx is done, then saves the last activity.
func (a *Authority) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { a.endQueued(ctx) })
	wg.Go(func() { a.resolveAll(ctx) })
	wg.Go(func() { a.keepSaving(ctx) })
	for _, d := range a.duties() {
		wg.Go(func() { a.keepDoing(ctx, d) })
	}
	wg.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	a.logged("save activity", a.FlushActivity(last))
}

// keepSaving saves activity in intervals, and when it is urgent.
func (a *Authority) keepSaving(ctx context.Context) {
	t := time.NewTicker(min(maxSaveEvery, a.policy.ShortestIdle()/10))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-a.live.Urgent():
		case <-ctx.Done():
			return
		}
		a.logged("save activity", a.saveDue(ctx))
	}
}

// duty is a part of maintenance. None waits for another.
type duty struct {
	what string
	do   func(context.Context) error
}

func (a *Authority) duties() []duty {
	return []duty{
		{"end the sessions that have timed out", a.endOverdue},
		{"end the sessions on shared computers whose last page was closed", a.endClosed},
		{"write the ends of sessions that ended together", a.writeEnds},
		{"delete what is older than the retention", a.purge},
		{"delete accounts whose time has come", a.deleteAccounts},
		{"end the sessions that memory has timed out", a.endLate},
		{"drop ended sessions from memory", a.forget},
	}
}

// keepDoing does a duty in intervals, which grow after failures.
func (a *Authority) keepDoing(ctx context.Context, d duty) {
	failing := pauses{first: maintainEvery, longest: longestPause}
	wait := maintainEvery
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		err := d.do(ctx)
		a.logged(d.what, err)
		if wait = maintainEvery; err != nil {
			wait = failing.next()
		} else {
			failing = pauses{first: maintainEvery, longest: longestPause}
		}
	}
}

// Maintain does every duty of maintenance once.
func (a *Authority) Maintain(ctx context.Context) error {
	var errs []error
	for _, d := range a.duties() {
		errs = append(errs, d.do(ctx))
	}
	return errors.Join(errs...)
}

func (a *Authority) logged(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		a.log.Warn("could not "+what+"; trying again later", "err", err)
	}
}

// inSteps repeats a step until there is no more to do, and rests between steps.
func inSteps(ctx context.Context, step func() (more bool, err error)) error {
	for {
		began := time.Now()
		more, err := step()
		if err != nil || !more {
			return err
		}
		select {
		case <-time.After(restFactor * time.Since(began)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// endQueued carries out endings that requests asked for.
func (a *Authority) endQueued(ctx context.Context) {
	for {
		select {
		case o := <-a.live.Overdue():
			a.logged("end a session that has timed out", a.declare(ctx, o.Account, o.Session, o.Reason))
		case q := <-a.queue:
			_, err := a.End(ctx, q.by, q.rev)
			a.logged("end a session", err)
		case <-ctx.Done():
			return
		}
	}
}

// FlushActivity saves all last-activity times.
func (a *Authority) FlushActivity(ctx context.Context) error {
	return a.save(ctx, a.live.Unsaved())
}

// saveDue saves those that are due.
func (a *Authority) saveDue(ctx context.Context) error {
	a.saving.Lock()
	defer a.saving.Unlock()
	now := a.now()
	if err := a.save(ctx, a.live.Due(now)); err != nil {
		return err
	}
	a.live.SavedAt(now)
	return nil
}

func (a *Authority) save(ctx context.Context, list []live.Unsaved) error {
	if len(list) == 0 {
		return nil
	}
	seen := make([]exeunt.Activity, len(list))
	for i := range list {
		seen[i] = list[i].Activity
		if seen[i].App.IsZero() {
			seen[i].Address, _ = a.addresses.get(seen[i].Session)
		}
	}
	if err := a.store.SaveActivity(ctx, seen); err != nil {
		return err
	}
	a.live.MarkSaved(list)
	for _, s := range seen {
		if s.Address.IsValid() {
			a.addresses.saved(s.Session, s.Address)
		}
	}
	return nil
}

// endOverdue declares ended the sessions that have timed out and that nobody asks for.
func (a *Authority) endOverdue(ctx context.Context) error {
	return inSteps(ctx, func() (bool, error) {
		overdue, more, err := a.store.WorkOffDue(ctx, a.retention, a.now())
		return more, errors.Join(err, a.declareAll(ctx, overdue))
	})
}

func (a *Authority) writeEnds(ctx context.Context) error {
	return inSteps(ctx, func() (bool, error) { return a.store.WriteEnds(ctx, a.now()) })
}

func (a *Authority) purge(ctx context.Context) error {
	return inSteps(ctx, func() (bool, error) {
		deleted, err := a.store.Purge(ctx, a.retention, a.now())
		return deleted > 0, err
	})
}

func (a *Authority) deleteAccounts(ctx context.Context) error {
	var e store.Erasure
	return inSteps(ctx, func() (bool, error) { return a.store.DeleteDue(ctx, &e, a.now()) })
}

// endLate declares ended what memory refuses as timed out and the store may still call live: the notice was lost,
// because the store was unavailable or too many came at once.
func (a *Authority) endLate(ctx context.Context) error {
	return a.declareAll(ctx, a.live.Late(a.now()))
}

// forget drops ended sessions from memory, but not while the store is unavailable: then only memory can tell what
// has ended.
func (a *Authority) forget(ctx context.Context) error {
	if err := a.store.Ping(ctx); err != nil {
		return err
	}
	a.live.Forget()
	return nil
}

// declareAll declares sessions ended concurrently, so that their endings share a commit. It is no error if a session
// has ended otherwise meanwhile.
func (a *Authority) declareAll(ctx context.Context, overdue []exeunt.Overdue) error {
	errs := make([]error, len(overdue))
	var wg sync.WaitGroup
	for i, o := range overdue {
		wg.Go(func() { errs[i] = a.declare(ctx, o.Account, o.Session, o.Reason) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
