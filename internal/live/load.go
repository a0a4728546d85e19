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
)

// Load fills an empty index with what Save wrote. accept is asked first
// whether the moment is one that the caller can go on from: it must then Apply
// all events since. Whatever is wrong with the file, the error wraps ErrFile
// and the index stays empty.
//
// The parts are read to where they stay, by as many at once as there are
// processors. Nothing is hashed anew: the tables that find entries are in the
// file. What is looked at, once for each entry, is whether it fits.
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
	for account := range *x.doubts.Load() {
		if n := c.current(wordsOf(account.Raw())); n != 0 {
			c.cohort(n).flag(cohortDoubted, 0)
		}
	}
	x.core.Store(c)
	return nil
}

var errInconsistent = errors.New("its parts do not fit together")

// read reads a part into a slab and compares its checksum.
func (p filePart) read(r io.ReaderAt, into []byte, what string) error {
	if _, err := r.ReadAt(into, p.At); err != nil {
		return fmt.Errorf("its %s cannot be read: %w", what, err)
	}
	if crc32.Checksum(into, castagnoli) != p.Sum {
		return fmt.Errorf("its %s are damaged", what)
	}
	return nil
}

// loader is what is found out about the entries on the way.
type loader struct {
	c    *core
	mu   sync.Mutex
	apps []ref
	roll []uint32 // how many sessions are in each cohort
}

func (c *core) load(r io.ReaderAt, d *directory) error {
	list := make([]limits, len(d.Limits))
	for i, l := range d.Limits {
		list[i] = limits{l.Kind, l.Idle, l.Absolute}
	}
	c.limits.Store(&list)
	c.clients.Store(&d.Clients)
	slabs := c.makeRoomFor(d)
	l := &loader{c: c, roll: make([]uint32, d.Count+1)}
	var cohorts []*[cohortPage]cohort
	tasks := []func(roll []uint32) error{}
	for _, p := range d.Cohorts {
		slab := make([]cohort, p.Len/cohortPageSize*cohortPage)
		for i := 0; i < len(slab); i += cohortPage {
			cohorts = append(cohorts, (*[cohortPage]cohort)(slab[i:]))
		}
		tasks = append(tasks, func([]uint32) error { return p.read(r, bytesOf(slab), "accounts") })
	}
	c.cohorts.Store(&cohorts)
	c.cohortCount = d.Count
	for i := range uint32(shardCount) {
		tasks = append(tasks, func(roll []uint32) error { return l.shard(r, i, &d.Shards[i], slabs[i], roll) })
		tasks = append(tasks, func([]uint32) error { return c.loadIDs(r, i, d.IDs[i]) })
	}
	if err := l.all(tasks); err != nil {
		return err
	}
	return l.join(d)
}

// makeRoomFor gives the shards memory, all of it in two pieces, and returns what
// of it is each one's for entries.
func (c *core) makeRoomFor(d *directory) (slabs [][]entry) {
	pages := 0
	for _, s := range d.Shards {
		pages += int(s.Entries.Len / pageSize)
	}
	entries, bits := make([]entry, pages*pageLen), make([]marks, pages)
	hint(bytesOf(entries))
	for i := range c.shards {
		s, n := &c.shards[i], int(d.Shards[i].Entries.Len/pageSize)
		v := &view{slots: make([]uint64, d.Shards[i].Slots.Len/8)}
		for p := range n {
			v.entries = append(v.entries, (*[pageLen]entry)(entries[p*pageLen:]))
			v.marks = append(v.marks, &bits[p])
		}
		slabs = append(slabs, entries[:n*pageLen])
		entries, bits = entries[n*pageLen:], bits[n:]
		s.count = d.Shards[i].Count
		s.view.Store(v)
	}
	return slabs
}

