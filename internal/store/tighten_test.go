package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// A stricter policy holds for sessions that are there already.
func TestTighten(t *testing.T) { onEachEngine(t, tighten) }

func tighten(t *testing.T, s *testStore) {
	a := s.account()
	v := s.session(a.ID)
	lax := exeunt.DefaultPolicy()
	if err := s.Tighten(t.Context(), lax); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Session(t.Context(), a.ID, v.ID); got.Idle != v.Idle || !got.ExpiresAt.Equal(v.ExpiresAt) {
		t.Errorf("a laxer policy lengthened a session: %+v", got)
	}
	strict := lax
	strict.Kept = exeunt.Limits{Idle: time.Minute, Absolute: time.Hour, Warning: time.Second}
	if err := s.Tighten(t.Context(), strict); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Session(t.Context(), a.ID, v.ID); got.Idle != time.Minute ||
		!got.ExpiresAt.Equal(epoch.Add(time.Hour)) {
		t.Errorf("a stricter policy left %v and %v", got.Idle, got.ExpiresAt)
	}
}

// However many sessions there are, sign-outs of other nodes wait for few of them at a time, and each is shortened.
func TestTightenGoesInSteps(t *testing.T) { onEachEngine(t, tightenInSteps) }

func tightenInSteps(t *testing.T, s *testStore) {
	const there = 2*tightenStep + 100
	a, b := s.account(), s.account()
	proofs := [2]exeunt.Proof{s.proof(a.ID), s.proof(b.ID)}
	errs := make([]error, there)
	var wg sync.WaitGroup
	for i := range there {
		wg.Go(func() { _, errs[i] = s.StartSession(context.Background(), newSession(proofs[i%2], epoch)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	steps := func(p exeunt.Policy) int64 {
		t.Helper()
		before := s.count(`SELECT touched FROM log_head`)
		if err := s.Tighten(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return s.count(`SELECT touched FROM log_head`) - before
	}
	strict := exeunt.DefaultPolicy()
	strict.Kept = exeunt.Limits{Idle: time.Minute, Absolute: time.Hour, Warning: time.Second}
	if n := steps(strict); n != 3 {
		t.Errorf("%d sessions were shortened in %d transactions", there, n)
	}
	if n := s.count(`SELECT count(*) FROM sessions WHERE idle = 60000 AND expires = started + 3600000
		AND due = started + 60000`); n != there {
		t.Errorf("%d of %d sessions have the new limits", n, there)
	}
	if n := steps(strict); n != 0 {
		t.Errorf("with nothing to shorten it wrote %d transactions", n)
	}
	s.checkLog()
}
