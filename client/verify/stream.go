package verify

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/exeunt/exeunt/client"
)

const (
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
)

// follow reads the event log, and comes back with growing pauses when the
// stream is lost.
func (v *Verifier) follow(ctx context.Context) {
	pause, said := firstPause, false
	for {
		err := v.read(ctx, func() { pause, said = firstPause, false })
		v.lost(err)
		if ctx.Err() != nil {
			return
		}
		if !said {
			v.Log.Warn("the event log is not followed at the moment; trying again", "err", err)
		}
		said = true
		if sleep(ctx, pause/2+rand.N(pause/2)) != nil {
			return
		}
		pause = min(pause*2, longestPause)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lost notes the end of a stream. One that simply broke off leaves the window
// open until it closes by itself: that is what it is reckoned for. One that
// carried what it must not closes it at once.
func (v *Verifier) lost(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.connected, v.cut, v.why = false, nil, err
	v.history.waiting = nil
	switch {
	case errors.Is(err, errDiverged):
		v.startOver(client.Place{})
	case errors.Is(err, client.ErrMalformed):
		v.window.Store(nil)
	}
}

// read opens one stream and reads it to its end.
func (v *Verifier) read(ctx context.Context, greeted func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.mu.Lock()
	v.cut = cancel
	at := v.history.place()
	v.mu.Unlock()
	return v.Client.StreamLog(ctx, v.Key, at, v.MaxStaleness/4, func(m client.LogMessage) error {
		greeted()
		return v.take(m)
	})
}

// take takes one message of the stream. After an error nothing more of the
// stream is to be believed.
func (v *Verifier) take(m client.LogMessage) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.connected, v.why = true, nil
	switch m.Name {
	case client.MessageReload:
		v.startOver(m.Position.Place)
	case client.MessageLog:
		return v.apply(m.Event)
	case client.MessageSame:
		if m.Position.Epoch != v.history.epoch {
			return errDiverged
		}
	case client.MessageBeat:
		if m.Position.Place != v.history.place() {
			return errDiverged // the events up to it have all been told
		}
	}
	return nil
}

// keepFresh asks how far the log is, four times in each window's length, and
// tells when that opens or closes the window.
func (v *Verifier) keepFresh(ctx context.Context) {
	fresh := false
	for {
		err := v.confirm(ctx)
		if now := v.Fresh(); now != fresh {
			fresh = now
			v.tell(fresh, err)
		}
		if sleep(ctx, v.MaxStaleness/4) != nil {
			return
		}
	}
}

func (v *Verifier) tell(fresh bool, err error) {
	s := State{Fresh: fresh}
	if !fresh {
		v.mu.Lock()
		if s.Err = v.why; s.Err == nil {
			s.Err = err
		}
		v.mu.Unlock()
		v.Log.Warn("sessions are no longer checked in memory; the authority is asked about each request", "err", s.Err)
	} else {
		v.Log.Info("sessions are checked in memory")
	}
	if v.OnState != nil {
		v.OnState(s)
	}
}

// confirm asks how far the log is, and opens a window that counts from the
// question: at once, or when the events up to the answer have been applied.
func (v *Verifier) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.MaxStaleness)
	defer cancel()
	v.mu.Lock()
	at, why := v.history.place(), v.why
	v.mu.Unlock()
	if at.Epoch == "" {
		return why
	}
	asked := v.now() // before it is sent: see newWindow
	p, err := v.Client.Echo(ctx, v.Key, client.Echo{Place: at, Nonce: strconv.FormatInt(int64(asked.wall), 36)})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	h := &v.history
	switch {
	case !v.connected:
		// Without the stream an end would be known only when the window closes.
		return v.why
	case p.History == client.HistorySame:
		if len(h.waiting) == maxWaiting {
			h.waiting = h.waiting[1:]
		}
		h.waiting = append(h.waiting, told{p.Place, newWindow(asked, p.Position, v.MaxStaleness)})
		if v.openWindows() == nil {
			return nil
		}
	}
	// Whether the stream or this answer is of the history that counts, what was
	// kept may be of the other.
	v.startOver(client.Place{})
	v.cut()
	return errDiverged
}
