package store

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

var (
	atHome   = exeunt.CoarseNetwork(netip.MustParseAddr("198.51.100.7"))
	farAway  = exeunt.CoarseNetwork(netip.MustParseAddr("2001:db8:1:2::7"))
	aBrowser = "Firefox on Linux"
)

func newDevice() exeunt.TokenHash { return exeunt.NewToken(exeunt.UseDevice).Hash() }

// arrive signs in as a surface does, and returns the session and the notice, if there is one.
func (s *testStore) arrive(id exeunt.AccountID, v Arrival, now time.Time) (exeunt.Session, *NewNotice) {
	s.t.Helper()
	is, err := s.Recognise(s.t.Context(), id, v, now)
	if err != nil {
		s.t.Fatal(err)
	}
	n := newSession(s.proof(id), now)
	n.Arrival, n.Familiar = v, is.Familiar
	if !is.Familiar {
		n.Notice = &NewNotice{ID: exeunt.NewNoticeID(), Place: "Lisbon"}
		if !is.Told {
			mail := aMail(id, noticeKind)
			n.Notice.Mail, n.Notice.Link = &mail, notMeLink(id, n.Notice.ID, now)
		}
	}
	if _, err := s.StartSession(s.t.Context(), n); err != nil {
		s.t.Fatal(err)
	}
	return n.Session, n.Notice
}

func notMeLink(id exeunt.AccountID, notice exeunt.NoticeID, now time.Time) Link {
	return Link{Hash: exeunt.NewToken(exeunt.UseLink).Hash(), Account: id, Purpose: LinkNotMe, Data: notice.String(),
		Expires: now.Add(exeunt.NoticeLife)}
}

func personIn(v exeunt.Session) exeunt.Actor {
	return exeunt.Actor{Kind: exeunt.ActorPerson, Account: v.Account, Session: v.ID}
}

func (s *testStore) asking(id exeunt.AccountID, now time.Time) []exeunt.Notice {
	s.t.Helper()
	list, err := s.OpenNotices(s.t.Context(), id, now)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *testStore) familiar(id exeunt.AccountID, v Arrival, now time.Time) bool {
	s.t.Helper()
	is, err := s.Recognise(s.t.Context(), id, v, now)
	if err != nil {
		s.t.Fatal(err)
	}
	return is.Familiar
}

// By what a sign-in is recognised.
func TestASignInIsRecognised(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		id, now := s.account().ID, epoch
		laptop := Arrival{newDevice(), atHome, aBrowser}
		if _, n := s.arrive(id, laptop, now); n != nil {
			t.Error("the first sign-in of an account is unfamiliar")
		}
		for what, c := range map[string]struct {
			v     Arrival
			after time.Duration
			want  bool
		}{
			"the device, elsewhere, as another browser": {Arrival{laptop.Device, farAway, "Chrome"}, time.Hour, true},
			"network and browser":                       {Arrival{newDevice(), atHome, aBrowser}, time.Hour, true},
			"network and browser, without a cookie":     {Arrival{Network: atHome, Agent: aBrowser}, time.Hour, true},
			"network and browser, long ago":             {Arrival{newDevice(), atHome, aBrowser}, familiarFor, false},
			"the network alone":                         {Arrival{newDevice(), atHome, "Chrome"}, time.Hour, false},
			"the browser alone":                         {Arrival{newDevice(), farAway, aBrowser}, time.Hour, false},
			"no network":                                {Arrival{newDevice(), netip.Prefix{}, aBrowser}, time.Hour, false},
			"nothing":                                   {Arrival{}, time.Hour, false},
		} {
			if got := s.familiar(id, c.v, now.Add(c.after)); got != c.want {
				t.Errorf("%s: familiar %v", what, got)
			}
		}
		other := s.account().ID
		s.arrive(other, Arrival{newDevice(), farAway, "Chrome"}, now)
		if s.familiar(other, laptop, now) {
			t.Error("a device of another account is known")
		}
		if known, err := s.KnowsDevice(t.Context(), exeunt.AccountID{}, laptop.Device, now); known || err != nil {
			t.Errorf("nobody's device: %v, %v", known, err)
		}
		s.checkLog()
	})
}

