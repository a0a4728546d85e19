package keys

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// openTimeout bounds the opening of an algorithm's keys: making the first key of RS256 takes a second or more.
const openTimeout = 30 * time.Second

// Signers are the signers of one purpose, by algorithm. The keys of an algorithm are read, and the first one made,
// when they are first needed: making one takes long, and most installations need only one algorithm. It is safe for
// concurrent use.
type Signers struct {
	store   keyStore
	master  Master
	purpose string
	life    time.Duration
	now     func() time.Time

	mu   sync.Mutex // also held while keys are made, so that they are made once
	open map[Algorithm]*Signer
}

// SignerAlgorithms are those that Signers know, in the order in which their keys are published.
var SignerAlgorithms = []Algorithm{RS256, ES256, EdDSA}

// NewSigners returns the signers of a purpose. life is how long their tokens are valid at most. Rotate must be called
// at least once an hour.
func NewSigners(s keyStore, master Master, purpose string, life time.Duration, now func() time.Time) *Signers {
	return &Signers{store: s, master: master, purpose: purpose, life: life, now: now, open: map[Algorithm]*Signer{}}
}

// String leaves the keys out.
func (s *Signers) String() string { return "keys.Signers(" + s.purpose + ")" }

// GoString is String, for %#v.
func (s *Signers) GoString() string { return s.String() }

func (s *Signers) signer(alg Algorithm) (*Signer, error) {
	if !slices.Contains(SignerAlgorithms, alg) {
		return nil, fmt.Errorf("invalid algorithm %q: use %s, %s or %s", alg, RS256, ES256, EdDSA)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.open[alg]; known != nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	signer, err := OpenSigner(ctx, s.store, s.master, s.purpose, alg, s.life, s.now())
	if err != nil {
		return nil, fmt.Errorf("keys of %s for %s: %w", alg, s.purpose, err)
	}
	s.open[alg] = signer
	return signer, nil
}

// Sign is Signer.Sign with that algorithm.
func (s *Signers) Sign(alg, typ string, payload []byte) (string, error) {
	signer, err := s.signer(Algorithm(alg))
	if err != nil {
		return "", err
	}
	return signer.Sign(typ, payload)
}

// SignKept is Signer.SignKept with that algorithm.
func (s *Signers) SignKept(
	alg, typ string, payload []byte, keep func(id string, public []byte) error,
) (string, error) {
	signer, err := s.signer(Algorithm(alg))
	if err != nil {
		return "", err
	}
	return signer.SignKept(typ, payload, keep)
}

// JWKSOf returns the public keys of one algorithm, as JWKS does.
func (s *Signers) JWKSOf(alg Algorithm) ([]byte, error) {
	signer, err := s.signer(alg)
	if err != nil {
		return nil, err
	}
	return JWKS(signer)
}

// JWKS returns the public keys of all algorithms, as JWKS does.
func (s *Signers) JWKS() ([]byte, error) {
	var all []*Signer
	for _, alg := range SignerAlgorithms {
		signer, err := s.signer(alg)
		if err != nil {
			return nil, err
		}
		all = append(all, signer)
	}
	return JWKS(all...)
}

// Rotate is Signer.Rotate, of each algorithm whose keys have been needed.
func (s *Signers) Rotate(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, alg := range SignerAlgorithms {
		if signer := s.open[alg]; signer != nil {
			if err := signer.Rotate(ctx, now); err != nil {
				return err
			}
		}
	}
	return nil
}
