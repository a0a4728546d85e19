package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What an app needs that checks sessions in its own process, as package verify
// does: the event log, and answers of the gate that may be kept. All calls carry
// the app's secret key.

// Checked is an answer of the gate that may be kept, until an event after its
// place covers the session or its time runs out.
type Checked struct {
	Person
	Place                    // the answer holds every event up to here; the zero Place is not to be kept
	Generation int64         // of the account, that the session was born in
	Idle       time.Duration // how long the session may stay unused
	ExpiresAt  time.Time     // it ends then in any case
}

// CheckToKeep is Check for an app that keeps answers. Only those about its own app
// sessions have a Place.
func (c *Client) CheckToKeep(ctx context.Context, key, token Secret, activity bool) (Checked, error) {
	h, err := c.askGate(ctx, token, activity, key)
	if err != nil {
		return Checked{}, err
	}
	return checkedOf(h), nil
}

func checkedOf(h http.Header) Checked {
	out := Checked{Person: personOf(h)}
	var n [4]int64
	for i, name := range []string{HeaderSeq, HeaderGeneration, HeaderIdle, HeaderExpiresAt} {
		var err error
		if n[i], err = strconv.ParseInt(h.Get(name), 10, 64); err != nil || n[i] < 0 || n[i] > maxMillis {
			return out
		}
	}
	at := Place{h.Get(HeaderEpoch), n[0], h.Get(HeaderDigest)}
	if at.sound() && out.AppSession != "" {
		out.Place, out.Generation = at, n[1]
		out.Idle, out.ExpiresAt = time.Duration(n[2])*time.Millisecond, time.UnixMilli(n[3])
	}
	return out
}

// Echo asks how far the event log is, and whether the asker's place is in it.
func (c *Client) Echo(ctx context.Context, key Secret, in Echo) (Echoed, error) {
	var out Echoed
	err := c.call(ctx, request{
		method: http.MethodPost, path: "/api/v1/events/echo", token: key, in: in, out: &out, status: http.StatusOK,
	})
	switch {
	case err != nil:
		return out, err
	case out.Nonce != in.Nonce:
		return out, fmt.Errorf("%w: it answered another question", ErrUnavailable)
	case !out.sound() || out.History != HistorySame && out.History != HistoryReload:
		return out, ErrMalformed
	}
	return out, nil
}

// NoteActivity tells when people were last at work.
func (c *Client) NoteActivity(ctx context.Context, key Secret, seen []SeenAt) (ActivityNoted, error) {
	var out ActivityNoted
	err := c.call(ctx, request{
		method: http.MethodPost, path: "/api/v1/activity", token: key, in: ActivityNote{Seen: seen}, out: &out, status: http.StatusOK,
	})
	if err == nil && (out.Now < 0 || out.Now > maxMillis) {
		err = fmt.Errorf("%w: it tells no time", ErrUnavailable)
	}
	return out, err
}

// LogMessage is a message of the event log's stream.
type LogMessage struct {
	Name     string   // one of those below
	Position Position // of all but MessageLog
	Event    LogEvent // of MessageLog
}

// The names of a LogMessage. The first message is same or reload.
const (
	// MessageSame: what follows are the events after the place that was asked for.
	MessageSame = string(HistorySame)
	// MessageReload: forget everything; what follows are the events after this
	// position. It may come at any time.
	MessageReload = string(HistoryReload)
	// MessageLog: the next event.
	MessageLog = "log"
	// MessageBeat: there is nothing more at the moment.
	MessageBeat = "beat"
)

// StreamLog gives each message of the event log's stream to told until that
// returns an error, which it returns, or the stream is lost. It begins after a
// place; the zero Place is where the log is now. A stream that says nothing for
// eight times beat counts as lost.
func (c *Client) StreamLog(
	ctx context.Context, key Secret, after Place, beat time.Duration, told func(LogMessage) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(c.opt.CheckTimeout, cancel) // until the headers are here
	defer watchdog.Stop()
	q := logQuery(after, beat)
	r, err := c.newRequest(ctx, request{method: http.MethodGet, path: "/api/v1/events", query: q, token: key})
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := c.http.Do(r)
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
	silence := max(8*beat, time.Second)
	watchdog.Reset(silence)
	begun := false
	return readMessages(resp.Body, func() { watchdog.Reset(silence) }, func(in message) error {
		m, err := logMessage(in)
		switch {
		case err != nil:
			return err
		case m.Name == "":
			return nil // from a newer authority, and no event
		case m.Name == MessageSame && begun, m.Name != MessageSame && m.Name != MessageReload && !begun:
			return ErrMalformed
		}
		begun = true
		return told(m)
	})
}

func logQuery(after Place, beat time.Duration) url.Values {
	q := url.Values{"beat": {strconv.FormatInt(beat.Milliseconds(), 10)}}
	if after.Epoch != "" {
		q.Set("epoch", after.Epoch)
		q.Set("after", strconv.FormatInt(after.Seq, 10))
		q.Set("digest", after.Digest)
	}
	return q
}

// logMessage reads a message. Whatever is not exactly as it must be is
// ErrMalformed, since guessing could mean to miss an end.
func logMessage(in message) (m LogMessage, err error) {
	sound := true
	switch in.event {
	case MessageSame, MessageReload, MessageBeat:
		err = json.Unmarshal([]byte(in.data), &m.Position)
		sound = m.Position.sound()
	case MessageLog:
		err = json.Unmarshal([]byte(in.data), &m.Event)
		sound = m.Event.sound() && in.id == strconv.FormatInt(m.Event.Seq, 10)
	default:
		return m, nil
	}
	if err != nil || !sound {
		return LogMessage{}, ErrMalformed // the decoder's error would quote the stream
	}
	m.Name = in.event
	return m, nil
}

// Numbers beyond these mean nothing, and could overflow what is reckoned with
// them: a window would be open for good.
const (
	maxCount  = 1 << 53 // what JSON numbers are exact to (RFC 8259 section 6)
	maxMillis = 1 << 43 // the year 2248; nanoseconds still fit in an int64
	maxAge    = int64(24 * time.Hour / time.Millisecond)
)

// sound reports whether it may be a place. What a digest is made from is the
// authority's business; it goes back there in an address.
func (p Place) sound() bool {
	return p.Epoch != "" && p.Seq >= 0 && p.Seq <= maxCount && soundDigest(p.Digest)
}

func soundDigest(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}

func (p Position) sound() bool {
	return p.Place.sound() && p.Age >= 0 && p.Age <= maxAge && p.Now >= 0 && p.Now <= maxMillis
}

func (e *LogEvent) sound() bool {
	whole := e.Seq > 0 && e.Seq <= maxCount && e.Digest != "" && soundDigest(e.Digest) && e.Kind != ""
	if e.Account != "" || e.Kind == EventEnded {
		whole = whole && strings.HasPrefix(e.Account, "acc_")
	}
	if e.Kind == EventEnded {
		whole = whole && e.Scope != ""
	}
	switch e.Scope {
	case "session":
		whole = whole && (e.AppSession == "" || strings.HasPrefix(e.AppSession, "app_"))
		return whole && strings.HasPrefix(e.Session, "ses_")
	case "others":
		return whole && strings.HasPrefix(e.Session, "ses_") && e.Generation > 0
	case "account":
		return whole && e.Generation > 0
	}
	return whole
}
