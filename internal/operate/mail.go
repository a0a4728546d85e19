package operate

import (
	"context"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/notify"
)

// Mails lists mails, latest first.
func (s *Service) Mails(ctx context.Context, by exeunt.Actor, f exeunt.MailFilter) (
	out List[notify.Queued], err error) {
	if err := check(by); err != nil {
		return out, err
	}
	if out.Page, err = s.Notify.Mails(ctx, f); err != nil || f.After != "" {
		return out, err
	}
	var states []exeunt.MailState
	if f.State != "" {
		states = append(states, f.State)
	}
	out.Total, err = s.Store.CountMails(ctx, states...)
	return out, err
}

// Mail returns a mail.
func (s *Service) Mail(ctx context.Context, by exeunt.Actor, id exeunt.MailID) (notify.Queued, error) {
	if err := check(by); err != nil {
		return notify.Queued{}, err
	}
	return s.Notify.Mail(ctx, id)
}

// TestMail queues a test to an address. Besides the others it may return notify.ErrNoServer and ErrBadRequest.
func (s *Service) TestMail(ctx context.Context, by exeunt.Actor, address string) (exeunt.MailID, error) {
	if err := check(by); err != nil {
		return exeunt.MailID{}, err
	}
	return s.Notify.Test(ctx, address)
}

// RetryMail makes a mail that has failed pending again. Besides the others it may return notify.ErrNoServer.
func (s *Service) RetryMail(ctx context.Context, by exeunt.Actor, id exeunt.MailID) error {
	if err := check(by); err != nil {
		return err
	}
	return s.Notify.Retry(ctx, id)
}

// ReachMail connects to the mail server as for a mail. Besides the others it may return notify.ErrNoServer.
func (s *Service) ReachMail(ctx context.Context, by exeunt.Actor) error {
	if err := check(by); err != nil {
		return err
	}
	return s.Notify.Reach(ctx)
}
