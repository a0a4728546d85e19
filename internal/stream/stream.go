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

// Deps of a Stream. All fields but Most are required.
type Deps struct {
	Authority *authority.Authority
	Clients   *oauth.Registry
	Browser   web.Browser // recognises browsers' pairs of cookies
	Now       func() time.Time
	// Most is how many streams may be open at the same time, so that connections are
	// left for everything else; 0 is no limit.
	Most int
	// Done closes when the server begins to stop: open streams then end.
	Done    <-chan struct{}
	Surface web.Surface // answers errors
}

// Stream serves states and streams.
type Stream struct {
	Deps
	states web.States
	mu     sync.Mutex
	open   map[holder]int // the zero holder: all
}

// holder is whose streams are counted together.
type holder struct {
	account exeunt.AccountID
	session exeunt.SessionID
	app     exeunt.AppSessionID
	client  exeunt.ClientID // of the event log
}

const (
	// maxOpen bounds the streams of one session. Tabs of a browser share one, and
	// pages of an app share one.
	maxOpen = 16
	// maxOfAccount bounds the streams of one account, because each news of the
	// account wakes them all.
	maxOfAccount = 100
	// maxReaders bounds the readers of one client, which has one for each process.
	maxReaders = 256
	// fairPart: where few streams may be open, nobody has more than this part of them.
	fairPart = 4
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
	m.HandleFunc("POST /api/v1/session/closing", s.closing)
	m.Handle("GET /api/v1/events", s.Surface.Handle(s.events))
}

// asker reads the credential of one kind of caller and checks it.
type asker func(r *http.Request) (authority.Credential, authority.Answer)

func (s *Stream) fromBrowser(r *http.Request) (authority.Credential, authority.Answer) {
	v := s.Browser.NamedIn(r, r.URL.Query().Get("session"))
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

// closing takes the word of an app that a page of it on a shared computer was closed.
func (s *Stream) closing(w http.ResponseWriter, r *http.Request) {
	_, ans := s.fromBearer(r)
	s.Authority.PageClosed(ans)
	web.NoStore(w)
	w.WriteHeader(http.StatusNoContent)
}

// retryAfter is when a refused stream may be tried again.
const retryAfter = 10 * time.Second

// quota is how many streams a holder may have at the same time.
type quota struct {
	holder holder
	most   int
}

// enter counts a stream, unless one of its holders has too many, or all together.
func (s *Stream) enter(quotas ...quota) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Most > 0 && s.open[holder{}] >= s.Most {
		return nil, exeunt.ErrUnavailable
	}
	fair := max(s.Most/fairPart, 1)
	for _, q := range quotas {
		if s.open[q.holder] >= q.most || s.Most > 0 && s.open[q.holder] >= fair {
			return nil, &exeunt.ThrottledError{RetryAfter: retryAfter, Limit: exeunt.LimitStreams}
		}
	}
	quotas = append(quotas, quota{})
	for _, q := range quotas {
		s.open[q.holder]++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, q := range quotas {
			if s.open[q.holder]--; s.open[q.holder] == 0 {
				delete(s.open, q.holder)
			}
		}
	}, nil
}