// An unfamiliar sign-in is told once for each device, and becomes familiar by an answer, or by none for a week.
func TestAnUnfamiliarSignIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		id, now := s.account().ID, epoch
		home, _ := s.arrive(id, Arrival{newDevice(), atHome, aBrowser}, now)
		phone := Arrival{newDevice(), farAway, "Safari on iPhone"}
		now = now.Add(time.Minute)
		away, first := s.arrive(id, phone, now)
		_, second := s.arrive(id, phone, now.Add(time.Minute))
		if first == nil || second == nil || second.Mail != nil || s.count(`SELECT count(*) FROM mails`) != 1 {
			t.Fatal("it is not told, or told twice by mail")
		}
		list := s.asking(id, now.Add(2*time.Minute))
		if len(list) != 2 || list[1].Session != away.ID || list[1].Place != "Lisbon" || list[1].Label != away.Label {
			t.Fatalf("open: %+v", list)
		}
		if known, _ := s.KnowsDevice(t.Context(), id, phone.Device, now); known {
			t.Error("whoever has the password has a known device at once")
		}
		later := now.Add(time.Hour)
		answer := func(v exeunt.Session) error {
			return s.AnswerMe(t.Context(), Answering{By: personIn(v), Notice: first.ID}, later)
		}
		wantErr(t, answer(away), exeunt.ErrNotAsked) // it would vouch for itself
		for range 2 {
			if err := answer(home); err != nil {
				t.Fatal(err)
			}
		}
		if left := s.asking(id, later); len(left) != 0 || !s.familiar(id, phone, later) {
			t.Errorf("after the answer %d ask, familiar %v", len(left), s.familiar(id, phone, later))
		}
		if n := s.count(`SELECT count(*) FROM audit WHERE action = 'sign_in_recognised'`); n != 1 {
			t.Errorf("%d audit entries", n)
		}
		tablet := Arrival{newDevice(), farAway, "Chrome"}
		_, third := s.arrive(id, tablet, later)
		week := later.Add(exeunt.NoticeLife)
		if !s.familiar(id, tablet, week) || len(s.asking(id, week)) != 0 {
			t.Error("after a week it still asks")
		}
		wantErr(t, s.AnswerMe(t.Context(), Answering{By: personIn(home), Notice: third.ID}, week), exeunt.ErrAnswered)
		stranger := s.session(s.account().ID)
		wantErr(t, s.AnswerMe(t.Context(), Answering{By: personIn(stranger), Notice: third.ID}, later), exeunt.ErrNotFound)
		s.checkLog()
	})
}

