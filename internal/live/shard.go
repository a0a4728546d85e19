package live

import (
	"slices"
	"sync/atomic"
)

// shard is the entries whose tokens begin with the same byte. There are shards so that growing copies only a small
// table.
type shard struct {
	view       atomic.Pointer[view]
	count      uint32   // entries allocated; numbers begin at 1
	free       uint32   // the first free entry
	full       int      // slots in use
	tombstones int      // slots of removed entries
	_          [32]byte // so that loading two shards does not write to one cache line
}

// view is what a check reads of a shard. It is replaced when it grows; its slots are changed in place. An entry never
// moves to another slot of a view, so that a concurrent search cannot miss it.
type view struct {
	slots   []uint64
	entries []*[pageLen]entry
	marks   []*marks
}

// A slot is the entry's number in the shard, its cohort, and a tag. The cohort is only a hint: with it, a check can
// read the cohort from memory without waiting for the entry.
const (
	slotTag          = localBits + cohortBits
	tombstone uint64 = 1 << localBits
	hintMask  uint64 = 1<<cohortBits - 1
	tagBits          = 64 - slotTag
	tagInKey         = 4 // bits of the tag that are also in the entry
)

func slotOf(local, hint, tag uint32) uint64 {
	return uint64(tag)<<slotTag | uint64(hint)<<localBits | uint64(local)
}

// marks are bits for the entries of a page, so that marked ones are found quickly among many.
type marks struct {
	dirty bitmap // has unsaved activity
	due   bitmap // has unsaved activity that the next save must include
	used  bitmap // since eviction last looked at it
	late  bitmap // see flagLate
}

func (m *marks) clean(i uint32) {
	m.due.clear(i)
	m.dirty.clear(i)
}

type bitmap [pageLen / 64]atomic.Uint64

func (b *bitmap) set(i uint32)      { b[i/64].Or(1 << (i % 64)) }
func (b *bitmap) clear(i uint32)    { b[i/64].And(^uint64(1 << (i % 64))) }
func (b *bitmap) has(i uint32) bool { return b[i/64].Load()&(1<<(i%64)) != 0 }

// grow allocates a new entry.
func (s *shard) grow() {
	s.count++
	if v := s.view.Load(); int(s.count/pageLen) >= len(v.entries) {
		page := new([pageLen]entry)
		page[0].owner.Store(0) // before anything is read, see fill
		s.view.Store(&view{v.slots, append(slices.Clip(v.entries), page), append(slices.Clip(v.marks), new(marks))})
	}
}

// put adds a slot, by which an entry is found from its token.
func (s *shard) put(home uint32, slot uint64) {
	v := s.view.Load()
	if isCrowded(s.full+s.tombstones, len(v.slots)) {
		v = s.rebuilt(v)
		s.view.Store(v)
	}
	for i := startOf(home, len(v.slots)); ; i++ {
		if i == len(v.slots) {
			i = 0
		}
		if old := v.slots[i]; old&localMask == 0 {
			if old != 0 {
				s.tombstones--
			}
			s.full++
			atomic.StoreUint64(&v.slots[i], slot)
			return
		}
	}
}

// rebuilt returns a view with room for one more slot and without tombstones.
func (s *shard) rebuilt(v *view) *view {
	n := &view{make([]uint64, slotsFor(s.full+1)), v.entries, v.marks}
	for _, slot := range v.slots {
		local := slot & localMask
		if local == 0 {
			continue
		}
		i := startOf(homeOf(v.entries[local/pageLen][local%pageLen].key0.Load()), len(n.slots))
		for n.slots[i] != 0 {
			if i++; i == len(n.slots) {
				i = 0
			}
		}
		n.slots[i] = slot
	}
	s.tombstones = 0
	return n
}

// remove undoes put.
func (s *shard) remove(home, local uint32) {
	v := s.view.Load()
	for i := startOf(home, len(v.slots)); ; i++ {
		if i == len(v.slots) {
			i = 0
		}
		if uint32(v.slots[i]&localMask) == local {
			atomic.StoreUint64(&v.slots[i], tombstone)
			s.full--
			s.tombstones++
			return
		}
	}
}
