package live

import (
	"slices"
	"sync/atomic"

	"github.com/exeunt/exeunt"
)

// ref names an entry: its shard, and its place there from 1. 0 names none.
type ref uint32

const (
	shardCount = 256
	localBits  = 22 // 4 million entries a shard, a billion in all
	localMask  = 1<<localBits - 1
	pageLen    = 256
)

// core is the table: all that Reset throws away at once. It is changed with
// Index.mu held and read without.
type core struct {
	epoch  int64
	shards [shardCount]shard
	// reused counts how often what had been freed was about to be used anew.
	// Whoever read without the lock and finds it changed afterwards may have
	// read of two sessions, and reads again.
	reused atomic.Uint64

	cohorts     atomic.Pointer[[]*[cohortPage]cohort]
	cohortCount uint32
	freeCohort  uint32

	ids      [shardCount]*table // of sessions and app sessions
	accounts [shardCount]*table // their current cohorts

	limits  atomic.Pointer[[]limits] // by number, as entries have them
	clients atomic.Pointer[[]exeunt.ClientID]

	youngest map[ref]ref // of a session: the last of its app sessions
	siblings map[ref]siblings

	count int   // entries in use
	ended []ref // ended one by one since the last Forget
	stale int   // entries in cohorts that have ended or were passed
	hand  ref   // how far eviction has come
}

// shard is the entries whose tokens begin with the same byte. It exists so
// that growing copies a small table, not a large one.
type shard struct {
	tokens atomic.Pointer[table]
	pages  atomic.Pointer[[]page]
	count  uint32 // entries ever made; numbers begin at 1
	free   uint32
}

// page is entries and a bit each for what is searched for among many.
type page struct {
	entries *[pageLen]entry
	*marks
}

type marks struct {
	dirty bitmap // activity that the store does not know
	used  bitmap // since eviction last came by
	late  bitmap
}

type bitmap [pageLen / 64]atomic.Uint64

func (b *bitmap) set(i uint32)      { b[i/64].Or(1 << (i % 64)) }
func (b *bitmap) clear(i uint32)    { b[i/64].And(^uint64(1 << (i % 64))) }
func (b *bitmap) has(i uint32) bool { return b[i/64].Load()&(1<<(i%64)) != 0 }

// limits are what a kind of session may be used for. They come from the
// policy, so that there are few; an entry has their number.
type limits struct {
	kind           exeunt.SessionKind
	idle, absolute int64 // milliseconds
}

type siblings struct{ older, younger ref }

func newCore(epoch int64) *core {
	c := &core{epoch: epoch, youngest: map[ref]ref{}, siblings: map[ref]siblings{}}
	for i := range shardCount {
		c.shards[i].tokens.Store(newTable(localBits, 0))
		c.shards[i].pages.Store(&[]page{})
		c.ids[i] = newTable(localBits+8, 0)
		c.accounts[i] = newTable(cohortBits, 0)
	}
	c.cohorts.Store(&[]*[cohortPage]cohort{})
	c.limits.Store(&[]limits{})
	c.clients.Store(&[]exeunt.ClientID{})
	return c
}

// at returns an entry and its marks, or nil for a reference that was never
// given out, see cohort.
func (c *core) at(r ref) (*entry, *page) {
	local := uint32(r & localMask)
	pages := *c.shards[r>>localBits%shardCount].pages.Load()
	if local == 0 || int(local/pageLen) >= len(pages) {
		return nil, nil
	}
	p := &pages[local/pageLen]
	return &p.entries[local%pageLen], p
}

func (c *core) entry(r ref) *entry {
	e, _ := c.at(r)
	return e
}

// find is what every check begins with.
func (c *core) find(k *key) (ref, *entry) {
	s := &c.shards[k.shard]
	t := s.tokens.Load()
	slots := t.slots
	for i := t.start(k.home); ; i++ {
		if i == len(slots) {
			i = 0
		}
		slot := atomic.LoadUint32(&slots[i])
		if slot == 0 {
			return 0, nil
		}
		if slot>>localBits != k.tag || slot&localMask == 0 {
			continue
		}
		r := ref(k.shard<<localBits | slot&localMask)
		if e := c.entry(r); e.is(k) {
			return r, e
		}
	}
}

// byID finds a session or app session.
func (c *core) byID(id words) (ref, *entry) {
	r := ref(c.ids[id.segment()].find(id.home(), id.tag(), func(r uint32) bool { return c.entry(ref(r)).has(id) }))
	if r == 0 {
		return 0, nil
	}
	return r, c.entry(r)
}

