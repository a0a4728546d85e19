package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// event returns an event of the log.
func (s *testStore) event(seq int64) *exeunt.Event {
	s.t.Helper()
	list, err := s.Events(s.t.Context(), seq-1, 1)
	if err != nil || len(list) != 1 {
		s.t.Fatalf("event %d: %v, %v", seq, list, err)
	}
	return &list[0]
}

// participations reads all of an event's, in pages: those in sessions that it ended, or in those that had ended before.
func (s *testStore) participations(e *exeunt.Event, earlier bool) (out []Participation) {
	s.t.Helper()
	var after Participation
	for more := true; more; {
		var list []Used
		var err error
		if list, after, more, err = s.Participations(s.t.Context(), e, after); err != nil {
			s.t.Fatal(err)
		}
		for _, p := range list {
			if p.Earlier == earlier {
				out = append(out, p.Participation)
			}
		}
	}
	slices.SortFunc(out, func(a, b Participation) int {
		return slices.Compare([]byte(a.text()), []byte(b.text()))
	})
	return out
}

// Each ending is about the clients of the sessions that it ended, and of no other.
func TestParticipations(t *testing.T) { onEachEngine(t, participations) }

func participations(t *testing.T, s *testStore) {
	a := s.account()
	one, two, three, later := s.session(a.ID), s.session(a.ID), s.session(a.ID), exeunt.Session{}
	in := func(v exeunt.Session, clients ...exeunt.ClientID) {
		for _, c := range clients {
			s.appSession(v, c, epoch)
		}
	}
	in(one, "a", "b", "b")
	in(two, "a")
	in(three, "a", "c")
	both := s.appSession(two, "a", epoch)
	want := func(what string, e *exeunt.Event, list ...Participation) {
		t.Helper()
		slices.SortFunc(list, func(a, b Participation) int { return slices.Compare([]byte(a.text()), []byte(b.text())) })
		if got := s.participations(e, false); !slices.Equal(got, list) {
			t.Errorf("%s: %v, want %v", what, got, list)
		}
	}
	alone := func(v exeunt.Session, app exeunt.AppSessionID) *exeunt.Event {
		rev := endOne(v)
		rev.AppSession = app
		return s.event(s.end(rev).Seq)
	}
	want("an app session, with another one left", alone(two, both))
	last := s.appSession(two, "d", epoch)
	want("the last app session of its client", alone(two, last), Participation{two.ID, "d"})
	single := s.event(s.end(endOne(one)).Seq)
	want("one session", single, Participation{one.ID, "a"}, Participation{one.ID, "b"})
	others := s.event(s.end(endOthers(three)).Seq)
	want("all others", others, Participation{two.ID, "a"})
	later = s.session(a.ID)
	in(later, "e")
	account := s.event(s.end(endAll(a.ID)).Seq)
	want("the account", account, Participation{three.ID, "a"}, Participation{three.ID, "c"}, Participation{later.ID, "e"})
	// What ended before it is told apart, and what began after it is not there.
	after := s.session(a.ID)
	in(after, "f")
	before := []Participation{{one.ID, "a"}, {one.ID, "b"}, {two.ID, "a"}}
	slices.SortFunc(before, func(a, b Participation) int { return slices.Compare([]byte(a.text()), []byte(b.text())) })
	if got := s.participations(account, true); !slices.Equal(got, before) {
		t.Errorf("before the account's end: %v, want %v", got, before)
	}
	if got := s.participations(others, true); got != nil {
		t.Errorf("before the end of all others: %v", got)
	}
	s.end(endOne(after))
	s.writeEnds()
	want("all others, once the ends are written", others, Participation{two.ID, "a"})
	want("the account, once the ends are written", account, Participation{three.ID, "a"}, Participation{three.ID, "c"},
		Participation{later.ID, "e"})
	// More than one reading takes.
	many := s.session(a.ID)
	var all []Participation
	for i := range maintenanceStep + 10 {
		id := exeunt.ClientID("m" + string(rune('a'+i/26)) + string(rune('a'+i%26)))
		in(many, id)
		all = append(all, Participation{many.ID, id})
	}
	want("a session with many apps", s.event(s.end(endAll(a.ID)).Seq), all...)
	many = s.session(a.ID)
	for i := range all {
		all[i].Session = many.ID
		in(many, all[i].Client)
	}
	want("one session with many apps", s.event(s.end(endOne(many)).Seq), all...)
}

// What is needed to tell apps of an end is kept until that is recorded: the event, the session, and the app session.
func TestPurgingWaitsForTheCursor(t *testing.T) { onEachEngine(t, purgingWaitsForTheCursor) }

