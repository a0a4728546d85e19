package stream

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/web"
)

const (
	// eventsPerWrite bounds a write, so that a slow reader can receive it in time.
	eventsPerWrite = 256
	usualBeat      = 500 * time.Millisecond
	shortestBeat   = 100 * time.Millisecond
)

// events sends the event log to an app that checks sessions in its own process. Each
// reader has its own place in the log and gets the events after it; nothing is
// buffered for it. A reader that stops reading is cut off by the write's deadline
// and can return with its place.
func (s *Stream) events(w http.ResponseWriter, r *http.Request) error {
	c, ok := s.Clients.CheckedByKey(web.Bearer(r).Token)
	if !ok {
		return exeunt.ErrClientKey
	}
	v := reader{Stream: s, key: web.Bearer(r).Token, beat: beatOf(r)}
	after, err := placeOf(r)
	if err != nil {
		return err
	}
	p, err := v.Authority.Position()
	if err != nil {
		return err
	}
	leave, err := s.enter(quota{holder{client: c.ID}, maxReaders})
	if err != nil {
		return err
	}
	defer leave()
	v.out = client.NewStreamWriter(w)
	if v.at, v.inLog = v.Authority.ResumeLog(after.Epoch, after.Seq, after.Digest); v.inLog {
		err = v.out.Position(client.MessageSame, web.Position(p, v.Now()))
	}
	if err == nil {
		v.run(r.Context())
	}
	return nil
}

// placeOf returns the place after which the reader wants to continue, the zero Place
// if it has none.
func placeOf(r *http.Request) (p client.Place, err error) {
	q := r.URL.Query()
	p.Epoch, p.Digest = q.Get("epoch"), q.Get("digest")
	if text := q.Get("after"); text != "" {
		p.Seq, err = strconv.ParseInt(text, 10, 64)
		if err != nil || p.Seq < 0 {
			return p, exeunt.ErrBadRequest
		}
	}
	return p, nil
}

// beatOf is how often the reader wants a beat.
func beatOf(r *http.Request) time.Duration {
	ms, err := strconv.Atoi(r.URL.Query().Get("beat"))
	if err != nil {
		return usualBeat
	}
	return min(max(time.Duration(ms)*time.Millisecond, shortestBeat), client.Beat)
}

// reader is one open stream of the log.
type reader struct {
	*Stream
	key   exeunt.Token // of the reader
	out   *client.StreamWriter
	at    authority.Place // after the last event told
	inLog bool            // its place is in the log
	beat  time.Duration
}

func (v *reader) run(ctx context.Context) {
	tick := time.NewTicker(v.beat)
	defer tick.Stop()
	for {
		more, err := v.catchUp()
		if err != nil {
			return // the reader has gone, or has stopped reading
		}
		select {
		case <-more:
		case <-tick.C:
			if _, still := v.Clients.CheckedByKey(v.key); !still {
				return // its client was removed, or may not follow the log any more
			}
			// A node that cannot read its log sends no beat: the reader must not
			// think that there are no more events.
			p, err := v.Authority.Position()
			if err != nil {
				return
			}
			p.Place = v.at // a beat's place is after the last event that was sent
			if v.out.Position(client.MessageBeat, web.Position(p, v.Now())) != nil {
				return
			}
		case <-ctx.Done():
			return
		case <-v.Done:
			return
		}
	}
}

// catchUp sends the events up to the log's end, and returns a channel that closes when
// there are more.
func (v *reader) catchUp() (more <-chan struct{}, err error) {
	for {
		if !v.inLog {
			if err := v.reload(); err != nil {
				return nil, err
			}
		}
		var list []authority.Entry
		var next authority.Place
		list, next, more, v.inLog = v.Authority.LogSince(v.at, eventsPerWrite)
		switch {
		case !v.inLog:
			continue
		case len(list) == 0:
			return more, nil
		}
		if err := v.out.Log(logEvents(list)); err != nil {
			return nil, err
		}
		v.at = next
	}
}

// reload tells the reader to forget everything and go on from the log's end, because
// it is new, or its place is too old or in another history.
func (v *reader) reload() error {
	p, err := v.Authority.Position()
	if err != nil {
		return err
	}
	v.at = p.Place
	return v.out.Position(client.MessageReload, web.Position(p, v.Now()))
}

// logEvents leaves out what a verifier does not need: who ended a session and why.
func logEvents(list []authority.Entry) []client.LogEvent {
	out := make([]client.LogEvent, len(list))
	for i, e := range list {
		out[i] = client.LogEvent{
			Seq: e.Seq, At: e.At.UTC(), Kind: client.EventKind(e.Kind), Digest: e.Digest, Client: string(e.Client),
			Account: e.Account.String(), Scope: string(e.Scope), Session: e.Session.String(),
			AppSession: e.AppSession.String(), Generation: e.Generation,
		}
	}
	return out
}
