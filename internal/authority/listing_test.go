package authority

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// One account's lists are read two at a time; a few more wait, and beyond that the answer is that it is too busy. Other
// accounts' are read meanwhile.
func TestOneAccountsListsLeaveReadersForOthers(t *testing.T) {
	n := newNode(t)
	busy, other := n.account(), n.account()
	var done []func()
	for range maxListings {
		f, err := n.Listing(ctx, busy)
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, f)
	}
	waiting := make(chan func())
	gone, cancel := context.WithCancel(ctx)
	left := make(chan error, 1)
	go func() {
		_, err := n.Listing(gone, busy)
		left <- err
	}()
	for range maxListingsWaiting - 1 {
		go func() {
			f, _ := n.Listing(ctx, busy)
			waiting <- f
		}()
	}
	wanted := func() int {
		n.listing.mu.Lock()
		defer n.listing.mu.Unlock()
		if turns := n.listing.of[busy]; turns != nil {
			return turns.wanted
		}
		return 0
	}
	for wanted() < maxListings+maxListingsWaiting {
		time.Sleep(time.Millisecond)
	}
	if _, err := n.Listing(ctx, busy); !errors.Is(err, exeunt.ErrBusyLists) {
		t.Errorf("one too many: %v", err)
	}
	select {
	case <-waiting:
		t.Error("more than two are read at a time")
	default:
	}
	if f, err := n.Listing(ctx, other); err != nil {
		t.Error(err)
	} else {
		f()
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("whoever goes away: %v", err)
	}
	for _, f := range done {
		f()
	}
	for range maxListingsWaiting - 1 {
		(<-waiting)()
	}
	if n := wanted(); n != 0 {
		t.Errorf("%d are still remembered", n)
	}
}

// Where a session was last used from is listed at once, saved with its activity, and kept in a bounded memory.
func TestTheLastAddressIsSavedWithActivity(t *testing.T) {
	n := newNode(t)
	token, s := n.signIn(n.account(), exeunt.KindKept)
	from := netip.MustParseAddr("203.0.113.9")
	last := func() netip.Addr {
		v, err := n.Session(ctx, s.Account, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		return v.LastAddress
	}
	n.clock.add(time.Minute)
	n.TouchFrom(n.check(ctx, token), from)
	if last() != from || len(n.addresses.of) != 1 {
		t.Errorf("before it is saved: %v", last())
	}
	n.clock.add(time.Second)
	n.Touch(n.check(ctx, token)) // by a verifier, which tells no address
	if err := n.FlushActivity(ctx); err != nil {
		t.Fatal(err)
	}
	if last() != from || len(n.addresses.of) != 0 {
		t.Errorf("afterwards: %v, %d in memory", last(), len(n.addresses.of))
	}
	n.end(endOne(s))
	n.TouchFrom(n.check(ctx, token), netip.MustParseAddr("198.51.100.1"))
	if last() != from {
		t.Errorf("a refused request is no use: %v", last())
	}
	for range maxAddresses + 10 {
		n.addresses.note(exeunt.NewSessionID(), from)
	}
	if got := len(n.addresses.of); got > maxAddresses {
		t.Errorf("%d addresses are in memory", got)
	}
}
