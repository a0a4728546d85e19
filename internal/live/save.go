package live

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math"
)

// Save writes the table while it is in use. Writers wait only while one part, at most a shard, is copied; checks do not
// wait. The parts are therefore of different moments. Once the events after Mark.Seq are applied, the table is correct,
// for these reasons:
//
//   - Mark.Seq is read first. All that is copied later has every event up to it, and may have some after it. Those are
//     replayed, and applying an event twice changes nothing, see ApplyOwn.
//   - A shard is copied at one moment, so each token is in the file at most once. An entry that is dropped or inserted
//     later is loaded from the store when it is needed. Activity may be recorded later too, so the store is asked about
//     a loaded session that seems idle.
//   - Cohorts are copied after all entries, and no cohort is reused meanwhile, see release. So an entry's cohort in the
//     file is its own. A cohort that is no longer current when it is copied is written as superseded, so that the store
//     is asked about its sessions: one may have been kept and have moved after its shard was copied. A cohort that
//     became current after the entries were copied has no entries in the file. So at most one of an account's cohorts
//     with entries is current.
//   - An app session refers to its session by ID. If that is not in the file, the app session is left out.
//
// caller is called last, for Mark.Caller, so that nothing in the file is newer than what it says.
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
		return nil, contents{}, errors.New("the table is already being saved")
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

// unlessReset calls f with the lock held, unless Reset has replaced the table.
func (x *Index) unlessReset(c *core, f func()) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.core.Load() != c {
		return errors.New("the table was reset while it was being saved")
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

// appendShard leaves out entries that ended one by one, for which the store answers.
func (c *core) appendShard(b []byte, shard uint32) []byte {
	v := c.shards[shard].view.Load()
	for _, slot := range v.slots {
		local := uint32(slot & localMask)
		if local == 0 {
			continue
		}
		e := &v.entries[local/pageLen][local%pageLen]
		state, owner := e.state.Load(), e.owner.Load()
		if state&flagEnded != 0 {
			continue
		}
		r := record{
			hash: e.hash(shard, uint32(slot>>slotTag)), id: e.id(), owner: words{a: owner & lowHalf},
			seen: int64(state & seenMask), issued: issuedOf(owner, state), number: e.number(),
		}
		if state&flagApp != 0 {
			r.owner, r.flags = c.entry(ref(owner)).id(), recordApp
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
		if mark &^= lowHalf &^ (cohortEnded | cohortSuperseded | cohortFree); mark&lowHalf != 0 {
			mark = mark&^lowHalf | cohortSuperseded
		}
		b = binary.LittleEndian.AppendUint64(b, account.a)
		b = binary.LittleEndian.AppendUint64(b, account.b)
		b = binary.LittleEndian.AppendUint32(b, uint32(co.generation()))
		b = binary.LittleEndian.AppendUint64(b, mark)
	}
	return b
}
