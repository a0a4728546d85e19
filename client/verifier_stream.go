package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
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
		v.startOver(Position{})
	case errors.Is(err, errMalformed):
		v.window.Store(nil)
	}
}

// read opens one stream and reads it to its end.
func (v *Verifier) read(ctx context.Context, greeted func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := max(2*v.MaxStaleness, time.Second)
	watchdog := time.AfterFunc(v.Client.opt.CheckTimeout, cancel) // until the headers are here
	defer watchdog.Stop()
	v.mu.Lock()
	v.cut = cancel
	q := v.history.query()
	v.mu.Unlock()
	q.Set("beat", strconv.FormatInt((v.MaxStaleness/4).Milliseconds(), 10))
	r, err := v.Client.newRequest(ctx, request{method: http.MethodGet, path: "/api/v1/events", query: q, token: v.Key})
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := v.Client.http.Do(r)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return errors.New("the authority does not know the app's key")
	case resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream"):
		return fmt.Errorf("%w: it answered %s", ErrUnavailable, resp.Status)
	}
	watchdog.Reset(quiet)
	return readMessages(resp.Body, func() { watchdog.Reset(quiet) }, func(m message) error {
		if m.event == "hello" {
			greeted()
		}
		return v.take(m)
	})
}

// take takes one message of the stream. After an error nothing more of the
// stream is to be believed.
func (v *Verifier) take(m message) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if (m.event == "hello") == v.connected {
		return errMalformed // it comes first, and once
	}
	switch m.event {
	case "hello":
		return v.greet(m)
	case "log":
		e, err := logEvent(m)
		if err != nil {
			return err
		}
		return v.apply(e)
	case "beat":
		p, err := position(m)
		h := &v.history
		if err == nil && (p.Epoch != h.epoch || p.Seq != h.applied || h.has(p.place()) != nil) {
			err = errDiverged // the events up to it have all been told
		}
		return err
	case "reload":
		p, err := position(m)
		if err == nil && p.Epoch != v.history.epoch {
			err = errDiverged
		}
		if err == nil {
			v.startOver(p)
		}
		return err
	}
	return nil // from a newer authority, and no end
}

// greet begins a stream. It is called with mu held.
func (v *Verifier) greet(m message) error {
	p, err := position(m)
	h := &v.history
	switch {
	case err != nil:
		return err
	case h.epoch == "":
		v.startOver(p)
	case p.Epoch != h.epoch, p.Seq < h.applied:
		// Another installation, or one whose log was put back. The place that
		// was asked for means nothing there.
		return errDiverged
	}
	v.connected, v.why = true, nil
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
	s := VerifierState{Fresh: fresh}
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

// confirm asks how far the log is.
func (v *Verifier) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.MaxStaleness)
	defer cancel()
	asked := v.now() // before it is sent: see newWindow
	p, err := v.Client.echo(ctx, v.Key, strconv.FormatInt(int64(asked.wall), 36))
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	h := &v.history
	switch {
	case !p.sound():
		return errMalformed
	case !v.connected:
		// Without the stream an end would be known only when the window closes.
		return v.why
	}
	if p.Epoch == h.epoch {
		if len(h.waiting) == maxWaiting {
			h.waiting = h.waiting[1:]
		}
		h.waiting = append(h.waiting, told{p.place(), newWindow(asked, p, v.MaxStaleness)})
		if v.settle() == nil {
			return nil
		}
	}
	// Whether the stream or this answer is of the history that counts, what was
	// kept may be of the other.
	v.startOver(Position{})
	v.cut()
	return errDiverged
}
