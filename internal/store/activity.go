package store

import (
	"context"

	"github.com/exeunt/exeunt"
)

var (
	seenRows = forMany(`WITH w (account, session, seen, address) AS (VALUES `,
		`(CAST(? AS BLOB), CAST(? AS BLOB), CAST(? AS INTEGER), CAST(? AS TEXT))`, `)
		UPDATE sessions SET seen = greatest(sessions.seen, w.seen),
			last_address = CASE WHEN w.address = '' THEN last_address ELSE w.address END
		FROM w WHERE account_id = w.account AND sessions.id = w.session AND ended_at IS NULL`)
	seenAppRows = forMany(`WITH w (account, app, seen) AS (VALUES `,
		`(CAST(? AS BLOB), CAST(? AS BLOB), CAST(? AS INTEGER))`, `)
		UPDATE app_sessions SET seen = greatest(app_sessions.seen, w.seen)
		FROM w WHERE account_id = w.account AND app_sessions.id = w.app AND ended_at IS NULL`)
)

// SaveActivity writes last-activity times, each unless a later one is stored, and the addresses that were seen with it. Activity lost in a crash only makes a
// session end earlier. It does not change when a session is due, because that is indexed; maintenance finds out
// later that the session was active.
func (s *Store) SaveActivity(ctx context.Context, list []exeunt.Activity) error {
	for len(list) > 0 {
		part := list[:min(len(list), maintenanceStep)]
		list = list[len(part):]
		if err := s.commit(ctx, func(t *tx) error { return t.saveActivity(part) }); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) saveActivity(list []exeunt.Activity) error {
	var sessions, apps []exeunt.Activity
	for _, a := range list {
		if a.App.IsZero() {
			sessions = append(sessions, a)
		} else {
			apps = append(apps, a)
		}
	}
	if err := seenRows.exec(t, len(sessions), func(to []any, row int) []any {
		return append(to, sessions[row].Account.Bytes(), sessions[row].Session.Bytes(), ms(sessions[row].Seen),
			addressText(sessions[row].Address))
	}); err != nil {
		return err
	}
	return seenAppRows.exec(t, len(apps), func(to []any, row int) []any {
		return append(to, apps[row].Account.Bytes(), apps[row].App.Bytes(), ms(apps[row].Seen))
	})
}