func purgingWaitsForTheCursor(t *testing.T, s *testStore) {
	a := s.account()
	v, idle, w := s.session(a.ID), s.session(a.ID), s.session(a.ID)
	app := s.appSession(w, "chirp", epoch)
	s.appSession(v, "chirp", epoch)
	s.end(endOne(v))
	rev := endOne(w)
	rev.AppSession = app
	s.end(rev)
	long := epoch.Add(1000 * time.Hour)
	late := endOne(idle) // whose end is long over when it is recorded
	late.Reason = exeunt.ReasonIdle
	if _, err := s.End(t.Context(), exeunt.System(), late, Change{}, long); err != nil {
		t.Fatal(err)
	}
	r := Retention{Ended: time.Hour, Audit: time.Hour}
	purge := func(now time.Time) {
		t.Helper()
		for range 3 {
			if _, err := s.Purge(t.Context(), r, now); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.WorkOffDue(t.Context(), r, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	stored := func() [3]int64 {
		return [3]int64{s.count(`SELECT count(*) FROM events`), s.count(`SELECT count(*) FROM sessions`),
			s.count(`SELECT count(*) FROM app_sessions`)}
	}
	s.writeEnds()
	before := stored()
	purge(long.Add(time.Minute))
	if got := stored(); got != before {
		t.Errorf("before apps are told: %d events, sessions and app sessions, want %d", got, before)
	}
	s.readLog()
	purge(long.Add(time.Hour))
	// The last event stays, and a session that has not ended.
	if got := stored(); got != [3]int64{1, 1, 0} {
		t.Errorf("after: %d events, sessions and app sessions", got)
	}
}

// The cursor is moved by one node at a time, from where it is, together with what is owed.
func TestTheCursor(t *testing.T) { onEachEngine(t, theCursor) }

func theCursor(t *testing.T, s *testStore) {
	a := s.account()
	v := s.session(a.ID)
	d := exeunt.Delivery{Account: a.ID, Session: v.ID, Client: "chirp", Seq: 1, At: epoch}
	one, other := []byte("one"), []byte("other")
	step := func(what string, from, to LogCursor, now time.Time, want bool) {
		t.Helper()
		before := s.count(`SELECT count(*) FROM deliveries`)
		d.Account = exeunt.NewAccountID()
		moved, err := s.RecordOwed(t.Context(), from, to, []exeunt.Delivery{d}, nil, now)
		if err != nil || moved != want || s.count(`SELECT count(*) FROM deliveries`)-before != flag(want) {
			t.Errorf("%s: moved %v, want %v; %v", what, moved, want, err)
		}
		if got, err := s.LogCursor(t.Context()); want && (err != nil || got.Seq != to.Seq || got.Within != to.Within) {
			t.Errorf("%s: it is at %+v, %v", what, got, err)
		}
	}
	within := Participation{v.ID, "chirp"}
	held := epoch.Add(time.Minute)
	step("the first", LogCursor{}, LogCursor{Seq: 3, Within: within, Holder: one, Held: held}, epoch, true)
	step("from elsewhere", LogCursor{}, LogCursor{Seq: 4, Holder: one, Held: held}, epoch, false)
	step("from elsewhere in the event", LogCursor{Seq: 3}, LogCursor{Seq: 4, Holder: one, Held: held}, epoch, false)
	at := LogCursor{Seq: 3, Within: within}
	if !s.traits.sole {
		step("by another node", at, LogCursor{Seq: 4, Holder: other, Held: held}, epoch, false)
	}
	step("by the same", at, LogCursor{Seq: 4, Holder: one, Held: held}, epoch, true)
	step("by another when its time is over", LogCursor{Seq: 4}, LogCursor{Seq: 5, Holder: other, Held: held}, held, true)
}

func (s *testStore) owe(d exeunt.Delivery, now time.Time) {
	s.t.Helper()
	from, err := s.LogCursor(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	moved, err := s.RecordOwed(s.t.Context(), from, LogCursor{Seq: d.Seq}, []exeunt.Delivery{d}, nil, now)
	if err != nil || !moved {
		s.t.Fatalf("moved %v, %v", moved, err)
	}
}

// An attempt is made by one node at a time. What it finds counts for the end that it told of: if there was a later one,
// the app is told again.
func TestAttempts(t *testing.T) { onEachEngine(t, attempts) }

func attempts(t *testing.T, s *testStore) {
	a := s.account()
	v := s.session(a.ID)
	now := epoch
	due := func(want int) []exeunt.Delivery {
		t.Helper()
		list, err := s.DueDeliveries(t.Context(), "chirp", now, 10)
		if err != nil || len(list) != want {
			t.Fatalf("%d are due, want %d; %v", len(list), want, err)
		}
		return list
	}
	claim := func(list []exeunt.Delivery, want int) []exeunt.Delivery {
		t.Helper()
		got, err := s.ClaimDeliveries(t.Context(), list, now)
		if err != nil || len(got) != want {
			t.Fatalf("%d were claimed, want %d; %v", len(got), want, err)
		}
		return got
	}
	s.owe(exeunt.Delivery{Account: a.ID, Session: v.ID, Client: "chirp", Seq: 1, At: epoch}, now)
	seen := due(1)
	first := claim(seen, 1)[0]
	claim(seen, 0)
	due(0)
	// Another end meanwhile.
	s.owe(exeunt.Delivery{Account: a.ID, Session: v.ID, Client: "chirp", Seq: 2, At: epoch}, now)
	due(0)
	first.State, first.Finished = exeunt.DeliveryConfirmed, now
	if err := s.RecordAttempt(t.Context(), first, now); err != nil {
		t.Fatal(err)
	}
	second := claim(due(1), 1)[0]
	if second.Seq != 2 || second.State != exeunt.DeliveryPending {
		t.Errorf("%+v", second)
	}
	// A node that stood still: its lease is over, and another has taken over.
	now = now.Add(AttemptLease)
	third := claim(due(1), 1)[0]
	second.State, second.Finished = exeunt.DeliveryConfirmed, now
	if err := s.RecordAttempt(t.Context(), second, now); err != nil {
		t.Fatal(err)
	}
	list, err := s.Deliveries(t.Context(), a.ID, v.ID)
	if err != nil || len(list) != 1 || list[0].State != exeunt.DeliveryPending || list[0].Attempts != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	third.State, third.Error, third.Finished = exeunt.DeliveryRefused, "http_400", now
	if err := s.RecordAttempt(t.Context(), third, now); err != nil {
		t.Fatal(err)
	}
	list, err = s.Deliveries(t.Context(), a.ID, v.ID)
	if err != nil || len(list) != 1 || list[0].State != exeunt.DeliveryRefused || !list[0].Finished.Equal(now) ||
		list[0].Error != "http_400" {
		t.Errorf("%+v, %v", list, err)
	}
	if totals, err := s.DeliveryTotals(t.Context()); err != nil || len(totals) != 0 {
		t.Errorf("%+v, %v", totals, err)
	}
	// What is over goes with the retention.
	r := Retention{Ended: time.Hour, Audit: time.Hour}
	for _, c := range []struct {
		after time.Duration
		left  int64
	}{{time.Hour, 1}, {time.Hour + time.Minute, 0}} {
		if _, err := s.Purge(context.Background(), r, now.Add(c.after)); err != nil {
			t.Fatal(err)
		}
		if n := s.count(`SELECT count(*) FROM deliveries`); n != c.left {
			t.Errorf("%d deliveries are left after %v, want %d", n, c.after, c.left)
		}
	}
}

// The account's deliveries are listed with the sessions that were there, and totals say how many are pending.
func TestDeliveriesAreListed(t *testing.T) { onEachEngine(t, deliveriesAreListed) }

func deliveriesAreListed(t *testing.T, s *testStore) {
	a := s.account()
	v := s.session(a.ID)
	s.owe(exeunt.Delivery{Account: a.ID, Client: "before", Seq: 1, At: epoch.Add(-time.Minute)}, epoch)
	s.owe(exeunt.Delivery{Account: a.ID, Client: "all", Seq: 2, At: epoch.Add(time.Minute)}, epoch)
	s.owe(exeunt.Delivery{Account: a.ID, Session: v.ID, Client: "this", Seq: 3, At: epoch}, epoch.Add(time.Second))
	s.owe(exeunt.Delivery{Account: a.ID, Session: exeunt.NewSessionID(), Client: "this", Seq: 4, At: epoch}, epoch)
	list, err := s.Deliveries(t.Context(), a.ID, v.ID)
	if err != nil || len(list) != 2 || list[0].Client != "all" || list[1].Client != "this" || list[1].Session != v.ID {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := s.Deliveries(t.Context(), exeunt.NewAccountID(), v.ID); err != nil || len(list) != 0 {
		t.Errorf("another account's: %+v, %v", list, err)
	}
	totals, err := s.DeliveryTotals(t.Context())
	if err != nil || len(totals) != 3 || totals[2].Client != "this" || totals[2].Pending.Count != 2 ||
		!totals[2].Since.Equal(epoch) {
		t.Errorf("%+v, %v", totals, err)
	}
	if err := s.GiveUpOverdue(t.Context(), "this", "unreachable", epoch.Add(GiveUpAfter)); err != nil {
		t.Fatal(err)
	}
	if n := s.count(`SELECT count(*) FROM deliveries WHERE state = 'gave_up' AND client_id = 'this'`); n != 1 {
		t.Errorf("%d are given up, want the older one", n)
	}
}
