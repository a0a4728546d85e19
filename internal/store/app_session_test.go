package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// appSession signs the session in to a client.
func (s *testStore) appSession(v exeunt.Session, client exeunt.ClientID, now time.Time) exeunt.AppSessionID {
	s.t.Helper()
	s.register(client)
	x := Exchange{Code: exeunt.NewToken(exeunt.UseCode).Hash(), Client: client, RedirectURI: "r", Challenge: "c",
		App: exeunt.NewAppSessionID(), Hash: exeunt.NewToken(exeunt.UseApp).Hash()}
	if err := s.AddCode(s.t.Context(), x.Code,
		Code{Account: v.Account, Session: v.ID, Client: client, RedirectURI: "r", Challenge: "c",
			Expires: now.Add(time.Minute)}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.ExchangeCode(s.t.Context(), x, now); err != nil {
		s.t.Fatal(err)
	}
	return x.App
}

// apps returns why each of the session's listed app sessions ended.
func (s *testStore) apps(v exeunt.Session) map[exeunt.AppSessionID]exeunt.Reason {
	s.t.Helper()
	rows, err := s.read.QueryContext(s.t.Context(), `SELECT id, COALESCE(ended_reason, '') FROM app_sessions
		WHERE account_id = $1 AND session_id = $2`, v.Account.Bytes(), v.ID.Bytes())
	out := map[exeunt.AppSessionID]exeunt.Reason{}
	_, err = collect(rows, err, "app sessions", func(r rowScanner) (id exeunt.AppSessionID, err error) {
		var reason exeunt.Reason
		err = r.Scan(&id, &reason)
		out[id] = reason
		return id, err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// Only the newest sign-ins to the same app from one browser stay.
func TestAppSessionsOfOneClientAreFew(t *testing.T) { onEachEngine(t, appSessionsOfOneClientAreFew) }

func appSessionsOfOneClientAreFew(t *testing.T, s *testStore) {
	a := s.account()
	v, w := s.session(a.ID), s.session(a.ID)
	other, elsewhere := s.appSession(v, "other", epoch), s.appSession(w, "chirp", epoch)
	var ids []exeunt.AppSessionID
	for i := range MaxAppSessions + 3 {
		ids = append(ids, s.appSession(v, "chirp", epoch.Add(time.Duration(i)*time.Second)))
	}
	got := s.apps(v)
	for i, id := range ids {
		want := exeunt.Reason("")
		if i < 3 {
			want = exeunt.ReasonReplaced
		}
		if got[id] != want {
			t.Errorf("the %d. of %d ended for %q, want %q", i+1, len(ids), got[id], want)
		}
	}
	if got[other] != "" || s.apps(w)[elsewhere] != "" {
		t.Error("another app's or another browser's sign-in has ended")
	}
	// What is there from before there was a limit goes little by little.
	if _, err := s.tx.conn.ExecContext(t.Context(),
		`UPDATE app_sessions SET ended_at = NULL, ended_reason = NULL WHERE client_id = 'chirp'`); err != nil {
		t.Fatal(err)
	}
	s.appSession(v, "chirp", epoch.Add(time.Minute))
	if n := s.count(`SELECT count(*) FROM app_sessions WHERE session_id = $1 AND client_id = 'chirp'
		AND ended_at IS NULL`, v.ID.Bytes()); n != MaxAppSessions {
		t.Errorf("%d are left", n)
	}
	s.checkLog()
}

// A list has some of a session's app sessions, however many there are, and tells how many. It does not have those that
// were ended by themselves.
func TestListedAppSessionsAreBounded(t *testing.T) { onEachEngine(t, listedAppSessionsAreBounded) }

func listedAppSessionsAreBounded(t *testing.T, s *testStore) {
	a := s.account()
	v, w, none := s.session(a.ID), s.session(a.ID), s.session(a.ID)
	first := s.appSession(v, "a", epoch)
	const many = 3 * MaxApps
	for i := range many {
		rev := endOne(v)
		rev.AppSession = s.appSession(v, "b", epoch.Add(time.Second))
		s.end(rev)
		s.appSession(v, exeunt.ClientID(fmt.Sprintf("c%02d", i)), epoch.Add(time.Minute))
	}
	last := s.appSession(w, "b", epoch)
	all, _ := s.listed(exeunt.SessionFilter{Account: a.ID})
	for _, of := range []exeunt.Session{v, w, none} {
		one, err := s.Session(t.Context(), a.ID, of.ID)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if len(all) != 6 {
		t.Fatalf("%d sessions are listed", len(all))
	}
	for _, got := range all {
		wants, total := 0, int64(0)
		switch got.ID {
		case v.ID:
			wants, total = MaxApps, many+1
		case w.ID:
			wants, total = 1, 1
		}
		if len(got.Apps) != wants || got.AppCount != total {
			t.Errorf("%d app sessions are listed, of %d", len(got.Apps), got.AppCount)
		} else if wants == MaxApps && got.Apps[0].ID != first || wants == 1 && got.Apps[0].ID != last {
			t.Errorf("of %s: %+v", got.ID, got.Apps)
		}
		for _, app := range got.Apps {
			if app.End != nil {
				t.Errorf("one that was ended is listed: %+v", app)
			}
		}
	}
}

// App sessions that have ended go when their retention is over, as sessions do, whether their session lives on or
// not.
func TestEndedAppSessionsArePurged(t *testing.T) { onEachEngine(t, endedAppSessionsArePurged) }

func endedAppSessionsArePurged(t *testing.T, s *testStore) {
	v := s.session(s.account().ID)
	gone, kept := s.appSession(v, "chirp", epoch), s.appSession(v, "chirp", epoch)
	rev := endOne(v)
	rev.AppSession = gone
	s.end(rev)
	s.readLog()
	r := Retention{Ended: time.Hour, Audit: 1000 * time.Hour}
	if _, err := s.Purge(t.Context(), r, epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := s.apps(v); len(got) != 2 {
		t.Errorf("purged too early: %v", got)
	}
	if _, err := s.Purge(t.Context(), r, epoch.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := s.apps(v); len(got) != 1 || got[kept] != "" {
		t.Errorf("left: %v", got)
	}
}

// A code of a removed client cannot be exchanged and does not reach the committing goroutine. Using one twice still
// ends its app session.
func TestCodesOfARemovedClient(t *testing.T) { onEachEngine(t, codesOfARemovedClient) }

func codesOfARemovedClient(t *testing.T, s *testStore) {
	v := s.session(s.account().ID)
	s.register("chirp")
	var codes [2]Exchange
	for i := range codes {
		x := Exchange{Code: exeunt.NewToken(exeunt.UseCode).Hash(), Client: "chirp", RedirectURI: "r", Challenge: "c",
			App: exeunt.NewAppSessionID(), Hash: exeunt.NewToken(exeunt.UseApp).Hash()}
		if err := s.AddCode(t.Context(), x.Code,
			Code{Account: v.Account, Session: v.ID, Client: x.Client, RedirectURI: "r", Challenge: "c",
				Expires: epoch.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		codes[i] = x
	}
	used, unused := codes[0], codes[1]
	matters := func(x Exchange, want bool) {
		t.Helper()
		if _, got, err := s.CodeMatters(t.Context(), x, epoch); err != nil || got != want {
			t.Errorf("a code matters: %v, %v", got, err)
		}
	}
	matters(unused, true)
	if err := s.ExchangeCode(t.Context(), used, epoch); err != nil {
		t.Fatal(err)
	}
	if err := s.ReconcileClients(t.Context(), nil, operator, epoch); err != nil {
		t.Fatal(err)
	}
	matters(unused, false)
	wantErr(t, s.ExchangeCode(t.Context(), unused, epoch), exeunt.ErrCodeSpent)
	if got := s.apps(v); len(got) != 1 || got[used.App] != "" {
		t.Errorf("app sessions: %v", got)
	}
	matters(used, true)
	wantErr(t, s.ExchangeCode(t.Context(), used, epoch), exeunt.ErrCodeSpent)
	if got := s.apps(v); got[used.App] != exeunt.ReasonCodeReused {
		t.Errorf("a code that was used again: %v", got)
	}
	s.checkLog()
}
