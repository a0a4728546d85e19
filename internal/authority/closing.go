package authority

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// closings is what this node has heard of the pages of sessions on shared computers. It is a hint: what is lost in a
// crash, or beyond the bounds, leaves the session to its idle timeout.
type closings struct {
	mu     sync.Mutex
	closed map[exeunt.SessionID]exeunt.Closing
	open   map[exeunt.SessionID]time.Time // when a page of it was last heard of
	// tells are the apps whose open pages are heard of. Of others nobody knows whether somebody is reading them.
	tells map[exeunt.ClientID]bool
	// missed is when a page was heard of for which there was no room: until then any session may have had one.
	missed time.Time
	began  time.Time
}

const (
	maxClosings = 1 << 14
	maxOpen     = 1 << 16
	// closingSettles is for how long after a page was closed it is not believed that another is open: what is heard in that
	// time may be from before, on its way through an app.
	closingSettles = 10 * time.Second
	// closingWaits is when a hint goes to the store, for the other nodes. An open page is heard of every 30 s, a visible one
	// every 15 s, so most are lifted by then: a page is closed whenever somebody goes on to another one.
	closingWaits = 30 * time.Second
	// closingSlack is for what other nodes have heard within the grace and write in their next round of maintenance.
	closingSlack = 15 * time.Second
)

// PageClosed takes the word of a page that it was closed. Only a session on a shared computer is concerned.
func (a *Authority) PageClosed(ans Answer) {
	if ans.State != live.Usable || ans.Kind != exeunt.KindShared {
		return
	}
	c := &a.closings
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.closed[ans.Session]; !known && len(c.closed) >= maxClosings {
		return
	}
	c.closed[ans.Session] = exeunt.Closing{Account: ans.Account, Session: ans.Session, At: a.now()}
}

// PageOpen notes that a page of the session is open, which is no activity. On anything but a shared computer it does
// nothing.
func (a *Authority) PageOpen(ans Answer) {
	if ans.State != live.Usable || ans.Kind != exeunt.KindShared {
		return
	}
	now := a.now()
	c := &a.closings
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.open[ans.Session]; !known && len(c.open) >= maxOpen {
		c.missed = now
		return
	}
	c.open[ans.Session] = now
}

// AppTells notes that the client of an app session asks for what its pages may show, so that its open pages are heard of.
func (a *Authority) AppTells(ans Answer) {
	if ans.State != live.Usable || ans.Kind != exeunt.KindShared || ans.App.IsZero() {
		return
	}
	c := &a.closings
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tells[ans.Client] = true
}

// lifted reports whether this node knows that the session was used, or had a page open, after a page was closed.
func (a *Authority) lifted(of exeunt.Closing) bool {
	if seen, known := a.live.SeenAt(of.Session); known && seen.After(of.At) {
		return true
	}
	a.closings.mu.Lock()
	defer a.closings.mu.Unlock()
	settled := of.At.Add(closingSettles)
	return a.closings.open[of.Session].After(settled) || a.closings.missed.After(settled)
}

// waiting takes the hints that have waited long enough.
func (c *closings) waiting(now time.Time) (list []exeunt.Closing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, of := range c.closed {
		if now.Sub(of.At) >= closingWaits {
			list = append(list, of)
			delete(c.closed, id)
		}
	}
	return list
}

// forget drops what no hint can need any more.
func (c *closings) forget(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range c.open {
		if now.Sub(at) > 2*(exeunt.ClosingGrace+closingSlack) {
			delete(c.open, id)
		}
	}
}

// endClosed ends the sessions on shared computers whose last page was closed a while ago, and which nobody has used since
// on any node.
func (a *Authority) endClosed(ctx context.Context) error {
	now := a.now()
	defer a.closings.forget(now)
	var closing []exeunt.Closing
	for _, of := range a.closings.waiting(now) {
		if a.lifted(of) {
			continue
		}
		if tells, err := a.everyAppTells(ctx, of); err != nil || !tells {
			continue // its idle timeout is left
		}
		closing = append(closing, of)
	}
	if err := a.store.MarkClosing(ctx, closing); err != nil {
		return err
	}
	var after exeunt.Closing
	return inSteps(ctx, func() (bool, error) {
		list, more, err := a.store.Closings(ctx, after)
		if err != nil {
			return false, err
		}
		var open []exeunt.Closing
		var over []exeunt.Overdue
		for _, of := range list {
			after = of.Closing
			since := of.At
			if since.Before(a.closings.began) {
				since = a.closings.began // until then no node may have been there to hear of an open page
			}
			switch {
			case of.Over, a.lifted(of.Closing):
				open = append(open, of.Closing)
			case now.Sub(since) >= exeunt.ClosingGrace+closingSlack:
				over = append(over, exeunt.Overdue{Account: of.Account, Session: of.Session, Reason: exeunt.ReasonClosed})
			}
		}
		return more, errors.Join(a.store.MarkOpen(ctx, open), a.declareAll(ctx, over))
	})
}

// everyAppTells reports whether the open pages of all apps that the session is signed in to are heard of.
func (a *Authority) everyAppTells(ctx context.Context, of exeunt.Closing) (bool, error) {
	s, err := a.store.Session(ctx, of.Account, of.Session)
	if err != nil || s.AppCount > int64(len(s.Apps)) {
		return false, err
	}
	a.closings.mu.Lock()
	defer a.closings.mu.Unlock()
	for _, app := range s.Apps {
		if app.End == nil && !a.closings.tells[app.Client] {
			return false, nil
		}
	}
	return true, nil
}
