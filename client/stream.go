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
	// quietTooLong: the authority's stream says something every 15 s. Two
	// missed beats and the connection counts as lost.
	quietTooLong = 35 * time.Second
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
)

// Stream calls told with a session's state at once and whenever it changes, until
// the session ends. When the authority is lost, told gets Unknown and Stream
// tries again with growing pauses. It returns nil after told has been given Over,
// and ctx's error when ctx is done first. It never counts as activity. told must
// not block for long.
func (c *Client) Stream(ctx context.Context, token Secret, told func(State)) error {
	pause, lost := firstPause, false
	for {
		over, err := c.streamOnce(ctx, token, func(s State) {
			pause, lost = firstPause, s.State == Unknown
			told(s)
		})
		if over {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !lost {
			told(State{State: Unknown})
			lost = true
		}
		// Half fixed, half random, so that many apps do not come back in step.
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
func (c *Client) streamOnce(ctx context.Context, token Secret, told func(State)) (over bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(c.opt.CheckTimeout, cancel) // until the headers are here
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
		told(s)
		return true, nil
	}
	watchdog.Reset(quietTooLong)
	return readStates(resp.Body, func() { watchdog.Reset(quietTooLong) }, told)
}

// readStates reports the messages named "state". Others are for pages that
// list sessions.
func readStates(body io.Reader, alive func(), told func(State)) (over bool, err error) {
	err = readMessages(body, alive, func(m message) error {
		s, ok := stateEvent(m.event, m.data)
		if ok {
			told(s)
		}
		if ok && s.State == Over {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
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
