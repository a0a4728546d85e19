package account

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
	"github.com/exeunt/exeunt/internal/ui"
)

// Requests for a link by mail are counted by what was typed, whether or not there is such an account, and by network. An
// account's mails are limited by the queue. Whoever has used these permits up for somebody else has sent them mails,
// and the newest link still works when the next request is allowed.
var (
	perForgotten = throttle.Rate{Burst: 3, Every: 15 * time.Minute} // an identifier
	perForgetter = throttle.Twice{                                  // an address
		Near: throttle.Rate{Burst: 10, Every: time.Minute},
		Wide: throttle.Rate{Burst: 50, Every: 12 * time.Second},
	}
)

// AskReset sends a link for a new password to the account that has the handle or confirmed address, if it is active, or
// about to be deleted, and has a confirmed address. Whether it did does not show: the answer, the queries and the commit are the same, and nothing
// is hashed (OWASP ASVS 5.0, 6.3.8). The form is sent twice with one key for one mail. It may return a FieldError, when
// nothing was typed; ErrNotFound without a mail server; a ThrottledError, ErrUnavailable or ErrNotConfirmed.
func (s *Service) AskReset(ctx context.Context, identifier, form string, from netip.Addr) error {
	key := strings.TrimPrefix(names.Key(identifier), "@")
	switch {
	case !s.SendsMails():
		return exeunt.ErrNotFound
	case key == "":
		return fieldError("identifier", "needed", "Type your handle or your e-mail address.")
	case form == "":
		form = rand.Text()
	}
	permits := s.throttle.From(from)
	wait := permits.TakeTwice("forgot", perForgetter)
	if wait == 0 {
		wait = permits.Take("forgot "+key[:min(len(key), exeunt.MaxEmailLen)], perForgotten)
	}
	if wait > 0 {
		permits.GiveBack()
		return &exeunt.ThrottledError{RetryAfter: wait, Limit: exeunt.LimitResets}
	}
	a, _, err := s.Store.Identify(ctx, identifier)
	switch {
	case err != nil && !errors.Is(err, exeunt.ErrNotFound):
		permits.GiveBack()
		return err
	case err != nil, a.Status != exeunt.AccountActive && a.Status != exeunt.AccountDeleting, !a.EmailConfirmed, a.Email == "":
		a = exeunt.Account{ID: exeunt.NewAccountID(), Handle: "nobody", Email: "nobody@example.com"} // who gets no mail
	}
	again, err := s.askReset(ctx, a, form, exeunt.Actor{Kind: exeunt.ActorPerson, Address: from})
	if err != nil || again {
		permits.GiveBack()
	}
	return err
}

func (s *Service) askReset(ctx context.Context, a exeunt.Account, form string, by exeunt.Actor) (again bool, err error) {
	t, now := exeunt.NewToken(exeunt.UseInvite), s.Now()
	v := Invitation{Handle: a.Handle, Account: a.ID, Expires: now.Add(MailLinkLife)}
	mails, err := s.Notify.Prepare(notify.Message{Account: a.ID, To: a.Email, Locale: a.Language, Template: ui.MailPasswordReset, Until: v.Expires,
		Data: ui.MailData{Handle: a.Handle, Link: s.Notify.Site + "/reset/" + t.Reveal(), Life: MailLinkLife}})
	if err != nil {
		return false, err
	}
	return s.Store.AskReset(ctx, store.ResetRequest{Form: form, Hash: t.Hash(), Invite: v, Email: a.Email, Mail: mails[0],
		By: by}, now)
}
