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
	if head, settled := s.count(`SELECT seq FROM log_head`), s.count(`SELECT ends_written FROM log_head`); head != settled {
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

// The sweep looks at a session again when its time may have run out, and at one
// that has ended when its retention is over; it reads neither over and over.
func TestSessionsAreLookedAtOnce(t *testing.T) { onEachEngine(t, sessionsAreLookedAtOnce) }

func sessionsAreLookedAtOnce(t *testing.T, s *testStore) {
	a := s.account()
	busy, idle, ended := s.session(a.ID), s.session(a.ID), s.session(a.ID) // idle 1 h
	s.end(endOne(ended))
	if err := s.SaveActivity(t.Context(), []exeunt.Activity{{Account: a.ID, Session: busy.ID, Seen: epoch.Add(30 * time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	now, r := epoch.Add(time.Hour), Retention{Ended: 2 * time.Hour, Audit: 2 * time.Hour}
	putOff := func(now time.Time) (transactions int64) {
		t.Helper()
		before := s.count(`SELECT touched FROM log_head`)
		for more := true; more; {
			var err error
			if more, err = s.PutOff(t.Context(), r, now); err != nil {
				t.Fatal(err)
			}
		}
		return s.count(`SELECT touched FROM log_head`) - before
	}
	if n := putOff(now.Add(-time.Millisecond)); n != 0 {
		t.Errorf("%d transactions before it is time", n)
	}
	if n := putOff(now); n != 1 {
		t.Errorf("%d transactions for two sessions", n)
	}
	if n := putOff(now); n != 0 {
		t.Errorf("they were put off again in %d transactions", n)
	}
	next := func(v exeunt.Session) int64 {
		return s.count(`SELECT due FROM sessions WHERE id = $1`, v.ID.Bytes())
	}
	if next(busy) != ms(now.Add(30*time.Minute)) || next(idle) != ms(now) || next(ended) != ms(epoch.Add(time.Minute+r.Ended))+1 {
		t.Errorf("looked at next at %d, %d and %d", next(busy), next(idle), next(ended))
	}
	if list, err := s.Overdue(t.Context(), now, 10); err != nil || len(list) != 1 || list[0].Session != idle.ID {
		t.Errorf("overdue: %+v, %v", list, err)
	}
	if list, err := s.Overdue(t.Context(), now.Add(30*time.Minute), 10); err != nil || len(list) != 2 {
		t.Errorf("overdue later: %+v, %v", list, err)
	}
	// Activity shortly before moves the moment itself.
	if err := s.SaveActivity(t.Context(), []exeunt.Activity{{Account: a.ID, Session: busy.ID, Seen: epoch.Add(88 * time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	if next(busy) != ms(epoch.Add(148*time.Minute)) {
		t.Errorf("used 2 minutes before, it is looked at next at %d", next(busy))
	}
	// Many go in steps.
	var start sync.WaitGroup
	for range sweepStep + 1 {
		start.Go(func() { s.end(endOne(s.session(a.ID))) })
	}
	start.Wait()
	if n := putOff(now); n != 2 {
		t.Errorf("%d transactions for %d sessions", n, sweepStep+1)
	}
	// Those whose retention is over go, also when the log does not tell of them.
	living := s.count(`SELECT count(*) FROM sessions WHERE ended_at IS NULL`)
	putOff(epoch.Add(time.Minute + r.Ended))
	if n := s.count(`SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL`); n != sweepStep+2 {
		t.Errorf("%d ended sessions are there while they are kept", n)
	}
	putOff(epoch.Add(time.Minute + r.Ended + time.Millisecond))
	if n := s.count(`SELECT count(*) FROM sessions`); n != living {
		t.Errorf("%d sessions are left, want %d", n, living)
	}
}

// Neither an ending nor activity changes what an index of sessions is about, but
// for when the sweep looks next. Otherwise each would write a page of every index
// there is.
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

// Sessions that ended together are deleted part by part, and only those.
func TestManyThatEndedTogetherArePurged(t *testing.T) { onEachEngine(t, manyArePurged) }

func manyArePurged(t *testing.T, s *testStore) {
	a, other := s.account(), s.account()
	alone, stays := s.session(other.ID), s.session(other.ID)
	s.end(endOne(alone))
	var start sync.WaitGroup
	for range sweepStep + 2 {
		start.Go(func() { s.session(a.ID) })
	}
	start.Wait()
	s.end(endAll(a.ID))
	later := s.session(a.ID)
	r := Retention{Ended: time.Hour, Audit: time.Hour}
	purge := func() (n int64) {
		t.Helper()
		n, err := s.Purge(t.Context(), r, epoch.Add(2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	purge()
	if n := s.count(`SELECT count(*) FROM sessions WHERE id = $1`, alone.ID.Bytes()); n != 0 {
		t.Error("what ended alone waits for what ended together")
	}
	s.settle()
	for n := purge(); n > 0; n = purge() {
		if n > 2*sweepStep {
			t.Errorf("%d rows in one go", n)
		}
	}
	if n := s.count(`SELECT count(*) FROM sessions`); n != 2 || s.count(`SELECT count(*) FROM sessions WHERE id = $1 OR id = $2`, stays.ID.Bytes(), later.ID.Bytes()) != 2 {
		t.Errorf("%d sessions are left, want the two live ones", n)
	}
	// Events that ended nobody are passed over together.
	for range 50 {
		s.end(endAll(other.ID))
	}
	s.settle()
	before := s.count(`SELECT touched FROM log_head`)
	for purge() > 0 {
	}
	if n := s.count(`SELECT touched FROM log_head`) - before; n > 6 {
		t.Errorf("50 events of nobody took %d transactions", n)
	}
	if head, purged := s.count(`SELECT seq FROM log_head`), s.count(`SELECT purged FROM log_head`); head != purged {
		t.Errorf("purged up to %d of %d", purged, head)
	}
}

// What a node of the version before recorded has an audit entry of its own and
// is told once; a node of this version purges it as its own.
func TestEventsOutOfTheOrderOfTime(t *testing.T) { onEachEngine(t, outOfOrder) }

// An ending that was asked for later may be recorded first. Its number is no sign
// that what comes behind it is younger.
func outOfOrder(t *testing.T, s *testStore) {
	a := s.account()
	for _, asked := range []time.Duration{2 * time.Second, time.Second, -time.Second} {
		rev := endOne(s.session(a.ID))
		if _, err := s.End(t.Context(), exeunt.System(), rev, Change{}, epoch.Add(asked)); err != nil {
			t.Fatal(err)
		}
	}
	r := Retention{Ended: time.Hour, Audit: time.Hour}
	for _, after := range []time.Duration{0, 1500 * time.Millisecond, clocksApart, clocksApart + 1500*time.Millisecond, clocksApart + 3*time.Second} {
		for n := int64(1); n > 0; {
			var err error
			if n, err = s.Purge(t.Context(), r, epoch.Add(r.Ended+after)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := s.count(`SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions are left that ended more than %v ago", n, r.Ended)
	}
}
