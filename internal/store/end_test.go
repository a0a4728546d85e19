package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func TestEndingTwiceIsHarmless(t *testing.T) { onEachEngine(t, endingTwiceIsHarmless) }

func endingTwiceIsHarmless(t *testing.T, s *testStore) {
	a := s.account()
	v := s.session(a.ID)
	if out := s.end(endOne(v)); out.Already || out.Ended != 1 || out.Seq != 1 {
		t.Errorf("first: %+v", out)
	}
	if out := s.end(endOne(v)); !out.Already || out.Ended != 0 || out.Seq != 0 {
		t.Errorf("again: %+v", out)
	}
	if n := s.count(`SELECT count(*) FROM events WHERE kind = 'ended'`); n != 1 {
		t.Errorf("%d audit entries for one ending", n)
	}
	s.checkLog()
}

func TestRefusedEndings(t *testing.T) { onEachEngine(t, refusedEndings) }

func refusedEndings(t *testing.T, s *testStore) {
	a, b := s.account(), s.account()
	v, w, other := s.session(a.ID), s.session(a.ID), s.session(b.ID)
	foreign := endOne(other)
	foreign.Account = a.ID
	unknownApp := endOne(v)
	unknownApp.AppSession = exeunt.NewAppSessionID()
	s.end(endOne(w))
	newPassword := Change{PasswordHash: "new", Credential: 1}
	for name, c := range map[string]struct {
		rev    exeunt.Revocation
		change Change
		want   error
	}{
		"unknown session": {exeunt.Revocation{Target: exeunt.Target{Account: a.ID,
			Scope: exeunt.ScopeSession, Session: exeunt.NewSessionID()}}, Change{}, exeunt.ErrNotFound},
		"another account's session":    {foreign, Change{}, exeunt.ErrNotFound},
		"unknown account":              {endAll(exeunt.NewAccountID()), Change{}, exeunt.ErrNotFound},
		"unknown app session":          {unknownApp, Change{}, exeunt.ErrNotFound},
		"others, keeping an ended one": {endOthers(w), Change{}, exeunt.ErrSignedOut},
		"others, keeping another's": {exeunt.Revocation{Target: exeunt.Target{Account: a.ID,
			Scope: exeunt.ScopeOthers, Session: other.ID}}, Change{}, exeunt.ErrNotFound},
		"password changed meanwhile": {endOthers(v), Change{PasswordHash: "new", Credential: 9},
			exeunt.ErrSignInAgain},
		"password, keeping an ended one": {endOthers(w), newPassword, exeunt.ErrSignedOut},
	} {
		out, err := s.End(t.Context(), exeunt.System(), c.rev, c.change, epoch)
		wantErr(t, err, c.want)
		if out.Ended != 0 || out.Seq != 0 {
			t.Errorf("%s: refused, and yet %+v", name, out)
		}
	}
	if _, c, _ := s.Credential(t.Context(), a.ID); c.PasswordHash != "old hash" {
		t.Error("a refused change set the password")
	}
	if list, err := s.Sessions(t.Context(), exeunt.SessionFilter{Account: a.ID}); err != nil || len(list.Items) != 1 ||
		list.Items[0].ID != v.ID {
		t.Errorf("refusals ended something: %+v, %v", list, err)
	}
	if head, _ := s.Head(t.Context()); head != 1 {
		t.Errorf("refusals wrote events: the head is %d", head)
	}
	s.checkLog()
}

func TestIdempotencyKeys(t *testing.T) { onEachEngine(t, idempotencyKeys) }

