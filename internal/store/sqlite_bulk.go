package store

import (
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// SQLite has no arrays to hand over, so many rows are one statement with that
// many places for values. To begin and end a statement takes it half of the time
// that one for one row takes.
type manyRows struct {
	columns int
	texts   [len(rowsAtOnce)]string
}

// rowsAtOnce are the numbers of rows there are statements for: any number is a
// few of them, and few statements are kept prepared.
var rowsAtOnce = [...]int{64, 8, 1}

// forMany makes the statements that have the rows between two texts.
func forMany(before string, columns int, after string) *manyRows {
	m := &manyRows{columns: columns}
	row := ", (?" + strings.Repeat(", ?", columns-1) + ")"
	for i, n := range rowsAtOnce {
		m.texts[i] = before + strings.Repeat(row, n)[len(", "):] + after
	}
	return m
}

// each calls f for the statements that n rows take. args appends a row's values.
func (m *manyRows) each(n int, args func(to []any, row int) []any, f func(q string, args []any) error) error {
	list := make([]any, 0, min(n, rowsAtOnce[0])*m.columns)
	for row, i := 0, 0; row < n; {
		if n-row < rowsAtOnce[i] {
			i++
			continue
		}
		list = list[:0]
		for end := row + rowsAtOnce[i]; row < end; row++ {
			list = args(list, row)
		}
		if err := f(m.texts[i], list); err != nil {
			return err
		}
	}
	return nil
}

func (m *manyRows) exec(t *tx, n int, args func(to []any, row int) []any) error {
	return m.each(n, args, func(q string, args []any) error {
		_, err := t.exec(q, args...)
		return err
	})
}

var (
	// The same as tx.endSession does for one.
	endRows = forMany(`WITH w (account, session, reason, by_kind, by_session, by_label, now, actor, key) AS (VALUES `, 9, `)
		UPDATE sessions SET ended_at = CASE w.reason WHEN 'idle' THEN seen + idle WHEN 'absolute' THEN expires ELSE w.now END, ended_reason = w.reason, ended_by = w.by_kind,
		ended_by_session = w.by_session, room = NULL, ended_by_label = CASE WHEN id = w.by_session THEN label ELSE w.by_label END
		FROM w WHERE account_id = w.account AND id = w.session AND ended_at IS NULL
		AND sessions.generation >= (SELECT accounts.generation FROM accounts WHERE accounts.id = w.account)
		AND (w.reason <> 'idle' OR seen + idle <= w.now) AND (w.reason <> 'absolute' OR expires <= w.now)
		AND (w.key = '' OR NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.actor = w.actor AND o.key = w.key)) RETURNING id, ended_by_label`)
	countRows   = forMany(`WITH w (account, n) AS (VALUES `, 2, `) UPDATE accounts SET live_sessions = live_sessions - w.n FROM w WHERE id = w.account`)
	eventRows   = forMany(`INSERT INTO events (`+eventColumns+`, by_address) VALUES `, 14, ``)
	outcomeRows = forMany(`INSERT INTO outcomes (actor, key, request, seq, ended, at) VALUES `, 6, ``)

	seenRows = forMany(`WITH w (account, id, seen) AS (VALUES `, 3, `)
		UPDATE sessions SET seen = max(sessions.seen, w.seen), deadline = CASE WHEN deadline < w.seen + `+lookAhead+` THEN min(max(sessions.seen, w.seen) + idle, expires) ELSE deadline END
		FROM w WHERE account_id = w.account AND sessions.id = w.id AND ended_at IS NULL`)
	seenAppRows = forMany(`WITH w (account, id, seen) AS (VALUES `, 3, `)
		UPDATE app_sessions SET seen = max(app_sessions.seen, w.seen) FROM w WHERE account_id = w.account AND app_sessions.id = w.id AND ended_at IS NULL`)
)

// end ends sessions within a transaction that others share.
func (*sqliteEngine) end(t *tx, list []*ending) error {
	labels := make(map[exeunt.SessionID]string, len(list))
	err := endRows.each(len(list), func(to []any, row int) []any {
		e := list[row]
		return append(to, e.rev.Account.Bytes(), e.rev.Session.Bytes(), e.rev.Reason, e.by.Kind, e.by.Session.Bytes(), e.by.Label, ms(e.now), e.actorKey(), e.rev.Key)
	}, func(q string, args []any) error {
		rows, err := t.rows(q, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id exeunt.SessionID
			var label string
			if err := rows.Scan(&id, &label); err != nil {
				return err
			}
			labels[id] = label
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	var ended, keyed []*ending
	var accounts []exeunt.AccountID
	count := map[exeunt.AccountID]int64{}
	for _, e := range list {
		label, ok := labels[e.rev.Session]
		if !ok {
			continue
		}
		e.by.Label = label
		t.seq++
		*e.out = Ending{Seq: t.seq, At: e.now, Ended: 1}
		t.events = append(t.events, exeunt.Event{Seq: t.seq, At: at(ms(e.now)), Revocation: e.rev, By: e.by})
		ended = append(ended, e)
		if e.rev.Key != "" {
			keyed = append(keyed, e)
		}
		if count[e.rev.Account]++; count[e.rev.Account] == 1 {
			accounts = append(accounts, e.rev.Account)
		}
	}
	if err := eventRows.exec(t, len(ended), func(to []any, row int) []any {
		e := ended[row]
		return append(to, e.out.Seq, ms(e.now), e.rev.Account.Bytes(), e.rev.Scope, e.rev.Session.Bytes(), nil, 0, 0, e.rev.Reason,
			e.by.Kind, e.by.Account.Bytes(), e.by.Session.Bytes(), e.by.Label, addressText(e.by.Address))
	}); err != nil {
		return err
	}
	if err := outcomeRows.exec(t, len(keyed), func(to []any, row int) []any {
		e := keyed[row]
		return append(to, e.by.Key(), e.rev.Key, requestText(e.rev), e.out.Seq, e.out.Ended, ms(e.now))
	}); err != nil {
		return err
	}
	return countRows.exec(t, len(accounts), func(to []any, row int) []any {
		return append(to, accounts[row].Bytes(), count[accounts[row]])
	})
}

func (*sqliteEngine) saveActivity(t *tx, list []live.Activity) error {
	var sessions, apps []live.Activity
	for _, a := range list {
		if a.App.IsZero() {
			sessions = append(sessions, a)
		} else {
			apps = append(apps, a)
		}
	}
	if err := seenRows.exec(t, len(sessions), func(to []any, row int) []any {
		return append(to, sessions[row].Account.Bytes(), sessions[row].Session.Bytes(), ms(sessions[row].Seen))
	}); err != nil {
		return err
	}
	return seenAppRows.exec(t, len(apps), func(to []any, row int) []any {
		return append(to, apps[row].Account.Bytes(), apps[row].App.Bytes(), ms(apps[row].Seen))
	})
}
