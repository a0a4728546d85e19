// Package stream tells open pages and apps how their session fares: at once
// when they ask, and as server-sent events until the session ends. Apps that
// check sessions in their own process follow the event log itself (events.go).
//
// It owns the shape and the manners of those answers. It decides nothing: each
// time it is woken it asks the authority again, so a lost wake-up costs time
// and never truth. Nothing here counts as activity.
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

// Deps are what a Stream is made of. All fields are needed.
type Deps struct {
	Authority *authority.Authority
	Clients   *oauth.Registry
	Browser   web.Browser // recognises browsers' pairs of cookies
	Now       func() time.Time
	// Done closes when the server begins to stop: open streams then end.
	Done <-chan struct{}
	// Surface is how calls of programs fail.
	Surface web.Surface
}

// Stream serves states and streams.
type Stream struct {
	Deps
	states web.States
	mu     sync.Mutex
	open   map[holder]int
}

// holder is whom a stream is for.
type holder struct {
	session exeunt.SessionID
	app     exeunt.AppSessionID
	client  exeunt.ClientID // of the event log
}

const (
	// maxOpen bounds the streams of one session. Browsers share one between
	// tabs, apps one between pages.
	maxOpen = 16
	// maxReaders bounds those of one client, which has one for each process.
	maxReaders = 256
)

// New returns a Stream.
func New(d Deps) *Stream {
	return &Stream{Deps: d, states: web.States{Authority: d.Authority, Now: d.Now}, open: map[holder]int{}}
}

// MountBrowser serves the stream for pages, which come with a pair of cookies.
// (Their states and notes of activity are pages' own.)
func (s *Stream) MountBrowser(m *http.ServeMux) {
	m.HandleFunc("GET /session/stream", s.follow(s.fromBrowser))
}

// MountBearer serves the addresses for apps, which come with a bearer token.
func (s *Stream) MountBearer(m *http.ServeMux) {
	m.HandleFunc("GET /api/v1/session/state", s.answer(s.fromBearer))
	m.HandleFunc("GET /api/v1/session/stream", s.follow(s.fromBearer))
	m.Handle("GET /api/v1/events", s.Surface.Handle(s.events))
}

// asker is who asks, as one kind of caller shows it.
type asker func(r *http.Request) (authority.Credential, authority.Answer)

func (s *Stream) fromBrowser(r *http.Request) (authority.Credential, authority.Answer) {
	v := s.Browser.Visitor(r)
	return v.Credential, v.Answer
}

func (s *Stream) fromBearer(r *http.Request) (authority.Credential, authority.Answer) {
	c := web.Bearer(r)
	return c, s.Authority.Check(r.Context(), c)
}

// answer tells the state once.
func (s *Stream) answer(who asker) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ans := who(r)
		web.WriteState(w, s.states.Of(r.Context(), c.Token, ans))
	}
}

// enter counts a stream in, unless its holder has too many.
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
