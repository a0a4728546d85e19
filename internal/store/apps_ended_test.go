package store

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// appOf signs the session in to a client, in a session of its own where that is given.
func (s *testStore) appOf(v exeunt.Session, c exeunt.Client, own *NewSession) Exchange {
	s.t.Helper()
	x := s.codeOf(v, c)
	x.Own = own
	wantErr(s.t, s.ExchangeCode(s.t.Context(), x, epoch), nil)
	return x
}

func (s *testStore) codeOf(v exeunt.Session, c exeunt.Client) Exchange {
	s.t.Helper()
	c, err := s.Client(s.t.Context(), c.ID)
	wantErr(s.t, err, nil)
	x := Exchange{Code: exeunt.NewToken(exeunt.UseCode).Hash(), Client: c.ID, RedirectURI: c.RedirectURIs[0],
		App: exeunt.NewAppSessionID(), Hash: exeunt.NewToken(exeunt.UseApp).Hash(), Expires: epoch.Add(time.Hour)}
	wantErr(s.t, s.AddCode(s.t.Context(), x.Code, Code{Account: v.Account, Session: v.ID, Client: c.ID,
		Registration: c.Registration, RedirectURI: x.RedirectURI, Expires: epoch.Add(time.Minute)}), nil)
	return x
}

// whyEnded is why an app session that its token brings is of no use, "" if it is.
func (s *testStore) whyEnded(x Exchange) exeunt.Reason {
	s.t.Helper()
	sn, err := s.Load(s.t.Context(), exeunt.UseApp, x.Hash)
	wantErr(s.t, err, nil)
	one, err := s.AppSession(s.t.Context(), sn.App.Account, sn.App.ID)
	wantErr(s.t, err, nil)
	switch {
	case sn.NotAdmitted:
		return exeunt.ReasonAdministrator
	case sn.App.End == nil:
		return ""
	case one.End == nil || *one.End != *sn.App.End || !sn.App.End.At.Equal(epoch):
		s.t.Errorf("it has ended by %+v, and by %+v", sn.App.End, one.End)
	}
	return sn.App.End.Reason
}

// The removal of a client is one row of the log, and with it everything that people had in the client is of no use, also
// once a client of that ID is registered again. Maintenance cleans up later.
func TestNothingOutlivesAClient(t *testing.T) { onEachEngine(t, nothingOutlivesAClient) }

