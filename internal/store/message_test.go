package store

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func (s *testStore) message(webhook exeunt.WebhookName, id exeunt.MessageID, of exeunt.AccountID) exeunt.Message {
	return exeunt.Message{Webhook: webhook, ID: id, Account: of, Body: []byte(`{"type":"ping"}`)}
}

// record records messages, at a time.
func (s *testStore) record(now time.Time, list ...exeunt.Message) {
	s.t.Helper()
	at, err := s.LogCursor(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if moved, err := s.RecordOwed(s.t.Context(), at, at, nil, list, now); err != nil || !moved {
		s.t.Fatalf("moved %v, %v", moved, err)
	}
}

func (s *testStore) due(webhook exeunt.WebhookName, now time.Time) []exeunt.Message {
	s.t.Helper()
	list, err := s.DueMessages(s.t.Context(), webhook, now, 10)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// A message is recorded once, attempted by one node at a time, and tried until it is confirmed or given up.
func TestMessages(t *testing.T) { onEachEngine(t, messages) }

func messages(t *testing.T, s *testStore) {
	a := s.account()
	s.record(epoch, s.message("siem", "m1", a.ID), s.message("siem", "m2", a.ID), s.message("chat", "m1", a.ID))
	s.record(epoch.Add(time.Second), s.message("siem", "m1", a.ID))
	want := s.message("siem", "m1", a.ID)
	want.Due, want.GiveUp = epoch, epoch.Add(GiveUpAfter)
	list := s.due("siem", epoch)
	if len(list) != 2 || !reflect.DeepEqual(list[0], want) && !reflect.DeepEqual(list[1], want) {
		t.Fatalf("%+v, want two, one of them %+v", list, want)
	}
	if owing, err := s.OwingWebhooks(t.Context()); err != nil || !reflect.DeepEqual(owing, []OwingWebhook{{"chat", epoch}, {"siem", epoch}}) {
		t.Errorf("owing: %v, %v", owing, err)
	}
	claim := func(want int, list ...exeunt.Message) []exeunt.Message {
		t.Helper()
		claimed, err := s.ClaimMessages(t.Context(), list, epoch)
		if err != nil || len(claimed) != want {
			t.Fatalf("claimed %+v, %v", claimed, err)
		}
		return claimed
	}
	mine := claim(2, list...)
	claim(0, list...)
	if list := s.due("siem", epoch.Add(AttemptLease-time.Millisecond)); len(list) != 0 {
		t.Errorf("due while it is being tried: %+v", list)
	}
	later := s.due("siem", epoch.Add(AttemptLease))
	if len(later) != 2 || later[0].Attempts != 1 {
		t.Fatalf("after the lease: %+v", later)
	}
	// The lease is over, and another node tries it. What the first one says counts no more, unless it has delivered it.
	theirs := claim(2, later...)
	m := mine[0]
	m.Due = epoch
	if err := s.FailMessage(t.Context(), m, "http_500", true, epoch); err != nil {
		t.Fatal(err)
	}
	if n := s.count(`SELECT count(*) FROM messages WHERE finished IS NULL AND error = ''`); n != 3 {
		t.Errorf("%d are pending", n)
	}
	if err := s.ConfirmMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, of := range theirs {
		of.Due = epoch.Add(time.Hour)
		if err := s.FailMessage(t.Context(), of, "timeout", false, epoch); err != nil {
			t.Fatal(err)
		}
	}
	if list := s.due("siem", epoch.Add(time.Hour)); len(list) != 1 || list[0].ID == m.ID || list[0].Attempts != 2 {
		t.Errorf("left: %+v", list)
	}
	totals, err := s.MessageTotals(t.Context())
	one := exeunt.Total{Count: 1}
	if err != nil || !reflect.DeepEqual(totals, []exeunt.MessageTotals{{Webhook: "chat", Pending: one, Since: epoch},
		{Webhook: "siem", Pending: one, Since: epoch, Error: "timeout"}}) {
		t.Errorf("totals: %+v, %v", totals, err)
	}
	// Given up: by the last attempt, after too long, and what is too much.
	over := s.due("siem", epoch.Add(time.Hour))[0]
	if err := s.FailMessage(t.Context(), over, "http_404", true, epoch); err != nil {
		t.Fatal(err)
	}
	for i, at := range []time.Time{epoch.Add(GiveUpAfter - 1), epoch.Add(GiveUpAfter)} {
		if err := s.GiveUpOldMessages(t.Context(), "chat", "unreachable", at); err != nil {
			t.Fatal(err)
		}
		if n := s.count(`SELECT count(*) FROM messages WHERE webhook = 'chat' AND error = 'unreachable' AND length(body) = 0`); n != int64(i) {
			t.Errorf("at %v: %d given up", at, n)
		}
	}
	for i := range 5 {
		s.record(epoch.Add(time.Duration(i)*time.Minute), s.message("bulk", exeunt.MessageID(fmt.Sprint("m", i)), a.ID))
	}
	if n, err := s.GiveUpManyMessages(t.Context(), "bulk", 3, epoch); err != nil || n != 2 {
		t.Errorf("%d given up, %v", n, err)
	}
	if n, err := s.GiveUpManyMessages(t.Context(), "bulk", 3, epoch); err != nil || n != 0 {
		t.Errorf("then %d given up, %v", n, err)
	}
	if list := s.due("bulk", epoch.Add(time.Hour)); len(list) != 3 || list[0].ID != "m2" {
		t.Errorf("the newest stay: %+v", list)
	}
	if totals, err := s.MessageTotals(t.Context()); err != nil || totals[0].GaveUp.Count != 2 || totals[2] != (exeunt.MessageTotals{
		Webhook: "siem", GaveUp: one}) {
		t.Errorf("totals: %+v, %v", totals, err)
	}
	// They are counted for some days.
	for _, c := range []struct {
		at   time.Time
		left int64
	}{{epoch.Add(MessagesKept), 7}, {epoch.Add(MessagesKept + GiveUpAfter + time.Hour), 3}} {
		if _, err := s.Purge(t.Context(), Retention{Ended: 1000 * time.Hour, Audit: 1000 * time.Hour}, c.at); err != nil {
			t.Fatal(err)
		}
		if n := s.count(`SELECT count(*) FROM messages`); n != c.left {
			t.Errorf("at %v %d are left", c.at, n)
		}
	}
}

// What webhooks are told of a start is recorded with it: of one that is refused, repeated or renewed, nothing.
func TestMessagesOfStarts(t *testing.T) { onEachEngine(t, messagesOfStarts) }

func messagesOfStarts(t *testing.T, s *testStore) {
	a := s.account()
	s.session(a.ID)
	if n := s.count(`SELECT count(*) FROM messages`); n != 0 {
		t.Errorf("nobody wants to know, and %d are recorded", n)
	}
	// In a transaction, because the committing goroutine reads it.
	if err := s.commit(t.Context(), func(t *tx) error {
		t.started = func(v *exeunt.Session, client exeunt.ClientID) []exeunt.Message {
			return []exeunt.Message{s.message("siem", exeunt.MessageID(v.ID.String()), v.Account)}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	v := s.session(a.ID)
	if n := s.count(`SELECT count(*) FROM messages WHERE id = $1`, v.ID.String()); n != 1 {
		t.Errorf("%d are recorded", n)
	}
	select {
	case <-s.MessageQueued():
	default:
		t.Error("the sender was not woken")
	}
	proof := s.proof(a.ID)
	proof.Generation--
	if _, err := s.StartSession(context.Background(), newSession(proof, epoch)); exeunt.CodeOf(err) != exeunt.ErrSignInAgain.Code {
		t.Fatal(err)
	}
	if n := s.count(`SELECT count(*) FROM messages`); n != 1 {
		t.Errorf("after one that was refused there are %d", n)
	}
}

// An account is deleted once webhooks have been told of its end, or that was given up.
func TestADeletionWaitsForWebhooks(t *testing.T) { onEachEngine(t, aDeletionWaitsForWebhooks) }

func aDeletionWaitsForWebhooks(t *testing.T, s *testStore) {
	a := s.full(HandleSum{1})
	s.readLog()
	m := s.message("siem", "m1", a.ID)
	s.record(epoch, m)
	day := epoch.Add(exeunt.DeletionGrace)
	s.deleteDue(day)
	if got, err := s.Account(t.Context(), a.ID); err != nil || got.Status != exeunt.AccountDeleting {
		t.Errorf("while one is pending: %+v, %v", got.Status, err)
	}
	m = s.due("siem", epoch)[0]
	if err := s.FailMessage(t.Context(), m, "timeout", true, day); err != nil {
		t.Fatal(err)
	}
	s.deleteDue(day)
	if got, err := s.Account(t.Context(), a.ID); err != nil || got.Status != exeunt.AccountDeleted {
		t.Errorf("when it was given up: %+v, %v", got.Status, err)
	}
}
