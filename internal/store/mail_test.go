package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// aMail is to another address each time.
func aMail(account exeunt.AccountID, template string) NewMail {
	id := exeunt.NewMailID()
	return NewMail{ID: id, Account: account, Template: template, Recipient: id.Bytes(), Sealed: []byte("sealed")}
}

func (s *testStore) mails(f exeunt.MailFilter) (out []SealedMail) {
	s.t.Helper()
	for {
		p, err := s.Mails(s.t.Context(), f)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, p.Items...)
		if f.After = p.Next; f.After == "" {
			return out
		}
	}
}

// Of one mail, one attempt is under way at a time, whoever asks for it; one whose lease is over is taken over, and what
// its first holder says then does not count, unless the mail was sent.
func TestMailsAreClaimedOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		a := s.account()
		var all []NewMail
		for i := range 8 {
			all = append(all, aMail(a.ID, fmt.Sprint("sort", i)))
		}
		if err := s.QueueMails(t.Context(), epoch, all...); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.MailQueued():
		default:
			t.Error("nobody was woken")
		}
		lease := epoch.Add(time.Minute)
		var mu sync.Mutex
		var wg sync.WaitGroup
		seen := map[exeunt.MailID]int{}
		var first SealedMail
		for range 6 {
			wg.Go(func() {
				list, err := s.ClaimMails(t.Context(), epoch, lease, 8)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, m := range list {
					seen[m.ID]++
					first = m
				}
			})
		}
		wg.Wait()
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s is claimed %d times", id, n)
			}
		}
		if len(seen) != len(all) {
			t.Errorf("%d of %d are claimed", len(seen), len(all))
		}
		if list, err := s.ClaimMails(t.Context(), lease, lease.Add(time.Minute), 8); err != nil || len(list) != len(all) {
			t.Errorf("%d are taken over, %v", len(list), err)
		}
		first.State, first.Error, first.Finished = exeunt.MailRefused, "late", lease
		if err := s.RecordMail(t.Context(), first.Mail); err != nil {
			t.Fatal(err)
		}
		m, err := s.Mail(t.Context(), first.ID)
		if err != nil || m.State != exeunt.MailPending || m.Attempts != 2 {
			t.Errorf("after a late outcome: %+v, %v", m.Mail, err)
		}
		m.State, m.Finished = exeunt.MailSent, lease
		if err := s.RecordMail(t.Context(), m.Mail); err != nil {
			t.Fatal(err)
		}
		if m, err = s.Mail(t.Context(), first.ID); err != nil || m.State != exeunt.MailSent || len(m.Sealed) > 0 {
			t.Errorf("a sent mail still has what it said: %+v, %v", m, err)
		}
	})
}

// Mails of one sort are limited per account and per address, so that nobody is flooded; those of another sort are not
// kept back by it.
func TestManyMailsOfOneSort(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		a := s.account()
		queue := func(now time.Time, m NewMail) error { return s.QueueMails(t.Context(), now, m) }
		for range MaxMailsOfSort {
			if err := queue(epoch, aMail(a.ID, "reset")); err != nil {
				t.Fatal(err)
			}
		}
		if err := queue(epoch, aMail(a.ID, "reset")); !errors.Is(err, ErrManyMails) {
			t.Errorf("one more for the account: %v", err)
		}
		both := []NewMail{aMail(a.ID, "notice"), aMail(a.ID, "reset")}
		if err := s.QueueMails(t.Context(), epoch, both...); !errors.Is(err, ErrManyMails) {
			t.Errorf("two, of which one is too many: %v", err)
		}
		if _, err := s.Mail(t.Context(), both[0].ID); !errors.Is(err, exeunt.ErrNotFound) {
			t.Errorf("of those one is queued: %v", err)
		}
		if err := queue(epoch, aMail(a.ID, "notice")); err != nil {
			t.Errorf("one of another sort: %v", err)
		}
		if err := queue(epoch.Add(mailWindow+time.Second), aMail(a.ID, "reset")); err != nil {
			t.Errorf("an hour later: %v", err)
		}
		one := aMail(exeunt.AccountID{}, "test")
		for i := range MaxMailsOfSort + 1 {
			m := one
			m.ID, m.Account = exeunt.NewMailID(), s.account().ID
			if err := queue(epoch, m); (i == MaxMailsOfSort) != errors.Is(err, ErrManyMails) {
				t.Errorf("mail %d to one address: %v", i, err)
			}
		}
	})
}

