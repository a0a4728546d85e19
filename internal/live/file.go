package live

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/exeunt/exeunt"
)

// The snapshot file holds a node's table for its next start. It is valid only with the store that it was made from,
// which the caller recognizes by its Mark. All numbers are little-endian:
//
//	"exeunt live\n", the format's version (4 bytes), then parts: length (4 bytes), CRC-32C (4 bytes), contents
//	one part per shard: a record for each session and app session
//	parts of cohorts:   a record for each cohort, in the order of their numbers, cohortsInPart each but for the last
//	the last part:      contents as JSON
const (
	fileMagic     = "exeunt live\n"
	fileVersion   = 4
	fileHead      = len(fileMagic) + 4
	partHead      = 8
	cohortsInPart = 1 << 15
)

// ErrFile is wrapped by every error of Load.
var ErrFile = errors.New("the snapshot file cannot be used")

var (
	errCut          = errors.New("it is damaged or cut short")
	errInconsistent = errors.New("its parts do not fit together")
)

// Mark says at which position of which log a file was written.
type Mark struct {
	Seq    int64  // every event up to this one is in the file; later ones may be
	Caller []byte // what the caller of Save gave: installation, event and policy
}

// contents describes a whole file.
type contents struct {
	Mark
	Limits  []limits
	Clients []exeunt.ClientID
	Cohorts uint32
}

// castagnoli is the polynomial that most processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is a session or an app session in the file.
type record struct {
	hash         words // the stored part of the token's SHA-256, see key
	id           words
	owner        words // an app session's session, or in the first word a session's cohort
	seen, issued int64 // milliseconds since 1970
	number       uint16
	flags        uint16
}

const (
	recordLen  = 68
	recordApp  = 1 << 0
	recordLate = 1 << 1

	cohortLen = 28 // account, generation, and its mark with no flag but cohortSuperseded
)

func (r *record) appendTo(b []byte) []byte {
	for _, w := range [...]uint64{
		r.hash.a, r.hash.b, r.id.a, r.id.b, r.owner.a, r.owner.b, uint64(r.seen), uint64(r.issued),
	} {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	b = binary.LittleEndian.AppendUint16(b, r.number)
	return binary.LittleEndian.AppendUint16(b, r.flags)
}

func (r *record) read(b []byte) {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	r.hash.a, r.hash.b, r.id.a, r.id.b, r.owner.a, r.owner.b = word(0), word(1), word(2), word(3), word(4), word(5)
	r.seen, r.issued = int64(word(6)), int64(word(7))
	r.number, r.flags = binary.LittleEndian.Uint16(b[64:]), binary.LittleEndian.Uint16(b[66:])
}

// part says where a part's contents are, and their checksum.
type part struct {
	at, length int64
	sum        uint32
}

// partsOf finds the parts after a file's head. They must fill the file exactly.
func partsOf(r io.ReaderAt, size int64) (parts []part, err error) {
	head := make([]byte, partHead)
	for at := int64(fileHead); at < size; {
		if n, _ := r.ReadAt(head, at); n < partHead {
			return nil, errCut
		}
		p := part{at + partHead, int64(binary.LittleEndian.Uint32(head)), binary.LittleEndian.Uint32(head[4:])}
		if at = p.at + p.length; at > size {
			return nil, errCut
		}
		parts = append(parts, p)
	}
	if len(parts) <= shardCount {
		return nil, errCut
	}
	return parts, nil
}
