package live

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Load fills an empty index with what Save wrote, if accept returns no error for the file's mark. The caller must then
// Replay all events since the mark. When Load fails, the error wraps ErrFile and the index stays empty.
func (x *Index) Load(r io.ReaderAt, size int64, accept func(Mark) error) error {
	l := &loader{c: newCore(x.Epoch()), r: r, workers: make([]worker, min(runtime.GOMAXPROCS(0), 8))}
	if err := l.load(size, accept); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.core.Load().count > 0 || x.applied != x.base || l.c.epoch != x.core.Load().epoch {
		return fmt.Errorf("%w: there are sessions in memory already", ErrFile)
	}
	x.base, x.applied = l.about.Seq, l.about.Seq
	for account := range *x.inDoubt.Load() {
		if n := l.c.current(wordsOf(account.Raw())); n != 0 {
			l.c.cohort(n).flag(cohortInDoubt, 0)
		}
	}
	x.core.Store(l.c)
	return nil
}

// loader puts records into a new table. Several workers read a part at a time, and then each build the tables of IDs
// and accounts of one segment at a time, from what all parts had for it.
type loader struct {
	c       *core
	r       io.ReaderAt
	parts   []part
	about   contents
	workers []worker
}

// worker is what one worker has read so far.
type worker struct {
	buffer       []byte
	members      [][]uint32 // by part of cohorts: for each session, its cohort's number
	ids          [shardCount][]idName
	accounts     [shardCount][]accountName
	apps         []record
	count, stale int
	free         []uint32      // cohorts
	segment      []accountName // the accounts of the segment at hand
}

// idName and accountName are entries to come of the tables of IDs and accounts.
type (
	idName      struct{ home, slot uint32 }
	accountName struct {
		account words
		cohort  uint32
	}
)

func (l *loader) load(size int64, accept func(Mark) error) (err error) {
	head := make([]byte, fileHead)
	if size < int64(fileHead) {
		return errCut
	}
	if _, err := l.r.ReadAt(head, 0); err != nil {
		return err
	}
	if string(head[:len(fileMagic)]) != fileMagic {
		return errors.New("it is not a snapshot file")
	}
	if v := binary.LittleEndian.Uint32(head[len(fileMagic):]); v != fileVersion {
		return fmt.Errorf("it has version %d; this program reads only version %d", v, fileVersion)
	}
	if l.parts, err = partsOf(l.r, size); err != nil {
		return err
	}
	text, err := l.read(&worker{}, len(l.parts)-1)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &l.about); err != nil {
		return err
	}
	if err := l.prepare(); err != nil {
		return err
	}
	if err := accept(l.about.Mark); err != nil {
		return err
	}
	// An entry counts as a member of its cohort, so cohorts come after all entries.
	if err := l.each(shardCount, l.shard); err != nil {
		return err
	}
	if err := l.each(len(l.parts)-shardCount-1, l.cohorts); err != nil {
		return err
	}
	if err := l.each(shardCount, l.tables); err != nil {
		return err
	}
	return l.join()
}

// prepare checks the lengths of all parts, so that a wrong number cannot make it allocate much memory.
func (l *loader) prepare() error {
	n := int64(l.about.Cohorts)
	fits := len(l.about.Limits) <= 1<<16 && len(l.about.Clients) <= 1<<16 && n < 1<<cohortBits
	records := int64(0)
	for _, p := range l.parts[:shardCount] {
		records += p.length / recordLen
		fits = fits && p.length%recordLen == 0 && p.length/recordLen <= localMask
	}
	left := n
	for _, p := range l.parts[shardCount : len(l.parts)-1] {
		fits = fits && left > 0 && p.length == cohortLen*min(left, cohortsInPart)
		left -= cohortsInPart
	}
	if !fits || left > 0 {
		return errInconsistent
	}
	l.c.limits.Store(&l.about.Limits)
	l.c.clients.Store(&l.about.Clients)
	l.c.dropped = slices.Contains(l.about.Clients, noClient)
	pages := make([]*[cohortPage]cohort, n/cohortPage+1)
	for i := range pages {
		pages[i] = new([cohortPage]cohort)
		pages[i][0].mark.Store(0) // before anything is read, see fill
	}
	l.c.cohorts.Store(&pages)
	l.c.cohortCount = l.about.Cohorts
	many := int64(len(l.workers))
	for i := range l.workers {
		w := &l.workers[i]
		w.members = make([][]uint32, n/cohortsInPart+1)
		for p := range w.members {
			w.members[p] = make([]uint32, 0, records*5/4/many/int64(len(w.members)))
		}
		for s := range w.ids {
			w.ids[s] = make([]idName, 0, records*5/4/many/shardCount)
			w.accounts[s] = make([]accountName, 0, n*5/4/many/shardCount)
		}
	}
	return nil
}

