package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt/client"
)

// Options are what a Verifier is made of. Client and Key are needed.
type Options struct {
	Client *client.Client
	// Key is the app's secret key at the authority (exk_…). Whoever has it hears
	// of the ends of everybody's sessions: it is for first-party apps, and stays
	// on their servers.
	Key client.Secret
	// MaxStaleness is for how long the verifier answers from memory without
	// having made sure that it has missed nothing: 2 s when zero.
	MaxStaleness time.Duration
	// MaxAge is how old the name, handle and e-mail address of a Person may be:
	// a minute when zero. Ends do not wait for it.
	MaxAge time.Duration
	// MaxSessions bounds the memory: 65536 when zero, about 1 kB each. Beyond
	// it one is forgotten for each that comes, and asked about again.
	MaxSessions int
	// OnState is told when the verifier begins or ceases to answer from memory.
	// It must not block.
	OnState func(State)
	// Log; nil is slog.Default().
	Log *slog.Logger
}

// State is how a Verifier is.
type State struct {
	// Fresh: it answers from memory. Otherwise it asks the authority about every
	// request, and refuses where that does not answer.
	Fresh bool
	Err   error // what is in the way; nil when fresh
}

// Verifier checks sessions in the app's own process. It follows the authority's
// event log, so that an end that has been recorded there is known here within
// milliseconds, and it keeps what the gate said of a session until an event or
// time makes it doubtful. Safe for concurrent use.
//
// What it promises: a session whose sign-out was answered is refused as soon as
// the event has arrived, and in any case MaxStaleness after the answer, whatever
// happens to the network in between: it answers from memory only until
// MaxStaleness after it *asked* how far the log was, by its own monotonic clock,
// and only when it has applied every event up to there. Otherwise it asks the
// gate, and when the gate does not answer it refuses with ErrUnavailable.
type Verifier struct {
	Options
	now     func() instant
	window  atomic.Pointer[window]
	table   *table
	history history
	dirty   dirty
	places  chan struct{}
	running atomic.Bool

	mu        sync.Mutex         // guards history, and who is in the table
	cut       context.CancelFunc // ends the present stream; guarded by mu
	connected bool               // guarded by mu
	why       error              // what went wrong last; guarded by mu

	afterAsk  func() // a pause between the gate's answer and its insertion, in tests only
	afterLook func() // a pause between the look into the table and the clock, in tests only
}

// maxAsking bounds how many questions are under way at the gate.
const maxAsking = 64

