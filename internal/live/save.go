package live

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math"
)

// Save writes the table while it is in use. Changes wait only while one part, at most a shard, is copied; checks do not
// wait at all. The parts are therefore of different moments. Why they make a table that is right once the events after
// Mark.Seq have been applied to it:
//
//   - Mark.Seq is taken first. Whatever is copied later has all events up to it, and may have some after it. Those are
//     replayed, and applying an event twice changes nothing, see ApplyOwn.
//   - A shard is copied at one moment, so each token is in the file once at most. What was dropped, evicted or came
//     afterwards is loaded from the store when it is asked for; activity that came afterwards is why a loaded session
//     that seems idle is asked of the store.
//   - Cohorts are copied after all entries, and none is given to another account meanwhile: see release. So an entry's
//     cohort is the one it was in. One that is current no more by the time it is copied is written as passed: one of
//     its sessions may have been kept and have moved on after its shard was copied, so the store is asked about each.
//     A cohort that became current after the entries were copied has none in the file; so of an account's cohorts with
//     entries one at most is current.
//   - An app session names its session by ID. Where that is not in the file, the app session is left out.
//
// caller is asked last for Mark.Caller, so that nothing in the file is younger than what it says.
func (x *Index) Save(w io.Writer, caller func(seq int64) ([]byte, error)) error {
	c, last, err := x.beginSave()
	if err != nil {
		return err
	}
	defer x.endSave(c)
	if _, err := w.Write(binary.LittleEndian.AppendUint32([]byte(fileMagic), fileVersion)); err != nil {
		return err
	}
	var buffer []byte
	part := func(fill func(b []byte) []byte) error {
		buffer = append(buffer[:0], make([]byte, partHead)...)
		if err := x.unlessReset(c, func() { buffer = fill(buffer) }); err != nil {
			return err
		}
		return writePart(w, buffer)
	}
	for i := range uint32(shardCount) {
		if err := part(func(b []byte) []byte { return c.appendShard(b, i) }); err != nil {
			return err
		}
	}
	if err := x.unlessReset(c, func() { last.Cohorts = c.cohortCount }); err != nil {
		return err
	}
	for first := uint32(1); first <= last.Cohorts; first += cohortsInPart {
		end := min(first+cohortsInPart, last.Cohorts+1)
		if err := part(func(b []byte) []byte { return c.appendCohorts(b, first, end) }); err != nil {
			return err
		}
	}
	if last.Caller, err = caller(last.Seq); err != nil {
		return err
	}
	return part(func(b []byte) []byte {
		last.Limits, last.Clients = *c.limits.Load(), *c.clients.Load()
		text, _ := json.Marshal(last) // of strings and numbers, which cannot fail
		return append(b, text...)
	})
}

func (x *Index) beginSave() (*core, contents, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.core.Load()
	if c.saving {
		return nil, contents{}, errors.New("the table is being saved already")
	}
	c.saving = true
	return c, contents{Mark: Mark{Seq: x.applied}}, nil
}

func (x *Index) endSave(c *core) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c.saving = false
	for _, n := range c.released {
		c.release(n)
	}
	c.released = nil
}

// unlessReset calls f with the lock held.
func (x *Index) unlessReset(c *core, f func()) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.core.Load() != c {
		return errors.New("memory was begun anew while it was being saved")
	}
	f()
	return nil
}

// writePart writes a part, with room for its head in front.
func writePart(w io.Writer, b []byte) error {
	if len(b) > math.MaxUint32 {
		return errors.New("a part of the table is too large for the snapshot file")
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-partHead))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[partHead:], castagnoli))
	_, err := w.Write(b)
	return err
}

// appendShard leaves out what ended by itself: the store tells of that.
func (c *core) appendShard(b []byte, shard uint32) []byte {
	v := c.shards[shard].view.Load()
	for _, slot := range v.slots {
		local := uint32(slot & localMask)
		if local == 0 {
			continue
		}
		e := &v.entries[local/pageLen][local%pageLen]
		state, place := e.state.Load(), e.place.Load()
		if state&flagEnded != 0 {
			continue
		}
		r := record{
			hash: e.hash(shard, uint32(slot>>slotTag)), id: e.id(), belongs: words{a: place & lowHalf},
			seen: int64(state & seenMask), issued: issuedOf(place, state), number: e.number(),
		}
		if state&flagApp != 0 {
			r.belongs, r.flags = c.entry(ref(place)).id(), recordApp
		}
		if state&flagLate != 0 {
			r.flags |= recordLate
		}
		b = r.appendTo(b)
	}
	return b
}

func (c *core) appendCohorts(b []byte, first, end uint32) []byte {
	for n := first; n < end; n++ {
		co := c.cohort(n)
		account, mark := co.account(), co.mark.Load()
		if mark &^= lowHalf &^ (cohortEnded | cohortPassed | cohortFree); mark&lowHalf != 0 {
			mark = mark&^lowHalf | cohortPassed
		}
		b = binary.LittleEndian.AppendUint64(b, account.a)
		b = binary.LittleEndian.AppendUint64(b, account.b)
		b = binary.LittleEndian.AppendUint32(b, uint32(co.generation()))
		b = binary.LittleEndian.AppendUint64(b, mark)
	}
	return b
}
