package verify

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt/client"
)

// table is what a verifier keeps of sessions. A check locks one shard for the
// moment of looking; who is in the table changes only under the verifier's lock.
type table struct {
	shards   [tableShards]shard
	most     int                           // in each shard
	accounts map[string]map[*kept]struct{} // the sessions of each
}

const tableShards = 64

type shard struct {
	sync.RWMutex
	sessions map[tokenHash]*kept
}

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
	t := &table{most: (most + tableShards - 1) / tableShards, accounts: map[string]map[*kept]struct{}{}}
	for i := range t.shards {
		t.shards[i].sessions = map[tokenHash]*kept{}
	}
	return t
}

func (t *table) shard(h tokenHash) *shard { return &t.shards[h[0]%tableShards] }

// find returns what is kept of a session, nil for nothing.
func (t *table) find(h tokenHash) *kept {
	s := t.shard(h)
	s.RLock()
	defer s.RUnlock()
	return s.sessions[h]
}

// put adds a session, in place of what is known of it. When there is no room it
// takes one out: any, since to forget costs no more than to ask again.
func (t *table) put(k *kept) {
	s := t.shard(k.hash)
	if old := s.sessions[k.hash]; old != nil {
		t.unlist(old)
	} else if len(s.sessions) >= t.most {
		for _, other := range s.sessions {
			t.drop(other)
			break
		}
	}
	of := t.accounts[k.who.Account]
	if of == nil {
		of = map[*kept]struct{}{}
		t.accounts[k.who.Account] = of
	}
	of[k] = struct{}{}
	s.Lock()
	defer s.Unlock()
	s.sessions[k.hash] = k
}

// drop takes a session out.
func (t *table) drop(k *kept) {
	t.unlist(k)
	s := t.shard(k.hash)
	s.Lock()
	defer s.Unlock()
	delete(s.sessions, k.hash)
}

func (t *table) unlist(k *kept) {
	of := t.accounts[k.who.Account]
	delete(of, k)
	if len(of) == 0 {
		delete(t.accounts, k.who.Account)
	}
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

func (t *table) len() (n int) {
	for _, of := range t.accounts {
		n += len(of)
	}
	return n
}
