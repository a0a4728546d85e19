package web

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Half a pair is refused at once, but ends the session only when the pair is
// older than a browser needs to store it.
func TestHalfAPair(t *testing.T) {
	s := newSite(t)
	_, session, pair := s.signIn(exeunt.KindKept)
	for _, age := range []time.Duration{0, pairGrace} {
		s.clock.Store(age.Milliseconds())
		for range 200 { // six tabs with requests in flight, and more
			if v := s.Visitor(request(pair[0])); v.SignedIn() || v.Nobody() || v.Use != authority.AsIncomplete {
				t.Fatalf("half a pair: %+v", v)
			}
		}
		s.queued()
		if e := s.endOf(session); e != nil {
			t.Fatalf("after %v it has ended a session that was just started: %+v", age, e)
		}
		if !s.Visitor(request(pair...)).SignedIn() {
			t.Fatalf("after %v nobody is signed in any more", age)
		}
	}
	s.pass(time.Millisecond)
	if v := s.Visitor(request(pair[1])); v.SignedIn() || !v.Garbage {
		t.Errorf("the readable half alone: %+v", v)
	}
	s.queued()
	if e := s.endOf(session); e != nil {
		t.Errorf("the readable half alone has ended it: %+v", e)
	}
	for range 3 {
		if s.Visitor(request(pair[0])).SignedIn() {
			t.Error("half a pair signs in")
		}
	}
	s.queued()
	if e := s.endOf(session); e == nil || e.Reason != exeunt.ReasonIncomplete || e.By != exeunt.ActorSystem {
		t.Errorf("its end is %+v", e)
	}
	if s.Visitor(request(pair...)).SignedIn() {
		t.Error("the pair still signs in")
	}
}

// An app's credential is worth nothing in a browser's cookies.
func TestAnAppsTokenInCookies(t *testing.T) {
	s := newSite(t)
	_, session, pair := s.signIn(exeunt.KindApp)
	if v := s.Visitor(request(pair...)); v.SignedIn() || v.Answer.State != live.WrongUse || !v.Answer.Session.IsZero() {
		t.Errorf("%+v", v)
	}
	s.pass(time.Hour)
	s.Visitor(request(pair[0]))
	s.queued()
	if e := s.endOf(session); e != nil {
		t.Errorf("half of what is no pair has ended it: %+v", e)
	}
}

func TestVisitorsWhoHaveSignedOut(t *testing.T) {
	s := newSite(t)
	_, session, pair := s.signIn(exeunt.KindKept)
	v := s.Visitor(request(pair...))
	actor := v.Actor(request(), Peers{})
	if actor.Kind != exeunt.ActorPerson || actor.Account != session.Account || actor.Session != session.ID ||
		!actor.App.IsZero() || !actor.Address.IsValid() {
		t.Errorf("the actor is %+v", actor)
	}
	if _, err := s.Authority.End(context.Background(), actor,
		exeunt.Revocation{Target: exeunt.Target{Account: session.Account, Scope: exeunt.ScopeSession,
			Session: session.ID}, Reason: exeunt.ReasonSignedOut}); err != nil {
		t.Fatal(err)
	}
	if v := s.Visitor(request(pair...)); v.SignedIn() || v.Doubt() != nil || v.Nobody() || v.Use != authority.AsPair {
		t.Errorf("%+v", v)
	}
}

func TestFormsBelongToTheirSession(t *testing.T) {
	s := newSite(t)
	_, session, pair := s.signIn(exeunt.KindKept)
	_, other, _ := s.signIn(exeunt.KindKept)
	for value, ok := range map[string]bool{session.ID.String(): true, other.ID.String(): false, "": false,
		"ses_x": false, strings.ToUpper(session.ID.String()): false} {
		r := httptest.NewRequest("POST", "/x?session="+session.ID.String(),
			strings.NewReader(url.Values{"session": {value}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range pair {
			r.AddCookie(c)
		}
		if err := s.Visitor(r).FormSession(r); (err == nil) != ok || err != nil && err != exeunt.ErrOtherAccount {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestStates(t *testing.T) {
	s := newSite(t)
	states := States{Authority: s.Authority, Now: s.Now}
	token, session, _ := s.signIn(exeunt.KindShared) // idle 15 min, absolute 4 h, warning 2 min
	appToken := s.appToken(session)
	of := func(x exeunt.Token) client.State {
		use := authority.AsPair
		if x.Use() == exeunt.UseApp {
			use = authority.AsBearer
		}
		return states.Of(context.Background(), x, s.Authority.Check(context.Background(),
			authority.Credential{Token: x, Use: use}))
	}
	if got := of(token); got.State != client.Live || got.Session != session.ID.String() ||
		got.WarnIn != 13*time.Minute || got.IdleIn != 15*time.Minute {
		t.Errorf("live: %+v", got)
	}
	if got := of(appToken); got.State != client.Live || !strings.HasPrefix(got.Session, "app_") {
		t.Errorf("an app session: %+v", got)
	}
	s.pass(14 * time.Minute)
	if got := of(token); got.WarnIn != 0 || got.IdleIn != time.Minute {
		t.Errorf("asking is no activity, and it warns: %+v", got)
	}
	s.pass(time.Minute)
	want := client.State{State: client.Over, Reason: string(exeunt.ReasonIdle), At: s.Now()}
	if got := of(token); got != want {
		t.Errorf("run out: %+v, want %+v", got, want)
	}
	if got := of(exeunt.NewToken(exeunt.UseSession)); got.State != client.Over || got.Reason != "" {
		t.Errorf("unknown: %+v", got)
	}
	for state, status := range map[client.Liveness]int{client.Live: 200, client.Over: 401, client.Unknown: 503} {
		w := httptest.NewRecorder()
		WriteState(w, client.State{State: state})
		if w.Code != status || w.Header().Get("Cache-Control") != "no-store" || len(w.Result().Cookies()) != 0 ||
			(w.Header().Get("Retry-After") != "") != (status == 503) {
			t.Errorf("%s: %d %v", state, w.Code, w.Header())
		}
	}
}
