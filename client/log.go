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

// This file is for apps that check sessions in their own process, as package verify
// does: it reads the event log and asks the gate for answers that may be cached. All
// calls carry the app's secret key.

// Checked is an answer of the gate that may be cached until an event after its
// place covers the session or its time runs out.
type Checked struct {
	Person
	Place                    // the answer includes every event up to here; do not cache it if this is zero
	Generation int64         // of the session
	Idle       time.Duration // the idle timeout
	ExpiresAt  time.Time     // when the session ends in any case
}

// CheckToKeep is Check for an app that caches answers. Only answers about its own
// app sessions have a Place.
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
	if at.valid() && out.AppSession != "" {
		out.Place, out.Generation = at, n[1]
		out.Idle, out.ExpiresAt = time.Duration(n[2])*time.Millisecond, time.UnixMilli(n[3])
	}
	return out
}

// Echo asks for the end of the event log, and whether the caller's place is in it.
func (c *Client) Echo(ctx context.Context, key Secret, in Echo) (Echoed, error) {
	var out Echoed
	err := c.post(ctx, "/api/v1/events/echo", key, in, &out, http.StatusOK)
	switch {
	case err != nil:
		return out, err
	case out.Nonce != in.Nonce:
		return out, fmt.Errorf("%w: it answered another question", ErrUnavailable)
	case !out.valid() || out.History != HistorySame && out.History != HistoryReload:
		return out, ErrMalformed
	}
	return out, nil
}

// NoteActivity reports when people were last at work.
func (c *Client) NoteActivity(ctx context.Context, key Secret, seen []SeenAt) (ActivityNoted, error) {
	var out ActivityNoted
	err := c.post(ctx, "/api/v1/activity", key, ActivityNote{Seen: seen}, &out, http.StatusOK)
	if err == nil && (out.Now < 0 || out.Now > maxMillis) {
		err = ErrMalformed
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
	// MessageSame: the events after the requested place follow.
	MessageSame = string(HistorySame)
	// MessageReload: forget everything; the events after this position follow. It
	// may come at any time.
	MessageReload = string(HistoryReload)
	// MessageLog: the next event.
	MessageLog = "log"
	// MessageBeat: there are no more events at the moment.
	MessageBeat = "beat"
)

// StreamLog calls handle with each message of the event log's stream, until handle
// returns an error or the stream is lost, and returns that error. It begins after a
// place; the zero Place is the log's end. A stream that is silent for eight times
// beat counts as lost.
func (c *Client) StreamLog(
	ctx context.Context, key Secret, after Place, beat time.Duration, handle func(LogMessage) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(c.opt.CheckTimeout, cancel) // until the headers have arrived
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
		return errors.New("invalid app key: use one that the authority has for this app")
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
			return nil // a message of a newer authority that carries no event
		case m.Name == MessageSame && begun, m.Name != MessageSame && m.Name != MessageReload && !begun:
			return ErrMalformed
		}
		begun = true
		return handle(m)
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

// logMessage reads a message. It returns ErrMalformed for anything unexpected,
// because a wrong guess could miss an ended session.
func logMessage(in message) (m LogMessage, err error) {
	valid := true
	switch in.event {
	case MessageSame, MessageReload, MessageBeat:
		err = json.Unmarshal([]byte(in.data), &m.Position)
		valid = m.Position.valid()
	case MessageLog:
		err = json.Unmarshal([]byte(in.data), &m.Event)
		valid = m.Event.valid() && in.id == strconv.FormatInt(m.Event.Seq, 10)
	default:
		return m, nil
	}
	if err != nil || !valid {
		return LogMessage{}, ErrMalformed // without the decoder's error, which may quote the stream
	}
	m.Name = in.event
	return m, nil
}

// Larger numbers are invalid. They could overflow a calculation, and a window would
// stay open for good.
const (
	maxCount  = 1 << 53 // JSON numbers are exact up to here (RFC 8259 section 6)
	maxMillis = 1 << 43 // the year 2248; nanoseconds still fit in an int64
	maxAge    = int64(24 * time.Hour / time.Millisecond)
)

// valid reports whether p may be a place. Only the authority knows how a digest is
// made; it goes back there in an address.
func (p Place) valid() bool {
	return p.Epoch != "" && p.Seq >= 0 && p.Seq <= maxCount && validDigest(p.Digest)
}

func validDigest(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}

func (p Position) valid() bool {
	return p.Place.valid() && p.Age >= 0 && p.Age <= maxAge && p.Now >= 0 && p.Now <= maxMillis
}

func (e *LogEvent) valid() bool {
	whole := e.Seq > 0 && e.Seq <= maxCount && e.Digest != "" && validDigest(e.Digest) && e.Kind != ""
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
