package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// reached gives an account a confirmed address, and says what is done about it.
func (s *testStore) reached(handle, email string, confirmed bool) exeunt.Account {
	s.t.Helper()
	a := person(handle, email, confirmed)
	a.Created = epoch
	if err := s.AddAccount(s.t.Context(), a, Credential{"hash"}, nil, exeunt.System()); err != nil {
		s.t.Fatal(err)
	}
	return a
}

func newMail(to string, account exeunt.AccountID, template string) NewMail {
	return NewMail{ID: exeunt.NewMailID(), Account: account, Template: template, Recipient: []byte(to), Sealed: []byte("sealed")}
}

func newAsk(a exeunt.AccountID, purpose LinkPurpose, data string, life time.Duration) *Ask {
	return &Ask{Link: Link{Hash: exeunt.NewToken(exeunt.UseLink).Hash(), Account: a, Purpose: purpose, Data: data, Expires: epoch.Add(life)},
		Mail: newMail(data, a, string(purpose))}
}

func resetRequest(a exeunt.AccountID, email string) ResetRequest {
	return ResetRequest{Form: rand.Text(), Hash: exeunt.NewToken(exeunt.UseInvite).Hash(), Email: email,
		Invite: Invite{Handle: "h", Account: a, Expires: epoch.Add(30 * time.Minute)}, Mail: newMail(email, a, "password_reset"),
		By: exeunt.Actor{Kind: exeunt.ActorPerson, Address: netip.MustParseAddr("192.0.2.7")}}
}

// Whether there is an account, and whether it gets a mail, changes neither which statements run nor how many commits there are
// (OWASP ASVS 5.0, 6.3.8).
func TestAResetRequestIsEqualWork(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		known := s.reached("known", "known@example.com", true)
		unconfirmed := s.reached("unconfirmed", "u@example.com", false)
		disabled := s.reached("disabled", "off@example.com", true)
		if _, err := s.End(t.Context(), exeunt.System(), exeunt.Revocation{Reason: exeunt.ReasonDisabled,
			Target: exeunt.Target{Account: disabled.ID, Scope: exeunt.ScopeAccount}}, Change{Status: exeunt.AccountDisabled}, epoch); err != nil {
			t.Fatal(err)
		}
		spell, commits := s.tx.traits.spell, 0
		var ran []string
		s.beforeCommit = func() error { commits++; return nil }
		defer func() { s.beforeCommit = nil }()
		work := func(r ResetRequest) (statements []string, n int) {
			t.Helper()
			if err := s.commit(t.Context(), func(tx *tx) error { // so that each statement is prepared anew, and seen
				for q, st := range tx.stmts {
					st.Close()
					delete(tx.stmts, q)
				}
				ran, tx.traits.spell = nil, func(q string) string { ran = append(ran, q); return spell(q) }
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			before := commits
			if again, err := s.AskReset(t.Context(), r, epoch); err != nil || again {
				t.Fatalf("%v, %v", again, err)
			}
			n = commits - before
			if err := s.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			slices.Sort(ran)
			return slices.Compact(slices.Clone(ran)), n
		}
		want, n := work(resetRequest(known.ID, known.Email))
		if len(want) < 7 || n != 1 {
			t.Fatalf("%d statements in %d commits: %q", len(want), n, want)
		}
		for what, r := range map[string]ResetRequest{
			"unknown": resetRequest(exeunt.NewAccountID(), "nobody@example.com"), "unconfirmed": resetRequest(unconfirmed.ID, unconfirmed.Email),
			"disabled": resetRequest(disabled.ID, disabled.Email), "known": resetRequest(known.ID, known.Email),
			"known by another address": resetRequest(known.ID, "other@example.com"),
		} {
			if got, commits := work(r); !slices.Equal(got, want) || commits != 1 {
				t.Errorf("%s: %d commits, %q", what, commits, got)
			}
		}
		mails, err := s.CountMails(t.Context())
		if err != nil || mails.Count != 2 {
			t.Errorf("%d mails, %v", mails.Count, err)
		}
		if list, err := s.Invites(t.Context(), epoch); err != nil || len(list) != 2 {
			t.Errorf("%+v, %v", list, err)
		}
		// Beyond the limit of mails there is no link without a mail.
		for range MaxMailsOfSort + 3 {
			if got, _ := work(resetRequest(known.ID, known.Email)); len(got) > len(want) {
				t.Errorf("beyond the limit: %q", got)
			}
		}
		if list, err := s.Invites(t.Context(), epoch); err != nil || len(list) != MaxMailsOfSort {
			t.Errorf("%d links, %v", len(list), err)
		}
		r := resetRequest(known.ID, known.Email)
		for i := range 2 {
			if again, err := s.AskReset(t.Context(), r, epoch); err != nil || again != (i == 1) {
				t.Errorf("press %d: %v, %v", i, again, err)
			}
		}
	})
}

