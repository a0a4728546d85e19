package feed

import (
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// A node whose clock has gone wrong, forwards or backwards, answers nothing from memory and says what to do; set
// right, it goes on where it was.
func TestAClockThatIsOffIsNamed(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, -3 * time.Second, 3 * time.Second, time.Hour} {
		f, index := newFollower()
		src := &server{events: []exeunt.Event{ends(1)}} // whose clock stands at zero
		f.Now = func() time.Time { return time.Time{}.Add(off) }
		err := f.beat(t.Context(), src)
		if err == nil || !strings.Contains(err.Error(), "clock is "+off.String()+" off") ||
			!strings.Contains(err.Error(), "set it right") {
			t.Errorf("%v off: %v", off, err)
		}
		if f.feed.Fresh() || index.Applied() != 0 {
			t.Errorf("%v off: fresh %v, applied %d", off, f.feed.Fresh(), index.Applied())
		}
		off = 0
		if err := f.beat(t.Context(), src); err != nil || !f.feed.Fresh() || index.Applied() != 1 {
			t.Errorf("set right: %v, fresh %v, applied %d", err, f.feed.Fresh(), index.Applied())
		}
	}
}
