package client

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// table is what a verifier keeps of sessions. Checks look into one shard each
// and take no lock; who is in it changes only under the verifier's lock.
//
// Most of a check's time goes to fetching memory. So a shard is a flat table of as
// many slots as it takes, most of which are in the processor's own memory, and a
// slot leads to both parts of a session.
type table struct {
	shards   [tableShards]tableShard
	most     int // in each shard
	accounts map[string]*keptAccount
}

const (
	tableShards = 64
	firstSlots  = 8
)

// tableShard is searched from the slot that the tag points at up to an empty one.
type tableShard struct {
	slots atomic.Pointer[[]slot]
	count int      // slots in use
	spent int      // slots in use or left by what was dropped
	_     [40]byte // so that shards do not share a cache line
}

// slot is read in parts while it may be filled anew: a reader makes sure that
// the parts are of one session.
type slot struct {
	tag   atomic.Uint64 // 0: never used; tagSpent: left by what was dropped
	kept  atomic.Pointer[kept]
	facts atomic.Pointer[facts]
}

const tagSpent = 1

// tokenHash is the SHA-256 of a token.
type tokenHash [sha256.Size]byte

// hashOf copies the text first because a conversion would go to the heap. No token
// is longer.
func hashOf(token string) tokenHash {
	var b [longestToken]byte
	return sha256.Sum256(b[:copy(b[:], token)])
}

// tag is where the table looks for the token; never 0 or tagSpent. Sessions that are
// kept have tokens that the authority drew at random, so nobody can crowd a place.
func (h *tokenHash) tag() uint64 { return max(binary.LittleEndian.Uint64(h[:]), tagSpent+1) }

// keptAccount lists the sessions of an account that are in the table.
type keptAccount struct{ list []*kept }

