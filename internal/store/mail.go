package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// Limits of mails. What somebody can cause is counted by its sort: many mails of one sort must not keep back a notice
// of another.
const (
	// MailGiveUpAfter is for how long a mail is tried, unless what it says is of no use any more before.
	MailGiveUpAfter = 24 * time.Hour
	// MailsKept is for how long a mail is listed after it was sent or had failed.
	MailsKept = 7 * 24 * time.Hour
	// MaxMailsOfSort is how many mails of one sort an account may get in mailWindow, and so may an address.
	MaxMailsOfSort = 10
	mailWindow     = time.Hour
	// MaxPendingMails is how many mails of an account are pending at a time: beyond it the oldest gives way.
	MaxPendingMails = 20
)

// mailDisplaced is the error of a mail that gave way.
const mailDisplaced = "too many mails of this account are pending: a newer one took its place"

// NewMail is a mail to queue. Neither whom it goes to nor what it says is in it in a readable form.
type NewMail struct {
	ID        exeunt.MailID
	Account   exeunt.AccountID // zero: a test
	Template  string
	Recipient []byte // a keyed hash of the address
	Sealed    []byte
	GiveUp    time.Time // when what it says is of no use any more; zero: after MailGiveUpAfter
}

// queueMail queues a mail in the present transaction. It returns false when the account or the address got too many of
// that sort lately.
func (t *tx) queueMail(m NewMail, now time.Time) (queued bool, err error) {
	for _, of := range []struct {
		column string
		value  []byte
	}{{"account_id", m.Account.Bytes()}, {"recipient", m.Recipient}} {
		if of.value == nil {
			continue
		}
		var n int
		if err := t.row(`SELECT count(*) FROM (SELECT 1 FROM mails WHERE `+of.column+` = $1 AND template = $2
			AND created > $3 LIMIT $4) AS lately`, of.value, m.Template, ms(now.Add(-mailWindow)), MaxMailsOfSort).
			Scan(&n); err != nil || n >= MaxMailsOfSort {
			return false, err
		}
	}
	if !m.Account.IsZero() {
		if _, err := t.exec(`UPDATE mails SET state = 'gave_up', finished = $1, error = $2 WHERE id IN (
			SELECT id FROM mails WHERE account_id = $3 AND finished IS NULL ORDER BY created DESC LIMIT $4 OFFSET $5)`,
			ms(now), mailDisplaced, m.Account.Bytes(), MaxPendingMails, MaxPendingMails-1); err != nil {
			return false, err
		}
	}
	giveUp := now.Add(MailGiveUpAfter)
	if !m.GiveUp.IsZero() && m.GiveUp.Before(giveUp) {
		giveUp = m.GiveUp
	}
	t.mailed = true
	_, err = t.exec(`INSERT INTO mails (id, account_id, template, recipient, sealed, state, created, attempts, due,
		give_up, error) VALUES ($1, $2, $3, $4, $5, 'pending', $6, 0, $6, $7, '')`,
		m.ID.Bytes(), m.Account.Bytes(), m.Template, m.Recipient, m.Sealed, ms(now), ms(giveUp))
	return err == nil, err
}

// ErrManyMails says that an account or an address got too many mails of a sort lately.
var ErrManyMails = errors.New("too many mails of this sort lately")

// QueueMails queues mails that tell of nothing that is recorded at the same time, all or none. Outcomes: nil;
// ErrManyMails; ErrUnavailable, ErrNotConfirmed.
func (s *Store) QueueMails(ctx context.Context, now time.Time, mails ...NewMail) error {
	refused, err := committed(ctx, s, func(t *tx) (refused bool, err error) {
		for i, m := range mails {
			queued, err := t.queueMail(m, now)
			if err != nil {
				return false, err
			}
			if queued {
				continue
			}
			for _, before := range mails[:i] { // the transaction of a refusal commits
				if _, err := t.exec(`DELETE FROM mails WHERE id = $1`, before.ID.Bytes()); err != nil {
					return false, err
				}
			}
			return true, nil
		}
		return false, nil
	})
	if err == nil && refused {
		err = ErrManyMails
	}
	return err
}

// MailQueued receives after this node has queued mails.
func (s *Store) MailQueued() <-chan struct{} { return s.mailed }

func (s *Store) wakeMailer() {
	select {
	case s.mailed <- struct{}{}:
	default:
	}
}

// SealedMail is a mail with what it says, as it is stored.
type SealedMail struct {
	exeunt.Mail
	Sealed []byte // empty once it was sent
}

const mailColumns = `id, account_id, template, state, created, attempts, due, give_up, error, COALESCE(finished, 0),
	sealed`

func scanMail(r rowScanner) (m SealedMail, err error) {
	var created, due, giveUp, finished int64
	err = r.Scan(&m.ID, &m.Account, &m.Template, &m.State, &created, &m.Attempts, &due, &giveUp, &m.Error, &finished,
		&m.Sealed)
	m.Created, m.Due, m.GiveUp, m.Finished = at(created), at(due), at(giveUp), at(finished)
	return m, err
}

