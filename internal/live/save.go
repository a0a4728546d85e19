package live

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"sync/atomic"
)

// Save writes the table while it is in use. Changes wait only while one part,
// at most a shard, is copied; checks do not wait at all. The parts are therefore
// of different moments, and what makes them fit together is this: while a save
// is under way no entry is freed, and those that change their cohort are noted,
// and so are cohorts that change. So what one part refers to is in the other what
// it was meant to be, or is not there, or is noted: that, Load leaves out or
// finds out anew. An end that comes meanwhile may be
// in the file or not; it is an event after Mark.Seq, and whoever loads the file
// applies those.
//
// caller is asked last for Mark.Caller, so that nothing in the file is younger
// than what it says.
func (x *Index) Save(w io.Writer, caller func(seq int64) ([]byte, error)) error {
	c, d, err := x.beginSave()
	if err != nil {
		return err
	}
	defer x.endSave(c)
	out := &fileWriter{w: w}
	out.write(headOfFile())
	// The names of IDs come first: then each of them is of an entry that follows.
	for i := range shardCount {
		d.IDs = append(d.IDs, out.table(x, c, &c.ids[i]))
	}
	for i := range shardCount {
		d.Accounts = append(d.Accounts, out.table(x, c, &c.accounts[i]))
	}
	for i := range shardCount {
		d.Shards = append(d.Shards, out.shard(x, c, &c.shards[i]))
	}
	out.cohorts(x, c, &d)
	if d.Caller, err = caller(d.Seq); err != nil {
		return err
	}
	if err := x.lists(c, &d); err != nil {
		return err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint64(nil, uint64(out.at))
	end = binary.LittleEndian.AppendUint32(end, uint32(len(text)))
	end = binary.LittleEndian.AppendUint32(end, crc32.Checksum(text, castagnoli))
	out.write(text)
	out.write(end)
	return out.err
}

func (x *Index) beginSave() (*core, directory, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	if c.saving {
		return nil, directory{}, errors.New("the table is being saved already")
	}
	c.saving = true
	return c, directory{Mark: Mark{Seq: x.applied}}, nil
}

func (x *Index) endSave(c *core) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c.saving, c.added, c.moved, c.changed = false, nil, nil, nil
}

// lists takes what is only ever added to, when all that refers to it is written.
func (x *Index) lists(c *core, d *directory) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.core.Load() != c {
		return errReset
	}
	for _, l := range *c.limits.Load() {
		d.Limits = append(d.Limits, fileLimits{l.kind, l.idle, l.absolute})
	}
	d.Clients, d.Added, d.Moved = *c.clients.Load(), c.added, c.moved
	// One that came after the last of them was written is not in the file.
	d.Changed = slices.DeleteFunc(slices.Clone(c.changed), func(n uint32) bool { return n > d.Count })
	slices.Sort(d.Changed)
	d.Changed = slices.Compact(d.Changed)
	return nil
}

var errReset = errors.New("memory was begun anew while it was being saved")

// fileWriter writes parts. After an error it does nothing more.
type fileWriter struct {
	w      io.Writer
	at     int64
	buffer []byte
	err    error
}

// part has the buffer filled under the lock, and writes it without.
func (f *fileWriter) part(x *Index, c *core, fill func()) filePart {
	f.fill(x, c, fill)
	return f.emit(f.buffer)
}

func (f *fileWriter) fill(x *Index, c *core, fill func()) {
	f.buffer = f.buffer[:0]
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.core.Load() != c {
		f.err = errors.Join(f.err, errReset)
		return
	}
	fill()
}

func (f *fileWriter) emit(b []byte) filePart {
	p := filePart{f.at, int64(len(b)), crc32.Checksum(b, castagnoli)}
	f.write(b)
	return p
}

func (f *fileWriter) table(x *Index, c *core, t **table) (out fileTable) {
	out.filePart = f.part(x, c, func() {
		out.Full, out.Gone = (*t).full, (*t).gone
		f.copy(bytesOf((*t).slots))
	})
	return out
}

// shard copies a shard's two parts at one moment.
func (f *fileWriter) shard(x *Index, c *core, s *shard) (out fileShard) {
	entries := 0
	f.fill(x, c, func() {
		out.Count = s.count
		v := s.view.Load()
		for _, p := range v.entries {
			f.copyAtomically(p)
		}
		entries = len(f.buffer)
		f.copy(bytesOf(v.slots))
	})
	out.Entries = f.emit(f.buffer[:entries])
	out.Slots = f.emit(f.buffer[entries:])
	return out
}

// cohortStep bounds how much of the cohorts is copied under the lock at a time.
const cohortStep = 32

func (f *fileWriter) cohorts(x *Index, c *core, d *directory) {
	for first, more := 0, true; more; first += cohortStep {
		d.Cohorts = append(d.Cohorts, f.part(x, c, func() {
			pages := *c.cohorts.Load()
			d.Count = c.cohortCount
			for _, p := range pages[min(first, len(pages)):min(first+cohortStep, len(pages))] {
				f.copy(bytesOf(p[:]))
			}
			more = first+cohortStep < len(pages)
		}))
		more = more && f.err == nil
	}
}

func (f *fileWriter) copy(b []byte) { f.buffer = append(f.buffer, b...) }

// copyAtomically copies entries that activity may be changing meanwhile. Whoever
// loads them cannot know of the activity that comes after.
func (f *fileWriter) copyAtomically(page *[pageLen]entry) {
	for i := range page {
		e := &page[i]
		for _, word := range [...]*atomic.Uint64{&e.key0, &e.key1, &e.id0, &e.id1} {
			f.buffer = binary.NativeEndian.AppendUint64(f.buffer, word.Load())
		}
		state := e.state.Load()
		if state&(flagApp|flagFree) == 0 {
			state |= flagUnsure
		}
		f.buffer = binary.NativeEndian.AppendUint64(f.buffer, state)
		f.buffer = binary.NativeEndian.AppendUint64(f.buffer, e.place.Load())
	}
}

func (f *fileWriter) write(b []byte) {
	if f.err == nil {
		_, f.err = f.w.Write(b)
	}
	f.at += int64(len(b))
}
