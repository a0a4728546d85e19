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

// follow reads the event log, and connects again with growing pauses when the
// stream is lost.
func (v *Verifier) follow(ctx context.Context) {
	pause, logged := firstPause, false
	for {
		err := v.read(ctx, func() { pause, logged = firstPause, false })
		v.lost(err)
		if ctx.Err() != nil {
			return
		}
		if !logged {
			v.Log.Warn("lost the stream of the event log; trying again", "err", err)
		}
		logged = true
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

// lost records the end of a stream. A lost connection leaves the window open until
// its time is over, which is safe. A malformed stream closes it at once.
func (v *Verifier) lost(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.connected, v.stopStream, v.lastErr = false, nil, err
	v.history.pending = nil
	switch {
	case errors.Is(err, errDiverged):
		v.reset(client.Place{})
	case errors.Is(err, client.ErrMalformed):
		v.window.Store(nil)
	}
}

// read opens one stream and reads it to its end. It calls alive for each message.
func (v *Verifier) read(ctx context.Context, alive func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.mu.Lock()
	v.stopStream = cancel
	at := v.history.place()
	v.mu.Unlock()
	return v.Client.StreamLog(ctx, v.Key, at, v.MaxStaleness/4, func(m client.LogMessage) error {
		alive()
		return v.handle(m)
	})
}

// handle handles one message of the stream. After an error the stream must not be
// used any more.
func (v *Verifier) handle(m client.LogMessage) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.connected, v.lastErr = true, nil
	switch m.Name {
	case client.MessageReload:
		v.reset(m.Position.Place)
	case client.MessageLog:
		return v.apply(m.Event)
	case client.MessageSame:
		if m.Position.Epoch != v.history.epoch {
			return errDiverged
		}
	case client.MessageBeat:
		if m.Position.Place != v.history.place() {
			return errDiverged // a beat comes after all events up to its place
		}
	}
	return nil
}

// keepFresh asks for the log's end, four times in each window's length, and notifies
// the app when the window opens or closes.
func (v *Verifier) keepFresh(ctx context.Context) {
	fresh := false
	for {
		err := v.confirm(ctx)
		if now := v.Fresh(); now != fresh {
			fresh = now
			v.notify(fresh, err)
		}
		if sleep(ctx, v.MaxStaleness/4) != nil {
			return
		}
	}
}

func (v *Verifier) notify(fresh bool, err error) {
	s := State{Fresh: fresh}
	if !fresh {
		v.mu.Lock()
		if s.Err = v.lastErr; s.Err == nil {
			s.Err = err
		}
		v.mu.Unlock()
		v.Log.Warn("sessions are not checked in memory now; each request asks the authority", "err", s.Err)
	} else {
		v.Log.Info("sessions are checked in memory")
	}
	if v.OnState != nil {
		v.OnState(s)
	}
}

// confirm asks for the log's end and opens a window that counts from the question:
// at once, or when the events up to the answer's place have been applied.
func (v *Verifier) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.MaxStaleness)
	defer cancel()
	v.mu.Lock()
	at, why := v.history.place(), v.lastErr
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
		// Without the stream, an ended session would be accepted until the window closes.
		return v.lastErr
	case p.History == client.HistorySame:
		if len(h.pending) == maxPending {
			h.pending = h.pending[1:]
		}
		h.pending = append(h.pending, pendingWindow{p.Place, newWindow(asked, p.Position, v.MaxStaleness)})
		if v.openWindows() == nil {
			return nil
		}
	}
	// The stream and this answer belong to different histories, and cached answers
	// may belong to the wrong one.
	v.reset(client.Place{})
	v.stopStream()
	return errDiverged
}
