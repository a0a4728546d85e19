package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	// maxSilence: the authority's stream sends a beat every 15 s. After two missed
	// ones the connection counts as lost.
	maxSilence   = 35 * time.Second
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
)

// Stream calls handle with a session's state at once and whenever it changes, until
// the session ends. When the connection is lost, it calls handle with Unknown and
// connects again with growing pauses. It returns nil after a state of Over, and
// ctx's error when ctx is done first. It never counts as activity. handle must not
// block for long.
func (c *Client) Stream(ctx context.Context, token Secret, handle func(State)) error {
	pause, lost := firstPause, false
	for {
		over, err := c.streamOnce(ctx, token, func(s State) {
			pause, lost = firstPause, s.State == Unknown
			handle(s)
		})
		if over {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !lost {
			handle(State{State: Unknown})
			lost = true
		}
		// Half fixed, half random, so that many apps do not return at the same time.
		wait := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
		pause = min(pause*2, longestPause)
	}
}

// streamOnce opens one stream and reads it to its end.
func (c *Client) streamOnce(ctx context.Context, token Secret, handle func(State)) (over bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(c.opt.CheckTimeout, cancel) // until the headers have arrived
	defer watchdog.Stop()
	r, err := c.newRequest(ctx, request{method: http.MethodGet, path: "/api/v1/session/stream", token: token})
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := c.http.Do(r)
	if err != nil {
		return false, unreachable(err)
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		s, err := stateOf(resp)
		if err != nil || s.State != Over {
			return false, errors.Join(err, errStreamEnded)
		}
		handle(s)
		return true, nil
	}
	watchdog.Reset(maxSilence)
	return readStates(resp.Body, func() { watchdog.Reset(maxSilence) }, handle)
}

// readStates handles the messages named "state". Others are for pages that list
// sessions.
func readStates(body io.Reader, alive func(), handle func(State)) (over bool, err error) {
	err = readMessages(body, alive, func(m message) error {
		s, ok := stateEvent(m.event, m.data)
		if ok {
			handle(s)
		}
		if ok && s.State == Over {
			return errOver
		}
		return nil
	})
	if err == errOver {
		return true, nil
	}
	return false, err
}

func stateEvent(event, data string) (s State, ok bool) {
	if event != "state" {
		return s, false
	}
	if json.Unmarshal([]byte(data), &s) != nil {
		return State{State: Unknown}, true
	}
	return s, true
}
