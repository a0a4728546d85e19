package store

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// An account has at most so many live sessions, whichever node they start on: the oldest ends, and the others stay.
func TestTheOldestSessionGoes(t *testing.T) { onEachEngine(t, theOldestSessionGoes) }

func theOldestSessionGoes(t *testing.T, s *testStore) {
	const most = 5
	a, bystander := s.account(), s.session(s.account().ID)
	started := 0
	start := func(most int) exeunt.Session {
		t.Helper()
		started++
		n := newSession(s.proof(a.ID), epoch.Add(time.Duration(started)*time.Second))
		n.Most = most
		if _, err := s.StartSession(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return n.Session
	}
	live := func() int64 {
		return s.count(`SELECT count(*) FROM sessions WHERE account_id = $1 AND ended_at IS NULL`, a.ID.Bytes())
	}
	var list []exeunt.Session
	for range most {
		list = append(list, start(most))
	}
	s.end(endOne(list[1]))
	s.end(endOne(list[2]))
	list = append(list, start(most), start(most)) // as many as may be
	list = append(list, start(most), start(most)) // for these, 0 and 3 go
	for i, v := range list {
		got, err := s.Session(t.Context(), a.ID, v.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := exeunt.Reason("")
		switch i {
		case 0, 3:
			want = exeunt.ReasonTooMany
		case 1, 2:
			want = exeunt.ReasonSignedOut
		}
		if (got.End == nil) != (want == "") || got.End != nil && got.End.Reason != want {
			t.Errorf("the %d. ended for %+v, want %q", i+1, got.End, want)
		}
	}
	if n := live(); n != most {
		t.Errorf("%d are live, want %d", n, most)
	}
	// A long history of ended sessions is looked at a part at a time, and once.
	for range 2*lookBack + 10 {
		s.end(endOne(start(0)))
	}
	for range 2 * most {
		start(most)
	}
	if n := live(); n != most {
		t.Errorf("after a long history %d are live, want %d", n, most)
	}
	// What is there from before there was a limit goes little by little.
	for range 3 * endOldestStep {
		start(0)
	}
	for range 4 {
		start(most)
	}
	if n := live(); n != most {
		t.Errorf("of those before the limit %d are live, want %d", n, most)
	}
	if v, err := s.Session(t.Context(), bystander.Account, bystander.ID); err != nil || v.End != nil {
		t.Errorf("another account's session: %+v, %v", v.End, err)
	}
	s.checkLog()
}