func idempotencyKeys(t *testing.T, s *testStore) {
	a := s.account()
	keep, v, w := s.session(a.ID), s.session(a.ID), s.session(a.ID)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID, Session: keep.ID}
	rev := endOthers(keep)
	rev.Key = "key"
	first, err := s.End(t.Context(), by, rev, Change{}, epoch)
	if err != nil || first.Already || first.Ended != 2 || first.Seq != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	later := s.session(a.ID)
	again, err := s.End(t.Context(), by, rev, Change{}, epoch.Add(time.Hour))
	first.Already = true
	if err != nil || again != first {
		t.Errorf("the retry says %+v, %v; the first said %+v", again, err, first)
	}
	if got, _ := s.Session(t.Context(), a.ID, later.ID); got.End != nil {
		t.Error("the retry ended a session born after the first")
	}
	other := endOne(later)
	other.Key = "key"
	_, err = s.End(t.Context(), by, other, Change{}, epoch)
	wantErr(t, err, exeunt.ErrKeyReused)
	if got, _ := s.Session(t.Context(), a.ID, later.ID); got.End != nil {
		t.Error("refused for its key, and yet ended")
	}
	// Another actor's keys are its own.
	by.Session = later.ID
	if out, err := s.End(t.Context(), by, other, Change{}, epoch); err != nil || out.Already {
		t.Errorf("another actor with the same key: %+v, %v", out, err)
	}
	// And an actor whose own session has ended does nothing more.
	rev = endOne(keep)
	_, err = s.End(t.Context(), by, rev, Change{}, epoch)
	wantErr(t, err, exeunt.ErrSignedOut)
	by.Session = keep.ID
	// A refused request does not use its key up.
	rev = endOne(exeunt.Session{ID: exeunt.NewSessionID(), Account: a.ID})
	rev.Key = "fresh"
	_, err = s.End(t.Context(), by, rev, Change{}, epoch)
	wantErr(t, err, exeunt.ErrNotFound)
	rev.Session = s.session(a.ID).ID
	if out, err := s.End(t.Context(), by, rev, Change{}, epoch); err != nil || out.Ended != 1 {
		t.Errorf("the key of a refused request: %+v, %v", out, err)
	}
	_, _ = v, w
	s.checkLog()
}

func TestTheSameKeyAtTheSameMoment(t *testing.T) { onEachEngine(t, theSameKeyAtTheSameMoment) }

