// Package password judges whether a new password is strong enough, hashes passwords,
// and compares them with hashes.
//
// It does not know whose password it is, and does not count guesses (signin does
// both).
package password

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/exeunt/exeunt"
)

// Hashing is the cost of hashing a password.
type Hashing struct {
	MemoryKiB  uint32
	Iterations uint32
	// AtOnce bounds how many hashes are computed at the same time, and so how
	// much memory sign-ins can take.
	AtOnce int
	// Wait bounds how long a sign-in waits for its turn; 0 means maxWait.
	Wait time.Duration
}

// DefaultHashing follows OWASP's advice for argon2id (19 MiB, two passes, one lane).
// One processor stays free of hashes, for the checks of everybody who is signed in.
func DefaultHashing() Hashing {
	return Hashing{MemoryKiB: 19 * 1024, Iterations: 2, AtOnce: max(1, runtime.GOMAXPROCS(0)-1)}
}

const (
	// maxWaiting bounds how many sign-ins wait to be hashed. More are refused, so that
	// a flood of them takes memory for its requests but not for hashes.
	maxWaiting = 128
	// maxWait is about how long people wait before they try again by themselves, and
	// as long as maxWaiting hashes take on one processor.
	maxWait = 5 * time.Second
)

// Hasher makes and checks hashes. It is safe for concurrent use.
type Hasher struct {
	params  argon2id.Params
	wait    time.Duration
	running chan struct{}
	waiting chan struct{}
	decoy   string        // hash of a password that nobody has
	costly  chan struct{} // has room for one comparison with an imported hash, which may take much memory

	mu   sync.Mutex
	pace pace

	computed atomic.Int64
}

// Computed returns how many hashes were computed so far, those of comparisons too.
func (h *Hasher) Computed() int64 { return h.computed.Load() }

// New returns a hasher.
func New(h Hashing) (*Hasher, error) {
	out := &Hasher{
		params: argon2id.Params{
			Memory: h.MemoryKiB, Iterations: h.Iterations, Parallelism: 1, SaltLength: 16, KeyLength: 32,
		},
		wait:    cmp.Or(h.Wait, maxWait),
		running: make(chan struct{}, h.AtOnce),
		waiting: make(chan struct{}, maxWaiting),
		costly:  make(chan struct{}, 1),
	}
	var err error
	out.decoy, err = argon2id.CreateHash(exeunt.NewToken(exeunt.UseInvite).Reveal(), &out.params)
	return out, err
}

// enter waits for a place in each of places, in their order.
func (h *Hasher) enter(ctx context.Context, places ...chan struct{}) error {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return fmt.Errorf("password hashing: %w (%d sign-ins are waiting)", exeunt.ErrBusy, maxWaiting)
	}
	timeout := time.NewTimer(h.wait)
	defer timeout.Stop()
	for i, place := range places {
		var err error
		select {
		case place <- struct{}{}:
			continue
		case <-timeout.C:
			err = fmt.Errorf("password hashing: %w (waited %s)", exeunt.ErrBusy, h.wait)
		case <-ctx.Done():
			err = fmt.Errorf("password hashing: %w (%w)", exeunt.ErrUnavailable, ctx.Err())
		}
		leave(places[:i])
		return err
	}
	return nil
}

func leave(places []chan struct{}) {
	for _, place := range places {
		<-place
	}
}

// Hash returns a new hash of a password. ErrBusy when too many wait, or for too long.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	places := []chan struct{}{h.running}
	if err := h.enter(ctx, places...); err != nil {
		return "", err
	}
	defer leave(places)
	h.computed.Add(1)
	return argon2id.CreateHash(normal(password), &h.params)
}

// Check reports whether the password has that hash, and whether the hash was made
// with weaker settings than today's, or by another program. No password has the hash "", and that check
// takes as long as a real one, so that the time does not reveal who has a password
// (OWASP ASVS 5.0, 6.3.8). ErrBusy when too many wait, or for too long.
func (h *Hasher) Check(ctx context.Context, password, hash string) (ok, outdated bool, err error) {
	places := []chan struct{}{h.running}
	theirs, isTheirs := strings.CutPrefix(hash, imported)
	if isTheirs {
		places = []chan struct{}{h.costly, h.running}
	}
	if err := h.enter(ctx, places...); err != nil {
		return false, false, err
	}
	started := time.Now()
	h.computed.Add(1)
	if outdated = isTheirs; isTheirs {
		ok, err = checkImported(password, theirs)
		h.noteImported(started)
	} else {
		ok, outdated, err = h.checkOurs(password, hash)
	}
	leave(places)
	if err != nil {
		return false, false, fmt.Errorf("stored password hash: %w", err)
	}
	if !ok {
		h.holdBack(ctx, started)
	}
	return ok, outdated, nil
}

func (h *Hasher) checkOurs(password, hash string) (ok, outdated bool, err error) {
	none := hash == ""
	if none {
		hash = h.decoy
	}
	ok, p, err := argon2id.CheckHash(normal(password), hash)
	if err != nil {
		return false, false, err
	}
	return ok && !none, p.Memory < h.params.Memory || p.Iterations < h.params.Iterations, nil
}
