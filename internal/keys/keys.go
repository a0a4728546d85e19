// Package keys holds the keys with which this installation authenticates the second
// half of a browser's credential and the notices that it stores in a browser, and
// signs tokens, which others verify with the public keys.
//
// It owns sealing and rotation. Keys are stored in the database, sealed by a master
// key that is not: with a stolen database alone nothing can be signed. It does not
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

// rotateAfter is the age of the newest key at which another is created.
const rotateAfter = 90 * 24 * time.Hour

// keyStore is what rings need of the store.
type keyStore interface {
	Keys(ctx context.Context, purpose string) ([]store.SealedKey, error)
	AddKey(ctx context.Context, k store.SealedKey, newest, deleteBefore time.Time) error
}

// propagation is the age at which every node that shares the database has a key:
// nodes look for new ones more often than this.
const propagation = 2 * time.Hour

// ring is the keys of one purpose, which are stored sealed in the database. One of
// them is active: it signs. The others only verify, so that what was signed before a
// rotation stays valid.
type ring struct {
	purpose  string
	master   Master
	store    keyStore
	lead     time.Duration // age at which a key becomes active
	overlap  time.Duration // for how long a key verifies after it was active
	generate func() ([]byte, error)
}

type keyset struct {
	created []time.Time // newest first, as are the keys
	keys    [][]byte
	active  int // index of the active key
}

// choose activates the newest key that is old enough, or the oldest if none is.
func (s *keyset) choose(now time.Time, lead time.Duration) {
	for s.active = 0; s.active < len(s.keys)-1; s.active++ {
		if now.Sub(s.created[s.active]) >= lead {
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

// inUse returns how many keys, from the newest, are still in use: a key retires an
// overlap after its successor became active.
func (s *keyset) inUse(now time.Time, lead, overlap time.Duration) int {
	for i, c := range s.created {
		if now.Sub(c) >= lead+overlap {
			return i + 1
		}
	}
	return len(s.keys)
}

// rotate creates a new key when the newest is old enough, and returns the keys that
// are in use.
func (r *ring) rotate(ctx context.Context, now time.Time) (*keyset, error) {
	set, err := r.read(ctx, now)
	if err != nil {
		return nil, err
	}
	if len(set.keys) == 0 || now.Sub(set.created[0]) >= rotateAfter {
		key, err := r.generate()
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

// read returns the keys that are in use.
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

// Ring creates and verifies authentication codes with the keys of one purpose. A
// rotation signs nobody out.
type Ring struct {
	ring    ring
	current atomic.Pointer[keyset]
}

// String leaves the keys out.
func (r *Ring) String() string { return "keys.Ring(" + r.ring.purpose + ")" }

// GoString is String, for %#v.
func (r *Ring) GoString() string { return r.String() }

// Open reads the ring of a purpose and creates its first key if there is none. Codes
// stay valid for the overlap after their key was replaced.
func Open(
	ctx context.Context, s keyStore, master Master, purpose string, overlap time.Duration, now time.Time,
) (*Ring, error) {
	r := &Ring{ring: ring{
		purpose: purpose, master: master, store: s, lead: propagation, overlap: overlap, generate: generateSecret,
	}}
	if err := r.Rotate(ctx, now); err != nil {
		return nil, err
	}
	return r, nil
}

func generateSecret() ([]byte, error) {
	key := make([]byte, keyLen)
	rand.Read(key)
	return key, nil
}

// Rotate creates a new key when the newest is old enough, and drops those that are no
// longer in use. Calling it often is harmless.
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

// Half returns the second half of a browser's credential: HMAC-SHA-256 of the first.
// It is not stored, and each half is useless without the other.
func (r *Ring) Half(t exeunt.Token) string { return r.Code(t.Reveal()) }

// IsHalf reports, in constant time for each key, whether half belongs to the token.
func (r *Ring) IsHalf(t exeunt.Token, half string) bool { return r.IsCode(t.Reveal(), half) }

// Sum returns the authentication code of a text, for a secret that is made from it.
func (r *Ring) Sum(text string) [sha256.Size]byte {
	set := r.current.Load()
	return [sha256.Size]byte(mac(set.keys[set.active], text))
}

// Code returns the authentication code of a text.
func (r *Ring) Code(text string) string {
	set := r.current.Load()
	return base64.RawURLEncoding.EncodeToString(mac(set.keys[set.active], text))
}

// IsCode reports whether Code returned code for the text.
func (r *Ring) IsCode(text, code string) bool {
	// The decoder ignores line breaks, but a code has one spelling.
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

// Secrets returns a secret that belongs to a text, for each key in use, the active one's first. A text that is also
// given to Code must not be given to it.
func (r *Ring) Secrets(text string) [][sha256.Size]byte {
	set := r.current.Load()
	out := [][sha256.Size]byte{[sha256.Size]byte(mac(set.keys[set.active], text))}
	for i, key := range set.keys {
		if i != set.active {
			out = append(out, [sha256.Size]byte(mac(key, text)))
		}
	}
	return out
}

// Master is the key that seals the others. It is a pointer because fmt does not call
// the methods below on an unexported field of another struct, but prints only the
// address of a pointer in it.
type Master struct{ key *[keyLen]byte }

// String leaves the key out.
func (Master) String() string { return "keys.Master(…)" }

// GoString is String, for %#v.
func (Master) GoString() string { return "keys.Master(…)" }

// ErrWrongMaster says that the keys were sealed with another master key.
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

// Check returns ErrWrongMaster if this is not the key that sealed the keys of a purpose.
func (m Master) Check(ctx context.Context, s keyStore, purpose string) error {
	r := ring{purpose: purpose, master: m, store: s}
	_, err := r.read(ctx, time.Time{})
	return err
}

// Seal encrypts and authenticates what must be stored and read again, under the master key itself: it is readable for
// as long as there is the same master key. purpose names what it is and whose; only Open with the same opens it.
func (m Master) Seal(purpose string, text []byte) ([]byte, error) {
	return m.seal(text, "stored "+purpose)
}

// Open returns the text that Seal was given, or ErrWrongMaster if it was another purpose's or sealed otherwise.
func (m Master) Open(purpose string, sealed []byte) ([]byte, error) {
	return m.open(sealed, "stored "+purpose)
}

// Sum returns the authentication code of a text, for what is stored to be compared only: the same for as long as there is
// the same master key.
func (m Master) Sum(text string) [sha256.Size]byte {
	return [sha256.Size]byte(mac(mac(m.key[:], "sum"), text))
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