// add gives an entry to a token. It returns 0 when the shard is full.
func (c *core) add(k *key, id words, number uint16, seen, issued int64, kind uint64, belongs uint32) ref {
	s := &c.shards[k.shard]
	local := s.free
	if local == 0 {
		if s.count >= localMask {
			return 0
		}
		s.grow()
		local = s.count
	} else {
		c.reused.Add(1)
	}
	r := ref(k.shard<<localBits | local)
	e, p := c.at(r)
	if local == s.free {
		s.free = uint32(e.key0.Load())
	}
	seconds, milli := issuedParts(issued)
	turn := e.state.Load()>>turnShift + 1
	e.key0.Store(k.key0)
	e.key1.Store(k.key1 | uint64(number)<<key1Bits)
	e.id0.Store(id.a)
	e.id1.Store(id.b)
	e.place.Store(seconds<<32 | uint64(belongs))
	p.dirty.clear(local % pageLen)
	p.late.clear(local % pageLen)
	p.used.set(local % pageLen)
	e.state.Store(turn<<turnShift | kind | milli<<issuedMilli | clampSeen(seen))
	c.name(r, k, id)
	c.count++
	return r
}

func (s *shard) grow() {
	s.count++
	if pages := *s.pages.Load(); int(s.count/pageLen) >= len(pages) {
		pages = append(slices.Clip(pages), page{new([pageLen]entry), new(marks)})
		s.pages.Store(&pages)
	}
}

// name lets an entry be found by its token and by its ID.
func (c *core) name(r ref, k *key, id words) {
	s := &c.shards[k.shard]
	t := s.tokens.Load()
	if t.crowded() {
		t = t.anew(func(local uint32) uint32 { return homeOf(c.entry(r&^localMask | ref(local)).key0.Load()) })
		s.tokens.Store(t)
	}
	t.add(k.home, k.tag<<localBits|uint32(r)&localMask)

	byID := c.ids[id.segment()]
	if byID.crowded() {
		byID = byID.anew(func(r uint32) uint32 { return c.entry(ref(r)).id().home() })
		c.ids[id.segment()] = byID
	}
	byID.add(id.home(), id.tag()<<byID.bits|uint32(r))
}

// drop frees an entry, and with a session its app sessions.
func (c *core) drop(r ref) {
	e, p := c.at(r)
	belongs := uint32(e.place.Load())
	if e.state.Load()&flagApp != 0 {
		c.disown(ref(belongs), r)
	} else {
		for child := c.youngest[r]; child != 0; child = c.youngest[r] {
			c.drop(child)
		}
		c.leave(belongs)
	}
	local := uint32(r & localMask)
	s := &c.shards[r>>localBits]
	s.tokens.Load().remove(homeOf(e.key0.Load()), local)
	id := e.id()
	c.ids[id.segment()].remove(id.home(), uint32(r))
	e.state.Store(e.state.Load()&^(1<<turnShift-1) | flagFree)
	p.dirty.clear(local % pageLen)
	p.late.clear(local % pageLen)
	e.key0.Store(uint64(s.free))
	s.free = local
	c.count--
}

// adopt and disown keep the list of a session's app sessions.
func (c *core) adopt(parent, child ref) {
	older := c.youngest[parent]
	c.siblings[child] = siblings{older: older}
	if older != 0 {
		c.siblings[older] = siblings{older: c.siblings[older].older, younger: child}
	}
	c.youngest[parent] = child
}

func (c *core) disown(parent, child ref) {
	s := c.siblings[child]
	delete(c.siblings, child)
	if s.older != 0 {
		c.siblings[s.older] = siblings{older: c.siblings[s.older].older, younger: s.younger}
	}
	switch {
	case s.younger != 0:
		c.siblings[s.younger] = siblings{older: s.older, younger: c.siblings[s.younger].younger}
	case s.older != 0:
		c.youngest[parent] = s.older
	default:
		delete(c.youngest, parent)
	}
}

// number returns the number of a value, which it gets when it is new. There is
// none when 65,536 others have been seen.
func number[T comparable](list *atomic.Pointer[[]T], v T) (uint16, bool) {
	known := *list.Load()
	if i := slices.Index(known, v); i >= 0 {
		return uint16(i), true
	}
	if len(known) > 1<<16-1 {
		return 0, false
	}
	known = append(slices.Clip(known), v)
	list.Store(&known)
	return uint16(len(known) - 1), true
}

// each calls f for the entries of a shard that are in use.
func (c *core) each(shard uint32, f func(r ref, e *entry, p *page)) {
	s := &c.shards[shard]
	for local := uint32(1); local <= s.count; local++ {
		r := ref(shard<<localBits | local)
		if e, p := c.at(r); e.state.Load()&flagFree == 0 {
			f(r, e, p)
		}
	}
}
