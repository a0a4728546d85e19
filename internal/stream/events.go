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
	// eventsPerWrite bounds what one write may ask of a slow reader.
	eventsPerWrite = 256
	usualBeat      = 500 * time.Millisecond
	shortestBeat   = 100 * time.Millisecond
)

// events tells the whole event log to an app that checks sessions in its own
// process. Each reader has its own place in the log and is given what follows;
// nothing is kept for it here. One that stops reading is cut off by the write's
// deadline and comes back with the place that it has come to.
func (s *Stream) events(w http.ResponseWriter, r *http.Request) error {
	c, ok := s.Clients.ClientByKey(web.Bearer(r).Token)
	if !ok {
		return exeunt.ErrClientKey
	}
	v := reader{Stream: s, beat: beatOf(r)}
	after, err := placeOf(r)
	if err != nil {
		return err
	}
	p, err := v.Authority.Position()
	if err != nil {
		return err
	}
	leave, ok := s.enter(holder{client: c.ID}, maxReaders)
	if !ok {
		return exeunt.ErrUnavailable
	}
	defer leave()
	v.out = client.NewStreamWriter(w)
	if v.at, v.there = v.Authority.ResumeLog(after.Epoch, after.Seq, after.Digest); v.there {
		err = v.out.Position(client.MessageSame, web.Position(p, v.Now()))
	}
	if err == nil {
		v.run(r.Context())
	}
	return nil
}

// placeOf returns the place after which the reader wants to go on, the zero Place
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

// beatOf is how often the reader wants to hear that nothing has happened.
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
	out   *client.StreamWriter
	at    authority.Place // after the last event told
	there bool            // its place is in the log
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
			// Silence is the honest answer of a node that has lost its log.
			p, err := v.Authority.Position()
			if err != nil {
				return
			}
			p.Place = v.at // never one whose events have not been told
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

// catchUp tells what there is, and returns what closes when there is more.
func (v *reader) catchUp() (more <-chan struct{}, err error) {
	for {
		if !v.there {
			if err := v.reload(); err != nil {
				return nil, err
			}
		}
		var list []authority.Entry
		var next authority.Place
		list, next, more, v.there = v.Authority.LogSince(v.at, eventsPerWrite)
		switch {
		case !v.there:
			continue
		case len(list) == 0:
			return more, nil
		}
		if err := v.out.Log(told(list)); err != nil {
			return nil, err
		}
		v.at = next
	}
}

// reload has the reader forget what it keeps and go on from the log's end: it has
// nothing yet, or what it may have missed cannot be told, or it was told of what
// has been replaced.
func (v *reader) reload() error {
	p, err := v.Authority.Position()
	if err != nil {
		return err
	}
	v.at = p.Place
	return v.out.Position(client.MessageReload, web.Position(p, v.Now()))
}

// told leaves out all that a verifier does not need: who did it and why.
func told(list []authority.Entry) []client.LogEvent {
	out := make([]client.LogEvent, len(list))
	for i, e := range list {
		out[i] = client.LogEvent{
			Seq: e.Seq, At: e.At.UTC(), Kind: client.EventKind(e.Kind), Scope: string(e.Scope), Account: e.Account.String(),
			Session: e.Session.String(), AppSession: e.AppSession.String(), Generation: e.Generation, Digest: e.Digest, Client: string(e.Client),
		}
	}
	return out
}
