package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/exeunt/exeunt"
)

// endAll ends every session of ada's.
func (s *wiki) endAll() {
	s.t.Helper()
	ada, err := s.Authority.AccountByHandle(context.Background(), "ada")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Accounts.Disable(context.Background(), exeunt.Actor{Kind: exeunt.ActorOperator}, ada); err != nil {
		s.t.Fatal(err)
	}
}

// asked is how many requests the app has seen.
func (s *wiki) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// signedIn is a browser that is signed in at the site, and the head of a request of its.
func (s *wiki) signedIn() (p *visitor, host, cookie string) {
	s.t.Helper()
	p, host = s.visitor(), strings.TrimPrefix(s.origin, "http://")
	p.signIn(p.visit(http.MethodGet, s.origin+"/", nil), "ada")
	return p, host, "__Host-exeunt-site=" + p.cookies[host]["__Host-exeunt-site"]
}

// endsWhenWaitedFor is a request's context. When somebody first wants to wait for its end, something happens.
type endsWhenWaitedFor struct {
	context.Context
	once *sync.Once
	do   func()
}

func (c endsWhenWaitedFor) Done() <-chan struct{} {
	c.once.Do(c.do)
	return c.Context.Done()
}

// The relay first waits for the end of what it has just admitted, and then listens for ends of the session. An end in
// between is not missed.
func TestAnEndBetweenTheDecisionAndItsListener(t *testing.T) {
	s := newSite(t, nil)
	_, host, cookie := s.signedIn()
	ended := false
	r := httptest.NewRequest(http.MethodGet, "http://"+host+"/page", nil).WithContext(
		endsWhenWaitedFor{t.Context(), &sync.Once{}, func() { s.endAll(); ended = true }})
	r.Header.Set("Cookie", cookie)
	before, w := s.asked(), httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if !ended || w.Code != http.StatusUnauthorized || s.asked() != before {
		t.Errorf("it ended: %v; status %d, and the app got %d requests", ended, w.Code, s.asked()-before)
	}
}
