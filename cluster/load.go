package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/demo"
)

// trial is a session of the load, and what its client was told of its end.
type trial struct {
	token   client.Secret
	session exeunt.SessionID
	told    told
	at      time.Time // of the acknowledgement
}

// load signs in and out through the load balancer, and meanwhile checks live and ended
// sessions on each node.
type load struct {
	balanced *client.Client
	nodes    []*client.Client
	person   demo.Account
	bound    time.Duration // max_staleness

	stock chan *trial
	from  time.Time

	lasting []*trial // that nobody signs out

	mu            sync.Mutex
	trials        []*trial
	ended         []*trial // acknowledged ones
	signIns       []time.Time
	signOuts      []time.Time
	notNow        int           // sign-outs that were answered otherwise
	late          time.Duration // how long after an acknowledgement a node still accepted
	tooLate       []string
	confused      []string      // live sessions that were called ended
	usable        [][]time.Time // by node: when a live session was accepted
	indeterminate []int         // by node: checks that were answered "cannot be known"
}

const (
	stocked   = 160 // sessions signed in beforehand
	lasting   = 12  // sessions that nobody signs out
	enders    = 6
	beginners = 2
	// How long a person waits before they try again, and a worker between two actions.
	pace = 120 * time.Millisecond
)

// fill signs in, so that there is enough to sign out.
func (l *load) fill(ctx context.Context) error {
	l.stock = make(chan *trial, 10*stocked)
	l.usable, l.indeterminate = make([][]time.Time, len(l.nodes)), make([]int, len(l.nodes))
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	var n atomic.Int64
	for range 4 {
		wg.Go(func() {
			for failed.Load() == nil && n.Add(1) <= stocked+lasting {
				if err := l.signIn(ctx); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	for range lasting {
		l.lasting = append(l.lasting, <-l.stock)
	}
	return nil
}

func (l *load) signIn(ctx context.Context) error {
	token, s, err := l.balanced.SignIn(ctx, client.SignIn{Identifier: l.person.Handle, Password: client.Sent(l.person.Password), Label: "Load"})
	if err != nil {
		return err
	}
	id, err := exeunt.ParseSessionID(s.ID)
	if err != nil {
		return err
	}
	t := &trial{token: token, session: id}
	l.mu.Lock()
	l.trials, l.signIns = append(l.trials, t), append(l.signIns, time.Now())
	l.mu.Unlock()
	select {
	case l.stock <- t:
	default: // it stays as one that nobody signs out
	}
	return nil
}

// run goes on until ctx is done, and until sign-outs that have begun are finished.
func (l *load) run(ctx context.Context) {
	l.from = time.Now()
	calls, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range enders {
		wg.Go(func() {
			for n := i; pause(ctx, pace); n++ {
				select {
				case t := <-l.stock:
					l.signOut(ctx, calls, t, n%3 > 0)
				case <-ctx.Done():
				}
			}
		})
	}
	for range beginners {
		wg.Go(func() {
			for pause(ctx, pace) {
				_ = l.signIn(calls) // in an outage there is none; only how long counts
			}
		})
	}
	for k := range l.nodes {
		wg.Go(func() {
			for pause(ctx, pace/10) {
				l.look(calls, k)
			}
		})
	}
	wg.Wait()
}

// signOut signs out, and may try again until that is acknowledged. Without another try
// the outcome can stay unknown.
func (l *load) signOut(ctx, calls context.Context, t *trial, again bool) {
	for {
		l.mu.Lock()
		t.told = unknown
		l.mu.Unlock()
		err := l.balanced.End(calls, t.token)
		l.mu.Lock()
		if err == nil {
			t.told, t.at = done, time.Now()
			l.ended, l.signOuts = append(l.ended, t), append(l.signOuts, t.at)
		} else {
			l.notNow++
		}
		l.mu.Unlock()
		if err == nil || !again || !pause(ctx, pace) {
			return
		}
	}
}

// look asks a node about a session that nobody ends, and about one that has ended.
func (l *load) look(ctx context.Context, k int) {
	_, err := l.nodes[k].Check(ctx, l.lasting[rand.N(len(l.lasting))].token, false)
	now := time.Now()
	l.mu.Lock()
	switch {
	case err == nil:
		l.usable[k] = append(l.usable[k], now)
	case errors.Is(err, client.ErrSignedOut):
		l.confused = append(l.confused, fmt.Sprintf("node %d called a live session ended: %v", k+1, err))
	default:
		l.indeterminate[k]++
	}
	var t *trial
	if len(l.ended) > 0 {
		// A node may not have applied the last ones yet.
		t = l.ended[max(0, len(l.ended)-1-rand.N(30))]
	}
	l.mu.Unlock()
	if t == nil {
		return
	}
	asked := time.Now()
	if _, err := l.nodes[k].Check(ctx, t.token, false); err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	late := asked.Sub(t.at)
	l.late = max(l.late, late)
	if late > l.bound {
		l.tooLate = append(l.tooLate, fmt.Sprintf("node %d accepted %v %v after its sign-out was acknowledged", k+1, t.session, late))
	}
}

// since returns how many sign-outs were acknowledged after a moment.
func (l *load) since(m time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.signOuts {
		if at.After(m) {
			n++
		}
	}
	return n
}

// pause waits, and reports whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
