package account

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
)

// mailing gives the desk a queue of mails. Nothing is sent.
func (d *desk) mailing() {
	d.t.Helper()
	faces, err := ui.New()
	if err != nil {
		d.t.Fatal(err)
	}
	d.Notify = notify.New(notify.Config{Store: d.Store, UI: faces, Seal: d.Master.Seal, Open: d.Master.Open,
		Sum:  func(text string) [sha256.Size]byte { return d.Master.Sum(text) },
		Site: "https://id.example.com", Server: &notify.Server{Host: "localhost"}, Now: d.Now, Log: d.Log})
}

// queued are the templates of the mails that were queued, latest first.
func (d *desk) queued() (list []string) {
	d.t.Helper()
	p, err := d.Notify.Mails(d.t.Context(), exeunt.MailFilter{})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range p.Items {
		list = append(list, m.Template)
	}
	return list
}

// Whoever wants it is reminded by mail once, when a review is due, and again after the next one; nobody else is.
func TestRemindersByMail(t *testing.T) {
	d := newDesk(t)
	d.mailing()
	ada, bob := d.add("ada", "ada@example.com", true), d.add("bob", "bob@example.com", true)
	d.add("eve", "eve@example.com", false)
	_, s := d.signInFrom("ada", home)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: ada, Session: s.ID}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(d.MailReviews(t.Context(), by, true))
	remind := func(want int) {
		t.Helper()
		for range 2 {
			must(d.Remind(t.Context()))
		}
		if got := d.queued(); len(got) != want {
			t.Errorf("%d mails, want %d: %v", len(got), want, got)
		}
	}
	remind(0)
	d.pass(exeunt.DefaultPolicy().Review - time.Second)
	remind(0)
	d.pass(time.Second)
	remind(1)
	d.pass(2 * exeunt.DefaultPolicy().Review)
	remind(1)
	_, s = d.signInFrom("ada", home)
	by.Session = s.ID
	must(d.BeginReview(t.Context(), by, []string{"session x"}))
	must(d.StepReview(t.Context(), by, store.ReviewStep{Kept: true, Last: true}))
	d.pass(exeunt.DefaultPolicy().Review)
	remind(2)
	must(d.MailReviews(t.Context(), by, false))
	must(d.MailReviews(t.Context(), exeunt.Actor{Kind: exeunt.ActorPerson, Account: bob}, false))
	d.pass(2 * exeunt.DefaultPolicy().Review)
	remind(2)
}

// Deleting an account and keeping it are told by mail.
func TestMailsOfADeletion(t *testing.T) {
	d := newDesk(t)
	d.mailing()
	id := d.add("ada", "ada@example.com", true)
	operator := exeunt.Actor{Kind: exeunt.ActorOperator}
	a, err := d.Store.Account(t.Context(), id)
	if err == nil {
		_, err = d.Delete(t.Context(), operator, a, false)
	}
	if err == nil {
		_, err = d.Keep(t.Context(), operator, a, exeunt.TokenHash{})
	}
	if got := d.queued(); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}
