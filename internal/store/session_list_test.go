package store

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// listed walks the pages of a list and returns the sessions on them, and how many pages there were.
func (s *testStore) listed(f exeunt.SessionFilter) (all []exeunt.Session, pages int) {
	s.t.Helper()
	for {
		p, err := s.Sessions(s.t.Context(), f)
		if err != nil || len(p.Items) > exeunt.PageSize(f.Limit) {
			s.t.Fatalf("a page of %d sessions, %v", len(p.Items), err)
		}
		all, pages, f.After = append(all, p.Items...), pages+1, p.Next
		if f.After == "" {
			return all, pages
		}
	}
}

// Every session is on one page, in the order that its list has, however many began or ended at one moment.
func TestSessionsAreListedInPages(t *testing.T) { onEachEngine(t, sessionsAreListedInPages) }

func sessionsAreListedInPages(t *testing.T, s *testStore) {
	a, b := s.account(), s.account()
	start := func(id exeunt.AccountID, minutes int) exeunt.Session {
		n := newSession(s.proof(id), epoch.Add(time.Duration(minutes)*time.Minute))
		if _, err := s.StartSession(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return n.Session
	}
	var together, alone, active []exeunt.SessionID
	for i := range 7 {
		together = append(together, start(a.ID, i/2-3).ID)
	}
	s.end(endAll(a.ID))
	for i := range 8 {
		v, w := start(a.ID, 10+i/3), start(b.ID, 10+i/3)
		active = append(active, w.ID)
		if i%2 == 0 {
			active = append(active, v.ID)
			continue
		}
		alone = append(alone, v.ID)
		if _, err := s.End(t.Context(), exeunt.System(), endOne(v), Change{},
			epoch.Add(time.Duration(10+i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, f exeunt.SessionFilter, want int) []exeunt.SessionID {
		t.Helper()
		all, _ := s.listed(f)
		if n, err := s.CountSessions(t.Context(), f); err != nil || len(all) != want || n != int64(want) {
			t.Errorf("%s: %d are listed and %d counted of %d, %v", when, len(all), n, want, err)
		}
		if !slices.IsSortedFunc(all, func(x, y exeunt.Session) int {
			if x.End != nil {
				return cmp.Or(y.End.At.Compare(x.End.At), y.Started.Compare(x.Started))
			}
			return cmp.Or(y.Started.Compare(x.Started), bytes.Compare(y.ID.Bytes(), x.ID.Bytes()))
		}) {
			t.Errorf("%s: out of order", when)
		}
		var ids []exeunt.SessionID
		for _, v := range all {
			if handle := map[exeunt.AccountID]string{a.ID: a.Handle, b.ID: b.Handle}[v.Account]; v.Handle != handle {
				t.Errorf("%s: a session of %s is listed as one of %s", when, handle, v.Handle)
			}
			if slices.Contains(ids, v.ID) || (v.End == nil) != slices.Contains(active, v.ID) {
				t.Errorf("%s: %s is listed twice, or in the wrong list", when, v.ID)
			}
			ids = append(ids, v.ID)
		}
		return ids
	}
	for _, when := range []string{"before the rows are written", "afterwards"} {
		for _, limit := range []int{1, 2, 3, 5, 100} {
			check(when, exeunt.SessionFilter{Account: a.ID, Limit: limit}, 4)
			ids := check(when, exeunt.SessionFilter{Account: a.ID, State: exeunt.SessionsEnded, Limit: limit}, 11)
			if len(ids) == 11 && (ids[0] != alone[3] || !slices.Contains(together, ids[10])) {
				t.Errorf("%s: the latest end is not first", when)
			}
			check(when, exeunt.SessionFilter{Everyone: true, Limit: limit}, 12)
		}
		s.writeEnds()
	}
}

// Every audit entry is on one page, latest first, whether it is an event or was recorded beside them.
func TestTheAuditIsListedInPages(t *testing.T) { onEachEngine(t, theAuditIsListedInPages) }

func theAuditIsListedInPages(t *testing.T, s *testStore) {
	a := s.account()
	for range 4 {
		v := s.session(a.ID) // at the same moment
		s.end(endOne(v))
	}
	s.end(endAll(a.ID))
	s.end(endOne(s.session(s.account().ID))) // another's
	want, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: a.ID})
	if err != nil || len(want.Items) != 10 || want.Next != "" {
		t.Fatalf("%d entries, %v", len(want.Items), err)
	}
	if n, err := s.CountAudit(t.Context(), exeunt.AuditFilter{Account: a.ID}); err != nil || n.Count != 10 {
		t.Errorf("%d are counted, %v", n.Count, err)
	}
	for limit := 1; limit < 12; limit++ {
		var got []exeunt.AuditEntry
		for f := (exeunt.AuditFilter{Account: a.ID, Limit: limit}); ; {
			p, err := s.Audit(t.Context(), f)
			if got, f.After = append(got, p.Items...), p.Next; err != nil || len(p.Items) > limit {
				t.Fatalf("a page of %d, %v", len(p.Items), err)
			}
			if f.After == "" {
				break
			}
		}
		if !slices.Equal(got, want.Items) {
			t.Errorf("in pages of %d: %+v", limit, got)
		}
	}
}

// What names no account lists nobody's sessions, unless everyone's are asked for.
func TestNobodysListIsEmpty(t *testing.T) { onEachEngine(t, nobodysListIsEmpty) }

func nobodysListIsEmpty(t *testing.T, s *testStore) {
	v := s.session(s.account().ID)
	s.end(endOne(s.session(v.Account)))
	for _, state := range []exeunt.SessionState{"", exeunt.SessionsActive, exeunt.SessionsEnded} {
		f := exeunt.SessionFilter{State: state}
		all, _ := s.listed(f)
		if n, err := s.CountSessions(t.Context(), f); len(all) != 0 || n != 0 || err != nil {
			t.Errorf("%d are listed and %d counted, %v", len(all), n, err)
		}
	}
	_, err := s.Sessions(t.Context(), exeunt.SessionFilter{Everyone: true, State: exeunt.SessionsEnded})
	wantErr(t, err, exeunt.ErrBadRequest)
	for _, c := range []exeunt.Cursor{"x", "1.", "1.ses_x", exeunt.Cursor("." + v.ID.String())} {
		_, err := s.Sessions(t.Context(), exeunt.SessionFilter{Account: v.Account, After: c})
		wantErr(t, err, exeunt.ErrBadRequest)
		_, err = s.Audit(t.Context(), exeunt.AuditFilter{Account: v.Account, After: c})
		wantErr(t, err, exeunt.ErrBadRequest)
	}
}

// A page of everyone's sessions names the apps of each, whosever it is.
func TestEveryonesSessionsHaveTheirApps(t *testing.T) {
	onEachEngine(t, everyonesSessionsHaveTheirApps)
}

func everyonesSessionsHaveTheirApps(t *testing.T, s *testStore) {
	v, w, none := s.session(s.account().ID), s.session(s.account().ID), s.session(s.account().ID)
	want := map[exeunt.SessionID][]exeunt.AppSessionID{
		v.ID: {s.appSession(v, "chirp", epoch), s.appSession(v, "wiki", epoch.Add(time.Second))},
		w.ID: {s.appSession(w, "chirp", epoch)}, none.ID: nil,
	}
	all, _ := s.listed(exeunt.SessionFilter{Everyone: true})
	for _, got := range all {
		var apps []exeunt.AppSessionID
		for _, app := range got.Apps {
			apps = append(apps, app.ID)
		}
		if !slices.Equal(apps, want[got.ID]) {
			t.Errorf("%v, want %v", apps, want[got.ID])
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d sessions are listed", len(all))
	}
}

// The list of everyone's sessions reads a bounded number of rows for a page, by the index of their sign-ins, however
// many have ended.
func TestALookAtEveryonesSessionsIsBounded(t *testing.T) {
	onEachEngine(t, aLookAtEveryonesSessionsIsBounded)
}

func aLookAtEveryonesSessionsIsBounded(t *testing.T, s *testStore) {
	a := s.account()
	old := s.session(a.ID)
	series := `WITH RECURSIVE series(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < 20000)`
	id := `CAST(printf('%016d', i) AS BLOB)`
	if !s.traits.exits {
		series, id = `WITH series(i) AS (SELECT generate_series(1, 20000))`,
			`convert_to(lpad(CAST(i AS text), 16, '0'), 'UTF8')`
	}
	// They have ended, all of them before old was looked at and after it began.
	insert := series + ` INSERT INTO sessions (account_id, id, token_hash, kind, label, user_agent, address, methods,
		proved_at, started, seen, idle, expires, due, generation, ended_at) SELECT v.account_id, ` + id + `, ` + id +
		`, v.kind, v.label, v.user_agent, v.address, v.methods, v.proved_at, v.started + i / 2, v.seen, v.idle,
		v.expires, v.due, v.generation, v.started FROM sessions v CROSS JOIN series`
	if err := s.commit(t.Context(), func(tx *tx) error { _, err := tx.exec(insert); return err }); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 500} {
		all, pages := s.listed(exeunt.SessionFilter{Everyone: true, Limit: limit})
		if want := 20001/walkStep + 1; len(all) != 1 || all[0].ID != old.ID || pages < want || pages > want+1 {
			t.Errorf("%d sessions are listed on %d pages", len(all), pages)
		}
	}
	if err := s.commit(t.Context(), func(tx *tx) error {
		_, err := tx.exec(`ANALYZE sessions`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	scan := regexp.MustCompile(`Seq Scan on sessions|SCAN s|B-TREE`)
	for _, q := range []string{walk, everyonesActive} {
		explain := `EXPLAIN `
		if s.traits.exits {
			explain = `EXPLAIN QUERY PLAN `
		}
		from, to := epoch.Add(time.Second), epoch
		args := []any{ms(from), pageEnd{}.id(), ms(to), pageEnd{}.id(), 100}
		if q == walk {
			args = append(args[:2], walkStep)
		}
		rows, err := s.read.QueryContext(t.Context(), explain+q, args...)
		plan, err := collect(rows, err, "plan", func(r rowScanner) (string, error) {
			var n [3]int
			var line string
			dest := []any{&line}
			if s.traits.exits {
				dest = []any{&n[0], &n[1], &n[2], &line}
			}
			err := r.Scan(dest...)
			return line, err
		})
		if text := strings.Join(plan, "\n"); err != nil || !strings.Contains(text, "sessions_started") ||
			scan.MatchString(text) {
			t.Errorf("%s, %v\n%s", q, err, text)
		}
	}
}
