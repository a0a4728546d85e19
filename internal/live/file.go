package live

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"unsafe"

	"github.com/exeunt/exeunt"
)

// The file is what a node saves of its table, so as to start with it: the parts
// of the table as they stand in memory, then a directory that says where each is
// and what its checksum is, then an end of fixed length that says where the
// directory is. It is only good together with the store that it was made from;
// the caller tells by its Mark. Save and Load are in files of their own.
const (
	fileMagic   = "exeunt live\n"
	fileVersion = 3
	// fileOrder reads differently on a machine that writes numbers the other
	// way round.
	fileOrder    = 0x01020304
	fileHead     = len(fileMagic) + 12 // magic, version, order, and four bytes so that words are aligned
	fileEnd      = 16                  // where the directory begins, how long it is, its checksum
	maxDirectory = 1 << 28
)

// ErrFile is wrapped by whatever Load finds wrong with a file.
var ErrFile = errors.New("the file of known sessions cannot be used")

// Mark says of which moment of which log a file is.
type Mark struct {
	Seq    int64  // every event up to this one is in the file; later ones may be
	Caller []byte // as given to Save: which installation, which event, which policy
}

// directory names the parts.
type directory struct {
	Mark
	Limits  []fileLimits
	Clients []exeunt.ClientID
	Shards  []fileShard
	// What finds entries by their IDs, and current cohorts by their accounts.
	IDs, Accounts []fileTable
	Cohorts       []filePart
	Count         uint32 // of cohorts
	// Added came in while the parts were being written: each may be among the
	// entries or not, and may have its name among the IDs or not. Moved went to
	// another cohort meanwhile, so that what stands there of their cohort may
	// not be true of them: they are left out.
	Added, Moved []ref
	// Changed are the cohorts that came, went or got other members meanwhile:
	// what is written of them, and of whether they are current, is of different
	// moments. Load finds out anew.
	Changed []uint32
}

type fileLimits struct {
	Kind           exeunt.SessionKind
	Idle, Absolute int64
}

type fileShard struct {
	Count          uint32 // of entries
	Entries, Slots filePart
}

// fileTable says of a table's slots how many are in use, and how many have the
// mark of something deleted.
type fileTable struct {
	filePart
	Full, Gone int
}

type filePart struct {
	At, Len int64
	Sum     uint32
}

// Castagnoli's polynomial has an instruction on most processors.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func headOfFile() []byte {
	b := []byte(fileMagic)
	for _, n := range []uint32{fileVersion, fileOrder, 0} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// bytesOf is a slab's memory, which consists of nothing but numbers.
func bytesOf[T entry | cohort | uint64 | uint32](slab []T) []byte {
	if len(slab) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(slab))), len(slab)*int(unsafe.Sizeof(slab[0])))
}

// readDirectory reads what stands around the parts.
func readDirectory(r io.ReaderAt, size int64) (d directory, err error) {
	head, end := make([]byte, fileHead), make([]byte, fileEnd)
	if size < int64(fileHead+fileEnd) {
		return d, errors.New("it is cut short")
	}
	if _, err := r.ReadAt(head, 0); err != nil {
		return d, err
	}
	number := func(i int) uint32 { return binary.LittleEndian.Uint32(head[len(fileMagic)+4*i:]) }
	switch {
	case string(head[:len(fileMagic)]) != fileMagic:
		return d, errors.New("it is no such file")
	case number(0) != fileVersion:
		return d, fmt.Errorf("it has version %d, and this program knows only %d", number(0), fileVersion)
	case number(1) != fileOrder:
		return d, errors.New("it was written by another kind of machine")
	case number(2) != 0:
		return d, errors.New("its first line is damaged")
	}
	if _, err := r.ReadAt(end, size-int64(fileEnd)); err != nil {
		return d, err
	}
	at, n := binary.LittleEndian.Uint64(end), binary.LittleEndian.Uint32(end[8:])
	if n > maxDirectory || at != uint64(size-int64(fileEnd)-int64(n)) {
		return d, errors.New("it is cut short")
	}
	text := make([]byte, n)
	if _, err := r.ReadAt(text, int64(at)); err != nil {
		return d, err
	}
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(end[12:]) {
		return d, errors.New("its directory is damaged")
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return d, err
	}
	return d, d.check(int64(at))
}

// check makes sure that the parts are inside the file and as long as they say,
// so that a number that is wrong cannot ask for much memory.
func (d *directory) check(size int64) error {
	if len(d.Shards) != shardCount || len(d.IDs) != shardCount || len(d.Accounts) != shardCount || len(d.Limits) > 1<<16 || len(d.Clients) > 1<<16 || d.Count >= 1<<cohortBits {
		return errLayout
	}
	cohorts, fits := int64(0), true
	inside := func(p filePart, unit int64) {
		fits = fits && p.At >= 0 && p.Len >= 0 && p.At <= size && p.Len <= size-p.At && p.Len%unit == 0
	}
	for _, s := range d.Shards {
		inside(s.Entries, pageSize)
		inside(s.Slots, 8)
		fits = fits && s.Count <= localMask && s.Entries.Len == pagesFor(s.Count, pageLen)*pageSize && s.Slots.Len >= 8*smallestTable
	}
	for _, t := range slices.Concat(d.IDs, d.Accounts) {
		inside(t.filePart, 4)
		fits = fits && t.Len >= 4*smallestTable && t.Full >= 0 && t.Gone >= 0 && t.Full < 1<<30 && t.Gone < 1<<30 && int64(t.Full+t.Gone) < t.Len/4
	}
	for _, p := range d.Cohorts {
		inside(p, cohortPageSize)
		cohorts += p.Len
	}
	last := uint32(0)
	for _, n := range d.Changed { // in order, so none twice
		fits = fits && n > last && n <= d.Count
		last = n
	}
	if !fits || cohorts < pagesFor(d.Count, cohortPage)*cohortPageSize {
		return errLayout
	}
	return nil
}

var errLayout = errors.New("it is of another layout")

const (
	pageSize       = int64(unsafe.Sizeof([pageLen]entry{}))
	cohortPageSize = int64(unsafe.Sizeof([cohortPage]cohort{}))
)

// pagesFor is how many pages hold the numbers up to last. There is none before
// the first.
func pagesFor(last uint32, pageLen int64) int64 {
	if last == 0 {
		return 0
	}
	return int64(last)/pageLen + 1
}
