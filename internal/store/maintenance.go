package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
)

// maintenanceStep bounds how many rows one transaction of maintenance reads and writes. Sign-outs on all nodes wait
// behind it, so it must be short whatever the size of an account or of the installation: a reading connection finds
// what there is to do, and the transaction writes rows by their keys.
const maintenanceStep = 128

// OverdueOf returns which of the account's newest sessions, latest many of them, have timed out by the stored activity.
func (s *Store) OverdueOf(
	ctx context.Context, account exeunt.AccountID, now time.Time, latest int,
) ([]exeunt.Overdue, error) {
	rows, err := s.read.QueryContext(ctx,
		`SELECT s.account_id, s.id, CASE WHEN s.expires <= s.seen + s.idle THEN 'absolute' ELSE 'idle' END
		FROM (SELECT * FROM sessions WHERE account_id = $2 ORDER BY started DESC, id DESC LIMIT $3) s
		JOIN accounts a ON a.id = s.account_id
		WHERE s.ended_at IS NULL AND s.generation >= a.generation AND s.due <= $1
		AND (s.seen + s.idle <= $1 OR s.expires <= $1)`, ms(now), account.Bytes(), latest)
	return collect(rows, err, "overdue sessions", func(r rowScanner) (o exeunt.Overdue, err error) {
		err = r.Scan(&o.Account, &o.Session, &o.Reason)
		return o, err
	})
}

var (
	dueRows = forMany(`WITH w (account, session, due) AS (VALUES `,
		`(CAST(? AS BLOB), CAST(? AS BLOB), CAST(? AS INTEGER))`, `)
		UPDATE sessions SET due = w.due FROM w WHERE account_id = w.account AND sessions.id = w.session
			AND sessions.due < w.due`)
	deleteRows = forMany(`DELETE FROM sessions WHERE id IN (`, `CAST(? AS BLOB)`,
		`) AND ended_at IS NOT NULL RETURNING account_id`)
	goneRows = forMany(`WITH w (account, n) AS (VALUES `, `(CAST(? AS BLOB), CAST(? AS INTEGER))`, `)
		UPDATE accounts SET ended_sessions = ended_sessions - w.n FROM w WHERE id = w.account`)
)

// deleteSessions deletes ended sessions and counts them no more.
func (t *tx) deleteSessions(list []dueSession) error {
	count := map[exeunt.AccountID]int64{}
	err := deleteRows.each(len(list), func(to []any, row int) []any { return append(to, list[row].session.Bytes()) },
		func(q string, args []any) error {
			rows, err := t.rows(q, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var account exeunt.AccountID
				if err := rows.Scan(&account); err != nil {
					return err
				}
				count[account]++
			}
			return rows.Err()
		})
	if err != nil {
		return err
	}
	accounts := slices.Collect(maps.Keys(count))
	return goneRows.exec(t, len(accounts), func(to []any, row int) []any {
		return append(to, accounts[row].Bytes(), count[accounts[row]])
	})
}

// dueSession is a session that maintenance must look at.
type dueSession struct {
	account exeunt.AccountID
	session exeunt.SessionID
	next    int64 // when to look again
	reason  exeunt.Reason
	over    bool // it has ended and its retention is over
}

// WorkOffDue looks at a bounded number of sessions that are due. It returns those that have timed out, to be
// declared ended. Those that were active meanwhile are due again when they may time out, and those that have ended
// when their retention is over; then they are deleted. more reports whether there may be more.
func (s *Store) WorkOffDue(
	ctx context.Context, r Retention, now time.Time,
) (overdue []exeunt.Overdue, more bool, err error) {
	list, err := s.dueSessions(ctx, r, now)
	if err != nil {
		return nil, false, err
	}
	var later, over []dueSession
	for _, d := range list {
		switch {
		case d.reason != "":
			overdue = append(overdue, exeunt.Overdue{Account: d.account, Session: d.session, Reason: d.reason})
		case d.over:
			over = append(over, d)
		default:
			later = append(later, d)
		}
	}
	if len(later)+len(over) > 0 {
		err = s.commit(ctx, func(t *tx) error {
			if err := dueRows.exec(t, len(later), func(to []any, row int) []any {
				return append(to, later[row].account.Bytes(), later[row].session.Bytes(), later[row].next)
			}); err != nil {
				return err
			}
			return t.deleteSessions(over)
		})
	}
	return overdue, len(list) == maintenanceStep, err
}

// unwrittenPause is after how long, in milliseconds, to look again at a session whose end is not written into its
// row yet, or of whose end the deliveries are not recorded yet.
const unwrittenPause = 60_000

func (s *Store) dueSessions(ctx context.Context, r Retention, now time.Time) ([]dueSession, error) {
	rows, err := s.read.QueryContext(ctx,
		`SELECT s.account_id, s.id, s.seen + s.idle, s.expires, COALESCE(s.ended_at, 0),
		s.generation < (SELECT a.generation FROM accounts a WHERE a.id = s.account_id),
		CASE WHEN s.ended_at IS NULL THEN 0 = 1 ELSE EXISTS (SELECT 1 FROM events e WHERE e.account_id = s.account_id
			AND e.at >= `+unreadSince+` AND e.seq > `+readUpTo+`) END
		FROM sessions s WHERE s.due <= $1 ORDER BY s.due LIMIT $2`, ms(now), maintenanceStep)
	return collect(rows, err, "due sessions", func(row rowScanner) (d dueSession, err error) {
		var idle, expires, ended int64
		var together, unread bool
		if err := row.Scan(&d.account, &d.session, &idle, &expires, &ended, &together, &unread); err != nil {
			return d, err
		}
		switch {
		case ended > 0:
			d.next = ended + r.Ended.Milliseconds() + 1
			if d.over = d.next <= ms(now); d.over && unread {
				d.over, d.next = false, ms(now)+unwrittenPause
			}
		case together:
			d.next = ms(now) + unwrittenPause
		case min(idle, expires) > ms(now):
			d.next = r.latest(min(idle, expires), now)
		case expires <= idle:
			d.reason = exeunt.ReasonAbsolute
		default:
			d.reason = exeunt.ReasonIdle
		}
		return d, nil
	})
}

// latest is when to look at a session next that may time out at end: no later than its retention would be over if it
// ended now.
func (r Retention) latest(end int64, now time.Time) int64 {
	return min(end, ms(now.Add(r.Ended)))
}