// kept is a session as the gate told of it. What a check reads comes first and
// fills one cache line.
type kept struct {
	hash   tokenHash // of its token
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
// milliseconds since 1970 by the authority's clock. They fill one cache line: the
// fewer there are, the more sessions the processor has in its own memory.
type facts struct {
	of      *kept
	words   string // what it says of the person, one word after the other
	idle    int64  // how long it may stay unused
	expires int64
	asked   uint32 // when, by the verifier's clock, in tenths of a second
	warning uint32 // how long before the idle end a page warns
	lengths [7]uint16
}

const tenth = 100 * time.Millisecond

// newFacts returns nil for what is too long to be kept.
func newFacts(k *kept, p *Person, asked time.Duration, idle, expires int64) *facts {
	f := &facts{of: k, idle: idle, expires: expires, asked: uint32(asked / tenth)}
	words := [len(f.lengths)]string{p.Account, p.Handle, p.Name, p.Email, p.Session, p.AppSession, p.Client}
	for i, w := range words {
		if len(w) > math.MaxUint16 {
			return nil
		}
		f.lengths[i] = uint16(len(w))
	}
	f.words = strings.Join(words[:], "")
	f.warning = uint32(min(max(p.IdleAt.Sub(p.WarnAt).Milliseconds(), 0), math.MaxUint32))
	return f
}

// askedAt is when the gate was asked, or a little earlier.
func (f *facts) askedAt() time.Duration { return time.Duration(f.asked) * tenth }

func (f *facts) account() string { return f.words[:f.lengths[0]] }

// margin is how long before its limit a session is asked about again. Activity
// is handed in that late at most, and must be there before the limit.
func (f *facts) margin() int64 { return 2 * handInEvery(f.idle).Milliseconds() }

// tell says of the person what the gate would now.
func (f *facts) tell(p *Person, now, idleAt int64) {
	rest := f.words
	for i, to := range [len(f.lengths)]*string{&p.Account, &p.Handle, &p.Name, &p.Email, &p.Session, &p.AppSession, &p.Client} {
		*to, rest = rest[:f.lengths[i]], rest[f.lengths[i]:]
	}
	p.AskedAt, p.IdleAt, p.WarnAt = time.UnixMilli(now), time.UnixMilli(idleAt), time.UnixMilli(idleAt-int64(f.warning))
}

func newTable(most int) *table {
	t := &table{most: (most + tableShards - 1) / tableShards, accounts: map[string]*keptAccount{}}
	for i := range t.shards {
		t.shards[i].slots.Store(newSlots(firstSlots))
	}
	return t
}

func newSlots(n int) *[]slot {
	s := make([]slot, n)
	return &s
}

// startOf is where the search for a tag begins.
func startOf(tag uint64, slots []slot) int {
	return int(tag & math.MaxUint32 * uint64(len(slots)) >> 32)
}

func next(i int, slots []slot) int {
	if i++; i == len(slots) {
		return 0
	}
	return i
}

func (t *table) shard(tag uint64) *tableShard { return &t.shards[tag>>58] }

// find returns what is kept of a session, nil for nothing. Somebody who drops
// or moves it meanwhile may hide it, which costs a question.
func (t *table) find(h *tokenHash) (*kept, *facts) {
	tag := h.tag()
	slots := *t.shard(tag).slots.Load()
	for i, rest := startOf(tag, slots), len(slots); rest > 0; i, rest = next(i, slots), rest-1 {
		s := &slots[i]
		switch s.tag.Load() {
		case 0:
			return nil, nil
		case tag:
			if k, f := s.kept.Load(), s.facts.Load(); k != nil && f != nil && f.of == k && k.hash == *h {
				return k, f
			}
		}
	}
	return nil, nil
}

// slot returns the slot of a session that is kept.
func (s *tableShard) slot(k *kept) *slot {
	slots := *s.slots.Load()
	for i := startOf(k.hash.tag(), slots); ; i = next(i, slots) {
		if o := &slots[i]; o.kept.Load() == k {
			return o
		}
	}
}

// fill takes the first slot that is free.
func fill(slots []slot, k *kept) (anew bool) {
	for i := startOf(k.hash.tag(), slots); ; i = next(i, slots) {
		s := &slots[i]
		if s.kept.Load() != nil {
			continue
		}
		anew = s.tag.Load() == 0
		s.facts.Store(k.facts.Load())
		s.kept.Store(k)
		s.tag.Store(k.hash.tag())
		return anew
	}
}

// put adds a session, and when there is no room takes one out for it: any, since
// to forget costs no more than to ask again.
func (t *table) put(account string, k *kept) {
	s := t.shard(k.hash.tag())
	if s.count >= t.most {
		t.drop(s.any(k.hash.tag()))
	}
	a := t.accounts[account]
	if a == nil {
		a = &keptAccount{}
		t.accounts[account] = a
	}
	k.account, k.at = a, len(a.list)
	a.list = append(a.list, k)
	if (s.spent+1)*5 > len(*s.slots.Load())*4 {
		s.rebuild()
	}
	if fill(*s.slots.Load(), k) {
		s.spent++
	}
	s.count++
}

// any returns a session of the shard: the first at or after a place.
func (s *tableShard) any(from uint64) *kept {
	slots := *s.slots.Load()
	for i := startOf(from, slots); ; i = next(i, slots) {
		if k := slots[i].kept.Load(); k != nil {
			return k
		}
	}
}

// rebuild makes room, at least as much as there is now, and leaves out the slots
// that are spent. Checks go on in the old slots until the new ones are filled.
func (s *tableShard) rebuild() {
	to := newSlots(max(firstSlots, (s.count+1)*3/2))
	for i := range *s.slots.Load() {
		if k := (*s.slots.Load())[i].kept.Load(); k != nil {
			fill(*to, k)
		}
	}
	s.spent = s.count
	s.slots.Store(to)
}

// replace puts newer facts in the place of what is known of a session.
func (t *table) replace(k *kept, f *facts) {
	k.facts.Store(f)
	t.shard(k.hash.tag()).slot(k).facts.Store(f)
}

// drop takes a session out.
func (t *table) drop(k *kept) {
	// A check that has found it already must find it ended.
	k.ended.Store(true)
	s := t.shard(k.hash.tag())
	o := s.slot(k)
	o.tag.Store(tagSpent)
	o.kept.Store(nil)
	o.facts.Store(nil)
	s.count--
	list := k.account.list
	last := list[len(list)-1]
	list[k.at], last.at = last, k.at
	list[len(list)-1] = nil
	k.account.list = list[:len(list)-1]
	if len(k.account.list) == 0 {
		delete(t.accounts, k.facts.Load().account())
	}
}

// each calls f for the sessions of an account; f may drop the one it is given.
func (t *table) each(account string, f func(*kept)) {
	if account == "" {
		for id := range t.accounts {
			t.each(id, f)
		}
		return
	}
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
	epoch string
	place
	generation, idle, expires int64
}

// snapshotOf reads it; the zero snapshot stands for an answer not to be kept.
func snapshotOf(h http.Header) (s snapshot) {
	s.epoch, s.digest = h.Get(HeaderEpoch), h.Get(HeaderDigest)
	if !soundDigest(s.digest) {
		return snapshot{}
	}
	for name, to := range map[string]*int64{HeaderSeq: &s.seq, HeaderGeneration: &s.generation, HeaderIdle: &s.idle, HeaderExpiresAt: &s.expires} {
		n, err := strconv.ParseInt(h.Get(name), 10, 64)
		if err != nil || n < 0 || n > maxCount {
			return snapshot{}
		}
		*to = n
	}
	return s
}
