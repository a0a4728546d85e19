package webapp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/exeunt/exeunt/client"
)

// Watcher is a Verifier that also says when what it admitted must be closed, as a
// verify.Verifier does.
type Watcher interface {
	UntilEnd(ctx context.Context, token client.Secret) (open context.Context, stop context.CancelFunc)
}

// errClosed is the cause after Close.
var errClosed = errors.New("the app is shutting down")

// UntilEnd returns a context for a handler behind Middleware whose answer stays open: a
// WebSocket, an event stream, a long poll, a long download. It is done as soon as the
// session that the request was admitted with is not usable any more, whatever ended it
// and wherever; also when r's own context is, and when the app is closed. Close what is
// open then: what is sent later reaches somebody who has signed out. Call stop when the
// handler returns.
//
// context.Cause says why: a *client.EndedError, whose Reason may be ""; or
// client.ErrUnavailable when for MaxStaleness nobody could vouch for the session, which
// does not mean signed out; or something else when the session has nothing to do with
// it. For a request of nobody, it ends with the request or the app.
//
// With a Verifier that is a Watcher, a session that is open costs no requests. Otherwise
// each call asks the authority about once a second.
//
//	ctx, stop := app.UntilEnd(r)
//	defer stop()
func (a *App) UntilEnd(r *http.Request) (open context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(r.Context())
	running := context.AfterFunc(a.streams.ctx, func() { cancel(errClosed) })
	release := func() { running(); cancel(context.Canceled) }
	token, _ := a.token(r)
	if _, ok := Who(r.Context()); !ok {
		return ctx, release
	}
	if w, ok := a.Verifier.(Watcher); ok {
		open, leave := w.UntilEnd(ctx, token)
		return open, func() { leave(); release() }
	}
	go func() { cancel(a.watch(ctx, token)) }()
	return ctx, release
}

// maxStaleness is for how long an answer of the authority's counts for what stays open.
const maxStaleness = 2 * time.Second

// watch returns why the session is not usable any more. The event stream tells at once;
// a connection that is silently lost is noticed only by asking.
func (a *App) watch(ctx context.Context, token client.Secret) error {
	states, leave := a.streams.watch(token)
	defer leave()
	until := time.Now().Add(maxStaleness) // it has just been checked
	next := time.NewTimer(0)              // what happened before it joined is in no state
	defer next.Stop()
	for {
		select {
		case s := <-states:
			if s.State == client.Over {
				return &client.EndedError{Ended: client.Ended{Reason: s.Reason, At: s.At}}
			}
			continue
		case <-next.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		asked := time.Now()
		within, cancel := context.WithDeadline(ctx, until)
		_, err := a.check(within, token, false)
		cancel()
		switch {
		case err == nil:
			until = asked.Add(maxStaleness)
		case errors.Is(err, client.ErrSignedOut), !time.Now().Before(until):
			return err
		}
		next.Reset(max(time.Until(until)-maxStaleness/2, maxStaleness/8))
	}
}