func nothingOutlivesAClient(t *testing.T, s *testStore) {
	ctx := t.Context()
	gone, stays := newClient("gone"), newClient("stays")
	for _, c := range []exeunt.Client{gone, stays} {
		wantErr(t, s.AddClient(ctx, c, operator, epoch), nil)
	}
	a := s.account()
	var apps []Exchange
	const many = MaxAppSessions * 10
	for range 10 {
		v := s.session(a.ID)
		for range MaxAppSessions {
			apps = append(apps, s.appOf(v, gone, nil))
		}
	}
	v := s.session(a.ID)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID, Session: v.ID}
	other := s.appOf(v, stays, nil)
	own := newSession(s.proof(a.ID), epoch)
	own.Session.Kind = exeunt.KindApp
	apps = append(apps, s.appOf(v, gone, &own))
	code, spent := s.codeOf(v, gone), apps[0]
	registeredAs, err := s.Client(ctx, gone.ID)
	wantErr(t, err, nil)
	device := Device{UserCode: "BCDFGHJK", Hash: exeunt.NewToken(exeunt.UseCode).Hash(), Client: gone.ID,
		Registration: registeredAs.Registration, Expires: epoch.Add(time.Hour)}
	_, err = s.AddDevice(ctx, device, 10, epoch)
	wantErr(t, err, nil)
	wantErr(t, s.Allow(ctx, by, registeredAs, "openid", epoch), nil)
	wantErr(t, s.Withdraw(ctx, by, stays.ID, epoch), nil)
	left := v
	wantErr(t, func() error {
		_, err := s.End(ctx, by, exeunt.Revocation{Target: exeunt.Target{Account: a.ID, Scope: exeunt.ScopeSession,
			Session: left.ID, AppSession: s.appOf(left, gone, nil).App}, Reason: exeunt.ReasonSignedOut}, Change{}, epoch)
		return err
	}(), nil)
	if did, err := s.LeftApp(ctx, a.ID, left.ID, gone.ID); err != nil || !did {
		t.Errorf("the app was left: %v, %v", did, err)
	}

	head, err := s.Head(ctx)
	wantErr(t, err, nil)
	rows := s.count(`SELECT count(*) FROM app_sessions WHERE ended_at IS NULL`)
	wantErr(t, s.RemoveClient(ctx, gone.ID, operator, epoch), nil)
	if now, err := s.Head(ctx); err != nil || now != head+1 ||
		s.count(`SELECT count(*) FROM app_sessions WHERE ended_at IS NULL`) != rows {
		t.Errorf("the removal has written %d events, and app sessions; %v", now-head, err)
	}
	nothing := func(when string) {
		t.Helper()
		for _, x := range apps {
			if why := s.whyEnded(x); why != exeunt.ReasonClientRemoved {
				t.Fatalf("%s: an app session has ended by %q", when, why)
			}
			r := Refresh{Account: a.ID, App: x.App, Client: gone.ID, Hash: exeunt.NewToken(exeunt.UseApp).Hash(),
				Expires: epoch.Add(time.Hour)}
			_, err := s.MayRefresh(ctx, r, epoch)
			wantErr(t, err, exeunt.ErrNotFound)
			_, err = s.RefreshApp(ctx, r, epoch)
			wantErr(t, err, exeunt.ErrCodeSpent)
		}
		if why := s.whyEnded(other); why != "" {
			t.Errorf("%s: the other client's app session has ended by %q", when, why)
		}
		if _, matters, err := s.CodeMatters(ctx, code, epoch); matters || err != nil {
			t.Errorf("%s: the code matters; %v", when, err)
		}
		wantErr(t, s.ExchangeCode(ctx, code, epoch), exeunt.ErrCodeSpent)
		_, err := s.DeviceByCode(ctx, device.Hash)
		wantErr(t, err, exeunt.ErrNotFound)
		_, err = s.DeviceByUserCode(ctx, device.UserCode, epoch)
		wantErr(t, err, exeunt.ErrNotFound)
		wantErr(t, s.AllowDevice(ctx, device.UserCode, Code{Account: a.ID, Session: v.ID}, epoch), exeunt.ErrUnknownClient)
		_, err = s.Consent(ctx, a.ID, gone.ID)
		wantErr(t, err, exeunt.ErrNotFound)
		if list, err := s.Consents(ctx, a.ID, 10); len(list) > 0 || err != nil {
			t.Errorf("%s: allowed is %v, %v", when, list, err)
		}
		if did, err := s.LeftApp(ctx, a.ID, left.ID, gone.ID); err != nil || did {
			t.Errorf("%s: the app was left: %v, %v", when, did, err)
		}
		if uses, err := s.AppUses(ctx, AppFilter{Account: a.ID, Limit: 100}); err != nil || len(uses) != 1 {
			t.Errorf("%s: apps in use are %v, %v", when, uses, err)
		}
		if got, err := s.Session(ctx, a.ID, v.ID); err != nil || got.AppCount != 1 {
			t.Errorf("%s: the session has %d app sessions, %v", when, got.AppCount, err)
		}
		if n, err := s.CountAppsOf(ctx, gone.ID); err != nil || n.Count != 0 {
			t.Errorf("%s: the client has %d app sessions, %v", when, n.Count, err)
		}
		if list, _, _, err := s.Participations(ctx, &exeunt.Event{Kind: exeunt.EventEnded, Target: endOne(v).Target},
			Participation{}); err != nil || len(list) == 0 || list[len(list)-1].Client != stays.ID {
			t.Errorf("%s: to be told are %v, %v", when, list, err)
		}
	}
	nothing("removed")
	wantErr(t, s.AddClient(ctx, gone, operator, epoch.Add(time.Minute)), nil)
	wantErr(t, s.AddCode(ctx, exeunt.NewToken(exeunt.UseCode).Hash(), Code{Account: a.ID, Session: v.ID, Client: gone.ID,
		Registration: registeredAs.Registration, RedirectURI: code.RedirectURI, Expires: epoch.Add(time.Minute)}),
		exeunt.ErrUnknownClient)
	nothing("registered again")
	if more, err := s.WriteEnds(ctx, epoch); err != nil || !more ||
		s.count(`SELECT count(*) FROM app_sessions WHERE ended_at IS NULL AND client_id = 'gone'`) != many+1-endAtOnce {
		t.Errorf("a step is bounded, and says that there is more: %v, %v", more, err)
	}
	s = s.reopen()
	for more := true; more; {
		more, err = s.WriteEnds(ctx, epoch)
		wantErr(t, err, nil)
	}
	nothing("cleaned up")
	if n := s.count(`SELECT count(*) FROM app_sessions WHERE ended_at IS NULL`); n != 1 {
		t.Errorf("%d app sessions are left", n)
	}
	if n := s.count(`SELECT count(*) FROM consents`); n != 0 {
		t.Errorf("%d consents are left", n)
	}
	if got, err := s.Session(ctx, a.ID, own.Session.ID); err != nil || got.End == nil ||
		got.End.Reason != exeunt.ReasonClientRemoved {
		t.Errorf("the session of the app's own: %+v, %v", got.End, err)
	}
	wantErr(t, s.ExchangeCode(ctx, spent, epoch), exeunt.ErrCodeSpent)
	// The new registration works, and loses nothing to what was cleaned up.
	again := s.appOf(v, gone, nil)
	if why := s.whyEnded(again); why != "" {
		t.Errorf("what the new client has ended by %q", why)
	}
	s.checkLog()
}

// A client that is for fewer people than before is of no use to the others at once, and maintenance ends what they had,
// with an event for each, from which the app is told.
func TestWhoMayNotUseAClientAnyMore(t *testing.T) { onEachEngine(t, whoMayNotUseAClientAnyMore) }

