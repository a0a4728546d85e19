package authority

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/live"
)

// Answer is what a check returns.
type Answer = live.Answer

// Use is what a credential was presented as. The zero Use is good for nothing.
type Use uint8

const (
	// AsPair: both halves of a browser's credential, in its cookies.
	AsPair Use = iota + 1
	// AsIncomplete: the first half of one without its partner.
	AsIncomplete
	// AsBearer: a call's Authorization header.
	AsBearer
	// AsAppCookie: a cookie of an app, in a request that a proxy asks about.
	AsAppCookie
)

// Credential is a token and what it was presented as.
type Credential struct {
	Token exeunt.Token
	Use   Use
}

// Takes reports whether a token of that kind may be presented so, which its
// prefix tells. The kind of its session may still rule it out; see rule.
func (u Use) Takes(t exeunt.Token) bool {
	switch u {
	case AsPair, AsIncomplete:
		return t.Use() == exeunt.UseSession
	case AsBearer:
		return t.Use() == exeunt.UseSession || t.Use() == exeunt.UseApp
	case AsAppCookie:
		return t.Use() == exeunt.UseApp
	}
	return false
}

// rule changes an answer to what it is for this use. A browser's token is half a
// credential and worth nothing by itself, least of all as a bearer token; a bearer
// token is worth nothing in a browser's cookies. With Takes it is the one place
// that says which credential is good for what. An end is not hidden: why and when
// it came may be told to whoever holds the token.
func (u Use) rule(ans *Answer) {
	if ans.State != live.Usable && ans.State != live.TimedOut {
		return
	}
	browsers := ans.Kind.Browser() && ans.App.IsZero()
	switch {
	case browsers != (u == AsPair || u == AsIncomplete):
		*ans = Answer{State: live.WrongUse}
	case u == AsIncomplete && ans.State == live.Usable:
		ans.State = live.Incomplete
	}
}

// Check answers whether a credential is usable now. For a token known to this node
// it allocates nothing, writes nothing and never waits; the first sight of one
// reads the store, and so does finding one unused for too long that may have
// been used elsewhere. It does not count as activity: see Touch.
//
// The states it returns are Usable, Ended, TimedOut, NoSuch, WrongUse, Incomplete
// and Indeterminate.
// Once the reply to a sign-out has been sent, no later Check on this node says
// Usable.
func (a *Authority) Check(ctx context.Context, c Credential) Answer {
	if !c.Use.Takes(c.Token) {
		return Answer{State: live.WrongUse}
	}
	ans := a.check(ctx, c.Token)
	c.Use.rule(&ans)
	return ans
}

// check answers whether a token is known and its session alive, whatever it was
// presented as.
func (a *Authority) check(ctx context.Context, t exeunt.Token) Answer {
	if a.store.Failed() {
		// What is durable is no longer known, so nothing is known.
		return Answer{State: live.Indeterminate}
	}
	h := t.Hash()
	w := a.feed.Window() // before memory is looked into, see feed.Window
	if ans := a.live.Check(h, a.now()); stands(ans, w) {
		return ans
	}
	return a.ask(ctx, t.Use(), h)
}

// stands reports whether memory's answer may be given at this moment. An end is
// final; anything else must come from a memory that is fresh, and some things only
// the store can tell.
func stands(ans Answer, w feed.Window) bool {
	switch ans.State {
	case live.Ended:
		return true
	case live.Absent, live.SeemsIdle:
		return false
	}
	return w.Open()
}

// Touch counts as activity of the answer's session.
func (a *Authority) Touch(ans Answer) { a.live.Touch(ans, a.now()) }

const (
	maxReloads   = 4               // how often a snapshot may be overtaken by events
	loadPatience = 5 * time.Second // how long the store may take over a token
	// confirmPatience is how long a check waits for memory to become fresh.
	confirmPatience = 3 * time.Second
)

