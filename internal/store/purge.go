package store

import (
	"cmp"
	"context"
	"time"
)

// Retention says how long rows of what is over are stored.
type Retention struct {
	Ended time.Duration // ended sessions and app sessions
	Audit time.Duration // audit entries, events included; no shorter than Ended
}

// oldRows says how to find the rows of each table that are older than the retention allows, at most $2 of them by
// their keys, and how to delete them. Finding reads no more than it finds: it follows an index, or looks at the
// oldest rows of a table that grows at its end. Deleting goes by the keys, whatever the planner thinks of the table.
var oldRows = []struct {
	table, find string
	before      func(Retention, time.Time) time.Time
	drop        *manyRows
}{
	{"app_sessions", `SELECT token_hash FROM app_sessions WHERE ended_at IS NOT NULL AND ended_at < $1
		AND ended_at < ` + unreadSince + ` LIMIT $2`, Retention.ended, dropBy("app_sessions", "token_hash")},
	{"deliveries", `SELECT account_id, session_id, client_id FROM deliveries
		WHERE finished IS NOT NULL AND finished < $1 LIMIT $2`, Retention.ended,
		forManyBetween(" OR ", `DELETE FROM deliveries WHERE `,
			`account_id = ? AND session_id = ? AND client_id = ? AND COALESCE(finished, 0) > 0`, ``)},
	{"messages", `SELECT webhook, id FROM messages WHERE finished IS NOT NULL AND finished < $1 LIMIT $2`, messagesBefore,
		dropByTwo("messages", "webhook", "id")},
	{"mails", `SELECT id FROM mails WHERE finished IS NOT NULL AND finished < $1 LIMIT $2`, mailsBefore,
		dropBy("mails", "id")},
	{"renewals", `SELECT hash FROM renewals WHERE at < $1 LIMIT $2`, dayBefore, dropBy("renewals", "hash")},
	{"codes", `SELECT hash FROM codes WHERE expires < $1 LIMIT $2`, dayBefore, dropBy("codes", "hash")},
	{"device_codes", `SELECT user_code FROM device_codes WHERE expires < $1 LIMIT $2`, dayBefore,
		dropBy("device_codes", "user_code")},
	{"challenges", `SELECT hash FROM challenges WHERE expires < $1 LIMIT $2`, Retention.now, dropBy("challenges", "hash")},
	{"links", `SELECT hash FROM links WHERE expires < $1 LIMIT $2`, dayBefore, dropBy("links", "hash")},
	{"devices", `SELECT account_id, hash FROM devices WHERE last_seen < $1 LIMIT $2`, devicesBefore,
		forManyBetween(" OR ", `DELETE FROM devices WHERE `, `account_id = ? AND hash = ?`, ``)},
	{"notices", `SELECT account_id, id FROM notices WHERE at < $1 LIMIT $2`, Retention.audit,
		forManyBetween(" OR ", `DELETE FROM notices WHERE `, `account_id = ? AND id = ?`, ``)},
	{"invites", `SELECT hash FROM invites WHERE expires < $1 LIMIT $2`, dayBefore, dropBy("invites", "hash")},
	{"outcomes", `SELECT actor, key FROM outcomes WHERE at < $1 LIMIT $2`, dayBefore,
		forManyBetween(" OR ", `DELETE FROM outcomes WHERE `, `actor = ? AND key = ?`, ``)},
	{"past_handles", `SELECT sum FROM past_handles WHERE until < $1 LIMIT $2`, Retention.now,
		dropBy("past_handles", "sum")},
	{"nodes", `SELECT id FROM nodes WHERE at < $1 LIMIT $2`, dayBefore, dropBy("nodes", "id")},
	{"marks", `SELECT id FROM marks WHERE at < $1 LIMIT $2`, Retention.marks, dropBy("marks", "id")},
	{"audit", `SELECT id FROM (SELECT id, at FROM audit ORDER BY id LIMIT $2) AS oldest WHERE at < $1`,
		Retention.audit, dropBy("audit", "id")},
	// An event is stored longer than the sessions it ended, and until apps are told of it. The last event stays: other
	// nodes use it to check that the log is still the one they follow.
	{"events", `SELECT seq FROM (SELECT seq, at FROM events ORDER BY seq LIMIT $2) AS oldest WHERE at < $1
		AND seq <= (SELECT ends_written FROM log_head WHERE id = 1) AND seq <= ` + readUpTo + `
		AND seq < (SELECT h.seq FROM log_head h WHERE h.id = 1)`, Retention.audit, dropBy("events", "seq")},
}

// readUpTo is the last event of which the deliveries are recorded, and unreadSince no later than the ends of which they
// are not: what those are about is still needed.
const (
	readUpTo    = `(SELECT c.seq FROM cursors c WHERE c.name = 'deliveries')`
	unreadSince = `COALESCE((SELECT u.at - 60000 FROM events u WHERE u.seq = ` + readUpTo + ` + 1), 9223372036854775807)`
)

func dropBy(table, key string) *manyRows {
	return forMany(`DELETE FROM `+table+` WHERE `+key+` IN (`, `?`, `)`)
}

func (r Retention) now(now time.Time) time.Time   { return now }
func (r Retention) ended(now time.Time) time.Time { return now.Add(-r.Ended) }
func (r Retention) audit(now time.Time) time.Time { return now.Add(-r.Audit) }
func (r Retention) marks(now time.Time) time.Time { return r.audit(now).Add(-24 * time.Hour) } // longer than events
func mailsBefore(_ Retention, now time.Time) time.Time {
	return now.Add(-MailsKept)
}
func messagesBefore(_ Retention, now time.Time) time.Time {
	return now.Add(-MessagesKept)
}
func devicesBefore(_ Retention, now time.Time) time.Time {
	return now.Add(-DevicesKept)
}
func dayBefore(_ Retention, now time.Time) time.Time { return now.Add(-24 * time.Hour) }

// Purge deletes a bounded number of rows that are older than the retention allows, except sessions, which WorkOffDue
// deletes. It returns how many; 0 means that nothing is left to do, and then it has written nothing.
func (s *Store) Purge(ctx context.Context, r Retention, now time.Time) (deleted int64, err error) {
	for _, st := range oldRows {
		rows, found := s.read.QueryContext(ctx, st.find, ms(st.before(r, now)), maintenanceStep)
		keys, failed := collect(rows, found, "old "+st.table, st.drop.scan)
		if len(keys) > 0 && failed == nil {
			failed = s.commit(ctx, func(t *tx) error {
				return st.drop.exec(t, len(keys), func(to []any, row int) []any { return append(to, keys[row]...) })
			})
		}
		if failed == nil {
			deleted += int64(len(keys))
		}
		err = cmp.Or(err, failed) // the first says enough
	}
	return deleted, err
}

// scan reads one row's values.
func (m *manyRows) scan(r rowScanner) ([]any, error) {
	values, dest := make([]any, m.columns), make([]any, m.columns)
	for i := range values {
		dest[i] = &values[i]
	}
	return values, r.Scan(dest...)
}
