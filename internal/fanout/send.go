package fanout

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// recordTimeout bounds how long the outcome of an attempt is tried to be recorded. After it, the attempt is made again
// once its lease is over.
const recordTimeout = 10 * time.Second

// shortestWait keeps rounds apart when something is due that cannot be sent yet.
const shortestWait = 50 * time.Millisecond

func (s *Service) send(ctx context.Context) {
	var sending sync.WaitGroup
	defer sending.Wait()
	failures := 0
	for {
		wait, err := s.round(ctx, &sending)
		if failures++; err == nil {
			failures = 0
		} else if wait = min(backoff(failures), longPause); ctx.Err() == nil {
			s.logged("look for deliveries to apps", err)
		}
		select {
		case <-s.wake:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// round begins the attempts that are due and have a place. It returns how long to wait for the next round.
func (s *Service) round(ctx context.Context, sending *sync.WaitGroup) (wait time.Duration, err error) {
	now, wait := s.Now(), lookEvery
	later := func(at time.Time) { wait = max(min(wait, at.Sub(now)), shortestWait) }
	owing, err := s.Store.OwingClients(ctx)
	if err != nil {
		return wait, err
	}
	var batch []exeunt.Delivery
	for _, o := range s.inTurn(owing) {
		if o.Due.After(now) {
			later(o.Due)
			continue
		}
		if s.isOpen(o.Client) {
			if err := s.Store.GiveUpOverdue(ctx, o.Client, "unreachable", now); err != nil {
				return wait, err
			}
		}
		places, next := s.begin(o.Client, perClient, now)
		if places == 0 {
			if !next.IsZero() {
				later(next)
			}
			continue // an attempt that ends wakes the sender
		}
		list, err := s.Store.DueDeliveries(ctx, o.Client, now, places)
		s.giveBack(o.Client, places-len(list))
		if err != nil {
			s.giveBackAll(batch)
			return wait, err
		}
		batch = append(batch, list...)
	}
	if len(batch) == 0 {
		return wait, nil
	}
	claimed, err := s.Store.ClaimDeliveries(ctx, batch, now)
	if err != nil {
		s.giveBackAll(batch)
		return wait, err
	}
	for _, d := range batch {
		i := slices.IndexFunc(claimed, func(c exeunt.Delivery) bool {
			return c.Account == d.Account && c.Session == d.Session && c.Client == d.Client
		})
		if i < 0 { // another node was first
			s.giveBack(d.Client, 1)
			continue
		}
		sending.Go(func() { s.attempt(ctx, claimed[i]) })
	}
	return shortestWait, nil // there may be more than one round takes
}

func (s *Service) giveBackAll(batch []exeunt.Delivery) {
	for _, d := range batch {
		s.giveBack(d.Client, 1)
	}
}

// inTurn puts those first whose circuit is closed, and begins each time with another.
func (s *Service) inTurn(list []store.Owing) []store.Owing {
	if len(list) == 0 {
		return nil
	}
	s.atClient = (s.atClient + 1) % len(list)
	list = slices.Concat(list[s.atClient:], list[:s.atClient])
	open := map[exeunt.ClientID]int{}
	for _, o := range list {
		if s.isOpen(o.Client) {
			open[o.Client] = 1
		}
	}
	slices.SortStableFunc(list, func(a, b store.Owing) int { return cmp.Compare(open[a.Client], open[b.Client]) })
	return list
}

// attempt makes a claimed attempt and records what came of it.
func (s *Service) attempt(ctx context.Context, d exeunt.Delivery) {
	a, made := s.try(ctx, d)
	now := s.Now()
	if made {
		s.end(d.Client, a, now)
	} else {
		s.giveBack(d.Client, 1)
	}
	s.wakeSender()
	d.Error, d.Finished = a.err, now
	switch {
	case a.confirmed:
		d.State = exeunt.DeliveryConfirmed
	case a.refused:
		d.State = exeunt.DeliveryRefused
	case slices.Contains(forGood, a.err), !now.Before(d.GiveUp) && made:
		d.State = exeunt.DeliveryGaveUp
	case ctx.Err() != nil: // this node stops, another may go on
		d.Due = now
	default:
		d.Due = now.Add(backoff(int(min(d.Attempts, 1000))))
	}
	// A crash before the commit: the attempt is made again once its lease is over.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := s.Store.RecordAttempt(record, d, now); err != nil {
		s.logged("record that an app was told", err)
	}
	s.wakeSender()
}

// notRegistered is the error when the client that had to be told has been removed, or cannot be told any more.
const notRegistered = "not_registered"

// try sends a token, or has the client's connector act. made is false if it is not the app's fault that nothing was
// sent.
func (s *Service) try(ctx context.Context, d exeunt.Delivery) (a answer, made bool) {
	c, err := s.Store.Client(ctx, d.Client)
	switch {
	case errors.Is(err, exeunt.ErrNotFound), err == nil && (!c.IsTold() || d.Seq < c.Registration):
		return answer{err: notRegistered}, false
	case err != nil:
		return answer{err: "database"}, false
	}
	var token string
	if c.Connector == nil {
		if token, err = s.token(d, c, s.Now()); err != nil {
			s.logged("sign a logout token", err)
			return answer{err: "signature"}, false
		}
	}
	if s.Now().Add(postTimeout).After(d.Due) {
		return answer{err: "late"}, false // the lease would be over before the request
	}
	if c.Connector != nil {
		a = s.connect(ctx, d, c.Connector)
	} else {
		a = s.post(ctx, c.BackchannelURI, token)
	}
	if ctx.Err() != nil && !a.confirmed && !a.refused {
		return answer{err: "stopped"}, false
	}
	return a, true
}