// ask answers for a token that memory does not know, or does not know freshly
// enough.
func (a *Authority) ask(ctx context.Context, use exeunt.TokenUse, h exeunt.TokenHash) Answer {
	if state, ok := a.lookups.known(sight{use, h, a.live.Epoch()}); ok {
		return Answer{State: state}
	}
	// Not by the request's own context: a sign-out whose sender has gone must
	// not fail because its token was seen for the first time.
	ctx = context.WithoutCancel(ctx)
	release, ok := a.lookups.enter(ctx)
	if !ok {
		return Answer{State: live.Indeterminate}
	}
	defer release()
	for range maxReloads {
		w := a.feed.Window()
		if !w.Open() {
			if !a.confirm(ctx) {
				return Answer{State: live.Indeterminate}
			}
			w = a.feed.Window()
		}
		if ans := a.live.Check(h, a.now()); stands(ans, w) {
			return ans
		}
		server := a.feed.Server()
		sn, err := a.load(ctx, use, h)
		if a.feed.Server() != server || !w.Open() {
			continue // who knows which server that was
		}
		switch {
		case errors.Is(err, exeunt.ErrNotFound):
			// A token is drawn at random, so one that is unknown now was never
			// handed out and, but for a chance of 2^-256, never will be.
			a.lookups.remember(sight{use, h, sn.Epoch}, live.NoSuch)
			return Answer{State: live.NoSuch}
		case err != nil:
			a.log.Warn("a token could not be looked up", "err", err)
			return Answer{State: live.Indeterminate}
		}
		if a.afterLoad != nil {
			a.afterLoad()
		}
		if !a.live.Insert(sn) {
			if sn.Session.End != nil || sn.Session.Generation < sn.AccountGeneration {
				a.lookups.remember(sight{use, h, sn.Epoch}, live.Ended)
				return Answer{State: live.Ended}
			}
			continue // an event overtook the snapshot, or activity: read again, it will show
		}
		if sn.App != nil && sn.App.End != nil {
			a.lookups.remember(sight{use, h, sn.Epoch}, live.Ended)
			return Answer{State: live.Ended}
		}
		if ans := a.live.Check(h, a.now()); stands(ans, w) {
			return ans
		}
		// Forgotten again, or not fresh any more, or more time has passed: the
		// next look tells.
	}
	return Answer{State: live.Indeterminate}
}

// confirm makes memory fresh, if it can be had soon.
func (a *Authority) confirm(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, confirmPatience)
	defer cancel()
	if err := a.feed.Confirm(ctx); err != nil {
		a.log.Debug("memory could not be made fresh", "err", err)
		return false
	}
	return true
}

func (a *Authority) load(ctx context.Context, use exeunt.TokenUse, h exeunt.TokenHash) (live.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	epoch, dropped, asked := a.live.Epoch(), a.live.Dropped(), a.now() // before the snapshot is taken
	sn, err := a.store.Load(ctx, use, h)
	return live.Snapshot{Snapshot: sn, Epoch: epoch, Dropped: dropped, Asked: asked}, err
}

// LookUp asks the store about a secret that anybody may present, within the
// bounds that apply to tokens: ErrUnavailable beyond them. dead is the error by
// which find says that the secret is good for nothing and never will be again;
// that is remembered.
func (a *Authority) LookUp(ctx context.Context, use exeunt.TokenUse, h exeunt.TokenHash, dead error, find func(context.Context) error) error {
	seen := sight{use, h, a.live.Epoch()}
	if _, ok := a.lookups.known(seen); ok {
		return dead
	}
	release, ok := a.lookups.enter(ctx)
	if !ok {
		return exeunt.ErrUnavailable
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	err := find(ctx)
	if errors.Is(err, dead) {
		a.lookups.remember(seen, live.NoSuch)
	}
	return err
}

// lookups bounds what unknown tokens may cost. The checksum in a token stops
// accidents, not attackers, who can make as many well-formed ones as they like.
type lookups struct {
	places chan struct{}

	mu       sync.Mutex
	old, new map[sight]live.State // the dead, forgotten by generations
}

// sight is what was looked up: a hash that is no app session's may well be a
// session's.
type sight struct {
	use   exeunt.TokenUse
	hash  exeunt.TokenHash
	epoch int64 // of memory: in another history it may be alive
}

const (
	maxLookups  = 16
	lookupWait  = time.Second
	deadPerHalf = 1 << 15
)

func newLookups() *lookups {
	return &lookups{places: make(chan struct{}, maxLookups), old: map[sight]live.State{}, new: map[sight]live.State{}}
}

// enter waits a little for a place; beyond it the answer is "cannot know".
func (l *lookups) enter(ctx context.Context) (release func(), ok bool) {
	release = func() { <-l.places }
	select {
	case l.places <- struct{}{}:
		return release, true
	default:
	}
	wait := time.NewTimer(lookupWait)
	defer wait.Stop()
	select {
	case l.places <- struct{}{}:
		return release, true
	case <-wait.C:
	case <-ctx.Done():
	}
	return nil, false
}

// known answers from memory for tokens that can never be usable again.
func (l *lookups) known(h sight) (live.State, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.new[h]; ok {
		return s, true
	}
	s, ok := l.old[h]
	return s, ok
}

func (l *lookups) remember(h sight, s live.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.new) >= deadPerHalf {
		l.old, l.new = l.new, map[sight]live.State{}
	}
	l.new[h] = s
}
