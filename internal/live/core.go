package live

import (
	"slices"
	"sync/atomic"

	"github.com/exeunt/exeunt"
)

// ref is a reference to an entry: its shard, and its number there from 1. 0 is none.
type ref uint32

const (
	shardCount = 256
	localBits  = 22 // 4 million entries a shard, a billion in all
	localMask  = 1<<localBits - 1
	pageLen    = 256
)

// core is the table, which Reset replaces as a whole. It is changed with Index.mu held and read without.
type core struct {
	epoch  int64
	shards [shardCount]shard
	// reused rises before a freed entry or cohort is used again. A reader that finds it changed may have read parts of
	// two sessions, and reads again.
	reused atomic.Uint64

	cohorts     atomic.Pointer[[]*[cohortPage]cohort]
	cohortCount uint32
	freeCohort  uint32

	ids      [shardCount]*table // of sessions and app sessions
	accounts [shardCount]*table // to their current cohorts

	limits  atomic.Pointer[[]limits] // by number, as entries have them
	clients atomic.Pointer[[]exeunt.ClientID]
	// dropped: some clients have lost their number, see dropApps.
	dropped bool

	youngest map[ref]ref // from a session to the last of its app sessions
	siblings map[ref]siblings

	count int   // entries in use
	ended []ref // ended one by one since the last Forget
	stale int   // entries in cohorts that ended or were superseded
	hand  ref   // where eviction goes on

	// Empty cohorts wait here while the table is being saved, see Save.
	saving   bool
	released []uint32
}

// limits are a kind of session and its timeouts. There are few, because they come from the policy; an entry has their
// number.
type limits struct {
	Kind           exeunt.SessionKind
	Idle, Absolute int64 // milliseconds
}

type siblings struct{ older, younger ref }

func newCore(epoch int64) *core {
	c := &core{epoch: epoch, youngest: map[ref]ref{}, siblings: map[ref]siblings{}}
	for i := range shardCount {
		c.shards[i].view.Store(&view{slots: make([]uint64, smallestTable)})
		c.ids[i] = newTable(localBits+8, 0)
		c.accounts[i] = newTable(cohortBits, 0)
	}
	c.cohorts.Store(&[]*[cohortPage]cohort{})
	c.limits.Store(&[]limits{})
	c.clients.Store(&[]exeunt.ClientID{})
	return c
}

// at returns an entry and its page's marks, or nil for a reference that was never used, see cohort.
func (c *core) at(r ref) (*entry, *marks) {
	local := uint32(r & localMask)
	v := c.shards[r>>localBits%shardCount].view.Load()
	if local == 0 || int(local/pageLen) >= len(v.entries) {
		return nil, nil
	}
	return &v.entries[local/pageLen][local%pageLen], v.marks[local/pageLen]
}

func (c *core) entry(r ref) *entry {
	e, _ := c.at(r)
	return e
}

// find returns the entry of a token. Every check begins here.
func (c *core) find(k *key) (ref, *entry) {
	v := c.shards[k.shard].view.Load()
	for i := startOf(k.home, len(v.slots)); ; i++ {
		if i == len(v.slots) {
			i = 0
		}
		slot := atomic.LoadUint64(&v.slots[i])
		if slot == 0 {
			return 0, nil
		}
		if uint32(slot>>slotTag) != k.tag || slot&localMask == 0 {
			continue
		}
		if co := c.cohort(uint32(slot >> localBits & hintMask)); co != nil {
			co.mark.Load() // to fetch it from memory together with the entry
		}
		local := uint32(slot & localMask)
		if int(local/pageLen) >= len(v.entries) {
			// Views share their slots: this slot was filled after v was read, and belongs to a newer view.
			return c.find(k)
		}
		if e := &v.entries[local/pageLen][local%pageLen]; e.is(k) {
			return ref(k.shard<<localBits | local), e
		}
	}
}

