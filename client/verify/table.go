package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt/client"
)

// table is what a verifier keeps of sessions: an open-addressing hash table that a
// check searches without a lock. Who is in it changes only under the verifier's
// lock; a check that looks meanwhile may miss a session, which costs a question.
type table struct {
	slots    atomic.Pointer[[]slot] // at most a quarter of them in use, a power of two
	count    int
	most     int
	accounts map[string]map[*kept]struct{} // the sessions of each
}

// slot holds a session, in the first that was free from where its hash points at.
type slot = atomic.Pointer[kept]

// tokenHash is what the table knows a token by.
type tokenHash [sha256.Size]byte

// hashOf copies the text first because a conversion would go to the heap. No
// token is longer.
func hashOf(token client.Secret) tokenHash {
	var b [client.LongestToken]byte
	return sha256.Sum256(b[:copy(b[:], token.Reveal())])
}

// kept is a session as the gate told of it. A newer answer makes a new one. Times
// are milliseconds since 1970 by the authority's clock, where nothing else is said.
type kept struct {
	hash    tokenHash // of its token
	idle    int64     // how long it may stay unused
	expires int64
	asked   time.Duration // when the gate was asked, by the verifier's steady clock
	idleAt  atomic.Int64  // as the authority knows it
	seen    atomic.Int64  // last activity here, by the verifier's steady clock; 0 for none
	dirty   atomic.Bool   // its activity waits to be handed in
	who     client.Person // as the gate said it

	generation int64 // guarded by the verifier's lock
}

// margin is how long before its limit a session is asked about again. Activity
// is handed in that late at most, and must be there before the limit.
func (k *kept) margin() int64 { return 2 * handInEvery(k.idle).Milliseconds() }

// person says of the person what the gate would now.
func (k *kept) person(now, idleAt int64) client.Person {
	p := k.who
	warning := max(p.IdleAt.Sub(p.WarnAt), 0)
	p.AskedAt, p.IdleAt = time.UnixMilli(now), time.UnixMilli(idleAt)
	p.WarnAt = p.IdleAt.Add(-warning)
	return p
}

func newTable(most int) *table {
	t := &table{most: most, accounts: map[string]map[*kept]struct{}{}}
	t.slots.Store(new(make([]slot, 64)))
	return t
}

// start is where the search for a token begins in so many slots.
func (h *tokenHash) start(slots []slot) int {
	return int(binary.LittleEndian.Uint64(h[:])) & (len(slots) - 1)
}

func after(i int, slots []slot) int { return (i + 1) & (len(slots) - 1) }

// search returns the slot of a session, or the free one that it would have.
func search(slots []slot, h *tokenHash) (int, *kept) {
	for i := h.start(slots); ; i = after(i, slots) {
		if k := slots[i].Load(); k == nil || k.hash == *h {
			return i, k
		}
	}
}

// find returns what is kept of a session, nil for nothing.
func (t *table) find(h *tokenHash) *kept {
	_, k := search(*t.slots.Load(), h)
	return k
}

// put adds a session, in place of what is known of it. When there is no room it
// takes one out: any, since to forget costs no more than to ask again.
func (t *table) put(k *kept) {
	slots := *t.slots.Load()
	i, old := search(slots, &k.hash)
	switch {
	case old != nil:
		t.unlist(old)
	case t.count == t.most:
		for slots[i].Load() == nil {
			i = after(i, slots)
		}
		t.drop(slots[i].Load())
	case 4*t.count == len(slots):
		grown := make([]slot, 2*len(slots))
		t.each("", func(k *kept) {
			i, _ := search(grown, &k.hash)
			grown[i].Store(k)
		})
		t.slots.Store(&grown)
		slots = grown
	}
	i, _ = search(slots, &k.hash)
	slots[i].Store(k)
	of := t.accounts[k.who.Account]
	if of == nil {
		of = map[*kept]struct{}{}
		t.accounts[k.who.Account] = of
	}
	of[k] = struct{}{}
	t.count++
}

// drop takes a session out.
func (t *table) drop(k *kept) {
	t.unlist(k)
	slots := *t.slots.Load()
	free, _ := search(slots, &k.hash)
	// A search ends at a free slot: what stands behind this one moves up, unless
	// its own search begins behind it.
	for i := after(free, slots); slots[i].Load() != nil; i = after(i, slots) {
		other := slots[i].Load()
		begins := other.hash.start(slots)
		if (i-begins)&(len(slots)-1) >= (i-free)&(len(slots)-1) {
			slots[free].Store(other)
			free = i
		}
	}
	slots[free].Store(nil)
}

func (t *table) unlist(k *kept) {
	of := t.accounts[k.who.Account]
	delete(of, k)
	if len(of) == 0 {
		delete(t.accounts, k.who.Account)
	}
	t.count--
}

// each calls f for the sessions of an account, or of all when it is empty; f may
// drop the one it is given.
func (t *table) each(account string, f func(*kept)) {
	if account == "" {
		for id := range t.accounts {
			t.each(id, f)
		}
		return
	}
	for k := range t.accounts[account] {
		f(k)
	}
}

// clear forgets everything.
func (t *table) clear() { t.each("", t.drop) }
