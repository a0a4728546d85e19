// Package stream sends open pages and apps the state of their session: once, or as
// server-sent events until the session ends. Apps that check sessions in their own
// process follow the event log itself (events.go).
//
// It owns the format and timing of those answers. It decides nothing: it asks the
// authority again each time it is woken, so a lost wake-up only delays the answer.
// Nothing here counts as activity.
package stream

import (
	"net/http"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/web"
)

// Deps of a Stream. All fields are required.
type Deps struct {
	Authority *authority.Authority
	Clients   *oauth.Registry
	Browser   web.Browser // recognises browsers' pairs of cookies
	Now       func() time.Time
	// Done closes when the server begins to stop: open streams then end.
	Done    <-chan struct{}
	Surface web.Surface // answers errors
}

// Stream serves states and streams.
type Stream struct {
	Deps
	states web.States
	mu     sync.Mutex
	open   map[holder]int
}

// holder is whose streams are counted together.
type holder struct {
	session exeunt.SessionID
	app     exeunt.AppSessionID
	client  exeunt.ClientID // of the event log
}

const (
	// maxOpen bounds the streams of one session. Tabs of a browser share one, and
	// pages of an app share one.
	maxOpen = 16
	// maxReaders bounds the readers of one client, which has one for each process.
	maxReaders = 256
)

// New returns a Stream.
func New(d Deps) *Stream {
	return &Stream{Deps: d, states: web.States{Authority: d.Authority, Now: d.Now}, open: map[holder]int{}}
}

// MountBrowser serves the stream for pages, which send a pair of cookies. (Package
// pages serves their states and activity.)
func (s *Stream) MountBrowser(m *http.ServeMux) {
	m.HandleFunc("GET /session/stream", s.follow(s.fromBrowser))
}

// MountBearer serves the addresses for apps, which send a bearer token.
func (s *Stream) MountBearer(m *http.ServeMux) {
	m.HandleFunc("GET /api/v1/session/state", s.answer(s.fromBearer))
	m.HandleFunc("GET /api/v1/session/stream", s.follow(s.fromBearer))
	m.Handle("GET /api/v1/events", s.Surface.Handle(s.events))
}

// asker reads the credential of one kind of caller and checks it.
type asker func(r *http.Request) (authority.Credential, authority.Answer)

func (s *Stream) fromBrowser(r *http.Request) (authority.Credential, authority.Answer) {
	v := s.Browser.Visitor(r)
	return v.Credential, v.Answer
}

func (s *Stream) fromBearer(r *http.Request) (authority.Credential, authority.Answer) {
	c := web.Bearer(r)
	return c, s.Authority.Check(r.Context(), c)
}

// answer sends the state once.
func (s *Stream) answer(who asker) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ans := who(r)
		web.WriteState(w, s.states.Of(r.Context(), c.Token, ans))
	}
}

// enter counts a stream, unless its holder has too many.
func (s *Stream) enter(h holder, most int) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[h] >= most {
		return nil, false
	}
	s.open[h]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[h]--; s.open[h] == 0 {
			delete(s.open, h)
		}
	}, true
}
