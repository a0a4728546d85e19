package store

import (
	"cmp"
	"context"
	"time"
)

// Retention says how long what is over is kept.
type Retention struct {
	Ended time.Duration // ended sessions and app sessions
	Audit time.Duration // audit entries; the events are among them. No shorter than Ended
}

// stale names the rows of each table that are older than the retention allows,
// at most $2 of them. None of them reads more than it finds: they follow an
// index, or look at the oldest rows of a table that grows at its end.
var stale = []struct {
	table, key, rows string
	before           func(Retention, time.Time) time.Time
}{
	{"app_sessions", "(account_id, id)", `SELECT account_id, id FROM app_sessions WHERE ended_at IS NOT NULL AND ended_at < $1 LIMIT $2`, Retention.ended},
	{"codes", "hash", `SELECT hash FROM codes WHERE expires < $1 LIMIT $2`, dayBefore},
	{"invites", "hash", `SELECT hash FROM invites WHERE expires < $1 LIMIT $2`, dayBefore},
	{"outcomes", "(actor, key)", `SELECT actor, key FROM outcomes WHERE at < $1 LIMIT $2`, dayBefore},
	{"nodes", "id", `SELECT id FROM nodes WHERE at < $1 LIMIT $2`, dayBefore},
	{"marks", "id", `SELECT id FROM marks WHERE at < $1 LIMIT $2`, Retention.marks},
	{"audit", "id", `SELECT id FROM (SELECT id, at FROM audit ORDER BY id LIMIT $2) AS oldest WHERE at < $1`, Retention.audit},
	// An event outlives the sessions it explains, and the last one stays: by it
	// other nodes tell whether the log is still the one that they follow.
	{"events", "seq", `SELECT seq FROM (SELECT seq, at FROM events ORDER BY seq LIMIT $2) AS oldest WHERE at < $1
		AND seq <= (SELECT CASE WHEN ends_written < purged THEN ends_written ELSE purged END FROM log_head WHERE id = 1) AND seq < (SELECT h.seq FROM log_head h WHERE h.id = 1)`, Retention.audit},
}

func (r Retention) ended(now time.Time) time.Time    { return now.Add(-r.Ended) }
func (r Retention) audit(now time.Time) time.Time    { return now.Add(-r.Audit) }
func (r Retention) marks(now time.Time) time.Time    { return r.audit(now).Add(-24 * time.Hour) } // longer than events
func dayBefore(_ Retention, now time.Time) time.Time { return now.Add(-24 * time.Hour) }

// Purge deletes a bounded number of rows that are older than the retention
// allows. It returns how many, and how many events it has passed over: 0 when
// there is nothing left to do, and then it has written nothing.
func (s *Store) Purge(ctx context.Context, r Retention, now time.Time) (done int64, err error) {
	done, err = s.purgeSessions(ctx, ms(r.ended(now)))
	for _, st := range stale {
		n, failed := s.purgeTable(ctx, st.table, st.key, st.rows, ms(st.before(r, now)))
		done, err = done+n, cmp.Or(err, failed) // one is enough to say what is wrong
	}
	return done, err
}

func (s *Store) purgeTable(ctx context.Context, table, key, rows string, before int64) (done int64, err error) {
	var any bool
	if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (`+rows+`)`, before, sweepStep).Scan(&any); err != nil || !any {
		return 0, unavailable("look for old "+table, err)
	}
	err = s.commit(ctx, func(t *tx) (err error) {
		done, err = t.exec(`DELETE FROM `+table+` WHERE `+key+` IN (`+rows+`)`, before, sweepStep)
		return err
	})
	if err != nil {
		return 0, err // done may still be written to
	}
	return done, nil
}

// clocksApart is by how much the moments of events may be out of the order of
// their numbers: nodes have clocks of their own, and a request may have to wait.
const clocksApart = time.Minute

// purgeSessions deletes sessions that ended before, following the log: it says
// which they are, so that they need no index that an ending would have to write.
// It deletes a bounded number, or passes over a bounded number of events, and
// returns how many. What there is to do is found on a reading connection.
func (s *Store) purgeSessions(ctx context.Context, before int64) (done int64, err error) {
	var purged, last, unsettled int64
	err = s.read.QueryRowContext(ctx, `SELECT h.purged, COALESCE(max(CASE WHEN e.at < $1 THEN e.seq END), 0), COALESCE(min(CASE WHEN e.generation > 0 AND e.seq > h.ends_written THEN e.seq END), 0) FROM log_head h
		LEFT JOIN (SELECT seq, at, generation FROM events WHERE seq > (SELECT purged FROM log_head WHERE id = 1) ORDER BY seq LIMIT $2) AS e
		ON e.seq > h.purged WHERE h.id = 1 GROUP BY h.purged`, before-clocksApart.Milliseconds(), sweepStep).Scan(&purged, &last, &unsettled)
	if err != nil {
		return 0, unavailable("look for old sessions", err)
	}
	if unsettled > 0 {
		last = min(last, unsettled-1) // the rows of those that it ended are not written yet
	}
	if last <= purged {
		return 0, nil
	}
	var any bool
	if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (`+endedTogether+`)`, purged, last, before, sweepStep).Scan(&any); err != nil {
		return 0, unavailable("look for old sessions", err)
	}
	err = s.commit(ctx, func(t *tx) (err error) {
		if any {
			done, err = t.exec(`DELETE FROM sessions WHERE (account_id, id) IN (`+endedTogether+`)`, purged, last, before, sweepStep)
			return err
		}
		done, err = t.exec(`DELETE FROM sessions WHERE (account_id, id) IN (SELECT account_id, session_id FROM events
			WHERE seq > $1 AND seq <= $2 AND scope = 'session' AND app_session_id IS NULL) AND ended_at < $3`, purged, last, before)
		if err != nil {
			return err
		}
		done += last - purged
		_, err = t.exec(`UPDATE log_head SET purged = greatest(purged, $1) WHERE id = 1`, last)
		return err
	})
	if err != nil {
		return 0, err // done may still be written to
	}
	return done, nil
}

// endedTogether are sessions to delete of the accounts whose sessions a stretch
// of the log ended together.
const endedTogether = `SELECT s.account_id, s.id FROM (SELECT DISTINCT account_id FROM events WHERE seq > $1 AND seq <= $2 AND generation > 0) AS c
	JOIN sessions s ON s.account_id = c.account_id WHERE s.ended_at < $3 LIMIT $4`
