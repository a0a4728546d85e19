package client

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// table is what a verifier keeps of sessions. Checks look into one shard each;
// who is in it changes only under the verifier's lock.
type table struct {
	shards   [tableShards]tableShard
	most     int // in each shard
	accounts map[string]*keptAccount
}

const tableShards = 64

// tableShard finds sessions by the first bytes of their hash: most of a check's
// time goes to fetching memory, and a shorter key is less of it.
type tableShard struct {
	mu sync.RWMutex
	m  map[uint64]*kept
	_  [32]byte // so that shards do not share a cache line
}

// keptAccount lists the sessions of an account that are in the table.
type keptAccount struct{ list []*kept }

// kept is a session as the gate told of it. What a check reads comes first and
// fills one cache line.
type kept struct {
	hash   tokenHash
	facts  atomic.Pointer[facts]
	idleAt atomic.Int64 // as the authority knows it, in milliseconds since 1970
	seen   atomic.Int64 // last activity here, by the verifier's own clock; 0 for none
	ended  atomic.Bool
	owed   atomic.Bool // its activity waits to be handed in

	// The rest is guarded by the verifier's lock.
	account    *keptAccount
	at         int // in the account's list
	generation int64
	_          [40]byte // up to a size that the allocator aligns to cache lines
}

// facts are what the gate said; they are replaced, never changed. Times are
// milliseconds since 1970 by the authority's clock.
type facts struct {
	person  Person
	asked   time.Duration // when, by the verifier's clock
	idle    int64         // how long it may stay unused
	warning int64         // how long before that end a page warns
	expires int64
}

// margin is how long before its limit a session is asked about again. Activity
// is handed in that late at most, and must be there before the limit.
func (f *facts) margin() int64 { return 2 * handInEvery(f.idle).Milliseconds() }

// personAt is the person as the gate would tell of them now.
func (f *facts) personAt(now, idleAt int64) Person {
	p := f.person
	p.AskedAt, p.IdleAt, p.WarnAt = time.UnixMilli(now), time.UnixMilli(idleAt), time.UnixMilli(idleAt-f.warning)
	return p
}

func newTable(most int) *table {
	t := &table{most: (most + tableShards - 1) / tableShards, accounts: map[string]*keptAccount{}}
	for i := range t.shards {
		t.shards[i].m = map[uint64]*kept{}
	}
	return t
}

func (t *table) shard(h *tokenHash) *tableShard { return &t.shards[h[8]%tableShards] }

func keyOf(h *tokenHash) uint64 { return binary.LittleEndian.Uint64(h[:8]) }

func (t *table) find(h *tokenHash) *kept {
	s := t.shard(h)
	s.mu.RLock()
	k := s.m[keyOf(h)]
	s.mu.RUnlock()
	if k == nil || k.hash != *h {
		return nil
	}
	return k
}

// put adds a session, and when there is no room takes one out for it: any, since
// to forget costs no more than to ask again.
func (t *table) put(account string, k *kept) {
	s := t.shard(&k.hash)
	if double := s.m[keyOf(&k.hash)]; double != nil {
		t.drop(double)
	}
	if len(s.m) >= t.most {
		for _, other := range s.m {
			t.drop(other)
			break
		}
	}
	a := t.accounts[account]
	if a == nil {
		a = &keptAccount{}
		t.accounts[account] = a
	}
	k.account, k.at = a, len(a.list)
	a.list = append(a.list, k)
	s.mu.Lock()
	s.m[keyOf(&k.hash)] = k
	s.mu.Unlock()
}

// drop takes a session out.
func (t *table) drop(k *kept) {
	// A check that has found it already must find it ended.
	k.ended.Store(true)
	s := t.shard(&k.hash)
	s.mu.Lock()
	delete(s.m, keyOf(&k.hash))
	s.mu.Unlock()
	list := k.account.list
	last := list[len(list)-1]
	list[k.at], last.at = last, k.at
	list[len(list)-1] = nil
	k.account.list = list[:len(list)-1]
	if len(k.account.list) == 0 {
		delete(t.accounts, k.facts.Load().person.Account)
	}
}

// each calls f for the sessions of an account; f may drop the one it is given.
func (t *table) each(account string, f func(*kept)) {
	a := t.accounts[account]
	if a == nil {
		return
	}
	for i := len(a.list) - 1; i >= 0; i-- {
		f(a.list[i])
	}
}

// clear forgets everything.
func (t *table) clear() {
	for account := range t.accounts {
		t.each(account, t.drop)
	}
}

func (t *table) len() (n int) {
	for _, a := range t.accounts {
		n += len(a.list)
	}
	return n
}

// snapshot is what the gate adds to an answer that may be kept: where in which
// log it stands, and the limits.
type snapshot struct {
	epoch                          string
	seq, generation, idle, expires int64
}

// snapshotOf reads it; the zero snapshot stands for an answer not to be kept.
func snapshotOf(h http.Header) (s snapshot) {
	s.epoch = h.Get(HeaderEpoch)
	for name, to := range map[string]*int64{HeaderSeq: &s.seq, HeaderGeneration: &s.generation, HeaderIdle: &s.idle, HeaderExpiresAt: &s.expires} {
		n, err := strconv.ParseInt(h.Get(name), 10, 64)
		if err != nil || n < 0 || n > maxCount {
			return snapshot{}
		}
		*to = n
	}
	return s
}