// byID finds a session or app session.
func (c *core) byID(id words) (ref, *entry) {
	r := ref(c.ids[id.segment()].find(id.home(), id.tag(), func(r uint32) bool {
		return c.entry(ref(r)).has(id)
	}))
	if r == 0 {
		return 0, nil
	}
	return r, c.entry(r)
}

// add gives an entry to a token. It returns 0 when the shard is full.
func (c *core) add(k *key, id words, number uint16, seen, issued int64, kind uint64, owner uint32) ref {
	hint := owner
	if kind&flagApp != 0 {
		hint = uint32(c.entry(ref(owner)).owner.Load())
	}
	r := c.fill(k, id, number, seen, issued, kind, owner, hint)
	if r == 0 {
		return 0
	}
	_, m := c.at(r)
	m.used.set(uint32(r&localMask) % pageLen)
	c.nameID(r, id)
	c.count++
	return r
}

// fill is the part of add that concerns the shard: the entry can be found by its token, not yet by its ID.
func (c *core) fill(k *key, id words, number uint16, seen, issued int64, kind uint64, owner, hint uint32) ref {
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
	e, m := c.at(r)
	if local == s.free {
		s.free = uint32(e.key0.Load())
		m.clean(local % pageLen)
		m.late.clear(local % pageLen)
	}
	seconds, milli := issuedParts(issued)
	// The entry is written before it is read: reading new memory first would cost a second page fault.
	e.key0.Store(k.key0)
	e.key1.Store(k.key1 | uint64(number)<<key1Bits)
	e.id0.Store(id.a)
	e.id1.Store(id.b)
	e.owner.Store(seconds<<32 | uint64(owner))
	turn := e.state.Load()>>turnShift + 1
	e.state.Store(turn<<turnShift | kind | milli<<issuedMilli | clampSeen(seen))
	s.put(k.home, slotOf(local, hint, k.tag))
	return r
}

// nameID lets an entry be found by its ID.
func (c *core) nameID(r ref, id words) {
	t := c.ids[id.segment()]
	if t.crowded() {
		t = t.rebuilt(func(r uint32) uint32 { return c.entry(ref(r)).id().home() })
		c.ids[id.segment()] = t
	}
	t.add(id.home(), t.slotOf(id, uint32(r)))
}

// drop frees an entry, and the app sessions of a session.
func (c *core) drop(r ref) {
	e, m := c.at(r)
	owner := uint32(e.owner.Load())
	if e.state.Load()&flagApp != 0 {
		c.disown(ref(owner), r)
	} else {
		for child := c.youngest[r]; child != 0; child = c.youngest[r] {
			c.drop(child)
		}
		c.leave(owner)
	}
	local := uint32(r & localMask)
	s := &c.shards[r>>localBits]
	s.remove(homeOf(e.key0.Load()), local)
	id := e.id()
	c.ids[id.segment()].remove(id.home(), uint32(r))
	e.state.Store(e.state.Load()&^(1<<turnShift-1) | flagFree)
	m.clean(local % pageLen)
	m.late.clear(local % pageLen)
	e.key0.Store(uint64(s.free))
	s.free = local
	c.count--
}

// adopt and disown maintain the list of a session's app sessions.
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

// number returns the number of a value, and numbers a new one. It fails when 65,536 values have numbers.
func number[T comparable](list *atomic.Pointer[[]T], v T) (uint16, bool) {
	values := *list.Load()
	if i := slices.Index(values, v); i >= 0 {
		return uint16(i), true
	}
	if len(values) > 1<<16-1 {
		return 0, false
	}
	values = append(slices.Clip(values), v)
	list.Store(&values)
	return uint16(len(values) - 1), true
}

// each calls f for the entries of a shard that are in use.
func (c *core) each(shard uint32, f func(r ref, e *entry, m *marks)) {
	s := &c.shards[shard]
	for local := uint32(1); local <= s.count; local++ {
		r := ref(shard<<localBits | local)
		if e, m := c.at(r); e.state.Load()&flagFree == 0 {
			f(r, e, m)
		}
	}
}
