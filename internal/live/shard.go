package live

import (
	"slices"
	"sync/atomic"
)

// shard is the entries whose tokens begin with the same byte. It exists so
// that growing copies a small table, not a large one.
type shard struct {
	view  atomic.Pointer[view]
	count uint32   // entries ever made; numbers begin at 1
	free  uint32   // the first of the free ones
	full  int      // slots in use
	gone  int      // slots with the mark of something deleted
	_     [32]byte // so that those who fill neighbours do not write to the same cache line
}

// view is what a check reads of a shard. It is replaced when it grows; its
// slots are changed in place. A reference never moves within them, so that
// whoever reads along cannot miss it.
type view struct {
	slots   []uint64
	entries []*[pageLen]entry
	marks   []*marks
}

// A slot is the entry's number in the shard, its cohort, and a tag. The cohort
// is only a hint: with it, a check need not wait for the entry before it asks
// memory for the cohort.
const (
	slotTag         = localBits + cohortBits
	goneSlot uint64 = 1 << localBits
	hintMask uint64 = 1<<cohortBits - 1
	tagBits         = 64 - slotTag
	tagInKey        = 4 // bits of the tag that stand in the entry too
)

func slotOf(local, hint, tag uint32) uint64 {
	return uint64(tag)<<slotTag | uint64(hint)<<localBits | uint64(local)
}

// marks are a bit for each entry of a page for what is searched for among many.
type marks struct {
	dirty bitmap // activity that the store does not know
	due   bitmap // and that it is to be told of without delay
	used  bitmap // since eviction last came by
	late  bitmap
}

// clean says that the store knows the activity of an entry.
func (m *marks) clean(i uint32) {
	m.due.clear(i)
	m.dirty.clear(i)
}

type bitmap [pageLen / 64]atomic.Uint64

func (b *bitmap) set(i uint32)      { b[i/64].Or(1 << (i % 64)) }
func (b *bitmap) clear(i uint32)    { b[i/64].And(^uint64(1 << (i % 64))) }
func (b *bitmap) has(i uint32) bool { return b[i/64].Load()&(1<<(i%64)) != 0 }

// grow makes a new entry.
func (s *shard) grow() {
	s.count++
	if v := s.view.Load(); int(s.count/pageLen) >= len(v.entries) {
		page := new([pageLen]entry)
		page[0].place.Store(0) // before anything is read, see fill
		s.view.Store(&view{v.slots, append(slices.Clip(v.entries), page), append(slices.Clip(v.marks), new(marks))})
	}
}

// put lets an entry be found by its token.
func (s *shard) put(home uint32, slot uint64) {
	v := s.view.Load()
	if isCrowded(s.full+s.gone, len(v.slots)) {
		v = s.rebuilt(v)
		s.view.Store(v)
	}
	for i := startOf(home, len(v.slots)); ; i++ {
		if i == len(v.slots) {
			i = 0
		}
		if old := v.slots[i]; old&localMask == 0 {
			if old != 0 {
				s.gone--
			}
			s.full++
			atomic.StoreUint64(&v.slots[i], slot)
			return
		}
	}
}

// rebuilt is the view with room for one more and without marks.
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
	s.gone = 0
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
			// It names nothing and is not empty: searches go on behind it.
			atomic.StoreUint64(&v.slots[i], goneSlot)
			s.full--
			s.gone++
			return
		}
	}
}
