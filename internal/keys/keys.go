// Package keys holds the keys with which this installation makes what it later
// recognises: the second half of a browser's credential, and the notes it
// leaves in a browser.
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

// keyStore is what the ring needs of the store.
type keyStore interface {
	Keys(ctx context.Context, purpose string) ([]store.SealedKey, error)
	AddKey(ctx context.Context, k store.SealedKey, newest, deleteBefore time.Time) error
}

// known is how old a key is when every node that shares the database has it:
// they look for new ones more often than this.
const known = 2 * time.Hour

// Ring makes and recognises codes with the keys of one purpose: the newest that
// every node knows makes, all recognise, so that a rotation signs nobody out.
type Ring struct {
	purpose string
	master  Master
	store   keyStore
	overlap time.Duration
	current atomic.Pointer[keyset]
}

type keyset struct {
	created []time.Time // newest first, as are the keys
	keys    [][]byte
	makes   int // which of them makes codes
}

// choose makes with the newest key that is known everywhere, or the oldest when
// all are new.
func (s *keyset) choose(now time.Time) {
	for s.makes = 0; s.makes < len(s.keys)-1; s.makes++ {
		if now.Sub(s.created[s.makes]) >= known {
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

// retired returns the time before which keys were made whose overlap is over: a
// key retires when the next one takes over, however late that was.
func (s *keyset) retired(now time.Time, overlap time.Duration) time.Time {
	for _, c := range s.created {
		if now.Sub(c) >= known+overlap {
			return c
		}
	}
	return time.Time{}
}

// String keeps keys out of whatever prints the ring.
func (r *Ring) String() string { return "keys.Ring(" + r.purpose + ")" }

// GoString does so for %#v.
func (r *Ring) GoString() string { return r.String() }

// Open reads the ring of a purpose and makes its first key if there is none.
// Codes made with a retired key are recognised for the overlap.
func Open(ctx context.Context, s keyStore, master Master, purpose string, overlap time.Duration, now time.Time) (*Ring, error) {
	r := &Ring{purpose: purpose, master: master, store: s, overlap: overlap}
	if err := r.Rotate(ctx, now); err != nil {
		return nil, err
	}
	return r, nil
}

// Rotate makes a new key when the newest is old enough, and forgets those whose
// overlap is over. Calling it often is harmless.
func (r *Ring) Rotate(ctx context.Context, now time.Time) error {
	set, err := r.read(ctx)
	if err != nil {
		return err
	}
	if len(set.keys) == 0 || now.Sub(set.created[0]) >= rotateAfter {
		key := make([]byte, keyLen)
		rand.Read(key)
		sealed, err := r.master.seal(key, r.purpose)
		if err != nil {
			return err
		}
		k := store.SealedKey{Purpose: r.purpose, Sealed: sealed, Created: now}
		if err := r.store.AddKey(ctx, k, set.newest(), set.retired(now, r.overlap)); err != nil {
			return err
		}
		if set, err = r.read(ctx); err != nil {
			return err
		}
	}
	set.choose(now)
	r.current.Store(set)
	return nil
}

func (r *Ring) read(ctx context.Context) (*keyset, error) {
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
	return set, nil
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