// all does the tasks, each with its worker's own roll, and adds those up.
func (l *loader) all(tasks []func(roll []uint32) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			roll := make([]uint32, len(l.roll))
			for errs[w] == nil {
				n := int(next.Add(1)) - 1
				if n >= len(tasks) {
					break
				}
				errs[w] = tasks[n](roll)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			for i, n := range roll {
				l.roll[i] += n
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// shard reads a shard and looks at every entry of it: what it refers to must be
// possible.
func (l *loader) shard(r io.ReaderAt, i uint32, f *fileShard, slab []entry, roll []uint32) error {
	c, s := l.c, &l.c.shards[i]
	v := s.view.Load()
	if err := f.Entries.read(r, bytesOf(slab), "sessions"); err != nil {
		return err
	}
	if err := f.Slots.read(r, bytesOf(v.slots), "tokens"); err != nil {
		return err
	}
	var apps, ended []ref
	used := 0
	limits, clients := len(*c.limits.Load()), len(*c.clients.Load())
	for local := s.count; local > 0; local-- {
		e := &slab[local]
		state := e.state.Load()
		switch {
		case state&flagFree != 0:
			e.key0.Store(uint64(s.free))
			s.free = local
			continue
		case state&flagApp != 0:
			if int(e.number()) >= clients {
				return errInconsistent
			}
			apps = append(apps, ref(i<<localBits|local))
		default:
			n := uint32(e.place.Load())
			if int(e.number()) >= limits || n == 0 || int(n) >= len(roll) {
				return errInconsistent
			}
			roll[n]++
			e.state.Store(state | flagUnsure)
		}
		used++
		if state&flagEnded != 0 {
			ended = append(ended, ref(i<<localBits|local))
		}
		if state&flagLate != 0 {
			v.marks[local/pageLen].late.set(local % pageLen)
		}
	}
	for _, slot := range v.slots {
		switch local := uint32(slot & localMask); {
		case local > s.count:
			return errInconsistent
		case local != 0:
			s.full++
		case slot != 0:
			s.gone++
		}
	}
	if s.full != used || s.full+s.gone >= len(v.slots) {
		return errInconsistent
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apps, c.ended, c.count = append(l.apps, apps...), append(c.ended, ended...), c.count+used
	return nil
}

func (c *core) loadIDs(r io.ReaderAt, i uint32, p filePart) error {
	t := &table{slots: make([]uint32, p.Len/4), bits: c.ids[i].bits}
	if err := p.read(r, bytesOf(t.slots), "IDs"); err != nil {
		return err
	}
	for _, slot := range t.slots {
		local := ref(slot & (1<<t.bits - 1))
		switch {
		case local != 0:
			if n := local & localMask; n == 0 || uint32(n) > c.shards[local>>localBits].count {
				return errInconsistent
			}
			t.full++
		case slot != 0:
			t.gone++
		}
	}
	if t.full+t.gone >= len(t.slots) {
		return errInconsistent
	}
	c.ids[i] = t
	return nil
}

// join makes one table of the parts, and leaves out what came in or changed
// while they were being written and is not whole.
func (l *loader) join(d *directory) error {
	c := l.c
	for _, r := range d.Added {
		if e := l.there(r); e != nil {
			if _, named := c.byID(e.id()); named == nil {
				c.nameID(r, e.id())
			}
		}
	}
	for _, r := range d.Moved {
		if e := l.there(r); e != nil && e.state.Load()&flagApp == 0 {
			if n := uint32(e.place.Load()); l.roll[n] > 0 {
				l.roll[n]--
			}
			c.vacate(r)
		}
	}
	if err := l.cohorts(); err != nil {
		return err
	}
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

// cohorts counts the members of each, names the current ones and frees those
// that nobody is in.
func (l *loader) cohorts() error {
	c := l.c
	for i := range c.accounts {
		c.accounts[i] = newTable(cohortBits, int(c.cohortCount)/shardCount+int(c.cohortCount)/shardCount/16)
	}
	for n := c.cohortCount; n > 0; n-- {
		co, members := c.cohort(n), l.roll[n]
		mark := co.mark.Load()
		switch {
		case mark&cohortFree != 0 && members > 0:
			return errInconsistent
		case members == 0:
			c.release(n)
			continue
		case mark&cohortDoubted != 0: // what became of it is in the log by now
			co.flag(0, cohortDoubted)
		}
		co.birth.Store(co.birth.Load()&^lowHalf | uint64(members))
		if mark&(cohortEnded|cohortPassed) == 0 {
			c.nameOneOf(n, co)
		}
		if co.mark.Load()&(cohortEnded|cohortPassed) != 0 {
			c.stale += int(members)
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
			co.flag(cohortPassed, 0)
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
