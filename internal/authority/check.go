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

// Use is what a credential was presented as. The zero Use is never accepted.
type Use uint8

const (
	// AsPair: both cookies of a browser's credential.
	AsPair Use = iota + 1
	// AsIncomplete: an incomplete credential, the first cookie without the second.
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

// Takes reports whether a token of that kind may be presented so, which its prefix tells. The kind of its session
// may still exclude it; see rule.
func (u Use) Takes(t exeunt.Token) bool {
	switch u {
	case AsPair, AsIncomplete:
		return t.Use() == exeunt.UseSession
	case AsBearer:
		return t.Use() == exeunt.UseSession || t.Use().OfApp()
	case AsAppCookie:
		return t.Use().OfApp()
	}
	return false
}

// rule changes an answer to what it is for this use. A browser's token is half a credential and is not accepted by
// itself, nor as a bearer token; a bearer token is not accepted in a browser's cookies. Only Takes and rule say
// which credential is accepted where. The reason of an end is not hidden: whoever holds the token may know why and
// when it came.
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

// Check answers whether a credential is usable now. For a token that this node's memory has it allocates nothing,
// writes nothing and never waits. It reads the store when a token is new to memory, and before it says that a
// session has timed out that may have been used on another node. It does not count as activity: see Touch.
//
// It returns the states Usable, Ended, TimedOut, NoSuch, WrongUse, Incomplete, Renewed, Expired and Indeterminate. Once
// the reply to a sign-out has been sent, no later Check on this node says Usable.
func (a *Authority) Check(ctx context.Context, c Credential) Answer {
	if !c.Use.Takes(c.Token) {
		return Answer{State: live.WrongUse}
	}
	ans := a.check(ctx, c.Token)
	c.Use.rule(&ans)
	return ans
}

// check answers whether a token exists and its session is live, whatever it was presented as.
func (a *Authority) check(ctx context.Context, t exeunt.Token) Answer {
	if a.store.Failed() {
		// It is not known what is durable, so no answer is certain.
		return Answer{State: live.Indeterminate}
	}
	if expires, timed := t.Expires(); timed {
		if !a.now().Before(expires) {
			return Answer{State: live.Expired}
		}
		return a.recall(ctx, t).EndingAt(expires)
	}
	return a.recall(ctx, t)
}

// recall answers for a token from memory, or else from the store.
func (a *Authority) recall(ctx context.Context, t exeunt.Token) Answer {
	h := t.Hash()
	w := a.feed.Window() // before memory is looked into, see feed.Window
	if ans := a.live.Check(h, a.now()); mayAnswer(ans, w) {
		return ans
	}
	return a.ask(ctx, t.Use(), h)
}

// mayAnswer reports whether memory's answer may be given now. An end is final; anything else needs a fresh memory,
// and some answers need the store.
func mayAnswer(ans Answer, w feed.Window) bool {
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
	loadPatience = 5 * time.Second // how long a look-up in the store may take
	// confirmPatience is how long a check waits for memory to become fresh.
	confirmPatience = 3 * time.Second
)

// ask answers for a token that memory does not have, or not freshly enough.
func (a *Authority) ask(ctx context.Context, use exeunt.TokenUse, h exeunt.TokenHash) Answer {
	if state, ok := a.lookups.recall(lookup{use, h, a.live.Epoch()}); ok {
		return Answer{State: state}
	}
	// Do not use the request's context: a sign-out whose sender has gone must not fail because its token is new to
	// memory.
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
		if ans := a.live.Check(h, a.now()); mayAnswer(ans, w) {
			return ans
		}
		server := a.feed.Server()
		sn, err := a.load(ctx, use, h)
		if a.feed.Server() != server || !w.Open() {
			continue // it is unclear which server that was
		}
		switch {
		case errors.Is(err, exeunt.ErrNotFound):
			state, err := a.renewed(ctx, use, h)
			switch {
			case err != nil:
				a.log.Warn("a token could not be looked up", "err", err)
			case state != live.Renewed:
				// Tokens are random, so one that is unknown now was never issued and, but for a chance of 2^-256,
				// never will be.
				a.lookups.remember(lookup{use, h, sn.Epoch}, state)
			}
			return Answer{State: state}
		case err != nil:
			a.log.Warn("a token could not be looked up", "err", err)
			return Answer{State: live.Indeterminate}
		}
		if a.afterLoad != nil {
			a.afterLoad()
		}
		if sn.NotAdmitted {
			return Answer{State: live.Ended} // not remembered: they may be put into a group before that is recorded
		}
		if !a.live.Insert(sn) {
			if sn.Session.End != nil || sn.Session.Generation < sn.AccountGeneration {
				a.lookups.remember(lookup{use, h, sn.Epoch}, live.Ended)
				return Answer{State: live.Ended}
			}
			continue // an event or activity overtook the snapshot: read again
		}
		if sn.App != nil && sn.App.End != nil {
			a.lookups.remember(lookup{use, h, sn.Epoch}, live.Ended)
			return Answer{State: live.Ended}
		}
		if ans := a.live.Check(h, a.now()); mayAnswer(ans, w) {
			return ans
		}
		// Memory dropped it, is no longer fresh, or time has passed: look again.
	}
	return Answer{State: live.Indeterminate}
}

// confirm tries to make memory fresh within confirmPatience.
func (a *Authority) confirm(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, confirmPatience)
	defer cancel()
	if err := a.feed.Confirm(ctx); err != nil {
		a.log.Debug("this node's memory could not be made fresh", "err", err)
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

// LookUp asks the store about a secret that anybody may present, within the limits for tokens: ErrUnavailable beyond
// them. dead is the error with which find says that the secret is not valid and never will be; that is remembered.
func (a *Authority) LookUp(
	ctx context.Context, use exeunt.TokenUse, h exeunt.TokenHash, dead error, find func(context.Context) error,
) error {
	seen := lookup{use, h, a.live.Epoch()}
	if _, ok := a.lookups.recall(seen); ok {
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

// lookups bounds what unknown tokens may cost. A token's checksum stops accidents, not attackers, who can make any
// number of well-formed tokens.
type lookups struct {
	running chan struct{}

	mu       sync.Mutex
	old, new map[lookup]live.State // dead tokens; when new is full it becomes old
}

// lookup is what was looked up: the hash of an unknown app token may be a session's.
type lookup struct {
	use   exeunt.TokenUse
	hash  exeunt.TokenHash
	epoch int64 // of memory: in another history the token may be live
}

const (
	maxLookups    = 16
	lookupWait    = time.Second
	maxRemembered = 1 << 15
)

func newLookups() *lookups {
	return &lookups{running: make(chan struct{}, maxLookups),
		old: map[lookup]live.State{}, new: map[lookup]live.State{}}
}

// enter waits a little for one of the look-ups under way to finish; if none does, the answer is Indeterminate.
func (l *lookups) enter(ctx context.Context) (release func(), ok bool) {
	release = func() { <-l.running }
	select {
	case l.running <- struct{}{}:
		return release, true
	default:
	}
	wait := time.NewTimer(lookupWait)
	defer wait.Stop()
	select {
	case l.running <- struct{}{}:
		return release, true
	case <-wait.C:
	case <-ctx.Done():
	}
	return nil, false
}

// recall answers for tokens that can never be usable again.
func (l *lookups) recall(h lookup) (live.State, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.new[h]; ok {
		return s, true
	}
	s, ok := l.old[h]
	return s, ok
}

func (l *lookups) remember(h lookup, s live.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.new) >= maxRemembered {
		l.old, l.new = l.new, map[lookup]live.State{}
	}
	l.new[h] = s
}
