package store

import (
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
	got, err := s.Session(s.t.Context(), v.Account, v.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[exeunt.AppSessionID]exeunt.Reason{}
	for _, a := range got.Apps {
		out[a.ID] = ""
		if a.End != nil {
			out[a.ID] = a.End.Reason
		}
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

// A list reads the app sessions of the sessions on it, and not without end.
func TestListedAppSessionsAreBounded(t *testing.T) { onEachEngine(t, listedAppSessionsAreBounded) }

func listedAppSessionsAreBounded(t *testing.T, s *testStore) {
	a := s.account()
	v, w := s.session(a.ID), s.session(a.ID)
	first := s.appSession(v, "first", epoch)
	for i := range maxApps + 5 {
		now := epoch.Add(time.Duration(i+1) * time.Second)
		rev := endOne(v)
		rev.AppSession = s.appSession(v, "chirp", now)
		s.end(rev)
	}
	last := s.appSession(w, "chirp", epoch)
	p, err := s.Sessions(t.Context(), exeunt.SessionFilter{Account: a.ID})
	list := p.Items
	if err != nil || len(list) != 2 {
		t.Fatalf("%d sessions, %v", len(list), err)
	}
	if got := s.apps(v); len(got) != maxApps {
		t.Errorf("%d app sessions are listed", len(got))
	} else if why, ok := got[first]; !ok || why != "" {
		t.Error("the one that has not ended is not listed")
	}
	if got := s.apps(w); len(got) != 1 || got[last] != "" {
		t.Errorf("of the other session: %v", got)
	}
	for _, v := range list {
		if want := len(s.apps(v)); len(v.Apps) != want {
			t.Errorf("%d app sessions in the list, %d by itself", len(v.Apps), want)
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
		if got, err := s.CodeMatters(t.Context(), x, epoch); err != nil || got != want {
			t.Errorf("a code matters: %v, %v", got, err)
		}
	}
	matters(unused, true)
	if err := s.ExchangeCode(t.Context(), used, epoch); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveClient(t.Context(), "chirp", operator, epoch); err != nil {
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
