package store

import (
	"context"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// Review is somebody's walk through what can use their account, which they can leave and take up again.
type Review struct {
	Account     exeunt.AccountID
	Started     time.Time
	Items       []string // what there is to look at, as it was when the review began; for the surface
	At          int      // which one is next
	Kept, Ended int
	Finished    time.Time // zero while it is under way
}

// MaxReviewItems is how many items a review has at most.
const MaxReviewItems = 100

// Review returns the account's last review, or ErrNotFound.
func (s *Store) Review(ctx context.Context, id exeunt.AccountID) (r Review, err error) {
	var items string
	var started, finished int64
	err = s.read.QueryRowContext(ctx, `SELECT account_id, started, items, place, kept, ended, finished FROM reviews
		WHERE account_id = $1`, id.Bytes()).Scan(&r.Account, &started, &items, &r.At, &r.Kept, &r.Ended, &finished)
	if items != "" {
		r.Items = strings.Split(items, "\n")
	}
	r.Started, r.Finished = at(started), at(finished)
	return r, notFound("review", err)
}

// BeginReview begins a review of the actor's account, unless one is under way. Outcomes: nil; ErrSignedOut;
// ErrUnavailable, ErrNotConfirmed.
func (s *Store) BeginReview(ctx context.Context, by exeunt.Actor, items []string, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if _, ok, err := t.mayStillAct(by, exeunt.SessionID{}); err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		_, err = t.exec(`INSERT INTO reviews (account_id, started, items, place, kept, ended, finished)
			VALUES ($1, $2, $3, 0, 0, 0, 0) ON CONFLICT (account_id) DO UPDATE SET started = excluded.started,
			items = excluded.items, place = 0, kept = 0, ended = 0, finished = 0 WHERE reviews.finished > 0`,
			by.Account.Bytes(), ms(now), strings.Join(items[:min(len(items), MaxReviewItems)], "\n"))
		return nil, err
	})
}

// ReviewStep is what somebody has decided.
type ReviewStep struct {
	At    int // the item, of those that are still to be looked at
	Kept  bool
	Ended bool
	Last  bool          // nothing is left after it
	Every time.Duration // after which the next review is due
}

// StepReview records a decision of the actor's review, once. With the last, the date of the review is the account's.
// Outcomes: nil; ErrSignedOut; ErrUnavailable, ErrNotConfirmed.
func (s *Store) StepReview(ctx context.Context, by exeunt.Actor, step ReviewStep, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if _, ok, err := t.mayStillAct(by, exeunt.SessionID{}); err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		finished := int64(0)
		if step.Last {
			finished = ms(now)
		}
		n, err := t.exec(`UPDATE reviews SET place = $2, kept = kept + $3, ended = ended + $4, finished = $5
			WHERE account_id = $1 AND finished = 0 AND place < $2`, by.Account.Bytes(), step.At+1, flag(step.Kept),
			flag(step.Ended), finished)
		if err != nil || n == 0 || !step.Last {
			return nil, err
		}
		_, err = t.exec(`UPDATE accounts SET reviewed = $2, review_later = 0,
			review_mail_due = CASE WHEN review_mail = 1 AND $3 > 0 THEN $2 + $3 ELSE 0 END WHERE id = $1`,
			by.Account.Bytes(), ms(now), step.Every.Milliseconds())
		return nil, err
	})
}

// PostponeReview keeps the reminder from the actor's pages until a time.
func (s *Store) PostponeReview(ctx context.Context, by exeunt.Actor, until time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE accounts SET review_later = $2 WHERE id = $1`, by.Account.Bytes(), ms(until))
		return err
	})
}

// MailReviews records whether the actor wants to be reminded by mail, and when next: zero for not.
func (s *Store) MailReviews(ctx context.Context, by exeunt.Actor, due time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE accounts SET review_mail = $2, review_mail_due = $3 WHERE id = $1`, by.Account.Bytes(),
			flag(!due.IsZero()), ms(due))
		return err
	})
}

// ReviewMailsDue returns some accounts whose owners want to be reminded by mail by now.
func (s *Store) ReviewMailsDue(ctx context.Context, now time.Time) ([]exeunt.Account, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+accountColumns+` FROM accounts WHERE review_mail_due > 0
		AND review_mail_due <= $1 ORDER BY review_mail_due LIMIT $2`, ms(now), maintenanceStep)
	return collect(rows, err, "reminders", func(r rowScanner) (exeunt.Account, error) { return scanAccount(r) })
}

// ReviewMailed queues the mail of a due reminder, once whatever node does it. The next one comes after the next review.
func (s *Store) ReviewMailed(ctx context.Context, id exeunt.AccountID, mails []NewMail, now time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE accounts SET review_mail_due = 0 WHERE id = $1 AND review_mail_due > 0
			AND review_mail_due <= $2`, id.Bytes(), ms(now))
		if err != nil || n == 0 {
			return err
		}
		for _, m := range mails {
			if _, err := t.queueMail(m, now); err != nil {
				return err
			}
		}
		return nil
	})
}
