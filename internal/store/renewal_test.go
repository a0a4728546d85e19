package store

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func TestRenewals(t *testing.T) { onEachEngine(t, renewals) }

// A renewal replaces the token that its request was made with, or does nothing at all.
func renewals(t *testing.T, s *testStore) {
	a := s.account()
	first := newSession(s.proof(a.ID), epoch)
	if _, err := s.StartSession(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	v := first.Session
	s.session(a.ID)
	begun, beside := s.appSession(v, "chirp", epoch), s.appSession(v, "other", epoch)
	code := func() (x Exchange) {
		x = Exchange{Code: exeunt.NewToken(exeunt.UseCode).Hash(), Client: "chirp", RedirectURI: "r", Challenge: "c",
			App: exeunt.NewAppSessionID(), Hash: exeunt.NewToken(exeunt.UseApp).Hash()}
		wantErr(t, s.AddCode(t.Context(), x.Code, Code{Account: a.ID, Session: v.ID, Client: "chirp", RedirectURI: "r",
			Challenge: "c", Expires: epoch.Add(time.Hour)}), nil)
		return x
	}
	unspent := code()
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID, Session: v.ID}
	second, third := exeunt.NewToken(exeunt.UseSession).Hash(), exeunt.NewToken(exeunt.UseSession).Hash()
	rev := endOthers(v)
	rev.Key, rev.Renewal = "a key", exeunt.Renewal{From: first.Hash, To: second}
	now := epoch.Add(time.Minute)
	for i := range 2 { // once more, it finds the outcome
		out, err := s.End(t.Context(), by, rev, Change{}, now)
		if err != nil || out.Ended != 1 || out.Already != (i == 1) {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	// What may have been begun with a copy of the old token is over.
	for app, why := range s.apps(v) {
		if (app == begun || app == beside) && why != exeunt.ReasonRenewed {
			t.Errorf("app session %s: %q", app, why)
		}
	}
	wantErr(t, s.ExchangeCode(t.Context(), unspent, now), exeunt.ErrCodeSpent)
	wantErr(t, s.ExchangeCode(t.Context(), code(), now), nil)
	err := s.AddCode(t.Context(), exeunt.NewToken(exeunt.UseCode).Hash(), Code{Account: a.ID, Session: v.ID,
		Client: "chirp", Expires: epoch.Add(time.Hour), Holder: first.Hash})
	wantErr(t, err, exeunt.ErrRenewed)
	late := endOthers(v)
	late.Key, late.Renewal = "another key", exeunt.Renewal{From: first.Hash, To: third}
	_, err = s.End(t.Context(), by, late, Change{}, now)
	wantErr(t, err, exeunt.ErrRenewed)
	_, err = s.End(t.Context(), by, late, Change{PasswordHash: "new", Credential: 1}, now)
	wantErr(t, err, exeunt.ErrRenewed)
	if _, c, err := s.Credential(t.Context(), a.ID); err != nil || c.PasswordHash != "old hash" {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = s.Load(t.Context(), exeunt.UseSession, first.Hash)
	wantErr(t, err, exeunt.ErrNotFound)
	if sn, err := s.Load(t.Context(), exeunt.UseSession, second); err != nil || sn.Session.ID != v.ID ||
		!sn.Session.Seen.Equal(now) || sn.Session.End != nil {
		t.Errorf("%+v, %v", sn.Session, err)
	}
	if r, err := s.Renewed(t.Context(), first.Hash); err != nil || r.Session != v.ID || !r.At.Equal(now) || r.To != second {
		t.Errorf("%+v, %v", r, err)
	}
	if at, err := s.LastRenewal(t.Context(), a.ID, v.ID); err != nil || !at.Equal(now) {
		t.Errorf("%v, %v", at, err)
	}
	events, err := s.Events(t.Context(), 0, 10)
	if err != nil || len(events) != 2 || events[0].Kind != exeunt.EventEnded || events[1].Kind != exeunt.EventRenewed ||
		events[1].Session != v.ID {
		t.Errorf("%+v, %v", events, err)
	}
	s.end(endOne(v))
	last := endOthers(v)
	last.Renewal = exeunt.Renewal{From: second, To: third}
	_, err = s.End(t.Context(), by, last, Change{}, now)
	wantErr(t, err, exeunt.ErrSignedOut)
	if _, err := s.Purge(t.Context(), Retention{Ended: time.Hour, Audit: time.Hour}, now.Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Renewed(t.Context(), first.Hash)
	wantErr(t, err, exeunt.ErrNotFound)
	s.checkLog()
}

func TestDisablingDropsWhatIsUnfinished(t *testing.T) { onEachEngine(t, disablingDrops) }

// Whatever could be finished after enabling is gone with the disabling, of that account only.
func disablingDrops(t *testing.T, s *testStore) {
	s.register("chirp")
	a, b := s.account(), s.account()
	links := map[exeunt.AccountID]exeunt.TokenHash{}
	for _, id := range []exeunt.AccountID{a.ID, b.ID} {
		v, link := s.session(id), exeunt.NewToken(exeunt.UseInvite).Hash()
		links[id] = link
		err := s.AddReset(t.Context(), link, Invite{Handle: "x", Account: id, Expires: epoch.Add(time.Hour)}, exeunt.System(), epoch)
		wantErr(t, err, nil)
		wantErr(t, s.AddCode(t.Context(), exeunt.NewToken(exeunt.UseCode).Hash(), Code{Account: id, Session: v.ID,
			Client: "chirp", RedirectURI: "x", Challenge: "x", Expires: epoch.Add(time.Minute)}), nil)
	}
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	_, err := s.End(t.Context(), operator, endAll(a.ID), Change{Status: exeunt.AccountDisabled}, epoch)
	wantErr(t, err, nil)
	wantErr(t, s.Enable(t.Context(), a.ID, operator, epoch), nil)
	_, err = s.Invite(t.Context(), links[a.ID], epoch)
	wantErr(t, err, exeunt.ErrInviteSpent)
	_, err = s.Invite(t.Context(), links[b.ID], epoch)
	wantErr(t, err, nil)
	if n := s.count(`SELECT count(*) FROM codes`); n != 1 {
		t.Errorf("%d codes", n)
	}
}