// "This wasn't me" ends everything once, however often it is pressed, and nothing that is under way survives it.
func TestNotMe(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		id, now := s.account().ID, epoch
		s.arrive(id, Arrival{newDevice(), atHome, aBrowser}, now)
		thief := Arrival{newDevice(), farAway, "Chrome"}
		now = now.Add(time.Minute)
		_, n := s.arrive(id, thief, now)
		under := s.proof(id)
		c := Challenge{Hash: exeunt.NewToken(exeunt.UseChallenge).Hash(), Purpose: ChallengeSignIn, Proof: under,
			Expires: now.Add(time.Hour)}
		if err := s.AddChallenge(t.Context(), c, 10); err != nil {
			t.Fatal(err)
		}
		undo := notMeLink(id, n.ID, now)
		undo.Purpose, undo.Hash = LinkUndo, exeunt.NewToken(exeunt.UseLink).Hash()
		confirm := undo
		confirm.Purpose, confirm.Hash = LinkConfirm, exeunt.NewToken(exeunt.UseLink).Hash()
		if err := s.commit(t.Context(), func(t *tx) error {
			return errors.Join(t.addLink(undo, 9), t.addLink(confirm, 9))
		}); err != nil {
			t.Fatal(err)
		}
		s.mustExec(`UPDATE accounts SET email = 'x@example.com', email_key = 'x@example.com', email_confirmed = 1 WHERE id = $1`, id.Bytes())
		n.Link.Data += " x@example.com"
		by := exeunt.Actor{Kind: exeunt.ActorLink, Account: id}
		reset := exeunt.NewToken(exeunt.UseInvite).Hash()
		change := Change{NotMe: &NotMe{Answering: Answering{By: by, Notice: n.ID, Link: &n.Link}, ResetHash: reset,
			Reset: &Invite{Handle: "x", Account: id, Expires: now.Add(time.Hour)}}}
		rev := exeunt.Revocation{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeAccount}, Reason: exeunt.ReasonNotMe,
			Key: n.Link.Hash.String()}
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if out, err := s.End(t.Context(), by, rev, change, now); err != nil || out.Ended != 2 {
					t.Errorf("%+v, %v", out, err)
				}
			})
		}
		wg.Wait()
		if n := s.count(`SELECT count(*) FROM events WHERE reason = 'not_me'`); n != 1 {
			t.Errorf("%d events", n)
		}
		if s.familiar(id, thief, now.Add(2*exeunt.NoticeLife)) || len(s.asking(id, now)) != 0 {
			t.Error("the device is not forgotten, or it still asks")
		}
		start := newSession(under, now)
		_, err := s.StartSession(t.Context(), start)
		wantErr(t, err, exeunt.ErrSignInAgain)
		_, err = s.Challenge(t.Context(), c.Hash, now)
		wantErr(t, err, exeunt.ErrChallengeOver)
		if _, err := s.Link(t.Context(), undo.Hash, now); err != nil {
			t.Errorf("what undoes a change of the address is gone: %v", err)
		}
		_, err = s.Link(t.Context(), confirm.Hash, now)
		wantErr(t, err, exeunt.ErrNotFound)
		if v, err := s.Invite(t.Context(), reset, now); err != nil || v.Account != id {
			t.Errorf("the link for a new password: %+v, %v", v, err)
		}
		rev.Key = "another press"
		_, err = s.End(t.Context(), by, rev, change, now)
		wantErr(t, err, exeunt.ErrAnswered)
		s.checkLog()
	})
}

// A link still counts when a page has said that it was the owner: that may have been who has signed in. One that is
// foreign, spent or expired does nothing.
func TestNotMeByALink(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		id, now := s.account().ID, epoch
		home, _ := s.arrive(id, Arrival{newDevice(), atHome, aBrowser}, now)
		_, n := s.arrive(id, Arrival{newDevice(), farAway, "Chrome"}, now)
		by := exeunt.Actor{Kind: exeunt.ActorLink, Account: id}
		try := func(l Link, notice exeunt.NoticeID, at time.Time) error {
			_, err := s.End(t.Context(), by, exeunt.Revocation{Target: exeunt.Target{Account: id, Scope: exeunt.ScopeAccount},
				Reason: exeunt.ReasonNotMe}, Change{NotMe: &NotMe{Answering: Answering{By: by, Notice: notice, Link: &l}}}, at)
			return err
		}
		foreign, other := n.Link, s.account().ID
		foreign.Account = other
		wantErr(t, try(foreign, n.ID, now), exeunt.ErrInviteSpent)
		made := n.Link
		made.Hash = exeunt.NewToken(exeunt.UseLink).Hash()
		wantErr(t, try(made, n.ID, now), exeunt.ErrInviteSpent)
		wantErr(t, try(n.Link, n.ID, now.Add(exeunt.NoticeLife)), exeunt.ErrInviteSpent)
		if s.count(`SELECT count(*) FROM events WHERE reason = 'not_me'`) != 0 {
			t.Fatal("something was ended")
		}
		if err := s.AnswerMe(t.Context(), Answering{By: personIn(home), Notice: n.ID}, now); err != nil {
			t.Fatal(err)
		}
		if err := try(n.Link, n.ID, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		s.checkLog()
	})
}

