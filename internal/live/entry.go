package live

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/exeunt/exeunt"
)

// entry is a session or an app session in 48 bytes without a pointer, so that the garbage collector skips millions of
// them. Every word is read and written atomically, because checks read while it is changed.
type entry struct {
	// The token, see key. In a free entry, key0 is the next free one.
	key0 atomic.Uint64
	// The lower 48 bits are of the token, the upper 16 are the number of the
	// session's limits or of the app session's client.
	key1     atomic.Uint64
	id0, id1 atomic.Uint64
	state    atomic.Uint64
	// The upper half is the time of issue in seconds, the lower half a session's
	// cohort or an app session's parent.
	owner atomic.Uint64
}

// The parts of the state: the last activity in milliseconds since 1970, the milliseconds of the time of issue, and
// flags. The highest bits count how often the entry was reused, so that late activity is not recorded on another
// session.
const (
	seenBits           = 44
	seenMask    uint64 = 1<<seenBits - 1
	issuedMilli        = seenBits
	milliMask   uint64 = 1<<10 - 1

	flagEnded  uint64 = 1 << 54
	flagLate   uint64 = 1 << 55 // a check found it timed out; only the store may say otherwise
	flagUnsure uint64 = 1 << 56 // loaded from a file: the store may know of later activity
	flagApp    uint64 = 1 << 57
	flagFree   uint64 = 1 << 58

	turnShift = 59
)

const (
	key1Bits        = 48
	key1Mask uint64 = 1<<key1Bits - 1
)

// key is the 128 of the 256 bits of a token's hash that are stored. To forge the token of one session, an attacker
// needs a second preimage of these bits: 2^128 tries. 8 of them choose the shard, 8 are only in the slot's tag, and 112
// are in the entry.
type key struct {
	shard, home, tag uint32
	key0, key1       uint64
}

func keyOf(h *exeunt.TokenHash) key {
	return keyFrom(words{binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:16])})
}

func keyFrom(h words) key {
	k := key{shard: uint32(h.a) % shardCount, tag: uint32(h.b >> (64 - tagBits))}
	k.key0, k.key1 = h.a>>8|h.b>>48<<56, h.b&key1Mask
	k.home = homeOf(k.key0)
	return k
}

// hash undoes keyFrom, with the shard and the tag of the slot that refers to the entry.
func (e *entry) hash(shard, tag uint32) words {
	key0 := e.key0.Load()
	return words{key0<<8 | uint64(shard), uint64(tag)>>tagInKey<<56 | key0>>56<<48 | e.key1.Load()&key1Mask}
}

// homeOf is where the search for an entry's token begins.
func homeOf(key0 uint64) uint32 { return uint32(key0 >> 24) }

func (e *entry) is(k *key) bool { return e.key0.Load() == k.key0 && e.key1.Load()&key1Mask == k.key1 }

func (e *entry) number() uint16 { return uint16(e.key1.Load() >> key1Bits) }

func (e *entry) has(id words) bool { return e.id0.Load() == id.a && e.id1.Load() == id.b }

func (e *entry) id() words { return words{e.id0.Load(), e.id1.Load()} }

// change sets and clears flags, unless the entry was reused since the given state was read.
func (e *entry) change(of, set, clear uint64) bool {
	for {
		old := e.state.Load()
		if old>>turnShift != of>>turnShift || old&flagFree != 0 {
			return false
		}
		next := old&^clear | set
		if next == old {
			return false
		}
		if e.state.CompareAndSwap(old, next) {
			return true
		}
	}
}

// raise moves the last activity forward under the same condition. It reports whether it did, and the activity before.
func (e *entry) raise(of uint64, seen int64) (before int64, ok bool) {
	to := clampSeen(seen)
	for {
		old := e.state.Load()
		if old>>turnShift != of>>turnShift || old&(flagFree|flagEnded) != 0 || old&seenMask >= to {
			return 0, false
		}
		if e.state.CompareAndSwap(old, old&^seenMask|to) {
			return int64(old & seenMask), true
		}
	}
}

func clampSeen(ms int64) uint64 { return uint64(min(max(ms, 0), int64(seenMask))) }

// issuedParts splits a time of issue between owner and state. A time before 1970 or after 2106 becomes the nearest one
// that fits.
func issuedParts(ms int64) (seconds, milli uint64) {
	ms = min(max(ms, 0), (1<<32-1)*1000)
	return uint64(ms / 1000), uint64(ms % 1000)
}

func issuedOf(owner, state uint64) int64 {
	return int64(owner>>32)*1000 + int64(state>>issuedMilli&milliMask)
}

// words is an ID as two words.
type words struct{ a, b uint64 }

func wordsOf(raw [16]byte) words {
	return words{binary.LittleEndian.Uint64(raw[:8]), binary.LittleEndian.Uint64(raw[8:])}
}

func (w words) raw() (raw [16]byte) {
	binary.LittleEndian.PutUint64(raw[:8], w.a)
	binary.LittleEndian.PutUint64(raw[8:], w.b)
	return raw
}

// IDs are drawn at random, so their bits serve as their hash.
func (w words) segment() uint32 { return uint32(w.a) % shardCount }
func (w words) home() uint32    { return uint32(w.a >> 32) }
func (w words) tag() uint32     { return uint32(w.b >> 62) }
