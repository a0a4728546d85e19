package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// Securing is how far somebody has got with securing an account that somebody else may have used.
type Securing struct {
	Account  exeunt.AccountID
	Started  time.Time
	By       exeunt.ActorKind // who has started it
	Ended    int64            // sessions that it has ended at once
	Looked   []string         // steps that the owner has called right, by their names
	Finished time.Time        // zero while it is under way
}

// beginSecuring notes that all has ended, and what is to be looked at. An earlier one begins again.
func (t *tx) beginSecuring(e *ending) error {
	_, err := t.exec(`INSERT INTO securings (account_id, started, by_kind, ended, looked, finished)
		VALUES ($1, $2, $3, $4, '', 0) ON CONFLICT (account_id) DO UPDATE SET started = excluded.started,
		by_kind = excluded.by_kind, ended = excluded.ended, looked = '', finished = 0`, e.rev.Account.Bytes(), ms(e.now),
		e.by.Kind, e.out.Ended)
	return err
}

// Securing returns the account's last one, or ErrNotFound.
func (s *Store) Securing(ctx context.Context, id exeunt.AccountID) (v Securing, err error) {
	var started, finished int64
	var looked string
	err = s.read.QueryRowContext(ctx, `SELECT account_id, started, by_kind, ended, looked, finished FROM securings
		WHERE account_id = $1`, id.Bytes()).Scan(&v.Account, &started, &v.By, &v.Ended, &looked, &finished)
	v.Started, v.Finished, v.Looked = at(started), at(finished), strings.Fields(looked)
	return v, notFound("securing", err)
}

// StepSecuring notes that the actor has called a step right. Outcomes: nil; ErrSignedOut; ErrUnavailable,
// ErrNotConfirmed.
func (s *Store) StepSecuring(ctx context.Context, by exeunt.Actor, step string) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if _, ok, err := t.mayStillAct(by, exeunt.SessionID{}); err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		var looked string
		ok, err := found(t.row(`SELECT looked FROM securings WHERE account_id = $1 AND finished = 0`, by.Account.Bytes()).
			Scan(&looked))
		if err != nil || !ok || slices.Contains(strings.Fields(looked), step) {
			return nil, err
		}
		_, err = t.exec(`UPDATE securings SET looked = $2 WHERE account_id = $1`, by.Account.Bytes(),
			strings.TrimSpace(looked+" "+step))
		return nil, err
	})
}

// FinishSecuring ends it, once, and queues mails that tell of it. Outcomes as of StepSecuring.
func (s *Store) FinishSecuring(ctx context.Context, by exeunt.Actor, mails []NewMail, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if _, ok, err := t.mayStillAct(by, exeunt.SessionID{}); err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		n, err := t.exec(`UPDATE securings SET finished = $2 WHERE account_id = $1 AND finished = 0`, by.Account.Bytes(), ms(now))
		if err != nil || n == 0 {
			return nil, err
		}
		for _, m := range mails {
			if _, err := t.queueMail(m, now); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}
