package account

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
)

// Review is somebody's walk through what can use their account.
type Review = store.Review

// ReviewStep is what somebody has decided.
type ReviewStep = store.ReviewStep

// MaxReviewItems is how many items a review has at most.
const MaxReviewItems = store.MaxReviewItems

// ReviewLater is for how long a reminder is put off.
const ReviewLater = 7 * 24 * time.Hour

// ReviewDue is when the next review of an account is due; zero: never.
func (s *Service) ReviewDue(a exeunt.Account) time.Time {
	every := s.Authority.ReviewEvery()
	if every == 0 {
		return time.Time{}
	}
	last := a.Created
	if a.Reviewed.After(last) {
		last = a.Reviewed
	}
	return last.Add(every)
}

// Review returns the account's last review, or ErrNotFound.
func (s *Service) Review(ctx context.Context, id exeunt.AccountID) (Review, error) {
	return s.Store.Review(ctx, id)
}

// BeginReview begins a review, unless one is under way.
func (s *Service) BeginReview(ctx context.Context, by exeunt.Actor, items []string) error {
	return s.Store.BeginReview(ctx, by, items, s.Now())
}

// StepReview records a decision of a review, once.
func (s *Service) StepReview(ctx context.Context, by exeunt.Actor, step ReviewStep) error {
	step.Every = s.Authority.ReviewEvery()
	return s.Store.StepReview(ctx, by, step, s.Now())
}

// PostponeReview keeps the reminder away for ReviewLater.
func (s *Service) PostponeReview(ctx context.Context, by exeunt.Actor) error {
	return s.Store.PostponeReview(ctx, by, s.Now().Add(ReviewLater))
}

// MailsReviews reports whether the account's owner can be reminded by mail.
func (s *Service) MailsReviews(a exeunt.Account) bool {
	return s.Notify.Enabled() && a.EmailConfirmed && s.Authority.ReviewEvery() > 0
}

// MailReviews records whether the account's owner wants that.
func (s *Service) MailReviews(ctx context.Context, by exeunt.Actor, wanted bool) error {
	a, err := s.Store.Account(ctx, by.Account)
	if err != nil || wanted == a.ReviewMail || wanted && !s.MailsReviews(a) {
		return err
	}
	var due time.Time
	if wanted {
		due = s.ReviewDue(a)
	}
	return s.Store.MailReviews(ctx, by, due)
}

// remindEvery is how often it is looked for reminders that are due.
const remindEvery = time.Minute

// Run sends reminders until ctx is done.
func (s *Service) Run(ctx context.Context) {
	t := time.NewTicker(remindEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := s.Remind(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("could not queue reminders; trying again later", "err", err)
		}
	}
}

// Remind queues the reminders that are due, a bounded number at a time.
func (s *Service) Remind(ctx context.Context) error {
	if !s.Notify.Enabled() || s.Authority.ReviewEvery() == 0 {
		return nil
	}
	list, err := s.Store.ReviewMailsDue(ctx, s.Now())
	if err != nil {
		return err
	}
	for _, a := range list {
		var mails []store.NewMail
		if a.Status == exeunt.AccountActive {
			last := s.ReviewDue(a).Add(-s.Authority.ReviewEvery())
			mails, err = s.Notify.ForAccount(a, ui.MailReviewReminder, ui.MailData{Link: s.Notify.Site + "/review",
				Days: int(s.Now().Sub(last) / (24 * time.Hour))})
			if err != nil {
				return err
			}
		}
		if err := s.Store.ReviewMailed(ctx, a.ID, mails, s.Now()); err != nil {
			return err
		}
	}
	return nil
}
