package store

import (
	"context"
	"strconv"

	"github.com/exeunt/exeunt"
)

// closingGrace is exeunt.ClosingGrace in milliseconds, for SQL.
var closingGrace = strconv.FormatInt(exeunt.ClosingGrace.Milliseconds(), 10)

var (
	closingRows = forMany(`WITH w (account, session, closed) AS (VALUES `,
		`(CAST(? AS BLOB), CAST(? AS BLOB), CAST(? AS INTEGER))`, `)
		UPDATE sessions SET closing = w.closed FROM w WHERE account_id = w.account AND sessions.id = w.session
			AND kind = 'shared' AND ended_at IS NULL AND closing < w.closed AND seen <= w.closed`)
	openRows = forMany(`WITH w (account, session, closed) AS (VALUES `,
		`(CAST(? AS BLOB), CAST(? AS BLOB), CAST(? AS INTEGER))`, `)
		UPDATE sessions SET closing = 0 FROM w WHERE account_id = w.account AND sessions.id = w.session
			AND closing = w.closed`)
)

// MarkClosing stores that the last pages of these sessions were closed, so that every node can say otherwise. It leaves
// sessions alone that were used since or have ended.
func (s *Store) MarkClosing(ctx context.Context, list []exeunt.Closing) error {
	return s.writeClosing(ctx, closingRows, list)
}

// MarkOpen takes that back, unless a page was closed again since.
func (s *Store) MarkOpen(ctx context.Context, list []exeunt.Closing) error {
	return s.writeClosing(ctx, openRows, list)
}

func (s *Store) writeClosing(ctx context.Context, rows *manyRows, list []exeunt.Closing) error {
	for len(list) > 0 {
		part := list[:min(len(list), maintenanceStep)]
		list = list[len(part):]
		if err := s.commit(ctx, func(t *tx) error {
			return rows.exec(t, len(part), func(to []any, row int) []any {
				return append(to, part[row].Account.Bytes(), part[row].Session.Bytes(), ms(part[row].At))
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// StoredClosing is a session that MarkClosing has marked.
type StoredClosing struct {
	exeunt.Closing
	Over bool // it was used since, or has ended: the mark is of no use
}

// Closings returns marked sessions in the order of At, a bounded number of them after the given one; more reports
// whether there may be more.
func (s *Store) Closings(ctx context.Context, after exeunt.Closing) (list []StoredClosing, more bool, err error) {
	since := int64(0)
	if !after.At.IsZero() {
		since = ms(after.At)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT s.account_id, s.id, s.closing,
		s.ended_at IS NOT NULL OR s.seen > s.closing
			OR s.generation < (SELECT a.generation FROM accounts a WHERE a.id = s.account_id)
		FROM sessions s WHERE s.closing > 0 AND (s.closing, s.id) > ($1, $2)
		ORDER BY s.closing, s.id LIMIT $3`, since, after.Session.Bytes(), maintenanceStep)
	list, err = collect(rows, err, "closing sessions", func(r rowScanner) (c StoredClosing, err error) {
		var closed int64
		err = r.Scan(&c.Account, &c.Session, &closed, &c.Over)
		c.At = at(closed)
		return c, err
	})
	return list, len(list) == maintenanceStep, err
}
