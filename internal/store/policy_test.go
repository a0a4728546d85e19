package store

import (
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// The strictest policy of an account's groups applies to a session that starts, to one that is started over in the
// same browser, and, when the policy changes, to those that are there.
func TestGroupsMakeLimitsStricter(t *testing.T) { onEachEngine(t, groupsMakeLimitsStricter) }

func groupsMakeLimitsStricter(t *testing.T, s *testStore) {
	p := exeunt.DefaultPolicy()
	p.MaxSessions = 50
	p.Groups = []exeunt.GroupPolicy{
		{Name: "admins", Idle: 10 * time.Minute, MaxSessions: 2},
		{Name: "staff", Idle: time.Hour, Absolute: 8 * time.Hour, MaxSessions: 3},
	}
	a, other := s.account(), s.account()
	start := func(id exeunt.AccountID, from, to exeunt.TokenHash, same exeunt.SessionID) (NewSession, Started) {
		t.Helper()
		n := newSession(s.proof(id), epoch)
		n.Policy, n.Most = p, p.MaxSessions
		n.Session.Idle, n.Session.ExpiresAt = p.Kept.Idle, epoch.Add(p.Kept.Absolute)
		if n.Replaces = same; !same.IsZero() {
			n.Renews = exeunt.Renewal{From: from, To: to}
		}
		out, err := s.StartSession(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return n, out
	}
	limits := func(id exeunt.AccountID, session exeunt.SessionID, idle, absolute time.Duration) {
		t.Helper()
		got, err := s.Session(t.Context(), id, session)
		if err != nil || got.Idle != idle || !got.ExpiresAt.Equal(epoch.Add(absolute)) {
			t.Errorf("idle %v, absolute %v, %v; want %v and %v", got.Idle, got.ExpiresAt.Sub(epoch), err, idle, absolute)
		}
	}
	first, _ := start(a.ID, exeunt.TokenHash{}, exeunt.TokenHash{}, exeunt.SessionID{})
	free, _ := start(other.ID, exeunt.TokenHash{}, exeunt.TokenHash{}, exeunt.SessionID{})
	limits(a.ID, first.Session.ID, p.Kept.Idle, p.Kept.Absolute)
	for _, g := range p.Groups {
		if _, err := s.ChangeGroup(t.Context(), GroupChange{Group: g.Name, Accounts: []exeunt.AccountID{a.ID}},
			exeunt.System(), epoch); err != nil {
			t.Fatal(err)
		}
	}
	limits(a.ID, first.Session.ID, p.Kept.Idle, p.Kept.Absolute)
	next := exeunt.NewToken(exeunt.UseSession).Hash()
	_, renewed := start(a.ID, first.Hash, next, first.Session.ID)
	limits(a.ID, first.Session.ID, 10*time.Minute, 8*time.Hour)
	if renewed.Session != first.Session.ID || renewed.Idle != 10*time.Minute ||
		!renewed.Expires.Equal(epoch.Add(8*time.Hour)) {
		t.Errorf("going on says %+v", renewed)
	}
	second, said := start(a.ID, exeunt.TokenHash{}, exeunt.TokenHash{}, exeunt.SessionID{})
	limits(a.ID, second.Session.ID, 10*time.Minute, 8*time.Hour)
	if said.Idle != 10*time.Minute || !said.Expires.Equal(epoch.Add(8*time.Hour)) {
		t.Errorf("the start says %+v", said)
	}
	// The strictest of the numbers counts, too: of three sessions the oldest ends, and says why.
	start(a.ID, exeunt.TokenHash{}, exeunt.TokenHash{}, exeunt.SessionID{})
	ended := 0
	for _, id := range []exeunt.SessionID{first.Session.ID, second.Session.ID} {
		if v, _ := s.Session(t.Context(), a.ID, id); v.End != nil && v.End.Reason == exeunt.ReasonTooMany {
			ended++
		}
	}
	if n := s.count(`SELECT max(live_sessions) FROM accounts`); n != 2 || ended != 1 {
		t.Errorf("%d are live and %d ended as too many, want 2 and 1", n, ended)
	}
	// A stricter policy of the group applies to its members' sessions, and to nobody else's.
	p.Groups[1].Absolute = time.Hour
	if err := s.Tighten(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if n := s.count(`SELECT count(*) FROM sessions WHERE ended_at IS NULL AND expires = started + 3600000`); n != 2 {
		t.Errorf("%d of 2 sessions were shortened", n)
	}
	limits(other.ID, free.Session.ID, p.Kept.Idle, p.Kept.Absolute)
	s.checkLog()
}
