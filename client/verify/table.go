package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt/client"
)

// table caches the gate's answers in an open-addressing hash table that a check
// searches without a lock. Entries are added and removed under the verifier's lock; a
// check at the same time may miss an entry and then asks the gate.
type table struct {
	slots    atomic.Pointer[[]slot] // a power of two, at most a quarter of them in use
	count    int
	most     int
	accounts map[string]map[*entry]struct{} // the sessions of each
}

// slot holds an entry, in the first free slot from its hash on.
type slot = atomic.Pointer[entry]

// tokenHash is the table's key for a token.
type tokenHash [sha256.Size]byte

// hashOf copies the text first because a conversion would allocate. No token is
// longer.
func hashOf(token client.Secret) tokenHash {
	var b [client.LongestToken]byte
	return sha256.Sum256(b[:copy(b[:], token.Reveal())])
}

// entry is the gate's answer about a session. A newer answer makes a new entry. Times
// are milliseconds since 1970 by the authority's clock unless stated otherwise.
type entry struct {
	hash    tokenHash     // of its token
	idle    int64         // the idle timeout
	expires int64         // when the session ends in any case
	asked   time.Duration // when the gate was asked, by the verifier's steady clock
	idleAt  atomic.Int64  // as the authority knows it
	seen    atomic.Int64  // last activity here, by the verifier's steady clock; 0 for none
	dirty   atomic.Bool   // its activity has not been reported
	who     client.Person // as the gate said it

	generation int64 // guarded by the verifier's lock
}

// margin is how long before its limit the gate is asked again about a session.
// Activity must be reported before the limit, and is reported within that time.
func (k *entry) margin() int64 { return 2 * reportDelay(k.idle).Milliseconds() }

// person returns the person as the gate would now.
func (k *entry) person(now, idleAt int64) client.Person {
	p := k.who
	warning := max(p.IdleAt.Sub(p.WarnAt), 0)
	p.AskedAt, p.IdleAt = time.UnixMilli(now), time.UnixMilli(idleAt)
	p.WarnAt = p.IdleAt.Add(-warning)
	return p
}

func newTable(most int) *table {
	t := &table{most: most, accounts: map[string]map[*entry]struct{}{}}
	t.slots.Store(new(make([]slot, 64)))
	return t
}

// start is where the search for a token begins.
func (h *tokenHash) start(slots []slot) int {
	return int(binary.LittleEndian.Uint64(h[:])) & (len(slots) - 1)
}

func after(i int, slots []slot) int { return (i + 1) & (len(slots) - 1) }

// search returns the slot of an entry, or the free one that it would get.
func search(slots []slot, h *tokenHash) (int, *entry) {
	for i := h.start(slots); ; i = after(i, slots) {
		if k := slots[i].Load(); k == nil || k.hash == *h {
			return i, k
		}
	}
}

// find returns a token's entry, or nil.
func (t *table) find(h *tokenHash) *entry {
	_, k := search(*t.slots.Load(), h)
	return k
}

// put adds an entry or replaces the token's old one. When the table is full it drops
// any other entry, because asking the gate again costs little.
func (t *table) put(k *entry) {
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
		t.each("", func(k *entry) {
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
		of = map[*entry]struct{}{}
		t.accounts[k.who.Account] = of
	}
	of[k] = struct{}{}
	t.count++
}

// drop removes an entry.
func (t *table) drop(k *entry) {
	t.unlist(k)
	slots := *t.slots.Load()
	free, _ := search(slots, &k.hash)
	// A search ends at a free slot: move up the entries after this one, unless their
	// own search begins after it.
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

func (t *table) unlist(k *entry) {
	of := t.accounts[k.who.Account]
	delete(of, k)
	if len(of) == 0 {
		delete(t.accounts, k.who.Account)
	}
	t.count--
}

// each calls f for the entries of an account, or for all if the account is empty; f
// may drop its entry.
func (t *table) each(account string, f func(*entry)) {
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

// clear removes all entries.
func (t *table) clear() { t.each("", t.drop) }
