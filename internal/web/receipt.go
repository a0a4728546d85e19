package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/keys"
)

// ReceiptPath is where the pages of receipts are, each below it by its handle.
const ReceiptPath = "/receipts/"

// Receipts makes and reads the handles of receipts. A handle is the number and time of an ending's event, with a code
// that only we can make. So nothing is stored for it, a crash loses none, and a forged one costs no look-up. The time is
// in it because a restored database counts on from an older event, and a handle must never lead to somebody else's.
type Receipts struct{ Handles *keys.Ring }

// Path returns the address of an ending's receipt on this site, or "" if nothing has ended.
func (r Receipts) Path(done authority.Ending) string { return r.PathOf(done.Seq, done.At) }

// PathOf is Path for the event with that number and time.
func (r Receipts) PathOf(seq int64, at time.Time) string {
	if seq <= 0 || r.Handles == nil {
		return ""
	}
	text := handleText(seq, at)
	return ReceiptPath + text + "." + r.Handles.Code(text)
}

// Read returns the ending that a handle names, and false if it is not one that PathOf made.
func (r Receipts) Read(handle string) (seq int64, at time.Time, ok bool) {
	number, rest, _ := strings.Cut(handle, ".")
	when, code, _ := strings.Cut(rest, ".")
	seq, err := strconv.ParseInt(number, 36, 64)
	ms, malformed := strconv.ParseInt(when, 36, 64)
	if at = time.UnixMilli(ms).UTC(); err != nil || malformed != nil {
		return 0, time.Time{}, false
	}
	text := handleText(seq, at) // which has one spelling
	if text != number+"."+when || !r.Handles.IsCode(text, code) {
		return 0, time.Time{}, false
	}
	return seq, at, true
}

func handleText(seq int64, at time.Time) string {
	return strconv.FormatInt(seq, 36) + "." + strconv.FormatInt(at.UnixMilli(), 36)
}
