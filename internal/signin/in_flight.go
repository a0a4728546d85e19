package signin

import (
	"context"
	"fmt"
	"sync"

	"github.com/exeunt/exeunt"
)

// maxChecked is how many sign-ins to one account from one network are with the hasher at the
// same moment, so that they cannot keep it from everybody else. How many wait for that is
// bounded by the rates of guesses, which are counted in advance.
const maxChecked = 2

// inFlight lines up the sign-ins that are to be checked now.
type inFlight struct {
	mu    sync.Mutex
	lines map[regular]*line
}

type line struct {
	checked chan struct{}
	count   int
}

// enter waits until the sign-in may be checked. leave must be called after nil. It returns
// ErrUnavailable once ctx is done.
func (f *inFlight) enter(ctx context.Context, r regular) error {
	l := f.join(r)
	select {
	case l.checked <- struct{}{}:
		return nil
	case <-ctx.Done():
		f.part(r, l)
		return fmt.Errorf("waiting for other sign-ins to the account: %w (%w)", exeunt.ErrUnavailable, ctx.Err())
	}
}

func (f *inFlight) leave(r regular) {
	f.mu.Lock()
	l := f.lines[r]
	f.mu.Unlock()
	<-l.checked
	f.part(r, l)
}

func (f *inFlight) join(r regular) *line {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lines[r]
	if l == nil {
		l = &line{checked: make(chan struct{}, maxChecked)}
		if f.lines == nil {
			f.lines = map[regular]*line{}
		}
		f.lines[r] = l
	}
	l.count++
	return l
}

func (f *inFlight) part(r regular, l *line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.count--; l.count == 0 {
		delete(f.lines, r)
	}
}
