package signin

import (
	"context"
	"fmt"
	"runtime"

	"github.com/alexedwards/argon2id"

	"github.com/exeunt/exeunt"
)

// Hashing says what a password's hash costs.
type Hashing struct {
	MemoryKiB  uint32
	Iterations uint32
	// AtOnce bounds how many hashes are computed at the same time, and so how
	// much memory sign-ins can take.
	AtOnce int
}

// DefaultHashing follows OWASP's advice for argon2id (19 MiB, two passes, one
// lane), one hash for each processor at a time.
func DefaultHashing() Hashing {
	return Hashing{MemoryKiB: 19 * 1024, Iterations: 2, AtOnce: runtime.GOMAXPROCS(0)}
}

// maxWaiting bounds how many sign-ins wait for a place; beyond it they are
// refused, so that a flood costs memory for its requests but not for hashes.
const maxWaiting = 128

type hasher struct {
	params  argon2id.Params
	places  chan struct{}
	waiting chan struct{}
	decoy   string // hash of a password nobody has
}

func newHasher(h Hashing) (*hasher, error) {
	out := &hasher{
		params:  argon2id.Params{Memory: h.MemoryKiB, Iterations: h.Iterations, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		places:  make(chan struct{}, h.AtOnce),
		waiting: make(chan struct{}, maxWaiting),
	}
	var err error
	out.decoy, err = argon2id.CreateHash(exeunt.NewToken(exeunt.UseInvite).Reveal(), &out.params)
	return out, err
}

func (h *hasher) enter(ctx context.Context) error {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return fmt.Errorf("password hashing: %w (%d sign-ins are waiting)", exeunt.ErrUnavailable, maxWaiting)
	}
	select {
	case h.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("password hashing: %w (%w)", exeunt.ErrUnavailable, ctx.Err())
	}
}

func (h *hasher) leave() { <-h.places }

func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	return argon2id.CreateHash(password, &h.params)
}

// check reports whether the password has that hash, and whether the hash was
// made with weaker settings than today's.
func (h *hasher) check(ctx context.Context, password, hash string) (ok, outdated bool, err error) {
	if err := h.enter(ctx); err != nil {
		return false, false, err
	}
	defer h.leave()
	ok, p, err := argon2id.CheckHash(password, hash)
	if err != nil {
		return false, false, fmt.Errorf("stored password hash: %w", err)
	}
	return ok, p.Memory < h.params.Memory || p.Iterations < h.params.Iterations, nil
}
