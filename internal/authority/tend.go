package authority

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// maxSaveEvery is how often activity that is due is saved. A crash can lose that
// of the last such interval, and of a quantum more, see live.Due. What is lost
// only makes a session end earlier.
const maxSaveEvery = 5 * time.Second

// sweepEvery is how often the store is searched for sessions whose time has
// run out without anybody asking, and for rows to settle and purge.
const sweepEvery = 5 * time.Second

// settleSteps bounds how much of what was ended together one sweep writes down,
// which is in no hurry: the other duties of a sweep do not wait for all of it.
const settleSteps = 256

// Run tends the sessions until ctx is done, then saves the last activity.
func (a *Authority) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { a.endQueued(ctx) })
	wg.Go(func() { a.resolveAll(ctx) })
	wg.Go(func() {
		every(ctx, min(maxSaveEvery, a.policy.ShortestIdle()/10), a.live.Urgent(), func() { a.logged("save activity", a.saveDue(ctx)) })
	})
	wg.Go(func() { every(ctx, sweepEvery, nil, func() { a.logged("sweep", a.Sweep(ctx)) }) })
	wg.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	a.logged("save activity", a.FlushActivity(last))
}

// every calls f in intervals, and when it is urgent.
func every(ctx context.Context, d time.Duration, urgent <-chan struct{}, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f()
		case <-urgent:
			f()
		case <-ctx.Done():
			return
		}
	}
}

func (a *Authority) logged(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		a.log.Warn("could not "+what+"; trying again later", "err", err)
	}
}

// endQueued carries out endings that requests found to be due.
func (a *Authority) endQueued(ctx context.Context) {
	for {
		select {
		case o := <-a.live.Overdue():
			a.logged("declare a session ended", a.declare(ctx, o.Account, o.Session, o.Reason))
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
	}
	if err := a.store.SaveActivity(ctx, seen); err != nil {
		return err
	}
	a.live.MarkSaved(list)
	return nil
}

// overdueStep is how many endings the sweep asks for at a time: they share
// transactions with whatever else is being written.
const overdueStep = 128

// putOffSteps and purgeSteps bound the same of sessions that need no more than
// to be put off, and of what is deleted.
const (
	putOffSteps = 64
	purgeSteps  = 64
)

// Sweep declares ended what time has ended, writes the rows of sessions that
// were ended together, deletes what is older than the retention, and forgets
// the dead in memory. None of these waits for another to succeed.
func (a *Authority) Sweep(ctx context.Context) error {
	errs := []error{a.sweepOverdue(ctx), a.settleEnded(ctx), a.purge(ctx)}
	if slices.Contains(errs, nil) { // otherwise memory alone can tell what has ended
		a.live.Forget()
	}
	return errors.Join(append(errs, a.sweepLate(ctx))...)
}

func (a *Authority) settleEnded(ctx context.Context) error {
	_, err := upTo(settleSteps, func() (bool, error) { return a.store.SettleEnded(ctx) })
	return err
}

func (a *Authority) purge(ctx context.Context) error {
	_, err := upTo(purgeSteps, func() (bool, error) {
		done, err := a.store.Purge(ctx, a.retention, a.now())
		return done > 0, err
	})
	return err
}

// upTo repeats a step until there is no more to do, but not without end.
func upTo(steps int, step func() (more bool, err error)) (more bool, err error) {
	more = true
	for ; more && err == nil && steps > 0; steps-- {
		more, err = step()
	}
	return more, err
}

func (a *Authority) sweepOverdue(ctx context.Context) error {
	more, err := upTo(putOffSteps, func() (bool, error) { return a.store.PutOff(ctx, a.retention, a.now()) })
	if err != nil {
		return err
	}
	for {
		overdue, err := a.store.Overdue(ctx, a.now(), overdueStep)
		if err != nil {
			return err
		}
		if err := a.declareAll(ctx, overdue); err != nil {
			return err
		}
		// While there are many to put off, each search passes over them.
		if more || len(overdue) < overdueStep {
			break
		}
	}
	return nil
}

// sweepLate asks for a ruling on what is refused here and yet not overdue in the
// store: its notice was lost, when the store was away or too many came at once.
func (a *Authority) sweepLate(ctx context.Context) error {
	return a.declareAll(ctx, a.live.Late(a.now()))
}

// declareAll declares sessions ended side by side, so that their endings share
// a commit. A session that was ended otherwise meanwhile is no error.
func (a *Authority) declareAll(ctx context.Context, overdue []exeunt.Overdue) error {
	errs := make([]error, len(overdue))
	var wg sync.WaitGroup
	for i, o := range overdue {
		wg.Go(func() { errs[i] = a.declare(ctx, o.Account, o.Session, o.Reason) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