// Whoever has the password and signs in again and again fills no table and no mailbox, and the owner's own device is known
// as before.
func TestNoticesAreBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		id, now := s.account().ID, epoch
		laptop := Arrival{newDevice(), atHome, aBrowser}
		s.arrive(id, laptop, now)
		for i := range exeunt.MaxNotices + 20 {
			s.arrive(id, Arrival{newDevice(), farAway, "Chrome"}, now.Add(time.Duration(i+1)*time.Second))
		}
		now = now.Add(time.Hour)
		for table, most := range map[string]int64{"notices": exeunt.MaxNotices, "devices": exeunt.MaxDevices,
			"mails": MaxMailsOfSort, "links": MaxMailsOfSort} {
			if n := s.count(`SELECT count(*) FROM ` + table); n != most {
				t.Errorf("%d %s, want %d", n, table, most)
			}
		}
		if known, err := s.KnowsDevice(t.Context(), id, laptop.Device, now); !known || err != nil {
			t.Errorf("the owner's device: %v, %v", known, err)
		}
		r := Retention{Ended: 30 * 24 * time.Hour, Audit: 90 * 24 * time.Hour}
		for more := int64(1); more > 0; {
			var err error
			if more, err = s.Purge(t.Context(), r, now.Add(DevicesKept)); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.count(`SELECT (SELECT count(*) FROM notices) + (SELECT count(*) FROM devices)`); n != 0 {
			t.Errorf("%d rows after a year", n)
		}
		s.checkLog()
	})
}

// Whoever has the password pushes the notice about their first session out by many more, and still does not confirm the
// others with it. That it was not the owner can be said.
func TestAFloodOfNoticesConfirmsNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		id, now := s.account().ID, epoch
		home, _ := s.arrive(id, Arrival{newDevice(), atHome, aBrowser}, now)
		thief, _ := s.arrive(id, Arrival{newDevice(), farAway, "Chrome"}, now)
		var last *NewNotice
		for range exeunt.MaxNotices {
			now = now.Add(time.Second)
			_, last = s.arrive(id, Arrival{newDevice(), farAway, "Chrome"}, now)
		}
		answer := Answering{By: personIn(thief), Notice: last.ID}
		if err := s.AnswerMe(t.Context(), answer, now); !errors.Is(err, exeunt.ErrManyNotices) {
			t.Errorf("the session that is not asked about any more: %v", err)
		}
		answer.By = personIn(home)
		rev := endAll(id)
		rev.Reason, rev.Key = exeunt.ReasonNotMe, "key"
		if _, err := s.End(t.Context(), answer.By, rev, Change{NotMe: &NotMe{Answering: answer}}, now); err != nil {
			t.Error(err)
		}
		if left := len(s.asking(id, now)); left != 0 {
			t.Errorf("%d are asked about", left)
		}
	})
}

// A link for a new password is stored only if the mail went to the address that is confirmed in that moment.
func TestNotMeLeadsToANewPasswordByTheConfirmedMailbox(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		a := s.reached("ada", "ada@example.com", true)
		for mailbox, want := range map[string]int64{"ada@example.com": 1, "mallory@example.com": 0} {
			s.arrive(a.ID, Arrival{newDevice(), atHome, aBrowser}, epoch)
			_, n := s.arrive(a.ID, Arrival{newDevice(), farAway, "Chrome " + mailbox}, epoch)
			link, reset := n.Link, exeunt.NewToken(exeunt.UseInvite).Hash()
			link.Data += " " + mailbox
			rev := endAll(a.ID)
			rev.Reason, rev.Key = exeunt.ReasonNotMe, mailbox
			by := exeunt.Actor{Kind: exeunt.ActorLink, Account: a.ID}
			_, err := s.End(t.Context(), by, rev, Change{NotMe: &NotMe{Answering: Answering{By: by, Notice: n.ID, Link: &link},
				ResetHash: reset, Reset: &Invite{Handle: a.Handle, Account: a.ID, Expires: epoch.Add(time.Hour)}}}, epoch)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.count(`SELECT count(*) FROM invites WHERE hash = $1`, reset[:]); got != want {
				t.Errorf("by the mailbox %s there are %d links", mailbox, got)
			}
		}
	})
}