// NextMail returns when the next pending mail is due, and false when none is pending.
func (s *Store) NextMail(ctx context.Context) (due time.Time, any bool, err error) {
	var when int64
	any, err = found(s.read.QueryRowContext(ctx, `SELECT due FROM mails WHERE finished IS NULL ORDER BY due LIMIT 1`).
		Scan(&when))
	return at(when), any, unavailable("mails", err)
}

// ClaimMails begins an attempt of up to limit mails that are due, so that no other node makes one before until.
func (s *Store) ClaimMails(ctx context.Context, now, until time.Time, limit int) ([]SealedMail, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+mailColumns+` FROM mails
		WHERE finished IS NULL AND due <= $1 ORDER BY due LIMIT $2`, ms(now), limit)
	due, err := collect(rows, err, "mails", scanMail)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	return committed(ctx, s, func(t *tx) (claimed []SealedMail, err error) {
		for _, m := range due {
			n, err := t.exec(`UPDATE mails SET due = $1, attempts = attempts + 1
				WHERE id = $2 AND attempts = $3 AND due + 0 = $4 AND finished IS NULL`,
				ms(until), m.ID.Bytes(), m.Attempts, ms(m.Due))
			if err != nil {
				return nil, err
			}
			if n == 1 {
				m.Attempts, m.Due = m.Attempts+1, at(ms(until))
				claimed = append(claimed, m)
			}
		}
		return claimed, nil
	})
}

// RecordMail records what came of an attempt that was claimed: the mail has the new state, error and times. What a sent
// mail has said is deleted.
func (s *Store) RecordMail(ctx context.Context, m exeunt.Mail) error {
	var finished any
	if m.State != exeunt.MailPending {
		finished = ms(m.Finished)
	}
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE mails SET state = $1, error = $2, due = $3, finished = $4,
			sealed = CASE WHEN $1 = 'sent' THEN $5 ELSE sealed END
			WHERE id = $6 AND attempts = $7 AND (finished IS NULL OR $1 = 'sent')`,
			m.State, m.Error, ms(m.Due), finished, []byte{}, m.ID.Bytes(), m.Attempts)
		return err
	})
}

// RetryMail makes a mail that has failed pending again, for another MailGiveUpAfter. Outcomes: nil; ErrNotFound, when
// there is none that has failed; ErrUnavailable, ErrNotConfirmed.
func (s *Store) RetryMail(ctx context.Context, id exeunt.MailID, now time.Time) error {
	n, err := committed(ctx, s, func(t *tx) (int64, error) {
		t.mailed = true
		return t.exec(`UPDATE mails SET state = 'pending', finished = NULL, error = '', due = $1, give_up = $2
			WHERE id = $3 AND state IN ('refused', 'gave_up')`, ms(now), ms(now.Add(MailGiveUpAfter)), id.Bytes())
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("mail %s that has failed: %w", id, exeunt.ErrNotFound)
	}
	return err
}

// Mail returns a mail, or ErrNotFound.
func (s *Store) Mail(ctx context.Context, id exeunt.MailID) (SealedMail, error) {
	m, err := scanMail(s.read.QueryRowContext(ctx, `SELECT `+mailColumns+` FROM mails WHERE id = $1`, id.Bytes()))
	return m, notFound("mail", err)
}

// Mails returns a page of mails, latest first. ErrBadRequest for a cursor that the store did not make.
func (s *Store) Mails(ctx context.Context, f exeunt.MailFilter) (p exeunt.Page[SealedMail], err error) {
	limit, before, id := exeunt.PageSize(f.Limit), int64(math.MaxInt64), []byte{}
	if f.After != "" {
		moment, text, _ := strings.Cut(string(f.After), ".")
		last, err := exeunt.ParseMailID(text)
		if err == nil {
			before, err = strconv.ParseInt(moment, 10, 64)
		}
		if err != nil {
			return p, badCursor(f.After)
		}
		id = last.Bytes()
	}
	of, args := ``, []any{before, id, limit}
	if f.State != "" {
		of, args = `state = $4 AND `, append(args, f.State)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+mailColumns+` FROM mails WHERE `+of+`(created, id) < ($1, $2)
		ORDER BY created DESC, id DESC LIMIT $3`, args...)
	p.Items, err = collect(rows, err, "mails", scanMail)
	if len(p.Items) == limit {
		last := &p.Items[limit-1]
		p.Next = exeunt.Cursor(fmt.Sprintf("%d.%s", ms(last.Created), last.ID))
	}
	return p, err
}

// CountMails returns how many mails are in one of the states, or in any if none is given, or at least that many.
func (s *Store) CountMails(ctx context.Context, states ...exeunt.MailState) (n exeunt.Total, err error) {
	if len(states) == 0 {
		states = exeunt.MailStates
	}
	for _, state := range states {
		var count int64
		if err := s.read.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM mails WHERE state = $1
			LIMIT %d) AS counted`, maxCounted+1), state).Scan(&count); err != nil {
			return n, unavailable("number of mails", err)
		}
		n.Count += count
	}
	if n.Count > maxCounted {
		n = exeunt.Total{Count: maxCounted, AtLeast: true}
	}
	return n, nil
}