// New returns a Verifier. It asks the authority about every check until
// Run has made it fresh.
func New(o Options) (*Verifier, error) {
	if o.Client == nil || o.Key.IsZero() {
		return nil, errors.New("a verifier needs a Client and the app's Key")
	}
	if o.MaxStaleness == 0 {
		o.MaxStaleness = 2 * time.Second
	}
	if o.MaxStaleness < 100*time.Millisecond {
		return nil, fmt.Errorf("a verifier's MaxStaleness is %v: use 100ms or more, or it would ask all the time", o.MaxStaleness)
	}
	if o.MaxAge <= 0 {
		o.MaxAge = time.Minute
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = 1 << 16
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Verifier{
		Options: o, now: clock(), table: newTable(o.MaxSessions), dirty: newDirty(),
		history: history{ring: make([]client.LogEvent, recentEvents)}, places: make(chan struct{}, maxAsking),
	}, nil
}

// Run follows the authority until ctx is done, then hands in the activity that
// it still owes. It returns ctx's error.
func (v *Verifier) Run(ctx context.Context) error {
	if !v.running.CompareAndSwap(false, true) {
		return errors.New("the verifier runs already")
	}
	defer v.running.Store(false)
	var wg sync.WaitGroup
	wg.Go(func() { v.follow(ctx) })
	wg.Go(func() { v.keepFresh(ctx) })
	wg.Go(func() { v.handIn(ctx) })
	wg.Wait()
	return ctx.Err()
}

// Fresh reports whether the verifier answers from memory now.
func (v *Verifier) Fresh() bool { return v.window.Load().open(v.now()) }

// Check answers whether the token is usable now. activity says whether a person
// is at work, as for Client.Check, and so are the outcomes: nil, *EndedError,
// or ErrUnavailable, which is to be refused and shown as what it is. For a token
// that was seen before it allocates nothing and asks nobody. Its Person tells
// name, handle and address as they were at most MaxAge ago.
func (v *Verifier) Check(ctx context.Context, token client.Secret, activity bool) (client.Person, error) {
	if !perhapsToken(token) {
		return client.Person{}, &client.EndedError{}
	}
	hash := hashOf(token)
	if p, ok := v.recall(hash, activity); ok {
		return p, nil
	}
	return v.ask(ctx, token, hash, activity)
}

// perhapsToken reports whether it is not too long to be a token.
func perhapsToken(s client.Secret) bool {
	return !s.IsZero() && len(s.Reveal()) <= client.LongestToken
}

// recall answers from memory, if that may be done.
func (v *Verifier) recall(hash tokenHash, activity bool) (p client.Person, ok bool) {
	// The window is taken before looking and held against the clock after it.
	// The other way round, whoever was stopped in between would answer with
	// what he saw before by a window that was opened since.
	w := v.window.Load()
	k := v.table.find(&hash)
	if k == nil {
		return p, false
	}
	idleAt, seen := k.idleAt.Load(), k.seen.Load()
	if v.afterLook != nil {
		v.afterLook()
	}
	now := v.now()
	if !w.open(now) || now.steady-k.asked >= v.MaxAge {
		return p, false
	}
	// Whether time has run out is not decided here: the authority may know of
	// activity elsewhere, or have ended the session.
	server := w.serverTime(now)
	if server >= min(idleAt, k.expires)-k.margin() {
		return p, false
	}
	if activity {
		seen = int64(now.steady)
		atLeast(&k.seen, seen)
		v.dirty.add(k)
	}
	if seen > 0 {
		idleAt = max(idleAt, server-(now.steady-time.Duration(seen)).Milliseconds()+k.idle)
	}
	return k.person(server, idleAt), true
}

// maxReasks is how often an answer may be overtaken by events.
const maxReasks = 4

// ask asks the gate, and keeps the answer unless an event has overtaken it.
func (v *Verifier) ask(ctx context.Context, token client.Secret, hash tokenHash, activity bool) (client.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, v.MaxStaleness)
	defer cancel()
	select {
	case v.places <- struct{}{}:
		defer func() { <-v.places }()
	case <-ctx.Done():
		return client.Person{}, fmt.Errorf("%w: too many questions are waiting", client.ErrUnavailable)
	}
	for range maxReasks {
		asked := v.now()
		answer, err := v.Client.CheckToKeep(ctx, v.Key, token, activity)
		var ended *client.EndedError
		switch {
		case errors.As(err, &ended):
			v.forget(hash)
			return client.Person{}, err
		case err != nil:
			return client.Person{}, err
		case v.now().after(asked) >= v.MaxStaleness:
			// Held back on its way; it may have been overtaken by anything.
			return client.Person{}, fmt.Errorf("%w: the gate's answer came too late", client.ErrUnavailable)
		}
		if v.afterAsk != nil {
			v.afterAsk()
		}
		if v.keep(hash, &answer, asked) {
			return answer.Person, nil
		}
	}
	return client.Person{}, fmt.Errorf("%w: its answers were overtaken by events", client.ErrUnavailable)
}

// Forget makes the verifier ask about a token again. An app that has ended a
// session itself calls it, so as not to wait for the event; webapp.App does.
func (v *Verifier) Forget(token client.Secret) {
	if perhapsToken(token) {
		v.forget(hashOf(token))
	}
}

func (v *Verifier) forget(hash tokenHash) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.table.find(&hash); k != nil {
		v.table.drop(k)
	}
}