// What is refused has changed nothing, whatever it was.
func TestAnAddressIsConfirmedOrRefusedWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		ada := s.reached("ada", "ada@example.com", true)
		bob := s.reached("bob", "bob@example.com", true)
		by, new, same := exeunt.Actor{Kind: exeunt.ActorLink, Account: ada.ID}, "new@example.com", "Ada@example.com"
		state := func() string {
			t.Helper()
			a, err := s.Account(t.Context(), ada.ID)
			var mails, links int
			db, _, _ := s.outside()
			defer db.Close()
			err = errors.Join(err, db.QueryRow(`SELECT (SELECT count(*) FROM mails), (SELECT count(*) FROM links WHERE spent_at IS NULL)`).
				Scan(&mails, &links))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%s %t %s %t %d %d", a.Email, a.EmailConfirmed, a.EmailPending, a.ConfirmedAt.IsZero(), mails, links)
		}
		want := func(what, expected string) {
			t.Helper()
			if got := state(); got != expected {
				t.Errorf("%s: %s, want %s", what, got, expected)
			}
		}
		ask := newAsk(ada.ID, LinkConfirm, new, time.Hour)
		_, err := s.ChangeProfile(t.Context(), ada.ID, ProfileChange{Email: &new, Confirm: ask}, exeunt.System(), epoch)
		if err != nil {
			t.Fatal(err)
		}
		want("pending", "ada@example.com true new@example.com true 1 1")
		undo := newAsk(ada.ID, LinkUndo, ada.Email, time.Hour)
		for what, c := range map[string]struct {
			email string
			link  exeunt.TokenHash
			undo  *Ask
			err   error
		}{
			"another link":    {new, exeunt.TokenHash{1}, undo, exeunt.ErrLinkSpent},
			"another address": {"x@example.com", ask.Link.Hash, undo, exeunt.ErrOtherEmail},
			"told another":    {new, ask.Link.Hash, newAsk(ada.ID, LinkUndo, "x@example.com", time.Hour), exeunt.ErrOtherEmail},
		} {
			_, err := s.ConfirmEmail(t.Context(), ada.ID, c.email, by, epoch, Confirmation{Link: &c.link, Undo: c.undo})
			wantErr(t, err, c.err)
			want(what, "ada@example.com true new@example.com true 1 1")
		}
		if _, err := s.ConfirmEmail(t.Context(), ada.ID, new, by, epoch, Confirmation{Link: &ask.Link.Hash, Undo: undo}); err != nil {
			t.Fatal(err)
		}
		want("confirmed", "new@example.com true  false 2 1")
		if a, _, err := s.Identify(t.Context(), new); err != nil || a.ID != ada.ID {
			t.Errorf("%+v, %v", a, err)
		}
		_, _, err = s.Identify(t.Context(), "ada@example.com")
		wantErr(t, err, exeunt.ErrNotFound)
		// Bob takes the old address: then the undo is refused, and ends nothing.
		if _, err := s.ChangeProfile(t.Context(), bob.ID, ProfileChange{Email: &same}, exeunt.System(), epoch); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ConfirmEmail(t.Context(), bob.ID, same, exeunt.System(), epoch, Confirmation{}); err != nil {
			t.Fatal(err)
		}
		rev := exeunt.Revocation{Reason: exeunt.ReasonAddressUndone, Target: exeunt.Target{Account: ada.ID, Scope: exeunt.ScopeAccount}}
		u := Undo{Link: undo.Link.Hash, Reset: exeunt.TokenHash{7}, Expires: epoch.Add(time.Hour)}
		_, err = s.End(t.Context(), by, rev, Change{Undo: &u}, epoch)
		wantErr(t, err, exeunt.ErrEmailTaken)
		want("taken", "new@example.com true  false 2 1")
		if _, err := s.ChangeProfile(t.Context(), bob.ID, ProfileChange{Email: &bob.Email}, exeunt.System(), epoch); err != nil {
			t.Fatal(err)
		}
		if _, err = s.End(t.Context(), by, rev, Change{Undo: &u}, epoch); err != nil {
			t.Fatal(err)
		}
		want("undone", "ada@example.com true  true 2 0")
		_, err = s.End(t.Context(), by, rev, Change{Undo: &u}, epoch)
		wantErr(t, err, exeunt.ErrLinkSpent)
		if v, err := s.Invite(t.Context(), u.Reset, epoch); err != nil || v.Account != ada.ID {
			t.Errorf("%+v, %v", v, err)
		}
	})
}
