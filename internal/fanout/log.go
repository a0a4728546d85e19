package fanout

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	// stepEvents and stepRows bound what one step reads and writes.
	stepEvents = 128
	stepRows   = 128
	// holdCursor is for how long a node that has moved the cursor keeps it for itself.
	holdCursor = 10 * time.Second
	// lookEvery is how often to look for what nobody has told of.
	lookEvery = 5 * time.Second
	// saveEvery and saveAfter are how often the cursor is saved when no app has to be told of anything.
	saveEvery = 5 * time.Second
	saveAfter = 4096 // events
	longPause = time.Minute
	// letGoTimeout bounds how long a stop waits for the cursor to be let go.
	letGoTimeout = 2 * time.Second
)

// reading is this node's progress through the log. What is known here only is that some events need no deliveries.
type reading struct {
	known   bool
	saved   store.LogCursor // as it is stored
	at      store.LogCursor // as far as this node has read
	savedAt time.Time
}

func (s *Service) readLog(ctx context.Context) {
	var r reading
	defer s.letGo(ctx, &r)
	wait, failures := time.Duration(0), 0
	for {
		select {
		case <-s.News:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		for more := true; more && ctx.Err() == nil; {
			began := time.Now()
			var err error
			more, err = s.step(ctx, &r)
			if wait = lookEvery; err != nil {
				r.known, more = false, false
				failures++
				if wait = min(backoff(failures), longPause); ctx.Err() == nil {
					s.logged("find the apps to tell of what has ended", err)
				}
				break
			}
			if failures = 0; more {
				// Sign-outs wait behind each step.
				select {
				case <-time.After(time.Since(began)):
				case <-ctx.Done():
				}
			}
		}
	}
}

// letGo lets another node move the cursor at once.
func (s *Service) letGo(ctx context.Context, r *reading) {
	if !r.known || !s.Now().Before(r.saved.Held) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoTimeout)
	defer cancel()
	to := r.saved
	to.Held = time.Time{}
	if _, err := s.Store.RecordOwed(ctx, r.saved, to, nil, nil, s.Now()); err != nil {
		s.Log.Debug("the cursor of deliveries was not let go; another node takes it over a little later", "err", err)
	}
}

// step reads some events and records the deliveries and messages that they owe. It reports whether there may be more to do.
func (s *Service) step(ctx context.Context, r *reading) (more bool, err error) {
	now := s.Now()
	c, err := s.Store.LogCursor(ctx)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(c.Holder, s.node) && now.Before(c.Held) {
		r.known = false
		return false, nil
	}
	// Another node may have moved it, also back: when an older database was put back.
	if !r.known || c.Seq != r.saved.Seq || c.Within != r.saved.Within {
		*r = reading{known: true, saved: c, at: c, savedAt: now}
	}
	events, err := s.Store.Events(ctx, r.at.Seq, stepEvents)
	if err != nil {
		return false, err
	}
	rows, messages, more, err := s.owed(ctx, events, r)
	if err != nil {
		return false, err
	}
	ahead := r.at.Seq > r.saved.Seq || r.at.Within != r.saved.Within
	if len(rows) == 0 && len(messages) == 0 && !(ahead && (now.Sub(r.savedAt) >= saveEvery || r.at.Seq-r.saved.Seq >= saveAfter)) {
		return more, nil
	}
	to := r.at
	to.Holder, to.Held = s.node, now.Add(holdCursor)
	// A crash before the commit: the next start reads these events again. After it: what they owe is recorded.
	moved, err := s.Store.RecordOwed(ctx, r.saved, to, rows, messages, now)
	if err != nil {
		return false, err
	}
	if !moved { // by this node: another one is at it
		r.known = false
		return true, nil
	}
	r.saved, r.at, r.savedAt = to, to, now
	if len(rows) > 0 {
		s.wakeSender()
	}
	return more, nil
}

// owed returns the deliveries and messages that events owe, up to a bounded number, and moves the reading accordingly.
func (s *Service) owed(ctx context.Context, events []exeunt.Event, r *reading) (
	rows []exeunt.Delivery, messages []exeunt.Message, more bool, err error,
) {
	var clients map[exeunt.ClientID]exeunt.Client // that are told
	for i := range events {
		e := &events[i]
		if e.Seq != r.at.Seq+1 {
			return nil, nil, false, fmt.Errorf("the log lacks event %d", r.at.Seq+1)
		}
		if endsApps(e) {
			if clients == nil {
				if clients, err = s.receivers(ctx); err != nil {
					return nil, nil, false, err
				}
			}
			if len(clients) > 0 {
				list, next, unfinished, err := s.Store.Participations(ctx, e, r.at.Within)
				if err != nil {
					return nil, nil, false, err
				}
				for _, p := range list {
					if d, is := delivery(e, p, clients); is {
						rows = append(rows, d)
					}
				}
				if unfinished {
					r.at.Within = next
					return rows, messages, true, nil
				}
			}
		}
		r.at.Seq, r.at.Within = e.Seq, store.Participation{}
		messages = append(messages, messagesOf(e, s.Webhooks)...) // once, however many steps the event took
		if len(rows)+len(messages) >= stepRows {
			return rows, messages, true, nil
		}
	}
	return rows, messages, len(events) == stepEvents, nil
}

func (s *Service) receivers(ctx context.Context) (map[exeunt.ClientID]exeunt.Client, error) {
	list, err := s.Store.Clients(ctx)
	out := make(map[exeunt.ClientID]exeunt.Client, len(list))
	for _, c := range list {
		if c.IsTold() {
			out[c.ID] = c
		}
	}
	return out, err
}

// endsApps reports whether apps may have to be told of an event. A renewal ends the app sessions that its session had.
// An app that ended its own app session knows.
func endsApps(e *exeunt.Event) bool {
	switch e.Kind {
	case exeunt.EventEnded:
		return e.AppSession.IsZero() || e.By.App != e.AppSession
	case exeunt.EventRenewed:
		return true
	}
	return false
}

// delivery is what an event owes to a client in which a session has been used that it ended. When every session of the
// account ends, the client is told once, of the account. When one session of several is left alone, a notice of the
// account would end that, too; but a connector can do no less. What a client had that was removed is not told the one
// that has its ID now. A client that is told of nothing less than the account is told also if its sessions ended before:
// it was not told of them.
func delivery(e *exeunt.Event, p store.Used, clients map[exeunt.ClientID]exeunt.Client) (
	d exeunt.Delivery, is bool,
) {
	c, takes := clients[p.Client]
	whole := e.Scope == exeunt.ScopeAccount
	if !takes || c.Registration != p.Registration || c.OnlyWhole() && !whole || p.Earlier && !c.OnlyWhole() {
		return d, false
	}
	d = exeunt.Delivery{Account: e.Account, Session: p.Session, Client: p.Client, Seq: e.Seq, At: e.At}
	if whole || c.Connector != nil {
		d.Session = exeunt.SessionID{}
	}
	return d, true
}
