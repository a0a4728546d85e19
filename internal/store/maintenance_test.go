package store

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// Ending everything again and again, when nobody is left to end, costs whoever writes the ends into the rows next to
// nothing.
func TestEndsOfNobodyAreWrittenTogether(t *testing.T) { onEachEngine(t, endsOfNobody) }

func endsOfNobody(t *testing.T, s *testStore) {
	const empty = 3 * maintenanceStep
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
	s.writeEnds()
	if n := s.count(`SELECT touched FROM log_head`) - before; n > 8 {
		t.Errorf("%d ends of nobody were written in %d transactions", empty, n)
	}
	if head, written := s.count(`SELECT seq FROM log_head`), s.count(`SELECT ends_written
		FROM log_head`); head != written {
		t.Errorf("written up to %d of %d", written, head)
	}
	for _, v := range []exeunt.Session{v, w} {
		if n := s.count(`SELECT count(*) FROM sessions WHERE id = $1 AND ended_at IS NOT NULL`, v.ID.Bytes()); n != 1 {
			t.Error("an ended session's row was passed over")
		}
	}
	if got, err := s.Session(t.Context(), a.ID, v.ID); err != nil || got.End == nil ||
		got.End.Reason != exeunt.ReasonDisabled {
		t.Errorf("the end is not the first one's: %+v, %v", got.End, err)
	}
	s.checkLog()
}

// Maintenance looks at a session again when it may have timed out, and at an ended one when its retention is over.
func TestSessionsAreLookedAtOnce(t *testing.T) { onEachEngine(t, sessionsAreLookedAtOnce) }