func whoMayNotUseAClientAnyMore(t *testing.T, s *testStore) {
	ctx := t.Context()
	c := newClient("notes")
	c.Groups = []string{"staff", "guests"}
	wantErr(t, s.AddClient(ctx, c, operator, epoch), nil)
	change := func(groups ...string) (events int64) {
		t.Helper()
		before, err := s.Head(ctx)
		wantErr(t, err, nil)
		_, err = s.ChangeClient(ctx, c.ID, operator, epoch, func(c *exeunt.Client) error { c.Groups = groups; return nil })
		wantErr(t, err, nil)
		after, err := s.Head(ctx)
		wantErr(t, err, nil)
		return after - before
	}
	staff, guest, moved := s.account(), s.account(), s.account()
	s.changeGroup("staff", false, staff.ID)
	s.changeGroup("guests", false, guest.ID, moved.ID)
	apps := map[exeunt.AccountID]Exchange{}
	for _, a := range []exeunt.Account{staff, guest, moved} {
		for range 9 {
			v := s.session(a.ID)
			for range MaxAppSessions {
				apps[a.ID] = s.appOf(v, c, nil)
			}
		}
	}
	v := s.session(guest.ID)
	code := s.codeOf(v, c)
	want := func(when string, ended map[exeunt.AccountID]exeunt.Reason) {
		t.Helper()
		for id, x := range apps {
			if got := s.whyEnded(x); got != ended[id] {
				t.Errorf("%s: an app session has ended by %q, want %q", when, got, ended[id])
			}
		}
	}
	want("at first", nil)
	if n := change("staff", "guests", "more"); n != 1 {
		t.Errorf("%d events", n)
	}
	want("for more people", nil)
	if n := change("staff"); n != 1 {
		t.Errorf("%d events", n)
	}
	lost := map[exeunt.AccountID]exeunt.Reason{guest.ID: exeunt.ReasonAdministrator, moved.ID: exeunt.ReasonAdministrator}
	want("for fewer", lost)
	wantErr(t, s.ExchangeCode(ctx, code, epoch), exeunt.ErrNotAdmitted)
	wantErr(t, s.ExchangeCode(ctx, code, epoch), exeunt.ErrCodeSpent)
	s.changeGroup("staff", false, moved.ID)
	delete(lost, moved.ID)
	want("one was let in before anything was written", lost)
	head, err := s.Head(ctx)
	wantErr(t, err, nil)
	for range 3 { // of which one looks, and two end something
		if more, err := s.WriteEnds(ctx, epoch); err != nil || !more {
			t.Errorf("a step is bounded, and says that there is more: %v, %v", more, err)
		}
	}
	s = s.reopen() // a crash in between
	for more := true; more; {
		more, err = s.WriteEnds(ctx, epoch)
		wantErr(t, err, nil)
	}
	want("written", lost)
	list, err := s.Events(ctx, head, 1000)
	wantErr(t, err, nil)
	if len(list) != 9*MaxAppSessions {
		t.Errorf("%d events", len(list))
	}
	for i := range list {
		if e := &list[i]; e.Account != guest.ID || e.AppSession.IsZero() || e.By.Kind != exeunt.ActorOperator {
			t.Errorf("%+v", e)
		}
	}
	s.changeGroup("staff", false, guest.ID)
	want("let in again", lost)
	s.checkLog()
}

// Whoever loses a group has any number of app sessions, of which one transaction ends a bounded number; the rest is
// refused at once all the same, and ended later.
func TestLeavingAGroupIsBounded(t *testing.T) { onEachEngine(t, leavingAGroupIsBounded) }

func leavingAGroupIsBounded(t *testing.T, s *testStore) {
	ctx := t.Context()
	c := newClient("notes")
	c.Groups = []string{"staff"}
	wantErr(t, s.AddClient(ctx, c, operator, epoch), nil)
	a := s.account()
	s.changeGroup("staff", false, a.ID)
	var apps []Exchange
	for range leaveAtOnce/MaxAppSessions + 1 {
		v := s.session(a.ID)
		for range MaxAppSessions {
			apps = append(apps, s.appOf(v, c, nil))
		}
	}
	head, err := s.Head(ctx)
	wantErr(t, err, nil)
	s.changeGroup("staff", true, a.ID)
	if now, err := s.Head(ctx); err != nil || now-head != leaveAtOnce+2 {
		t.Errorf("%d events, %v", now-head, err)
	}
	for _, x := range apps {
		if why := s.whyEnded(x); why != exeunt.ReasonAdministrator {
			t.Fatalf("an app session has ended by %q", why)
		}
	}
	for more := true; more; {
		more, err = s.WriteEnds(ctx, epoch)
		wantErr(t, err, nil)
	}
	if n := s.count(`SELECT count(*) FROM app_sessions WHERE ended_at IS NULL`); n != 0 {
		t.Errorf("%d app sessions are left", n)
	}
	s.checkLog()
}
