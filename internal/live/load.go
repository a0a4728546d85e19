package live

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Load fills an empty index with what Save wrote. accept is asked first
// whether the moment is one that the caller can go on from: it must then Replay
// all events since. Whatever is wrong with the file, the error wraps ErrFile
// and the index stays empty.
//
// The parts are read to where they stay, by as many at once as there are
// processors. Nothing is hashed or counted anew: what finds entries and cohorts
// is in the file. What is looked at, once for each word that refers to
// something, is whether that can be.
func (x *Index) Load(r io.ReaderAt, size int64, accept func(Mark) error) error {
	d, err := readDirectory(r, size)
	if err == nil {
		err = accept(d.Mark)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	c := newCore(x.Epoch())
	if err := c.load(r, &d); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.core.Load().count > 0 || x.applied != x.base || c.epoch != x.core.Load().epoch {
		return fmt.Errorf("%w: there are sessions in memory already", ErrFile)
	}
	x.base, x.applied = d.Seq, d.Seq
	for account := range *x.inDoubt.Load() {
		if n := c.current(wordsOf(account.Raw())); n != 0 {
			c.cohort(n).flag(cohortInDoubt, 0)
		}
	}
	x.core.Store(c)
	return nil
}

var errInconsistent = errors.New("its parts do not fit together")

// pieceSize is how much of a part is read before it is looked at: little enough
// to be still in the processor's cache, and a whole number of anything.
const pieceSize = 20 * pageSize

// readPart reads a part to where it stays. look is shown one piece after the
// other, with the number of its first element, and says whether it can be true.
// It is shown what may be damaged. It is nil for what need not be looked at.
func readPart[T entry | cohort | uint64 | uint32](r io.ReaderAt, p filePart, into []T, what string, look func(first int, piece []T) bool) error {
	step := int(pieceSize / int64(unsafe.Sizeof(*new(T))))
	sum, at, fits := uint32(0), p.At, true
	for first := 0; first < len(into); first += step {
		piece := into[first:min(first+step, len(into))]
		b := bytesOf(piece)
		if _, err := r.ReadAt(b, at); err != nil {
			return fmt.Errorf("its %s cannot be read: %w", what, err)
		}
		at += int64(len(b))
		sum = crc32.Update(sum, castagnoli, b)
		fits = (look == nil || look(first, piece)) && fits
	}
	if sum != p.Sum {
		return fmt.Errorf("its %s are damaged", what)
	}
	if !fits {
		return errInconsistent
	}
	return nil
}

// loader reads the parts, and its workers' tallies come together in it.
type loader struct {
	c       *core
	r       io.ReaderAt
	d       *directory
	changed []uint64 // a bit for each cohort that changed during the save; empty if none did
	tally
}

// tally is what is found out on the way.
type tally struct {
	apps, ended []ref
	roll        map[uint32]uint32 // how many sessions are in each of the cohorts that changed
	free        []uint32          // cohorts

	// Of the cohorts that did not change: how many sessions are in them, and
	// how many there should be; how many are current, and how many are named.
	sessions, members, current, named int

	stale int // sessions in those that have ended or were passed
}

func (t *tally) add(o *tally) {
	t.apps, t.ended, t.free = append(t.apps, o.apps...), append(t.ended, o.ended...), append(t.free, o.free...)
	for n, sessions := range o.roll {
		t.roll[n] += sessions
	}
	t.sessions, t.members, t.current, t.named, t.stale = t.sessions+o.sessions, t.members+o.members, t.current+o.current, t.named+o.named, t.stale+o.stale
}

func (c *core) load(r io.ReaderAt, d *directory) error {
	list := make([]limits, len(d.Limits))
	for i, l := range d.Limits {
		list[i] = limits{l.Kind, l.Idle, l.Absolute}
	}
	c.limits.Store(&list)
	c.clients.Store(&d.Clients)
	l := &loader{c: c, r: r, d: d, tally: tally{roll: map[uint32]uint32{}}}
	if len(d.Changed) > 0 {
		l.changed = make([]uint64, d.Count/64+1)
		for _, n := range d.Changed {
			l.changed[n/64] |= 1 << (n % 64)
		}
	}
	var tasks []func(*tally) error
	shards, cohorts := l.makeRoom()
	for i := range uint32(shardCount) {
		tasks = append(tasks, func(t *tally) error { return l.shard(i, shards[i], t) })
	}
	for i := range d.Cohorts {
		tasks = append(tasks, func(t *tally) error { return l.cohorts(i, cohorts[i], t) })
	}
	for i := range shardCount {
		tasks = append(tasks, func(*tally) error { return l.table(c.ids[i], d.IDs[i], "IDs") }, func(t *tally) error { return l.accounts(i, t) })
	}
	if err := l.all(tasks); err != nil {
		return err
	}
	return l.join()
}

// makeRoom gives the parts memory, all of one sort in one piece, so that it can
// be in large pages. A piece of tables is given back when the last of them has
// grown, and they grow at about the same time. It returns what of it is each shard's for entries and each
// part's of the cohorts.
func (l *loader) makeRoom() (shards [][]entry, cohorts [][]cohort) {
	c, d := l.c, l.d
	tableLen := func(t fileTable) int64 { return t.Len }
	entries := slabFor[entry](d.Shards, func(s fileShard) int64 { return s.Entries.Len })
	slots := slabFor[uint64](d.Shards, func(s fileShard) int64 { return s.Slots.Len })
	ids, accounts := slabFor[uint32](d.IDs, tableLen), slabFor[uint32](d.Accounts, tableLen)
	bits := make([]marks, len(entries)/pageLen)
	for i, f := range d.Shards {
		s, n := &c.shards[i], int(f.Entries.Len/pageSize)
		mine := cut(&entries, f.Entries)
		v := &view{slots: cut(&slots, f.Slots), entries: make([]*[pageLen]entry, n), marks: make([]*marks, n)}
		for p := range n {
			v.entries[p], v.marks[p] = (*[pageLen]entry)(mine[p*pageLen:]), &bits[p]
		}
		bits = bits[n:]
		shards = append(shards, mine)
		s.count = f.Count
		s.view.Store(v)
		c.ids[i].slots, c.accounts[i].slots = cut(&ids, d.IDs[i].filePart), cut(&accounts, d.Accounts[i].filePart)
	}
	slab := slabFor[cohort](d.Cohorts, func(p filePart) int64 { return p.Len })
	pages := make([]*[cohortPage]cohort, len(slab)/cohortPage)
	for p := range pages {
		pages[p] = (*[cohortPage]cohort)(slab[p*cohortPage:])
	}
	for _, p := range d.Cohorts {
		cohorts = append(cohorts, cut(&slab, p))
	}
	c.cohorts.Store(&pages)
	c.cohortCount = d.Count
	return shards, cohorts
}

// slabFor makes memory for parts.
func slabFor[T entry | cohort | uint64 | uint32, P any](parts []P, length func(P) int64) []T {
	n := int64(0)
	for _, p := range parts {
		n += length(p)
	}
	return make([]T, n/int64(unsafe.Sizeof(*new(T))))
}

// cut takes a part's piece from the front of a slab.
func cut[T any](slab *[]T, p filePart) []T {
	n := p.Len / int64(unsafe.Sizeof(*new(T)))
	mine := (*slab)[:n:n]
	*slab = (*slab)[n:]
	return mine
}

// tasksAtOnce is how many neighbours one worker takes. Their memory is side by
// side: two workers that come to the same large page at the same time would both
// make it.
const tasksAtOnce = 8

// all does the tasks, each with its worker's own tally, and adds those up.
func (l *loader) all(tasks []func(*tally) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	errs, tallies := make([]error, workers), make([]tally, workers)
	for w := range workers {
		wg.Go(func() {
			t := tally{roll: map[uint32]uint32{}}
			for {
				last := int(next.Add(tasksAtOnce))
				for n := last - tasksAtOnce; n < min(last, len(tasks)) && errs[w] == nil; n++ {
					errs[w] = tasks[n](&t)
				}
				if last >= len(tasks) || errs[w] != nil {
					break
				}
			}
			tallies[w] = t
		})
	}
	wg.Wait()
	for w := range tallies {
		l.add(&tallies[w])
	}
	return errors.Join(errs...)
}

func (l *loader) hasChanged(n uint32) bool {
	return len(l.changed) > 0 && l.changed[n/64]>>(n%64)&1 != 0
}

// shard reads a shard and looks at every entry of it.
func (l *loader) shard(i uint32, slab []entry, t *tally) error {
	f, s := &l.d.Shards[i], &l.c.shards[i]
	used := 0
	err := readPart(l.r, f.Entries, slab, "sessions", func(first int, piece []entry) bool {
		piece = piece[:min(len(piece), max(int(s.count)+1-first, 0))]
		n, fits := l.entries(i, uint32(first), piece, t)
		used += n
		return fits
	})
	if err != nil {
		return err
	}
	v, count := s.view.Load(), uint64(s.count)
	err = readPart(l.r, f.Slots, v.slots, "tokens", func(_ int, piece []uint64) bool {
		full, taken, beyond := uint64(0), uint64(0), uint64(0)
		for _, slot := range piece {
			local := slot & localMask
			beyond |= count - local
			full += isSet(local)
			taken += isSet(slot)
		}
		s.full += int(full)
		s.gone += int(taken - full)
		return beyond>>63 == 0
	})
	if err == nil && (s.full != used || s.full+s.gone >= len(v.slots)) {
		err = errInconsistent
	}
	return err
}

// isSet is 1 of a number that is not 0. The processor could not foresee a
// branch.
func isSet(n uint64) uint64 { return (n | -n) >> 63 }

// entries looks at some entries of a shard: what they refer to must be possible.
// It returns how many of them are in use.
func (l *loader) entries(shard, first uint32, piece []entry, t *tally) (used int, fits bool) {
	kinds, cohorts, same := len(*l.c.limits.Load()), l.d.Count, len(l.changed) == 0
	usual := 0
	fits = true
	for i := range piece {
		e := &piece[i]
		state, place := e.state.Load(), uint32(e.place.Load())
		if same && state&unusual == flagUnsure && int(e.number()) < kinds && place-1 < cohorts {
			usual++
			continue
		}
		r := ref(shard<<localBits | first + uint32(i))
		switch {
		case r&localMask == 0:
		case state&flagFree != 0:
			s := &l.c.shards[shard]
			e.key0.Store(uint64(s.free))
			s.free = uint32(r & localMask)
		default:
			used++
			fits = l.entry(r, e, t) && fits
		}
	}
	t.sessions += usual
	return used + usual, fits
}

// unusual are the flags that a session in use has not, but for flagUnsure.
const unusual = flagFree | flagApp | flagEnded | flagLate | flagUnsure

func (l *loader) entry(r ref, e *entry, t *tally) (fits bool) {
	state, place := e.state.Load(), uint32(e.place.Load())
	if state&flagEnded != 0 {
		t.ended = append(t.ended, r)
	}
	if state&flagLate != 0 {
		_, m := l.c.at(r)
		m.late.set(uint32(r&localMask) % pageLen)
	}
	if state&flagApp != 0 {
		t.apps = append(t.apps, r)
		return int(e.number()) < len(*l.c.clients.Load())
	}
	if state&flagUnsure == 0 || int(e.number()) >= len(*l.c.limits.Load()) || place-1 >= l.d.Count {
		return false
	}
	if l.hasChanged(place) {
		t.roll[place]++
	} else {
		t.sessions++
	}
	return true
}

// accounts reads what finds current cohorts by their accounts. Those that have
// changed are named again by join.
func (l *loader) accounts(i int, t *tally) error {
	table := l.c.accounts[i]
	err := l.table(table, l.d.Accounts[i], "accounts")
	for i := 0; i < len(table.slots) && len(l.changed) > 0; i++ {
		if n := table.slots[i] & (1<<cohortBits - 1); n != 0 && n <= l.d.Count && l.hasChanged(n) {
			table.slots[i] = 1 << cohortBits // as table.remove does
			table.full--
			table.gone++
		}
	}
	t.named += table.full
	return err
}

// table reads a table. What is in it is not looked at: whoever asks it looks
// whether what it refers to is what was meant.
func (l *loader) table(t *table, f fileTable, what string) error {
	t.full, t.gone = f.Full, f.Gone
	return readPart(l.r, f.filePart, t.slots, what, nil)
}

// cohorts reads some of the cohorts, and looks at those that have not changed.
func (l *loader) cohorts(part int, slab []cohort, t *tally) error {
	before := int64(0)
	for _, p := range l.d.Cohorts[:part] {
		before += p.Len
	}
	before /= int64(unsafe.Sizeof(cohort{}))
	return readPart(l.r, l.d.Cohorts[part], slab, "accounts", func(first int, piece []cohort) bool {
		fits, all, current := true, 0, 0
		for i := range piece {
			n := before + int64(first+i)
			if n == 0 || n > int64(l.d.Count) || l.hasChanged(uint32(n)) {
				continue
			}
			co := &piece[i]
			mark, members := co.mark.Load(), int(co.birth.Load()&lowHalf)
			if mark&cohortFree != 0 {
				t.free = append(t.free, uint32(n))
				continue
			}
			fits = fits && members > 0
			all += members
			if mark&(cohortInDoubt|cohortEnded|cohortPassed) == 0 {
				current++
				continue
			}
			l.standing(co, mark, members, t)
		}
		t.members += all
		t.current += current
		return fits
	})
}

// standing counts a cohort as current or its sessions as stale.
func (l *loader) standing(co *cohort, mark uint64, members int, t *tally) (current bool) {
	if mark&cohortInDoubt != 0 { // what became of it is in the log by now
		co.flag(0, cohortInDoubt)
	}
	if mark&(cohortEnded|cohortPassed) != 0 {
		t.stale += members
		return false
	}
	t.current++
	return true
}

// join makes one table of the parts, and leaves out what came in or changed
// while they were being written and is not whole.
func (l *loader) join() error {
	c := l.c
	if l.sessions != l.members || l.current != l.named {
		return errInconsistent
	}
	for i := range c.shards {
		c.count += c.shards[i].full
	}
	c.ended = l.ended
	for _, r := range l.d.Added {
		if e := l.there(r); e != nil {
			if _, named := c.byID(e.id()); named == nil {
				c.nameID(r, e.id())
			}
		}
	}
	for _, r := range l.d.Moved {
		if e := l.there(r); e != nil && e.state.Load()&flagApp == 0 {
			if n := uint32(e.place.Load()); l.roll[n] > 0 {
				l.roll[n]--
			}
			c.vacate(r)
		}
	}
	if err := l.renew(); err != nil {
		return err
	}
	slices.SortFunc(l.free, func(a, b uint32) int { return int(b) - int(a) }) // so that the order does not depend on who read first
	for _, n := range l.free {
		c.release(n)
	}
	c.stale += l.stale
	l.families()
	return nil
}

// there returns an entry that is in the file.
func (l *loader) there(r ref) *entry {
	if shard := r >> localBits; shard >= shardCount || r&localMask == 0 || uint32(r&localMask) > l.c.shards[shard].count {
		return nil
	}
	if e := l.c.entry(r); e.state.Load()&flagFree == 0 {
		return e
	}
	return nil
}

// renew counts the members of the cohorts that changed, names the current ones
// and frees those that nobody is in.
func (l *loader) renew() error {
	for _, n := range l.d.Changed {
		co, members := l.c.cohort(n), l.roll[n]
		mark := co.mark.Load()
		switch {
		case members == 0:
			l.free = append(l.free, n)
			continue
		case mark&cohortFree != 0:
			return errInconsistent
		}
		co.birth.Store(co.birth.Load()&^lowHalf | uint64(members))
		if l.standing(co, mark, int(members), &l.tally) {
			l.c.nameOneOf(n, co)
		}
	}
	return nil
}

// nameOneOf names a cohort, unless its account has another: of two, the file
// was written while one took the other's place. Which sessions went along only
// the store can tell.
func (c *core) nameOneOf(n uint32, co *cohort) {
	if other := c.current(co.account()); other != 0 {
		if c.cohort(other).generation() >= co.generation() {
			c.finish(n, cohortPassed)
			return
		}
		c.endCohort(other, cohortPassed)
	}
	c.nameCohort(n, co.account())
}

// families puts app sessions to their sessions, and leaves out those whose
// session is not there.
func (l *loader) families() {
	slices.Sort(l.apps) // so that the order does not depend on who read first
	for _, r := range l.apps {
		parent := ref(l.c.entry(r).place.Load())
		if p := l.there(parent); p != nil && p.state.Load()&flagApp == 0 {
			l.c.adopt(parent, r)
			continue
		}
		l.c.vacate(r)
	}
}
