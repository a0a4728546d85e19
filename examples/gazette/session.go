package gazette

import (
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"time"
)

// session is a reader's, in this newspaper. It lives until the authority says that it is over, and no longer than the
// authority's own.
type session struct {
	subject, sid string // whose, and in which session at the authority
	name         string
	idToken      string
	issued, ends time.Time
}

// sessions are Gazette's own, by the text in the reader's cookie. They are gone when it stops.
type sessions struct {
	now func() time.Time

	mu    sync.Mutex
	byID  map[string]session
	ended map[string]time.Time // when the authority said so, by sid or subject
}

const (
	maxSessions = 10_000
	longest     = 12 * time.Hour  // of a session whose end the authority does not tell
	remembered  = 5 * time.Minute // how long a sign-in may take from the ID token to here
)

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, byID: map[string]session{}, ended: map[string]time.Time{}}
}

// start returns the ID of a new session, and false if the authority has said meanwhile that it is over: the notice may
// overtake the sign-in.
func (s *sessions) start(of session) (id string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	maps.DeleteFunc(s.byID, func(_ string, of session) bool { return !now.Before(of.ends) })
	for _, key := range []string{of.sid, of.subject} {
		if at, ended := s.ended[key]; ended && !of.issued.After(at) {
			return "", false
		}
	}
	if len(s.byID) >= maxSessions {
		delete(s.byID, slices.MinFunc(slices.Collect(maps.Keys(s.byID)), func(a, b string) int {
			return s.byID[a].issued.Compare(s.byID[b].issued)
		}))
	}
	id = rand.Text() + rand.Text()
	s.byID[id] = of
	return id, true
}

func (s *sessions) get(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, ok := s.byID[id]
	return of, ok && s.now().Before(of.ends)
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// endAll ends the sessions of one session at the authority, or of one person if it names none (OpenID Connect
// Back-Channel Logout section 2.6).
func (s *sessions) endAll(subject, sid string, issued time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	maps.DeleteFunc(s.ended, func(_ string, at time.Time) bool { return now.Sub(at) > remembered })
	key := sid
	if key == "" {
		key = subject
	}
	s.ended[key] = issued
	maps.DeleteFunc(s.byID, func(_ string, of session) bool {
		if sid != "" {
			return of.sid == sid
		}
		return of.subject == subject
	})
}
