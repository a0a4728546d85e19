package live

// table finds references by a hash: open addressing, one 32-bit slot each, of
// which the lower bits are the reference and the rest a tag that spares most
// looks at entries that are not meant. Deleting leaves a mark; growing, or
// getting rid of the marks, makes another table. It is for writers only.
type table struct {
	slots []uint32
	bits  uint // of a slot that are the reference
	full  int  // slots in use
	gone  int  // slots with the mark of something deleted
}

const smallestTable = 8

func newTable(bits uint, room int) *table {
	return &table{slots: make([]uint32, slotsFor(room)), bits: bits}
}

// slotsFor is how many slots a new table has. At most 7 of 8 are ever taken,
// and at first less than 4 of 5, so growing takes an eighth more and copies
// each reference about nine times in its life: bytes are dearer than copies.
func slotsFor(room int) int { return max(smallestTable, (room+1)*9/7) }

func isCrowded(taken, slots int) bool { return (taken+1)*8 > slots*7 }

// startOf is where the search for a hash begins among so many slots.
func startOf(home uint32, slots int) int { return int(uint64(home) * uint64(slots) >> 32) }

// slotOf is what names a reference by an ID.
func (t *table) slotOf(id words, ref uint32) uint32 { return id.tag()<<t.bits | ref }

func (t *table) start(home uint32) int { return startOf(home, len(t.slots)) }

func (t *table) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

// find returns the first reference under the home and tag that is the one, or
// 0.
func (t *table) find(home, tag uint32, is func(ref uint32) bool) uint32 {
	for i := t.start(home); ; i = t.next(i) {
		slot := t.slots[i]
		if slot == 0 {
			return 0
		}
		if ref := slot & (1<<t.bits - 1); slot>>t.bits == tag && ref != 0 && is(ref) {
			return ref
		}
	}
}

// crowded reports whether one more reference needs another table.
func (t *table) crowded() bool { return isCrowded(t.full+t.gone, len(t.slots)) }

// add adds a reference that is not there. It must not be crowded.
func (t *table) add(home, slot uint32) {
	for i := t.start(home); ; i = t.next(i) {
		if old := t.slots[i]; old&(1<<t.bits-1) == 0 {
			if old != 0 {
				t.gone--
			}
			t.full++
			t.slots[i] = slot
			return
		}
	}
}

// remove deletes a reference that is there.
func (t *table) remove(home, ref uint32) {
	for i := t.start(home); ; i = t.next(i) {
		if t.slots[i]&(1<<t.bits-1) == ref {
			// A slot that names nothing and is not empty: the search goes on.
			t.slots[i] = 1 << t.bits
			t.full--
			t.gone++
			return
		}
	}
}

// anew returns a table with room for one more and without marks.
func (t *table) anew(home func(ref uint32) uint32) *table {
	n := newTable(t.bits, t.full+1)
	for _, slot := range t.slots {
		if ref := slot & (1<<t.bits - 1); ref != 0 {
			n.add(home(ref), slot)
		}
	}
	return n
}
