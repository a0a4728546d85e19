package store

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/exeunt/exeunt"
)

// Ending everything again and again, when nobody is left to end, costs whoever
// writes the ends into the rows next to nothing.
func TestEndsOfNobodyAreSettledTogether(t *testing.T) { onEachEngine(t, endsOfNobody) }

func endsOfNobody(t *testing.T, s *testStore) {
	const empty = 3 * sweepStep
	a, other := s.account(), s.account()
	v := s.session(a.ID)
	first := endAll(a.ID)
	first.Reason = exeunt.ReasonDisabled
	s.end(first)
	errs := make([]error, empty)
	var wg sync.WaitGroup
	for i := range empty {
		wg.Go(func() { _, errs[i] = s.End(context.Background(), exeunt.System(), endAll(a.ID), Change{}, epoch) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	w := s.session(other.ID)
	s.end(endAll(other.ID))
	before := s.count(`SELECT touched FROM log_head`)
	s.settle()
	if n := s.count(`SELECT touched FROM log_head`) - before; n > 8 {
		t.Errorf("%d ends of nobody were settled in %d transactions", empty, n)
	}
	if head, settled := s.count(`SELECT seq FROM log_head`), s.count(`SELECT settled FROM log_head`); head != settled {
		t.Errorf("settled up to %d of %d", settled, head)
	}
	for _, v := range []exeunt.Session{v, w} {
		if n := s.count(`SELECT count(*) FROM sessions WHERE id = $1 AND ended_at IS NOT NULL`, v.ID.Bytes()); n != 1 {
			t.Error("an ended session's row was passed over")
		}
	}
	if got, err := s.Session(t.Context(), a.ID, v.ID); err != nil || got.End == nil || got.End.Reason != exeunt.ReasonDisabled {
		t.Errorf("the end is not the first one's: %+v, %v", got.End, err)
	}
	s.checkLog()
}
