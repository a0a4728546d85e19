package live

// table finds references by a hash, with open addressing. The lower bits of a 32-bit slot are the reference, the others
// a tag, so that a search rarely reads a wrong entry. Removing leaves a tombstone; a new table is made to grow or to
// remove tombstones. It is for writers only.
type table struct {
	slots      []uint32
	bits       uint // of a slot: how many are the reference
	full       int  // slots in use
	tombstones int  // slots of removed references
}

const smallestTable = 8

func newTable(bits uint, room int) *table {
	return &table{slots: make([]uint32, slotsFor(room)), bits: bits}
}

// slotsFor is how many slots a new table has. At most 7 of 8 slots are ever taken, and less than 4 of 5 in a new table,
// so a table grows by an eighth and copies each reference about nine times in its life. That is slower than doubling,
// but saves memory.
func slotsFor(room int) int { return max(smallestTable, (room+1)*9/7) }

func isCrowded(taken, slots int) bool { return (taken+1)*8 > slots*7 }

// startOf is the slot where the search for a hash begins.
func startOf(home uint32, slots int) int { return int(uint64(home) * uint64(slots) >> 32) }

// slotOf returns the slot for a reference with the ID.
func (t *table) slotOf(id words, ref uint32) uint32 { return id.tag()<<t.bits | ref }

func (t *table) start(home uint32) int { return startOf(home, len(t.slots)) }

func (t *table) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

// find returns the first reference with the home and tag for which is returns true, or 0.
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

// crowded reports whether the table must be rebuilt before one more reference is added.
func (t *table) crowded() bool { return isCrowded(t.full+t.tombstones, len(t.slots)) }

// add adds a reference that is not in the table, which must not be crowded.
func (t *table) add(home, slot uint32) {
	for i := t.start(home); ; i = t.next(i) {
		if old := t.slots[i]; old&(1<<t.bits-1) == 0 {
			if old != 0 {
				t.tombstones--
			}
			t.full++
			t.slots[i] = slot
			return
		}
	}
}

// remove removes a reference that is in the table.
func (t *table) remove(home, ref uint32) {
	for i := t.start(home); ; i = t.next(i) {
		if t.slots[i]&(1<<t.bits-1) == ref {
			t.slots[i] = 1 << t.bits // a tombstone
			t.full--
			t.tombstones++
			return
		}
	}
}

// rebuilt returns a table with room for one more reference and without tombstones.
func (t *table) rebuilt(home func(ref uint32) uint32) *table {
	n := newTable(t.bits, t.full+1)
	for _, slot := range t.slots {
		if ref := slot & (1<<t.bits - 1); ref != 0 {
			n.add(home(ref), slot)
		}
	}
	return n
}
