package verify

import (
	"context"
	"errors"
	"time"

	"github.com/exeunt/exeunt/client"
)

// watcher is something that stays open for as long as a session is usable.
type watcher struct {
	token client.Secret
	hash  tokenHash
	wake  chan struct{} // receives when the session may have ended

	// Guarded by the verifier's lock. who is zero until it is known, and before that nothing wakes it.
	who        client.Person
	generation int64 // 0 if it is not known
	ended      bool  // an event has said so for certain
}

// watchers are those whose account is known, by it.
type watchers map[string]map[*watcher]struct{}

// reasonWait is for how long the authority is asked why a session has ended that an
// event has ended for certain. What is open must not stay so for the sake of a reason.
const reasonWait = 30 * time.Millisecond

// maxExplaining bounds those questions at the same time. When very much ends at once, most of
// it goes without a reason rather than late.
const maxExplaining = 8

// UntilEnd returns a context for what stays open after a check, such as a WebSocket, an
// event stream or a long poll. It is done as soon as the session is not usable any more:
// within milliseconds of the event that ended it, and whatever happens to the network
// at the latest MaxStaleness after the answer to the sign-out. Call it right after a
// check that succeeded, and call stop when what was open is closed.
//
// context.Cause says why it is done, as Check would: *client.EndedError, with the reason
// if the authority gave it in time; client.ErrUnavailable when nobody could vouch for the
// session any more; and otherwise ctx's own cause. Nothing of it counts as activity.
func (v *Verifier) UntilEnd(ctx context.Context, token client.Secret) (open context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if !maybeToken(token) {
		cancel(&client.EndedError{})
		return ctx, func() {}
	}
	w := &watcher{token: token, hash: hashOf(token), wake: make(chan struct{}, 1)}
	go func() { cancel(v.watch(ctx, w)) }()
	return ctx, func() { cancel(context.Canceled) }
}

// watch returns why the session is not usable any more.
func (v *Verifier) watch(ctx context.Context, w *watcher) error {
	defer v.leave(w)
	until := v.now().steady + v.MaxStaleness // it has just been checked
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-w.wake:
		case <-next.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		ended, err := v.look(w), error(nil)
		if ended {
			return v.why(ctx, w)
		}
		if until, err = v.vouch(ctx, w, until); err != nil {
			return err
		}
		left := until - v.now().steady
		next.Reset(max(left-v.reserve(), min(left, v.MaxStaleness/8)))
	}
}

// reserve is how long before memory may not vouch any more the gate is asked: time for
// its answer. The verifier has failed to confirm its place twice by then, and not once,
// as it does when its stream is opened again.
func (v *Verifier) reserve() time.Duration { return v.MaxStaleness * 3 / 8 }

// look reports whether an event has ended the session for certain. It joins the watchers
// as soon as memory knows whose session it is.
func (v *Verifier) look(w *watcher) (ended bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.table.find(&w.hash); k != nil {
		v.join(w, &k.who, k.generation)
	}
	return w.ended
}

// join adds a watcher, or what is newly known of it. It is called with mu held, and
// before memory is asked about the session: an event that comes after that wakes it.
func (v *Verifier) join(w *watcher, who *client.Person, generation int64) {
	w.generation = max(w.generation, generation)
	if w.who.Account != "" {
		return
	}
	w.who = *who
	of := v.watchers[who.Account]
	if of == nil {
		of = map[*watcher]struct{}{}
		v.watchers[who.Account] = of
	}
	of[w] = struct{}{}
}

func (v *Verifier) leave(w *watcher) {
	v.mu.Lock()
	defer v.mu.Unlock()
	of := v.watchers[w.who.Account]
	delete(of, w)
	if len(of) == 0 {
		delete(v.watchers, w.who.Account)
	}
}

// tell wakes those whose session an event may have ended. It is called with mu held.
func (v *Verifier) tell(e *client.LogEvent) {
	all := v.watchers
	if e.Account != "" {
		all = watchers{e.Account: v.watchers[e.Account]}
	}
	for _, of := range all {
		for w := range of {
			switch {
			case covers(e, &w.who, w.generation):
				w.ended = w.ended || ends(e) && w.generation > 0
				w.stir()
			case survives(e, &w.who):
				w.generation = max(w.generation, e.Generation)
			}
		}
	}
}

// ends reports whether an event has ended whatever it covers: other events may have, and
// the gate knows.
func ends(e *client.LogEvent) bool {
	return e.Kind == client.EventEnded && (e.Scope == "session" || e.Scope == "others" || e.Scope == "account")
}

func (w *watcher) stir() {
	select {
	case w.wake <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// vouch returns until when the session is certainly usable, given until when it was
// before: as long as memory says so, or else MaxStaleness from a question to the gate.
func (v *Verifier) vouch(ctx context.Context, w *watcher, until time.Duration) (time.Duration, error) {
	asked := v.now().steady
	if t := v.vouchedUntil(&w.hash); t > asked+v.reserve() {
		return t, nil
	}
	within, cancel := context.WithTimeout(ctx, until-asked)
	defer cancel()
	a, err := v.ask(within, w.token, w.hash, false)
	switch {
	case err == nil:
		v.mu.Lock()
		defer v.mu.Unlock()
		v.join(w, &a.Person, a.Generation)
		return asked + v.MaxStaleness, nil
	case errors.Is(err, client.ErrSignedOut), v.now().steady >= until:
		return until, err
	}
	return until, nil // what was said before still holds
}

// vouchedUntil returns until when the session is usable according to memory; 0 if memory
// cannot say.
func (v *Verifier) vouchedUntil(hash *tokenHash) time.Duration {
	w := v.window.Load() // before the entry, as in recall
	k := v.table.find(hash)
	if k == nil {
		return 0
	}
	limit := min(k.idleAt.Load(), k.expires) - k.margin()
	now := v.now()
	if !w.open(now) {
		return 0
	}
	return min(w.until, now.steady+time.Duration(limit-w.serverTime(now))*time.Millisecond)
}

// why asks for the reason of an end that is certain.
func (v *Verifier) why(ctx context.Context, w *watcher) error {
	ctx, cancel := context.WithTimeout(ctx, v.reasonWait)
	defer cancel()
	select {
	case v.explaining <- struct{}{}:
		defer func() { <-v.explaining }()
	case <-ctx.Done():
		return &client.EndedError{}
	}
	if _, err := v.Client.CheckToKeep(ctx, v.Key, w.token, false); errors.Is(err, client.ErrSignedOut) {
		return err
	}
	return &client.EndedError{}
}
