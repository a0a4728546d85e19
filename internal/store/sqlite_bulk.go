package store

import (
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
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

// forMany makes the statements that have the rows between two texts. row is one
// row's: a ? is a place for a value, of which there are that many columns.
func forMany(before, row, after string) *manyRows {
	m := &manyRows{columns: strings.Count(row, "?")}
	for i, n := range rowsAtOnce {
		m.texts[i] = before + strings.Repeat(", "+row, n)[len(", "):] + after
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
	// The same as tx.endSession does for one: for sessions that end themselves,
	// which are nearly all, and for others.
	ownRows = forMany(`WITH w (account, session, reason, now) AS (VALUES `, `(?, ?, ?, ?)`, `)
		UPDATE sessions SET ended_at = w.now, ended_reason = w.reason, ended_by = 'person', ended_by_session = id, ended_by_label = label`+
		whereLive+` RETURNING id, label`)
	endRows = forMany(`WITH w (account, session, reason, now, by_kind, by_session, by_label, actor, key) AS (VALUES `, `(?, ?, ?, ?, ?, ?, ?, ?, ?)`, `)
		UPDATE sessions SET ended_at = CASE w.reason WHEN 'idle' THEN seen + idle WHEN 'absolute' THEN expires ELSE w.now END, ended_reason = w.reason, ended_by = w.by_kind,
		ended_by_session = w.by_session, ended_by_label = w.by_label`+
		whereLive+` AND (w.reason <> 'idle' OR seen + idle <= w.now) AND (w.reason <> 'absolute' OR expires <= w.now)
		AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.actor = w.actor AND o.key = w.key) RETURNING id, ended_by_label`)
	countRows   = forMany(`WITH w (account, n) AS (VALUES `, `(?, ?)`, `) UPDATE accounts SET live_sessions = live_sessions - w.n FROM w WHERE id = w.account`)
	eventRows   = forMany(`INSERT INTO events (`+eventColumns+`, by_address) VALUES `, `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, ``)
	outcomeRows = forMany(`INSERT INTO outcomes (actor, key, request, seq, ended, at) VALUES `, `(?, ?, ?, ?, ?, ?)`, ``)

	seenRows = forMany(`WITH w (account, id, seen) AS (VALUES `, `(?, ?, ?)`, `)
		UPDATE sessions SET seen = max(sessions.seen, w.seen), due = CASE WHEN due < w.seen + `+lookAhead+` THEN min(max(sessions.seen, w.seen) + idle, expires) ELSE due END
		FROM w WHERE account_id = w.account AND sessions.id = w.id AND ended_at IS NULL`)
	seenAppRows = forMany(`WITH w (account, id, seen) AS (VALUES `, `(?, ?, ?)`, `)
		UPDATE app_sessions SET seen = max(app_sessions.seen, w.seen) FROM w WHERE account_id = w.account AND app_sessions.id = w.id AND ended_at IS NULL`)
)

// whereLive leaves out what is not there or has ended. A session is found by its
// ID alone: the index of it is the smaller one.
const whereLive = ` FROM w WHERE id = w.session AND +account_id = w.account AND ended_at IS NULL
	AND sessions.generation >= (SELECT accounts.generation FROM accounts WHERE accounts.id = w.account)`

// end ends sessions within a transaction that others share.
func (*sqliteEngine) end(t *tx, list []*ending) error {
	var own, others []*ending
	for _, e := range list {
		if endsItself(e.by, e.rev) {
			own = append(own, e)
		} else {
			others = append(others, e)
		}
	}
	labels := make(map[exeunt.SessionID]string, len(list))
	read := func(q string, args []any) error { return t.readLabels(labels, q, args) }
	if err := ownRows.each(len(own), func(to []any, row int) []any {
		return own[row].wish(to)
	}, read); err != nil {
		return err
	}
	if err := endRows.each(len(others), func(to []any, row int) []any {
		e := others[row]
		return append(e.wish(to), e.by.Kind, e.by.Session.Bytes(), e.by.Label, e.actorKey(), e.rev.Key)
	}, read); err != nil {
		return err
	}
	var ended, keyed []*ending
	var accounts []exeunt.AccountID
	count := map[exeunt.AccountID]int64{}
	t.events = slices.Grow(t.events, len(list))
	for _, e := range list {
		label, ok := labels[e.rev.Session]
		if !ok {
			continue
		}
		e.by.Label = label
		t.seq++
		e.out = Ending{Seq: t.seq, At: e.now, Ended: 1}
		t.events = append(t.events, exeunt.Event{Seq: t.seq, At: at(ms(e.now)), Kind: exeunt.EventEnded, Target: e.rev.Target, Reason: e.rev.Reason, By: e.by})
		ended = append(ended, e)
		if e.rev.Key != "" {
			keyed = append(keyed, e)
		}
		if count[e.rev.Account]++; count[e.rev.Account] == 1 {
			accounts = append(accounts, e.rev.Account)
		}
	}
	if err := eventRows.exec(t, len(ended), func(to []any, row int) []any {
		e := &t.events[len(t.events)-len(ended)+row]
		return append(append(to, eventValues(e)...), addressText(e.By.Address))
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

// wish appends what every ending has.
func (e *ending) wish(to []any) []any {
	return append(to, e.rev.Account.Bytes(), e.rev.Session.Bytes(), e.rev.Reason, ms(e.now))
}

// readLabels notes which sessions a statement has ended, with what its events
// name the session by that ended each.
func (t *tx) readLabels(labels map[exeunt.SessionID]string, q string, args []any) error {
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
}

func (*sqliteEngine) saveActivity(t *tx, list []exeunt.Activity) error {
	var sessions, apps []exeunt.Activity
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