func theSameKeyAtTheSameMoment(t *testing.T, s *testStore) {
	a := s.account()
	for range 3 {
		s.session(a.ID)
	}
	rev := endAll(a.ID)
	rev.Key = "key"
	const n = 16
	var outs [n]Ending
	var wg sync.WaitGroup
	for i := range outs {
		wg.Go(func() {
			var err error
			if outs[i], err = s.End(context.Background(), exeunt.System(), rev, Change{}, epoch); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fresh := 0
	for _, o := range outs {
		if !o.Already {
			fresh++
		}
		if o.Ended != 3 || o.Seq != 1 || !o.At.Equal(epoch) {
			t.Errorf("an outcome is %+v", o)
		}
	}
	if fresh != 1 {
		t.Errorf("%d of them were the first", fresh)
	}
	s.checkLog()
}

func TestSignInsInFlightAreFenced(t *testing.T) {
	for name, meanwhile := range map[string]func(s *testStore, a exeunt.Account){
		"everything ended": func(s *testStore, a exeunt.Account) { s.end(endAll(a.ID)) },
		"others ended":     func(s *testStore, a exeunt.Account) { s.end(endOthers(s.session(a.ID))) },
		"password changed": func(s *testStore, a exeunt.Account) {
			if _, err := s.End(context.Background(), exeunt.System(), endOthers(s.session(a.ID)),
				Change{PasswordHash: "new", Credential: 1}, epoch); err != nil {
				s.t.Fatal(err)
			}
		},
		"disabled": func(s *testStore, a exeunt.Account) {
			if _, err := s.End(context.Background(), exeunt.System(), endAll(a.ID),
				Change{Status: exeunt.AccountDisabled}, epoch); err != nil {
				s.t.Fatal(err)
			}
		},
		"disabled and enabled": func(s *testStore, a exeunt.Account) {
			if _, err := s.End(context.Background(), exeunt.System(), endAll(a.ID),
				Change{Status: exeunt.AccountDisabled}, epoch); err != nil {
				s.t.Fatal(err)
			}
			if err := s.Enable(context.Background(), a.ID, exeunt.System(), epoch); err != nil {
				s.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			a := s.account()
			replaced := s.session(s.account().ID)
			n := newSession(s.proof(a.ID), epoch)
			n.Replaces = replaced.ID
			meanwhile(s, a)
			_, err := s.StartSession(t.Context(), n)
			wantErr(t, err, exeunt.ErrSignInAgain)
			if s.count(`SELECT count(*) FROM sessions WHERE id = $1`, n.Session.ID.Bytes()) != 0 {
				t.Error("refused, and yet inserted")
			}
			if got, _ := s.Session(t.Context(), replaced.Account, replaced.ID); got.End != nil {
				t.Error("refused, and yet it ended the one it was to replace")
			}
			s.checkLog()
		})
	}
	t.Run("disabled all along", func(t *testing.T) {
		s := newStore(t)
		a := s.account()
		if _, err := s.End(t.Context(), exeunt.System(), endAll(a.ID), Change{Status: exeunt.AccountDisabled},
			epoch); err != nil {
			t.Fatal(err)
		}
		_, err := s.StartSession(t.Context(), newSession(s.proof(a.ID), epoch))
		wantErr(t, err, exeunt.ErrSignInAgain)
	})
	t.Run("a code", func(t *testing.T) {
		s := newStore(t)
		v := s.session(s.account().ID)
		s.register("chirp")
		code := exeunt.NewToken(exeunt.UseCode).Hash()
		if err := s.AddCode(t.Context(), code,
			Code{Account: v.Account, Session: v.ID, Client: "chirp", Expires: epoch.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		s.end(endAll(v.Account))
		wantErr(t, s.ExchangeCode(t.Context(), Exchange{Code: code, Client: "chirp", App: exeunt.NewAppSessionID()},
			epoch), exeunt.ErrCodeSpent)
		if n := s.count(`SELECT count(*) FROM app_sessions`); n != 0 {
			t.Error("refused, and yet an app session")
		}
	})
	t.Run("the password alone", func(t *testing.T) {
		s := newStore(t)
		n := newSession(s.proof(s.account().ID), epoch)
		n.Proof.CredentialVersion--
		_, err := s.StartSession(t.Context(), n)
		wantErr(t, err, exeunt.ErrSignInAgain)
	})
}

// Signing in over a live session ends it, also when it is another account's.
func TestSigningInReplaces(t *testing.T) { onEachEngine(t, signingInReplaces) }

func signingInReplaces(t *testing.T, s *testStore) {
	a, b := s.account(), s.account()
	old := s.session(a.ID)
	n := newSession(s.proof(b.ID), epoch)
	n.Replaces = old.ID
	n.Session.Label = "Firefox on Linux"
	if _, err := s.StartSession(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got, err := s.Session(t.Context(), a.ID, old.ID)
	if err != nil || got.End == nil || got.End.Reason != exeunt.ReasonReplaced || got.End.By != exeunt.ActorSystem {
		t.Errorf("the old one's end is %+v, %v", got.End, err)
	}
	// What it replaces may be gone already, or never have been.
	for _, id := range []exeunt.SessionID{old.ID, exeunt.NewSessionID()} {
		n := newSession(s.proof(b.ID), epoch)
		n.Replaces = id
		if _, err := s.StartSession(t.Context(), n); err != nil {
			t.Errorf("replacing what is gone: %v", err)
		}
	}
	s.checkLog()
}

func TestTimeEndsOnlyWhatTheStoreAgreesTo(t *testing.T) {
	onEachEngine(t, timeEndsOnlyWhatTheStoreAgreesTo)
}

func timeEndsOnlyWhatTheStoreAgreesTo(t *testing.T, s *testStore) {
	a := s.account()
	v := s.session(a.ID) // idle 1 h, absolute 24 h
	declare := func(reason exeunt.Reason, after time.Duration) error {
		rev := endOne(v)
		rev.Reason = reason
		_, err := s.End(t.Context(), exeunt.System(), rev, Change{}, epoch.Add(after))
		return err
	}
	overdue := func(after time.Duration) []exeunt.Overdue {
		list, err := s.OverdueOf(t.Context(), a.ID, epoch.Add(after), 10)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if len(overdue(time.Hour-time.Millisecond)) != 0 || len(overdue(time.Hour)) != 1 {
		t.Error("a session runs out at the very instant of its limit")
	}
	wantErr(t, declare(exeunt.ReasonIdle, time.Hour-time.Millisecond), ErrStillGood)
	if err := s.SaveActivity(t.Context(),
		[]exeunt.Activity{{Account: a.ID, Session: v.ID, Seen: epoch.Add(30 * time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	// Activity that arrives late and is older changes nothing.
	if err := s.SaveActivity(t.Context(),
		[]exeunt.Activity{{Account: a.ID, Session: v.ID, Seen: epoch.Add(time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, declare(exeunt.ReasonIdle, time.Hour), ErrStillGood)
	wantErr(t, declare(exeunt.ReasonAbsolute, 24*time.Hour-time.Millisecond), ErrStillGood)
	if o := overdue(24 * time.Hour); len(o) != 1 || o[0].Reason != exeunt.ReasonIdle {
		t.Errorf("overdue by both limits, the idle one first: %+v", o)
	}
	if err := declare(exeunt.ReasonIdle, 100*time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveActivity(t.Context(),
		[]exeunt.Activity{{Account: a.ID, Session: v.ID, Seen: epoch.Add(2 * time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Session(t.Context(), a.ID, v.ID)
	if err != nil || got.End == nil || got.End.Reason != exeunt.ReasonIdle ||
		!got.Seen.Equal(epoch.Add(30*time.Minute)) {
		t.Errorf("%+v, %v", got, err)
	}
	if want := epoch.Add(90 * time.Minute); !got.End.At.Equal(want) {
		t.Errorf("it ended at %v, not at its limit %v", got.End.At, want)
	}
	if len(overdue(48*time.Hour)) != 0 {
		t.Error("an ended session is overdue")
	}
	s.checkLog()
}

func TestPurgeKeepsWhatExplains(t *testing.T) { onEachEngine(t, purgeKeepsWhatExplains) }

func purgeKeepsWhatExplains(t *testing.T, s *testStore) {
	a := s.account()
	old := s.session(a.ID)
	s.end(endOne(old))
	together := s.session(a.ID)
	s.end(endAll(a.ID))
	r := Retention{Ended: time.Hour, Audit: 2 * time.Hour}
	purge := func(after time.Duration) {
		t.Helper()
		for {
			_, more, err := s.WorkOffDue(t.Context(), r, epoch.Add(after))
			if err != nil {
				t.Fatal(err)
			}
			n, err := s.Purge(t.Context(), r, epoch.Add(after))
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 && !more {
				return
			}
		}
	}
	s.readLog()
	purge(time.Hour + time.Minute) // ends were at epoch + 1 min: not older than an hour
	if n, _ := s.CountSessions(t.Context(), exeunt.SessionFilter{Account: a.ID, State: exeunt.SessionsEnded}); n != 2 {
		t.Fatalf("purged too early: %d are left", n)
	}
	purge(time.Hour + 2*time.Minute + time.Minute)
	if _, err := s.Session(t.Context(), a.ID, old.ID); err == nil {
		t.Error("not purged")
	}
	got, err := s.Session(t.Context(), a.ID, together.ID)
	if err != nil || got.End == nil || got.End.Reason != exeunt.ReasonSignedOut {
		t.Errorf("its row is not written yet, and its reason is lost: %+v, %v", got.End, err)
	}
	s.writeEnds()
	purge(time.Hour + 4*time.Minute) // it was put off for a minute
	if n := s.count(`SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions are left after the retention", n)
	}
	if list, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: a.ID}); err != nil || len(list.Items) != 5 {
		t.Errorf("%d audit entries are left before theirs is over, want 5; %v", len(list.Items), err)
	}
	purge(2*time.Hour + 2*time.Minute)
	if n := s.count(`SELECT count(*) FROM audit`); n != 0 {
		t.Errorf("%d audit entries are left", n)
	}
	// But for the last event, by which other nodes know the log again.
	if n := s.count(`SELECT count(*) FROM events`); n != 1 || s.count(`SELECT max(seq) FROM events`) != 2 {
		t.Errorf("%d events are left, want the last", n)
	}
	// The log goes on where it was.
	v := s.session(a.ID)
	if out := s.end(endOne(v)); out.Seq != 3 {
		t.Errorf("after the purge the next event is number %d", out.Seq)
	}
}

// Endings and lists do not mix up the label and session of the actor with those of the target. The label is that of
// the actor's session, whatever the actor says, also when that session ends or stays.
func TestTheAuditSaysWho(t *testing.T) { onEachEngine(t, theAuditSaysWho) }

func theAuditSaysWho(t *testing.T, s *testStore) {
	a := s.account()
	start := func(label string) exeunt.Session {
		n := newSession(s.proof(a.ID), epoch)
		n.Session.Label = label
		if _, err := s.StartSession(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return n.Session
	}
	keep, v := start("Firefox on Linux"), start("Safari on iPhone")
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID, Session: keep.ID, Label: "made up"}
	said := func(scope string) {
		t.Helper()
		p, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: a.ID, Limit: 1})
		list := p.Items
		if err != nil || len(list) != 1 || list[0].Action != exeunt.AuditEnd || list[0].By.Session != keep.ID ||
			list[0].By.Label != "Firefox on Linux" || list[0].Detail != scope+" signed_out" {
			t.Errorf("the audit says %+v, %v", list, err)
		}
		events, err := s.Events(t.Context(), 0, 10)
		if e := events[len(events)-1]; err != nil || e.By.Label != "Firefox on Linux" || string(e.Scope) != scope {
			t.Errorf("the log says %+v, %v", e, err)
		}
	}
	end := func(rev exeunt.Revocation) {
		t.Helper()
		if _, err := s.End(t.Context(), by, rev, Change{}, epoch); err != nil {
			t.Fatal(err)
		}
		said(string(rev.Scope))
	}
	end(endOne(v))
	got, _ := s.Session(t.Context(), a.ID, v.ID)
	if e := got.End; e == nil || e.By != exeunt.ActorPerson || e.BySession != keep.ID ||
		e.ByLabel != "Firefox on Linux" || !e.At.Equal(epoch) {
		t.Errorf("ended by %+v", e)
	}
	end(exeunt.Revocation{Target: exeunt.Target{Account: a.ID, Scope: exeunt.ScopeOthers, Session: keep.ID},
		Reason: exeunt.ReasonSignedOut})
	end(endOne(keep))
	got, _ = s.Session(t.Context(), a.ID, keep.ID)
	if e := got.End; e == nil || e.ByLabel != "Firefox on Linux" {
		t.Errorf("ended by %+v", e)
	}
}

// A session that ends itself needs no key: a repeated request gets the same answer and is never refused.
func TestASessionThatEndsItselfIsAnsweredByItsEvent(t *testing.T) {
	onEachEngine(t, aSessionThatEndsItselfIsAnsweredByItsEvent)
}

func aSessionThatEndsItselfIsAnsweredByItsEvent(t *testing.T, s *testStore) {
	a := s.account()
	v, other := s.session(a.ID), s.session(a.ID)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID, Session: v.ID}
	end := func(v exeunt.Session, key string, now time.Time) (Ending, error) {
		rev := endOne(v)
		rev.Key = key
		return s.End(t.Context(), by, rev, Change{}, now)
	}
	if _, err := end(other, "first", epoch); err != nil {
		t.Fatal(err)
	}
	first, err := end(v, "first", epoch.Add(time.Minute)) // a key that was used for something else
	if err != nil || first.Seq != 2 || first.Already {
		t.Fatalf("%+v, %v", first, err)
	}
	want := first
	want.Already = true
	for _, key := range []string{"first", "second", ""} {
		if again, err := end(v, key, epoch.Add(time.Hour)); err != nil || again != want {
			t.Errorf("asked again with key %q: %+v, %v; want %+v", key, again, err, want)
		}
	}
	_, err = end(s.session(a.ID), "second", epoch.Add(time.Hour))
	wantErr(t, err, exeunt.ErrSignedOut)
	if n := s.count(`SELECT count(*) FROM outcomes`); n != 1 {
		t.Errorf("%d outcomes are kept, want 1", n)
	}
	// It is not told of what else it did in the same moment.
	w := s.session(a.ID)
	by.Session = w.ID
	if _, err := s.End(t.Context(), by, endOthers(w), Change{}, epoch); err != nil {
		t.Fatal(err)
	}
	if first, err = end(w, "", epoch); err != nil {
		t.Fatal(err)
	}
	if again, err := end(w, "", epoch.Add(time.Hour)); err != nil || again.Seq != first.Seq || again.Ended != 1 {
		t.Errorf("asked again: %+v, %v; first %+v", again, err, first)
	}
	// What somebody else is told is about their own request.
	if out := s.end(endOne(v)); !out.Already || out.Ended != 0 {
		t.Errorf("somebody else is told %+v", out)
	}
	s.checkLog()
}
