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

// Options of a Verifier. Client and Key are required.
type Options struct {
	Client *client.Client
	// Key is the app's secret key at the authority (exk_…). Its holder learns of
	// the ends of everybody's sessions: give it only to first-party apps, and keep
	// it on their servers.
	Key client.Secret
	// MaxStaleness is how long the verifier may answer from memory after it last
	// confirmed that it has missed no event: 2 s when zero.
	MaxStaleness time.Duration
	// MaxAge is how old the name, handle, e-mail address and groups of a Person may
	// be: a minute when zero. The end of a session does not wait for it.
	MaxAge time.Duration
	// MaxSessions bounds the memory: 65536 when zero, about 1 kB each. A full
	// verifier forgets one session for each new one, and asks about it again.
	MaxSessions int
	// OnState is called when the verifier begins or stops answering from memory.
	// It must not block.
	OnState func(State)
	// Log; nil is slog.Default().
	Log *slog.Logger
}

// State of a Verifier.
type State struct {
	// Fresh: it answers from memory. Otherwise it asks the authority about every
	// request, and refuses if the authority does not answer.
	Fresh bool
	Err   error // why it is not fresh
}

// Verifier checks sessions in the app's own process. It follows the authority's
// event log, so that it learns of an end within milliseconds, and caches the gate's
// answer about a session until an event or time may have changed it. It is safe for
// concurrent use.
//
// It promises that a session whose sign-out was answered is refused as soon as the
// event has arrived, and at the latest MaxStaleness after the answer, whatever
// happens to the network. It answers from memory only until MaxStaleness after it
// *asked* for the log's end, by its own monotonic clock, and only when it has
// applied every event up to there. Otherwise it asks the gate, and refuses with
// ErrUnavailable when the gate does not answer.
type Verifier struct {
	Options
	now     func() instant
	window  atomic.Pointer[window]
	table   *table
	history history
	dirty   dirty
	asking  chan struct{}
	running atomic.Bool

	mu         sync.Mutex         // guards history, and the table's entries
	stopStream context.CancelFunc // ends the current stream; guarded by mu
	connected  bool               // guarded by mu
	watchers   watchers           // guarded by mu
	lastErr    error              // guarded by mu

	explaining chan struct{}
	reasonWait time.Duration

	afterAsk  func() // in tests, called between the gate's answer and its insertion
	afterLook func() // in tests, called between reading the table and the clock
}

// maxAsking bounds the requests to the gate at the same time.
const maxAsking = 64

// New returns a Verifier. Every check asks the authority until Run has made the
// verifier fresh.
func New(o Options) (*Verifier, error) {
	if o.Client == nil || o.Key.IsZero() {
		return nil, errors.New("a verifier needs a Client and the app's Key: set both in its Options")
	}
	if o.MaxStaleness == 0 {
		o.MaxStaleness = 2 * time.Second
	}
	if o.MaxStaleness < 100*time.Millisecond {
		return nil, fmt.Errorf("invalid MaxStaleness %v of a verifier: use 100ms or more", o.MaxStaleness)
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
		history: history{ring: make([]client.LogEvent, recentEvents)}, asking: make(chan struct{}, maxAsking),
		watchers: watchers{}, reasonWait: reasonWait, explaining: make(chan struct{}, maxExplaining),
	}, nil
}

// Run follows the authority until ctx is done, then reports the remaining activity.
// It returns ctx's error.
func (v *Verifier) Run(ctx context.Context) error {
	if !v.running.CompareAndSwap(false, true) {
		return errors.New("the verifier is running already: call Run once")
	}
	defer v.running.Store(false)
	var wg sync.WaitGroup
	wg.Go(func() { v.follow(ctx) })
	wg.Go(func() { v.keepFresh(ctx) })
	wg.Go(func() { v.reportActivity(ctx) })
	wg.Wait()
	return ctx.Err()
}

// Fresh reports whether the verifier answers from memory now.
func (v *Verifier) Fresh() bool { return v.window.Load().open(v.now()) }

// Check answers whether the token is usable now. activity and the results are those
// of Client.Check: nil, *EndedError, or ErrUnavailable, which does not mean signed
// out. For a token that it has seen before, a fresh verifier allocates nothing and
// asks nobody. The Person has name, handle and address as they were at most MaxAge
// ago.
func (v *Verifier) Check(ctx context.Context, token client.Secret, activity bool) (client.Person, error) {
	if !maybeToken(token) {
		return client.Person{}, &client.EndedError{}
	}
	hash := hashOf(token)
	if p, ok := v.recall(hash, activity); ok {
		return p, nil
	}
	a, err := v.ask(ctx, token, hash, activity)
	return a.Person, err
}

// maybeToken reports whether the text is neither empty nor too long for a token.
func maybeToken(s client.Secret) bool {
	return !s.IsZero() && len(s.Reveal()) <= client.LongestToken
}

// recall answers from memory, if that may be done.
func (v *Verifier) recall(hash tokenHash, activity bool) (p client.Person, ok bool) {
	// Load the window before the entry, and compare it with the clock afterwards.
	// Otherwise a goroutine that was paused in between would answer with an old
	// entry and a window that opened later.
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
	// The authority decides whether time has run out, because it may know of
	// activity elsewhere.
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

// maxReasks is how often the gate is asked while events overtake its answers.
const maxReasks = 4

// ask asks the gate, and stores the answer unless an event has overtaken it.
func (v *Verifier) ask(ctx context.Context, token client.Secret, hash tokenHash, activity bool) (client.Checked, error) {
	ctx, cancel := context.WithTimeout(ctx, v.MaxStaleness)
	defer cancel()
	select {
	case v.asking <- struct{}{}:
		defer func() { <-v.asking }()
	case <-ctx.Done():
		return client.Checked{}, fmt.Errorf("%w: too many checks are waiting", client.ErrUnavailable)
	}
	for range maxReasks {
		asked := v.now()
		answer, err := v.Client.CheckToKeep(ctx, v.Key, token, activity)
		var ended *client.EndedError
		switch {
		case errors.As(err, &ended):
			v.forget(hash)
			return client.Checked{}, err
		case err != nil:
			return client.Checked{}, err
		case v.now().after(asked) >= v.MaxStaleness:
			// The answer was delayed, and any event may have overtaken it.
			return client.Checked{}, fmt.Errorf("%w: the gate's answer came too late", client.ErrUnavailable)
		}
		if v.afterAsk != nil {
			v.afterAsk()
		}
		if v.store(hash, &answer, asked) {
			return answer, nil
		}
	}
	return client.Checked{}, fmt.Errorf("%w: its answers were overtaken by events", client.ErrUnavailable)
}

// Forget makes the verifier ask about a token again. An app calls it after it has
// ended a session, so that it need not wait for the event; webapp.App does.
func (v *Verifier) Forget(token client.Secret) {
	if maybeToken(token) {
		v.forget(hashOf(token))
	}
}

func (v *Verifier) forget(hash tokenHash) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.table.find(&hash)
	if k == nil {
		return
	}
	for w := range v.watchers[k.who.Account] {
		if w.hash == hash {
			w.stir()
		}
	}
	v.table.drop(k)
}
