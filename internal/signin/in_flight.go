package signin

import (
	"fmt"
	"sync"

	"github.com/exeunt/exeunt"
)

// maxInFlight is how many sign-ins to one account are checked for one network at the same
// moment: enough for a double click, and too few to keep the hasher from everybody else.
const maxInFlight = 2

// inFlight counts the sign-ins that are being checked now.
type inFlight struct {
	mu    sync.Mutex
	count map[regular]int
}

// enter counts one, or returns ErrBusy. leave must be called after nil.
func (f *inFlight) enter(r regular) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count[r] >= maxInFlight {
		return fmt.Errorf("sign-ins to one account at the same moment: %w", exeunt.ErrBusy)
	}
	if f.count == nil {
		f.count = map[regular]int{}
	}
	f.count[r]++
	return nil
}

func (f *inFlight) leave(r regular) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count[r]--; f.count[r] <= 0 {
		delete(f.count, r)
	}
}
