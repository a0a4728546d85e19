package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// sweepStep bounds how many rows one transaction of the sweeps touches, so
// that a sign-out never waits long behind them.
const sweepStep = 256

// lookAhead is how long before the sweep would look at a session its activity
// moves that moment, in milliseconds. Otherwise it leaves it as it is, so that no
// index is written each time. It is longer than the time between two writes of a
// session in use: the sweep seldom comes to one, and a node of the version before,
// which takes the moment for the session's end, never does.
const lookAhead = `180000`

// SaveActivity writes last-activity times. What a crash loses of them only
// makes a session end earlier.
func (s *Store) SaveActivity(ctx context.Context, list []exeunt.Activity) error {
	for len(list) > 0 {
		part := list[:min(len(list), sweepStep)]
		list = list[len(part):]
		err := s.commit(ctx, func(t *tx) error { return s.engine.saveActivity(t, part) })
		if err != nil {
			return err
		}
	}
	return nil
}

const overdueColumns = `SELECT s.account_id, s.id, CASE WHEN s.expires <= s.seen + s.idle THEN 'absolute' ELSE 'idle' END
	FROM sessions s JOIN accounts a ON a.id = s.account_id
	WHERE s.ended_at IS NULL AND s.generation >= a.generation AND s.due <= $1 AND (s.seen + s.idle <= $1 OR s.expires <= $1)`

// Overdue returns sessions of every account whose time has run out as far as
// the database knows, at most limit.
func (s *Store) Overdue(ctx context.Context, now time.Time, limit int) ([]exeunt.Overdue, error) {
	return scanOverdue(s.read.QueryContext(ctx, overdueColumns+` ORDER BY s.due LIMIT $2`, ms(now), limit))
}

// due are sessions that it is time to look at and that have not run out.
const due = `SELECT account_id, id FROM sessions WHERE due <= $1 AND (ended_at IS NOT NULL OR (seen + idle > $1 AND expires > $1)) ORDER BY due LIMIT $2`

// PutOff deals with sessions that it is time to look at and that have been
// active meanwhile, or have ended: it sets when to look next, which for one that
// has ended is when its retention is over, and deletes it then. (Purge has done
// so before, if the log still told of it.) It does a bounded number and reports
// whether there is more to do. Without any it writes nothing.
func (s *Store) PutOff(ctx context.Context, r Retention, now time.Time) (more bool, err error) {
	if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (`+due+`)`, ms(now), sweepStep).Scan(&more); err != nil || !more {
		return false, unavailable("look for sessions to put off", err)
	}
	err = s.commit(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM sessions WHERE ended_at < $3 AND (account_id, id) IN (`+due+`)`, ms(now), sweepStep, ms(r.ended(now)))
		if more = n > 0; more || err != nil {
			return err
		}
		n, err = t.exec(`UPDATE sessions SET due = CASE WHEN ended_at IS NULL THEN least(seen + idle, expires) ELSE ended_at + $3 END
			WHERE (account_id, id) IN (`+due+`)`, ms(now), sweepStep, r.Ended.Milliseconds()+1)
		more = n == sweepStep
		return err
	})
	if err != nil {
		return false, err // more may still be written to
	}
	return more, nil
}

// OverdueOf returns those of one account.
func (s *Store) OverdueOf(ctx context.Context, account exeunt.AccountID, now time.Time, limit int) ([]exeunt.Overdue, error) {
	return scanOverdue(s.read.QueryContext(ctx, overdueColumns+` AND s.account_id = $2 LIMIT $3`, ms(now), account.Bytes(), limit))
}

func scanOverdue(rows *timedRows, err error) ([]exeunt.Overdue, error) {
	return collect(rows, err, "overdue sessions", func(r rowScanner) (o exeunt.Overdue, err error) {
		err = r.Scan(&o.Account, &o.Session, &o.Reason)
		return o, err
	})
}

// SettleEnded writes the end into the rows of sessions that were ended
// together, following the log: the first event that a session was born before
// is the one that ended it. It does a bounded number of rows, or passes over a
// bounded number of events that have none, and reports whether there is more to
// do. Until then the rows are judged by their generation, so nobody waits for
// this. What there is to do is found on a reading connection; sign-outs wait
// only for what is written.
func (s *Store) SettleEnded(ctx context.Context) (more bool, err error) {
	var head, endsWritten, next, last int64
	var any bool
	err = s.read.QueryRowContext(ctx, `SELECT seq, ends_written, COALESCE((SELECT min(e.seq) FROM events e WHERE e.seq > ends_written AND e.generation > 0), 0)
		FROM log_head WHERE id = 1`).Scan(&head, &endsWritten, &next)
	if err != nil {
		return false, unavailable("log head", err)
	}
	switch {
	case next == 0 && head == endsWritten:
		return false, nil
	case next == 0:
		return false, s.commit(ctx, func(t *tx) error { return t.endsWrittenUpTo(head) })
	}
	// Somebody who ends everything again and again leaves many events that ended
	// nobody, and they shall not cost a commit each.
	err = s.read.QueryRowContext(ctx, `SELECT max(c.last), EXISTS (SELECT 1 FROM (`+stepOfLog+`) AS c JOIN sessions s ON s.account_id = c.account_id
		AND s.ended_at IS NULL AND s.generation < c.generation) FROM (`+stepOfLog+`) AS c`, endsWritten, sweepStep).Scan(&last, &any)
	if err != nil {
		return false, unavailable("events to settle", err)
	}
	err = s.commit(ctx, func(t *tx) error {
		if !any {
			return t.endsWrittenUpTo(last)
		}
		written, err := t.settle(next)
		if err != nil || written == sweepStep {
			return err
		}
		return t.endsWrittenUpTo(next)
	})
	return err == nil, err
}

// stepOfLog has the accounts of the next events that end sessions together,
// each with its last generation among them: what is older has ended.
const stepOfLog = `SELECT account_id, max(seq) AS last, max(generation) AS generation FROM
	(SELECT seq, account_id, generation FROM events WHERE seq > $1 AND generation > 0 ORDER BY seq LIMIT $2) AS step GROUP BY account_id`

func (t *tx) settle(seq int64) (written int64, err error) {
	return t.exec(`UPDATE sessions SET ended_at = e.at, ended_reason = e.reason, ended_by = e.by_kind, ended_by_session = e.by_session, ended_by_label = e.by_label
		FROM events e WHERE e.seq = $1 AND sessions.account_id = e.account_id AND sessions.id IN
		(SELECT s.id FROM sessions s WHERE s.account_id = e.account_id AND s.ended_at IS NULL AND s.generation < e.generation LIMIT $2)`, seq, sweepStep)
}

func (t *tx) endsWrittenUpTo(seq int64) error {
	_, err := t.exec(`UPDATE log_head SET ends_written = greatest(ends_written, $1) WHERE id = 1`, seq)
	return err
}