// each divides tasks among the workers.
func (l *loader) each(tasks int, do func(*worker, int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, len(l.workers))
	for i := range l.workers {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < tasks && errs[i] == nil; n = int(next.Add(1)) - 1 {
				errs[i] = do(&l.workers[i], n)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// read returns a part's contents, which are valid until the worker reads another.
func (l *loader) read(w *worker, n int) ([]byte, error) {
	p := l.parts[n]
	w.buffer = slices.Grow(w.buffer[:0], int(p.length))[:p.length]
	if _, err := l.r.ReadAt(w.buffer, p.at); err != nil && err != io.EOF {
		return nil, err
	}
	if crc32.Checksum(w.buffer, castagnoli) != p.sum {
		return nil, errCut
	}
	return w.buffer, nil
}

func (l *loader) shard(w *worker, shard int) error {
	b, err := l.read(w, shard)
	if err != nil {
		return err
	}
	c := l.c
	slots := make([]uint64, slotsFor(len(b)/recordLen))
	clear(slots)
	c.shards[shard].view.Store(&view{slots: slots})
	var r record
	for b := range slices.Chunk(b, recordLen) {
		r.read(b)
		k, cohort := keyFrom(r.hash), r.owner.a
		if k.shard != uint32(shard) || r.flags&^(recordApp|recordLate) != 0 {
			return errInconsistent
		}
		if r.flags&recordApp != 0 {
			w.apps = append(w.apps, r)
			continue
		}
		if int(r.number) >= len(l.about.Limits) || cohort == 0 || cohort > uint64(l.about.Cohorts) {
			return errInconsistent
		}
		kind := flagUnsure
		if r.flags&recordLate != 0 {
			kind |= flagLate
		}
		entry := c.fill(&k, r.id, r.number, r.seen, r.issued, kind, uint32(cohort), uint32(cohort))
		if r.flags&recordLate != 0 {
			_, m := c.at(entry)
			m.late.set(uint32(entry&localMask) % pageLen)
		}
		w.ids[r.id.segment()] = append(w.ids[r.id.segment()], idName{r.id.home(), c.ids[0].slotOf(r.id, uint32(entry))})
		w.members[(cohort-1)/cohortsInPart] = append(w.members[(cohort-1)/cohortsInPart], uint32(cohort))
		w.count++
	}
	return nil
}

func (l *loader) cohorts(w *worker, part int) error {
	b, err := l.read(w, shardCount+part)
	if err != nil {
		return err
	}
	n := uint32(part * cohortsInPart)
	counts := make([]uint32, cohortsInPart)
	for i := range l.workers {
		for _, m := range l.workers[i].members[part] {
			counts[m-n-1]++
		}
	}
	for b := range slices.Chunk(b, cohortLen) {
		co, members := l.c.cohort(n+1), counts[n%cohortsInPart]
		n++
		account := words{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		generation, mark := binary.LittleEndian.Uint32(b[16:]), binary.LittleEndian.Uint64(b[20:])
		if generation > maxGeneration || mark&lowHalf&^cohortSuperseded != 0 {
			return errInconsistent
		}
		co.id0.Store(account.a)
		co.id1.Store(account.b)
		co.birth.Store(uint64(generation)<<32 | uint64(members))
		co.mark.Store(mark)
		switch {
		case members == 0:
			w.free = append(w.free, n)
		case mark&cohortSuperseded != 0:
			w.stale += int(members)
		default:
			s := account.segment()
			w.accounts[s] = append(w.accounts[s], accountName{account, n})
		}
	}
	return nil
}

// tables builds the tables of IDs and accounts of one segment.
func (l *loader) tables(w *worker, segment int) error {
	ids, accounts := 0, w.segment[:0]
	for i := range l.workers {
		ids += len(l.workers[i].ids[segment])
		accounts = append(accounts, l.workers[i].accounts[segment]...)
	}
	w.segment = accounts
	t := newTable(l.c.ids[segment].bits, ids)
	clear(t.slots)
	for i := range l.workers {
		for _, n := range l.workers[i].ids[segment] {
			t.add(n.home, n.slot)
		}
	}
	l.c.ids[segment] = t
	t = newTable(l.c.accounts[segment].bits, len(accounts))
	clear(t.slots)
	// The slots refer to the list at first: its accounts are close together in memory, and those of cohorts are not.
	for i, n := range accounts {
		if t.find(n.account.home(), n.account.tag(), func(at uint32) bool {
			return accounts[at-1].account == n.account
		}) != 0 {
			return errInconsistent
		}
		t.add(n.account.home(), t.slotOf(n.account, uint32(i+1)))
	}
	for i, slot := range t.slots {
		if slot != 0 {
			n := &accounts[slot&(1<<t.bits-1)-1]
			t.slots[i] = t.slotOf(n.account, n.cohort)
		}
	}
	l.c.accounts[segment] = t
	return nil
}

// join adds up the workers' counts, and adds the app sessions whose sessions are in the file.
func (l *loader) join() error {
	c := l.c
	for i := range l.workers {
		w := &l.workers[i]
		c.count += w.count
		c.stale += w.stale
		for _, n := range w.free {
			c.release(n)
		}
	}
	for i := range l.workers {
		for _, r := range l.workers[i].apps {
			k := keyFrom(r.hash)
			if int(r.number) >= len(l.about.Clients) {
				return errInconsistent
			}
			parent, e := c.byID(r.owner)
			if e == nil || e.state.Load()&flagApp != 0 {
				continue
			}
			if app := c.add(&k, r.id, r.number, r.seen, r.issued, flagApp, uint32(parent)); app != 0 {
				c.adopt(parent, app)
			}
		}
	}
	return nil
}