// While no mail can be sent, an account has a bounded number pending: the oldest give way, and that is visible.
func TestTheOldestMailGivesWay(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		a := s.account()
		var first exeunt.MailID
		for i := range MaxPendingMails + 5 {
			m := aMail(a.ID, fmt.Sprint("sort", i))
			if i == 0 {
				first = m.ID
			}
			if err := s.QueueMails(t.Context(), epoch.Add(time.Duration(i)*time.Second), m); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(s.mails(exeunt.MailFilter{State: exeunt.MailPending})); n != MaxPendingMails {
			t.Errorf("%d are pending", n)
		}
		if m, err := s.Mail(t.Context(), first); err != nil || m.State != exeunt.MailGaveUp || m.Error != mailDisplaced {
			t.Errorf("the oldest is %+v, %v", m.Mail, err)
		}
		if err := s.RetryMail(t.Context(), first, epoch.Add(time.Hour)); err != nil {
			t.Error(err)
		}
		if err := s.RetryMail(t.Context(), first, epoch.Add(time.Hour)); !errors.Is(err, exeunt.ErrNotFound) {
			t.Errorf("trying again what is pending: %v", err)
		}
	})
}

// Lists are read in pages, with true totals, and what has finished goes after some days; nothing else does.
func TestMailListsAndTheirEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		for i := range 7 {
			m := aMail(exeunt.AccountID{}, fmt.Sprint("sort", i))
			if err := s.QueueMails(t.Context(), epoch, m); err != nil {
				t.Fatal(err)
			}
		}
		claimed, err := s.ClaimMails(t.Context(), epoch, epoch.Add(time.Minute), 3)
		if err != nil {
			t.Fatal(err)
		}
		for i, state := range []exeunt.MailState{exeunt.MailSent, exeunt.MailRefused, exeunt.MailGaveUp} {
			claimed[i].State, claimed[i].Finished = state, epoch
			if err := s.RecordMail(t.Context(), claimed[i].Mail); err != nil {
				t.Fatal(err)
			}
		}
		for state, want := range map[exeunt.MailState]int{"": 7, exeunt.MailPending: 4, exeunt.MailSent: 1} {
			for _, limit := range []int{0, 1, 3} {
				if n := len(s.mails(exeunt.MailFilter{State: state, Limit: limit})); n != want {
					t.Errorf("%d %q in pages of %d, want %d", n, state, limit, want)
				}
			}
		}
		if n, err := s.CountMails(t.Context()); err != nil || n != (exeunt.Total{Count: 7}) {
			t.Errorf("%v, %v", n, err)
		}
		if n, err := s.CountMails(t.Context(), exeunt.MailRefused, exeunt.MailGaveUp); err != nil || n.Count != 2 {
			t.Errorf("%v failed, %v", n, err)
		}
		for _, after := range []time.Duration{MailsKept, MailsKept + time.Second} {
			if _, err := s.Purge(t.Context(), Retention{Ended: time.Hour, Audit: time.Hour}, epoch.Add(after)); err != nil {
				t.Fatal(err)
			}
			want := 7
			if after > MailsKept {
				want = 4
			}
			if n := len(s.mails(exeunt.MailFilter{})); n != want {
				t.Errorf("%d are left after %v, want %d", n, after, want)
			}
		}
		if _, err := s.Mails(t.Context(), exeunt.MailFilter{After: "1.x"}); !errors.Is(err, exeunt.ErrBadRequest) {
			t.Errorf("a cursor of somebody else's: %v", err)
		}
	})
}

// The mail about a new password is queued with it, or with nothing: not when the ending is refused, nor when it is
// repeated.
func TestAMailComesWithWhatItTells(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		a := s.account()
		change := func(credential int64) (Ending, error) {
			rev := endAll(a.ID)
			rev.Key, rev.Reason = "once", exeunt.ReasonPasswordChange
			return s.End(t.Context(), exeunt.System(), rev, Change{PasswordHash: "new", Credential: credential,
				Mails: []NewMail{aMail(a.ID, "password_changed")}}, epoch)
		}
		if _, err := change(9); err == nil {
			t.Error("a password was replaced that was another one")
		}
		if n := len(s.mails(exeunt.MailFilter{})); n != 0 {
			t.Errorf("%d mails of what did not happen", n)
		}
		for range 2 {
			if _, err := change(1); err != nil {
				t.Fatal(err)
			}
		}
		list := s.mails(exeunt.MailFilter{})
		if len(list) != 1 || !bytes.Equal(list[0].Sealed, []byte("sealed")) || list[0].GiveUp != at(ms(epoch.Add(MailGiveUpAfter))) {
			t.Errorf("queued: %+v", list)
		}
	})
}