func sessionsAreLookedAtOnce(t *testing.T, s *testStore) {
	a := s.account()
	busy, idle, ended := s.session(a.ID), s.session(a.ID), s.session(a.ID) // idle 1 h
	s.end(endOne(ended))
	s.readLog()
	if err := s.SaveActivity(t.Context(),
		[]exeunt.Activity{{Account: a.ID, Session: busy.ID, Seen: epoch.Add(30 * time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	now, r := epoch.Add(time.Hour), Retention{Ended: 2 * time.Hour, Audit: 2 * time.Hour}
	work := func(now time.Time) (overdue []exeunt.Overdue, transactions int64) {
		t.Helper()
		before := s.count(`SELECT touched FROM log_head`)
		for more := true; more; {
			var list []exeunt.Overdue
			var err error
			if list, more, err = s.WorkOffDue(t.Context(), r, now); err != nil {
				t.Fatal(err)
			}
			overdue = append(overdue, list...)
		}
		return overdue, s.count(`SELECT touched FROM log_head`) - before
	}
	if list, n := work(now.Add(-time.Millisecond)); n != 0 || len(list) != 0 {
		t.Errorf("%d transactions before it is time, overdue %+v", n, list)
	}
	if list, n := work(now); n != 1 || len(list) != 1 || list[0].Session != idle.ID ||
		list[0].Reason != exeunt.ReasonIdle {
		t.Errorf("%d transactions for two sessions, overdue %+v", n, list)
	}
	if list, n := work(now); n != 0 || len(list) != 1 {
		t.Errorf("they were put off again in %d transactions, overdue %+v", n, list)
	}
	next := func(v exeunt.Session) int64 {
		return s.count(`SELECT due FROM sessions WHERE id = $1`, v.ID.Bytes())
	}
	if next(busy) != ms(now.Add(30*time.Minute)) || next(idle) != ms(now) ||
		next(ended) != ms(epoch.Add(time.Minute+r.Ended))+1 {
		t.Errorf("looked at next at %d, %d and %d", next(busy), next(idle), next(ended))
	}
	if list, _ := work(now.Add(30 * time.Minute)); len(list) != 2 {
		t.Errorf("overdue later: %+v", list)
	}
	for _, v := range []exeunt.Session{busy, idle} {
		if _, err := s.End(t.Context(), exeunt.System(), endOne(v), Change{}, now.Add(30*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	// Many go in steps.
	var start sync.WaitGroup
	for range maintenanceStep + 1 {
		start.Go(func() { s.end(endOne(s.session(a.ID))) })
	}
	start.Wait()
	if _, n := work(now.Add(30 * time.Minute)); n != 2 {
		t.Errorf("%d transactions for %d sessions", n, maintenanceStep+3)
	}
	s.readLog()
	// Those whose retention is over go, to the millisecond.
	work(epoch.Add(time.Minute + r.Ended))
	if n := s.count(`SELECT count(*) FROM sessions`); n != maintenanceStep+4 {
		t.Errorf("%d ended sessions are there while they are kept", n)
	}
	work(epoch.Add(time.Minute + r.Ended + time.Millisecond))
	if n := s.count(`SELECT count(*) FROM sessions`); n != 2 {
		t.Errorf("%d sessions are left, want those that ended later", n)
	}
	s.checkLog()
}

// A session with a long idle timeout is stored no longer than the retention after its end.
func TestRetentionIsShorterThanAnIdleTimeout(t *testing.T) { onEachEngine(t, shortRetention) }

func shortRetention(t *testing.T, s *testStore) {
	a := s.account()
	r := Retention{Ended: time.Hour, Audit: time.Hour}
	n := newSession(s.proof(a.ID), epoch)
	n.Session.Idle, n.Session.ExpiresAt, n.Due = 1000*time.Hour, epoch.Add(2000*time.Hour), epoch.Add(r.Ended)
	if _, err := s.StartSession(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	look := func(now time.Time) {
		t.Helper()
		if list, _, err := s.WorkOffDue(t.Context(), r, now); err != nil || len(list) != 0 {
			t.Fatal(list, err)
		}
	}
	for h := range 5 { // it is looked at now and then while it goes on
		look(epoch.Add(time.Duration(h)*time.Hour + time.Minute))
	}
	ends := epoch.Add(290 * time.Minute)
	if _, err := s.End(t.Context(), exeunt.System(), endOne(n.Session), Change{}, ends); err != nil {
		t.Fatal(err)
	}
	s.readLog()
	for at := ends; !at.After(ends.Add(r.Ended)); at = at.Add(10 * time.Minute) {
		look(at)
	}
	if n := s.count(`SELECT count(*) FROM sessions`); n != 1 {
		t.Error("it was deleted too soon")
	}
	look(ends.Add(r.Ended + time.Minute))
	if n := s.count(`SELECT count(*) FROM sessions`); n != 0 {
		t.Error("it is still there")
	}
}

// Neither an ending nor activity changes what an index of sessions is about, but for when maintenance looks next.
// Otherwise each would write a page of every index there is.
func TestEndingsAndActivityChangeNoIndex(t *testing.T) { onEachEngine(t, changeNoIndex) }

func changeNoIndex(t *testing.T, s *testStore) {
	q := `SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'sessions' AND sql IS NOT NULL`
	if s.engine.name()[0] == 'p' {
		q = `SELECT indexdef FROM pg_indexes WHERE tablename = 'sessions'`
	}
	rows, err := s.read.QueryContext(t.Context(), q)
	list, err := collect(rows, err, "indexes", func(r rowScanner) (def string, err error) {
		err = r.Scan(&def)
		return def, err
	})
	if err != nil || len(list) < 2 {
		t.Fatalf("%q, %v", list, err)
	}
	for _, def := range list {
		if regexp.MustCompile(`ended|seen|generation|idle|expires`).MatchString(def) {
			t.Error(def)
		}
	}
}

// Sessions that ended together are written and deleted part by part, and only those.
func TestManyThatEndedTogether(t *testing.T) { onEachEngine(t, manyEndedTogether) }

func manyEndedTogether(t *testing.T, s *testStore) {
	a, other := s.account(), s.account()
	stays := s.session(other.ID)
	var start sync.WaitGroup
	for range 2*maintenanceStep + 2 {
		start.Go(func() { s.session(a.ID) })
	}
	start.Wait()
	s.end(endAll(a.ID))
	later := s.session(a.ID)
	written := func() int64 { return s.count(`SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL`) }
	for before, more := int64(0), true; more; before = written() {
		var err error
		if more, err = s.WriteEnds(t.Context(), epoch); err != nil {
			t.Fatal(err)
		}
		if n := written() - before; n > maintenanceStep {
			t.Errorf("%d rows in one go", n)
		}
	}
	if n := written(); n != 2*maintenanceStep+2 {
		t.Errorf("%d ends are written", n)
	}
	s.readLog()
	r := Retention{Ended: time.Minute, Audit: time.Hour}
	for more := true; more; {
		var err error
		if _, more, err = s.WorkOffDue(t.Context(), r, epoch.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.count(`SELECT count(*) FROM sessions`); n != 2 ||
		s.count(`SELECT count(*) FROM sessions WHERE id = $1 OR id = $2`, stays.ID.Bytes(), later.ID.Bytes()) != 2 {
		t.Errorf("%d sessions are left, want the two live ones", n)
	}
	s.checkLog()
}

// Each session's row tells of the event that ended it, the first after its birth, also when a round has several
// events of the account, and when it is begun anew.
func TestEndsAreThoseOfTheFirstEvent(t *testing.T) { onEachEngine(t, endsOfTheFirstEvent) }

func endsOfTheFirstEvent(t *testing.T, s *testStore) {
	a := s.account()
	reasons := []exeunt.Reason{exeunt.ReasonPasswordChange, exeunt.ReasonAdministrator, exeunt.ReasonSignedOut}
	want := map[exeunt.SessionID]exeunt.Reason{}
	for _, reason := range reasons {
		for range 3 {
			want[s.session(a.ID).ID] = reason
		}
		rev := endAll(a.ID)
		rev.Reason = reason
		s.end(rev)
	}
	if _, err := s.WriteEnds(t.Context(), epoch); err != nil {
		t.Fatal(err)
	}
	s = s.reopen()
	s.writeEnds()
	for id, reason := range want {
		if n := s.count(`SELECT count(*) FROM sessions WHERE id = $1 AND ended_reason = $2`, id.Bytes(),
			string(reason)); n != 1 {
			t.Errorf("a session that ended by %s says something else", reason)
		}
	}
	if written := s.count(`SELECT ends_written FROM log_head`); written != 3 {
		t.Errorf("written up to %d", written)
	}
}
