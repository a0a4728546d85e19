// Package keys holds the keys with which this installation makes what it or others
// later recognise: the second half of a browser's credential, the notes it leaves in
// a browser, and signed tokens, which others verify with the public keys.
//
// It owns sealing and rotation. Keys lie in the database, sealed by a master
// key that never does: a stolen database alone makes nothing. It does not
// decide what is signed.
package keys

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

const keyLen = 32

// rotateAfter is how old a key gets before a new one is made beside it.
const rotateAfter = 90 * 24 * time.Hour

// keyStore is what rings need of the store.
type keyStore interface {
	Keys(ctx context.Context, purpose string) ([]store.SealedKey, error)
	AddKey(ctx context.Context, k store.SealedKey, newest, deleteBefore time.Time) error
}

// known is how old a key is when every node that shares the database has it:
// they look for new ones more often than this.
const known = 2 * time.Hour

// ring is the keys of one purpose, as the database keeps them: sealed. The newest
// that everybody knows who must makes, all others are only recognised, so that a
// rotation takes nothing away.
type ring struct {
	purpose string
	master  Master
	store   keyStore
	lead    time.Duration // how old a key is when it begins to make
	overlap time.Duration // for how long one that makes no more is recognised
	draw    func() ([]byte, error)
}

type keyset struct {
	created []time.Time // newest first, as are the keys
	keys    [][]byte
	makes   int // which of them makes
}

// choose makes with the newest key that has its lead, or the oldest when all are
// new.
func (s *keyset) choose(now time.Time, lead time.Duration) {
	for s.makes = 0; s.makes < len(s.keys)-1; s.makes++ {
		if now.Sub(s.created[s.makes]) >= lead {
			return
		}
	}
}

func (s *keyset) newest() time.Time {
	if len(s.created) == 0 {
		return time.Time{}
	}
	return s.created[0]
}

// inUse returns how many of the keys, the newest ones, are of use still: one
// retires an overlap after the next one has taken over, however late that was.
func (s *keyset) inUse(now time.Time, lead, overlap time.Duration) int {
	for i, c := range s.created {
		if now.Sub(c) >= lead+overlap {
			return i + 1
		}
	}
	return len(s.keys)
}

// rotate makes a new key when the newest is old enough, and returns the keys but
// those whose overlap is over.
func (r *ring) rotate(ctx context.Context, now time.Time) (*keyset, error) {
	set, err := r.read(ctx, now)
	if err != nil {
		return nil, err
	}
	if len(set.keys) == 0 || now.Sub(set.created[0]) >= rotateAfter {
		key, err := r.draw()
		if err != nil {
			return nil, err
		}
		sealed, err := r.master.seal(key, r.purpose)
		if err != nil {
			return nil, err
		}
		var oldest time.Time
		if n := len(set.created); n > 0 {
			oldest = set.created[n-1]
		}
		k := store.SealedKey{Purpose: r.purpose, Sealed: sealed, Created: now}
		if err := r.store.AddKey(ctx, k, set.newest(), oldest); err != nil {
			return nil, err
		}
		if set, err = r.read(ctx, now); err != nil {
			return nil, err
		}
	}
	set.choose(now, r.lead)
	return set, nil
}

// read leaves out the keys whose overlap is over.
func (r *ring) read(ctx context.Context, now time.Time) (*keyset, error) {
	sealed, err := r.store.Keys(ctx, r.purpose)
	if err != nil {
		return nil, err
	}
	set := &keyset{}
	for _, k := range sealed {
		key, err := r.master.open(k.Sealed, r.purpose)
		if err != nil {
			return nil, fmt.Errorf("key %s of %s: %w", r.purpose, k.Created.Format(time.DateOnly), err)
		}
		set.created = append(set.created, k.Created)
		set.keys = append(set.keys, key)
	}
	n := set.inUse(now, r.lead, r.overlap)
	set.created, set.keys = set.created[:n], set.keys[:n]
	return set, nil
}

// Ring makes and recognises codes with the keys of one purpose: a rotation signs
// nobody out.
type Ring struct {
	ring    ring
	current atomic.Pointer[keyset]
}

// String keeps keys out of whatever prints the ring.
func (r *Ring) String() string { return "keys.Ring(" + r.ring.purpose + ")" }

// GoString does so for %#v.
func (r *Ring) GoString() string { return r.String() }

// Open reads the ring of a purpose and makes its first key if there is none.
// Codes made with a retired key are recognised for the overlap.
func Open(ctx context.Context, s keyStore, master Master, purpose string, overlap time.Duration, now time.Time) (*Ring, error) {
	r := &Ring{ring: ring{purpose: purpose, master: master, store: s, lead: known, overlap: overlap, draw: drawSecret}}
	if err := r.Rotate(ctx, now); err != nil {
		return nil, err
	}
	return r, nil
}

func drawSecret() ([]byte, error) {
	key := make([]byte, keyLen)
	rand.Read(key)
	return key, nil
}

// Rotate makes a new key when the newest is old enough, and forgets those whose
// overlap is over. Calling it often is harmless.
func (r *Ring) Rotate(ctx context.Context, now time.Time) error {
	set, err := r.ring.rotate(ctx, now)
	if err == nil {
		r.current.Store(set)
	}
	return err
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Half returns the second half of a browser's credential: HMAC-SHA-256 of the
// first. There is nothing to store, and neither half is worth anything alone.
func (r *Ring) Half(t exeunt.Token) string { return r.Code(t.Reveal()) }

// IsHalf reports, in constant time for each key, whether half belongs to the token.
func (r *Ring) IsHalf(t exeunt.Token, half string) bool { return r.IsCode(t.Reveal(), half) }

// Code returns the authentication code of a text.
func (r *Ring) Code(text string) string {
	set := r.current.Load()
	return base64.RawURLEncoding.EncodeToString(mac(set.keys[set.makes], text))
}

// IsCode reports whether code was made by Code for the text.
func (r *Ring) IsCode(text, code string) bool {
	// The decoder would pass over line breaks; a code has one spelling.
	given, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if err != nil || len(given) != sha256.Size || len(code) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return false
	}
	ok := false
	for _, key := range r.current.Load().keys {
		if hmac.Equal(given, mac(key, text)) {
			ok = true
		}
	}
	return ok
}

// Master is the key that seals the others. It is held behind a pointer because
// fmt does not ask the methods below about a field it may not reach, but prints
// no more than the address of what such a field points to.
type Master struct{ key *[keyLen]byte }

// String keeps the key out of whatever prints it.
func (Master) String() string { return "keys.Master(…)" }

// GoString does so for %#v.
func (Master) GoString() string { return "keys.Master(…)" }

// ErrWrongMaster says that the master key is not the one the keys were sealed with.
var ErrWrongMaster = errors.New("the master key is not the one that this installation's keys were sealed with")

func (m Master) aead() (cipher.AEAD, error) {
	if m.key == nil {
		return nil, errors.New("no master key was given")
	}
	block, err := aes.NewCipher(m.key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (m Master) seal(key []byte, purpose string) ([]byte, error) {
	a, err := m.aead()
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, key, []byte(purpose)), nil
}

func (m Master) open(sealed []byte, purpose string) ([]byte, error) {
	a, err := m.aead()
	if err != nil {
		return nil, err
	}
	key, err := a.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, ErrWrongMaster
	}
	return key, nil
}
