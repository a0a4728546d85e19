package live

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/exeunt/exeunt"
)

// The file is what a node saves of its table when it stops, so as to start
// with it: a header, then the slabs as they stand in memory, each part
// followed by its checksum. It is only good together with the store that it was
// made from; the caller tells by its Mark.
const (
	fileMagic   = "exeunt live\n"
	fileVersion = 1
	// fileOrder reads differently on a machine that writes numbers the other
	// way round.
	fileOrder = 0x01020304
	maxHeader = 1 << 24
)

// ErrFile is wrapped by whatever Load finds wrong with a file.
var ErrFile = errors.New("the file of known sessions cannot be used")

// Mark says of which moment of which log a file is.
type Mark struct {
	Seq    int64  // the last event applied
	Caller []byte // as given to Save: which installation, which event, which policy
}

// header stands before the slabs.
type header struct {
	Mark
	Limits  []fileLimits
	Clients []exeunt.ClientID
	Entries []uint32 // of each shard
	Cohorts uint32
}

type fileLimits struct {
	Kind           exeunt.SessionKind
	Idle, Absolute int64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Save writes the table. Changes wait for it, checks do not. Activity that was
// not flushed before is lost to the store, as in a crash.
func (x *Index) Save(w io.Writer, caller []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	h := header{Mark: Mark{x.applied, caller}, Clients: *c.clients.Load(), Cohorts: c.cohortCount}
	for _, l := range *c.limits.Load() {
		h.Limits = append(h.Limits, fileLimits{l.kind, l.idle, l.absolute})
	}
	for i := range c.shards {
		h.Entries = append(h.Entries, c.shards[i].count)
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	out := &fileWriter{w: w, buffer: make([]uint64, 0, 1<<16)}
	out.bytes([]byte(fileMagic))
	for _, n := range []int{fileVersion, fileOrder, len(text)} {
		out.bytes(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	}
	out.bytes(text)
	out.end()
	for i := range c.shards {
		s := &c.shards[i]
		for _, p := range s.view.Load().entries {
			out.words(wordsIn(p[:]))
		}
		out.end()
		out.bytes(s.tags())
		out.end()
	}
	for _, p := range *c.cohorts.Load() {
		out.words(wordsIn(p[:]))
	}
	out.end()
	return out.err
}

// tags returns 8 bits of each entry's token that stand in the table alone.
func (s *shard) tags() []byte {
	tags := make([]byte, s.count+1)
	for _, slot := range s.view.Load().slots {
		tags[slot&localMask] = byte(slot >> slotTag >> tagInKey)
	}
	return tags
}

// tag is the whole tag of an entry.
func (e *entry) tag(upper byte) uint32 {
	return uint32(upper)<<tagInKey | uint32(e.key0.Load()>>(64-tagInKey))
}

// wordsIn is a slab's memory, which consists of nothing but 64-bit words.
func wordsIn[T entry | cohort](slab []T) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(&slab[0])), len(slab)*int(unsafe.Sizeof(slab[0]))/8)
}

func bytesOf(words []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)
}

// fileWriter writes parts. After an error it does nothing more.
type fileWriter struct {
	w      io.Writer
	sum    uint32
	buffer []uint64
	err    error
}

func (f *fileWriter) bytes(b []byte) {
	f.flush()
	f.sum = crc32.Update(f.sum, castagnoli, b)
	f.write(b)
}

// words writes memory that activity may be changing meanwhile.
func (f *fileWriter) words(from []uint64) {
	for len(from) > 0 {
		n := min(len(from), cap(f.buffer)-len(f.buffer))
		for i := range from[:n] {
			f.buffer = append(f.buffer, atomic.LoadUint64(&from[i]))
		}
		if from = from[n:]; len(f.buffer) == cap(f.buffer) {
			f.flush()
		}
	}
}

func (f *fileWriter) flush() {
	b := bytesOf(f.buffer)
	f.buffer = f.buffer[:0]
	f.sum = crc32.Update(f.sum, castagnoli, b)
	f.write(b)
}

// end closes a part.
func (f *fileWriter) end() {
	f.flush()
	f.write(binary.LittleEndian.AppendUint32(nil, f.sum))
	f.sum = 0
}

func (f *fileWriter) write(b []byte) {
	if f.err == nil && len(b) > 0 {
		_, f.err = f.w.Write(b)
	}
}

