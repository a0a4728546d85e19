// Package authority decides whether a token is usable, whether a session may be started, and who may end what. Every
// ending of a session, whatever its cause, goes through End or one of the few methods beside it in end.go.
//
// It owns the order: a revocation is committed, then applied to memory, then answered. It does not authenticate
// people (signin does), change accounts (account does), write SQL (store does) or speak HTTP (the surfaces do).
package authority

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// Config is what an Authority is made of. All fields are needed.
type Config struct {
	Store     *store.Store
	Live      *live.Index
	Feed      *feed.Feed
	Policy    exeunt.Policy
	Retention store.Retention
	// Secrets returns a secret of 256 bits that belongs to a text, for each of the installation's keys in use, the
	// active one's first.
	Secrets func(text string) [][sha256.Size]byte
	Now     func() time.Time
	Log     *slog.Logger
}

// Authority is safe for concurrent use. It exports no field, so that callers can do only what its methods do.
type Authority struct {
	store     *store.Store
	live      *live.Index
	feed      *feed.Feed
	policy    exeunt.Policy
	retention store.Retention
	secrets   func(text string) [][sha256.Size]byte

	now func() time.Time
	log *slog.Logger

	lookups *lookups
	queue   chan queuedEnd
	inDoubt inDoubt
	limits  *throttle.Throttle // of what an account may have recorded

	addresses addresses
	closings  closings
	listing   listing
	receipts  listing // apart: who knows a receipt's address must not keep the owner from their lists

	patience time.Duration // commitPatience, except in tests
	saving   sync.Mutex    // held while due activity is saved

	afterLoad func() // for tests: between reading a snapshot and inserting it
}

// New returns an authority. Call Run for its maintenance.
func New(c Config) *Authority {
	a := &Authority{
		store: c.Store, live: c.Live, feed: c.Feed, policy: c.Policy, retention: c.Retention, secrets: c.Secrets,
		now: c.Now, log: c.Log,
		lookups: newLookups(), limits: throttle.New(c.Now),
		queue: make(chan queuedEnd, 1024), patience: commitPatience,
	}
	a.inDoubt.added = make(chan struct{}, 1)
	a.closings = closings{closed: map[exeunt.SessionID]exeunt.Closing{}, open: map[exeunt.SessionID]time.Time{},
		tells: map[exeunt.ClientID]bool{}, began: c.Now()}
	a.addresses.of = map[exeunt.SessionID]netip.Addr{}
	a.listing.of, a.receipts.of = map[exeunt.AccountID]*turns{}, map[exeunt.AccountID]*turns{}
	return a
}

// ReviewEvery is after how long people are reminded to look through their sessions and apps; 0 is never.
func (a *Authority) ReviewEvery() time.Duration { return a.policy.Review }

// Now is the authority's clock.
func (a *Authority) Now() time.Time { return a.now() }

// Fresh reports whether this node's memory is up to date, within the bound on staleness.
func (a *Authority) Fresh() bool { return a.feed.Fresh() }

// Problem is why this node cannot serve at present; nil when it can.
func (a *Authority) Problem(ctx context.Context) error {
	if err := a.store.WriteProblem(); err != nil {
		return err
	}
	if !a.Fresh() {
		return errors.New("the database has not confirmed a heartbeat lately, so memory may be out of date")
	}
	return a.store.Ping(ctx)
}

// Known returns how many tokens this node's memory has.
func (a *Authority) Known() int { return a.live.Len() }

// WarningOf is how long before its idle timeout a page of the session warns.
func (a *Authority) WarningOf(ans Answer) time.Duration {
	return exeunt.WarningWithin(a.policy.For(ans.Kind).Warning, ans.Idle())
}

// Listen waits for news of an account's sessions; with the zero ID, of events without an account, as those of
// clients. Close the listener when done.
func (a *Authority) Listen(id exeunt.AccountID) *feed.Listener { return a.feed.Listen(id) }

// ListenAll waits for events of any account. Close the listener when done.
func (a *Authority) ListenAll() *feed.Listener { return a.feed.ListenAll() }

// Account returns an account, or ErrNotFound.
func (a *Authority) Account(ctx context.Context, id exeunt.AccountID) (exeunt.Account, error) {
	return a.store.Account(ctx, id)
}