// Load fills an empty index with what Save wrote. accept is asked first
// whether the moment is one that the caller can go on from: it must then Apply
// all events since. Whatever is wrong with the file, the error wraps ErrFile
// and the index stays empty.
func (x *Index) Load(r io.Reader, accept func(Mark) error) error {
	in := &fileReader{r: r}
	h, err := in.header()
	if err == nil {
		err = accept(h.Mark)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	c := newCore(x.Epoch())
	if err := c.load(in, h); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.core.Load().count > 0 || x.applied != x.base || c.epoch != x.core.Load().epoch {
		return fmt.Errorf("%w: there are sessions in memory already", ErrFile)
	}
	x.base, x.applied = h.Seq, h.Seq
	for account := range *x.doubts.Load() {
		if n := c.current(wordsOf(account.Raw())); n != 0 {
			c.cohort(n).flag(cohortDoubted, 0)
		}
	}
	x.core.Store(c)
	return nil
}

type fileReader struct {
	r   io.Reader
	sum uint32
}

func (f *fileReader) bytes(b []byte) error {
	if _, err := io.ReadFull(f.r, b); err != nil {
		return fmt.Errorf("it is cut short: %w", err)
	}
	f.sum = crc32.Update(f.sum, castagnoli, b)
	return nil
}

// end reads a part's checksum.
func (f *fileReader) end(part string) error {
	sum := f.sum
	var b [4]byte
	if err := f.bytes(b[:]); err != nil {
		return err
	}
	if f.sum = 0; binary.LittleEndian.Uint32(b[:]) != sum {
		return fmt.Errorf("its %s are damaged", part)
	}
	return nil
}

func (f *fileReader) header() (h header, err error) {
	fixed := make([]byte, len(fileMagic)+12)
	if err := f.bytes(fixed); err != nil {
		return h, err
	}
	if !bytes.HasPrefix(fixed, []byte(fileMagic)) {
		return h, errors.New("it is no such file")
	}
	number := func(i int) uint32 { return binary.LittleEndian.Uint32(fixed[len(fileMagic)+4*i:]) }
	switch {
	case number(0) != fileVersion:
		return h, fmt.Errorf("it has version %d, and this program knows only %d", number(0), fileVersion)
	case number(1) != fileOrder:
		return h, errors.New("it was written by another kind of machine")
	case number(2) > maxHeader:
		return h, errors.New("its header is damaged")
	}
	text := make([]byte, number(2))
	if err := f.bytes(text); err != nil {
		return h, err
	}
	if err := f.end("first lines"); err != nil {
		return h, err
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, err
	}
	if len(h.Entries) != shardCount || len(h.Limits) > 1<<16 || len(h.Clients) > 1<<16 {
		return h, errors.New("it is of another layout")
	}
	return h, nil
}

// load reads the slabs into an empty core. Memory is taken as the file goes
// on, so a number that is wrong cannot ask for much.
func (c *core) load(in *fileReader, h header) error {
	list := make([]limits, len(h.Limits))
	for i, l := range h.Limits {
		list[i] = limits{l.Kind, l.Idle, l.Absolute}
	}
	c.limits.Store(&list)
	c.clients.Store(&h.Clients)
	total := 0
	tags := make([][]byte, shardCount)
	for i, count := range h.Entries {
		if count > localMask {
			return errors.New("it is of another layout")
		}
		pages, err := readSlab[entry, [pageLen]entry](in, count, func(p *[pageLen]entry) []entry { return p[:] })
		if err != nil {
			return err
		}
		s := &c.shards[i]
		s.count = count
		v := &view{slots: make([]uint64, slotsFor(int(count))), entries: pages}
		for range pages {
			v.marks = append(v.marks, new(marks))
		}
		s.view.Store(v)
		tags[i] = make([]byte, count+1)
		if err := in.bytes(tags[i]); err != nil {
			return err
		}
		if err := in.end("tags"); err != nil {
			return err
		}
		total += int(count)
	}
	cohorts, err := readSlab[cohort, [cohortPage]cohort](in, h.Cohorts, func(p *[cohortPage]cohort) []cohort { return p[:] })
	if err != nil {
		return err
	}
	c.cohorts.Store(&cohorts)
	c.cohortCount = h.Cohorts
	return c.restore(tags, total)
}

// readSlab reads the pages that hold numbers up to last.
func readSlab[T entry | cohort, P any](in *fileReader, last uint32, all func(*P) []T) ([]*P, error) {
	pages := []*P{}
	for n := 0; last > 0 && n <= int(last); {
		p := new(P)
		if err := in.bytes(bytesOf(wordsIn(all(p)))); err != nil {
			return nil, err
		}
		pages = append(pages, p)
		n += len(all(p))
	}
	return pages, in.end("sessions")
}

var errInconsistent = errors.New("its parts do not fit together")

// restore builds what finds the entries, and looks at every one of them: what
// it refers to must be there.
func (c *core) restore(tags [][]byte, total int) error {
	roll, err := c.restoreCohorts()
	if err != nil {
		return err
	}
	var byID sync.WaitGroup
	byID.Go(func() { c.restoreIDs(total) }) // which is half of the work
	for i := range uint32(shardCount) {
		for local := c.shards[i].count; local > 0 && err == nil; local-- {
			err = c.restoreEntry(ref(i<<localBits|local), tags[i][local], roll)
		}
	}
	byID.Wait()
	if err != nil {
		return err
	}
	for n, members := range roll {
		if co := c.cohort(uint32(n)); co != nil && members != notThere {
			co.birth.Store(co.birth.Load() | uint64(members))
			if co.mark.Load()&(cohortEnded|cohortPassed) != 0 {
				c.stale += int(members)
			}
		}
	}
	return c.restoreFamilies()
}

func (c *core) restoreIDs(total int) {
	for i := range c.ids {
		c.ids[i] = newTable(c.ids[i].bits, total/shardCount+total/shardCount/16)
	}
	for i := range uint32(shardCount) {
		c.each(i, func(r ref, e *entry, _ *marks) { c.nameID(r, e.id()) })
	}
}

// notThere stands in the roll of cohorts for one that is free.
const notThere = 1<<32 - 1

func (c *core) restoreEntry(r ref, tag byte, roll []uint32) error {
	e, m := c.at(r)
	s, local, state, hint := &c.shards[r>>localBits], uint32(r&localMask), e.state.Load(), uint32(0)
	if state&flagFree != 0 {
		e.key0.Store(uint64(s.free))
		s.free = local
		return nil
	}
	if state&flagApp != 0 {
		if int(e.number()) >= len(*c.clients.Load()) {
			return errInconsistent
		}
	} else {
		hint = uint32(e.place.Load())
		if int(e.number()) >= len(*c.limits.Load()) || hint == 0 || int(hint) >= len(roll) || roll[hint] == notThere {
			return errInconsistent
		}
		roll[hint]++
		e.state.Store(state | flagUnsure)
	}
	if state&flagEnded != 0 {
		c.ended = append(c.ended, r)
	}
	if state&flagLate != 0 {
		m.late.set(local % pageLen)
	}
	s.put(homeOf(e.key0.Load()), slotOf(local, hint, e.tag(tag)))
	c.count++
	return nil
}

// restoreCohorts returns the roll of them, on which nobody is counted yet.
func (c *core) restoreCohorts() ([]uint32, error) {
	roll := make([]uint32, c.cohortCount+1)
	for i := range c.accounts {
		c.accounts[i] = newTable(cohortBits, int(c.cohortCount)/shardCount+int(c.cohortCount)/shardCount/16)
	}
	for n := uint32(1); n <= c.cohortCount; n++ {
		co := c.cohort(n)
		if co.mark.Load()&cohortFree != 0 {
			c.release(n)
			roll[n] = notThere
			continue
		}
		co.birth.Store(co.birth.Load() &^ lowHalf)
		co.flag(0, cohortDoubted)
		if co.mark.Load()&(cohortEnded|cohortPassed) == 0 {
			if c.current(co.account()) != 0 {
				return nil, errInconsistent
			}
			c.nameCohort(n, co.account())
		}
	}
	return roll, nil
}

// restoreFamilies puts app sessions to their sessions, which may come after
// them, and frees the cohorts that nobody is in.
func (c *core) restoreFamilies() (err error) {
	for i := range uint32(shardCount) {
		c.each(i, func(r ref, e *entry, _ *marks) {
			if e.state.Load()&flagApp == 0 {
				return
			}
			parent := ref(e.place.Load())
			p := c.entry(parent)
			if p == nil || p.state.Load()&(flagFree|flagApp) != 0 || uint32(parent&localMask) > c.shards[parent>>localBits%shardCount].count {
				err = errInconsistent
				return
			}
			c.adopt(parent, r)
		})
	}
	c.freeEmptyCohorts()
	return err
}

// freeEmptyCohorts frees those that nothing refers to.
func (c *core) freeEmptyCohorts() {
	for n := uint32(1); n <= c.cohortCount; n++ {
		co := c.cohort(n)
		if mark := co.mark.Load(); mark&cohortFree != 0 || co.birth.Load()&lowHalf > 0 {
			continue
		} else if mark&(cohortEnded|cohortPassed) == 0 {
			c.retire(n)
		}
		c.release(n)
	}
}
