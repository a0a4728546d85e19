package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// sweepStep bounds how many rows one transaction of the sweeps touches, so
// that a sign-out never waits long behind them.
const sweepStep = 256

// SaveActivity writes last-activity times. What a crash loses of them only
// makes a session end earlier. When the sweep looks at the session next stays as
// it is: PutOff moves it, once in an idle timeout.
func (s *Store) SaveActivity(ctx context.Context, list []live.Activity) error {
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
	WHERE s.ended_at IS NULL AND s.generation >= a.generation AND s.deadline <= $1 AND (s.seen + s.idle <= $1 OR s.expires <= $1)`

// Overdue returns sessions of every account whose time has run out as far as
// the database knows, at most limit.
func (s *Store) Overdue(ctx context.Context, now time.Time, limit int) ([]live.Overdue, error) {
	return scanOverdue(s.read.QueryContext(ctx, overdueColumns+` ORDER BY s.deadline LIMIT $2`, ms(now), limit))
}

// due are sessions that it is time to look at and that have not run out.
const due = `SELECT account_id, id FROM sessions WHERE deadline <= $1 AND (ended_at IS NOT NULL OR (seen + idle > $1 AND expires > $1)) ORDER BY deadline LIMIT $2`

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
		n, err = t.exec(`UPDATE sessions SET deadline = CASE WHEN ended_at IS NULL THEN least(seen + idle, expires) ELSE ended_at + $3 END
			WHERE (account_id, id) IN (`+due+`)`, ms(now), sweepStep, r.Ended.Milliseconds()+1)
		more = n == sweepStep
		return err
	})
	return more, err
}

// OverdueOf returns those of one account.
func (s *Store) OverdueOf(ctx context.Context, account exeunt.AccountID, now time.Time, limit int) ([]live.Overdue, error) {
	return scanOverdue(s.read.QueryContext(ctx, overdueColumns+` AND s.account_id = $2 LIMIT $3`, ms(now), account.Bytes(), limit))
}

func scanOverdue(rows *timedRows, err error) ([]live.Overdue, error) {
	return collect(rows, err, "overdue sessions", func(r rowScanner) (o live.Overdue, err error) {
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
	var head, settled, next, last int64
	var any bool
	err = s.read.QueryRowContext(ctx, `SELECT seq, settled, COALESCE((SELECT min(e.seq) FROM events e WHERE e.seq > settled AND e.generation > 0), 0)
		FROM log_head WHERE id = 1`).Scan(&head, &settled, &next)
	if err != nil {
		return false, unavailable("log head", err)
	}
	switch {
	case next == 0 && head == settled:
		return false, nil
	case next == 0:
		return false, s.commit(ctx, func(t *tx) error { return t.settledUpTo(head) })
	}
	// Somebody who ends everything again and again leaves many events that ended
	// nobody, and they shall not cost a commit each.
	err = s.read.QueryRowContext(ctx, `SELECT max(c.last), EXISTS (SELECT 1 FROM (`+stepOfLog+`) AS c JOIN sessions s ON s.account_id = c.account_id
		AND s.ended_at IS NULL AND s.generation < c.generation) FROM (`+stepOfLog+`) AS c`, settled, sweepStep).Scan(&last, &any)
	if err != nil {
		return false, unavailable("events to settle", err)
	}
	err = s.commit(ctx, func(t *tx) error {
		if !any {
			return t.settledUpTo(last)
		}
		written, err := t.settle(next)
		if err != nil || written == sweepStep {
			return err
		}
		return t.settledUpTo(next)
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

func (t *tx) settledUpTo(seq int64) error {
	_, err := t.exec(`UPDATE log_head SET settled = greatest(settled, $1) WHERE id = 1`, seq)
	return err
}

// Retention says how long what is over is kept.
type Retention struct {
	Ended time.Duration // ended sessions and app sessions
	Audit time.Duration // audit entries; the events are among them
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
		AND seq <= (SELECT CASE WHEN settled < purged THEN settled ELSE purged END FROM log_head WHERE id = 1) AND seq < (SELECT h.seq FROM log_head h WHERE h.id = 1)`, Retention.events},
}

func (r Retention) ended(now time.Time) time.Time    { return now.Add(-r.Ended) }
func (r Retention) audit(now time.Time) time.Time    { return now.Add(-r.Audit) }
func (r Retention) events(now time.Time) time.Time   { return now.Add(-max(r.Ended, r.Audit)) }
func (r Retention) marks(now time.Time) time.Time    { return r.events(now).Add(-24 * time.Hour) } // longer than events
func dayBefore(_ Retention, now time.Time) time.Time { return now.Add(-24 * time.Hour) }

// Purge deletes a bounded number of rows that are older than the retention
// allows, and returns how many. Without any it writes nothing.
func (s *Store) Purge(ctx context.Context, r Retention, now time.Time) (int64, error) {
	deleted, err := s.purgeSessions(ctx, ms(r.ended(now)))
	if err != nil {
		return deleted, err
	}
	for _, st := range stale {
		before := ms(st.before(r, now))
		var any bool
		if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (`+st.rows+`)`, before, sweepStep).Scan(&any); err != nil {
			return deleted, unavailable("look for old "+st.table, err)
		}
		if !any {
			continue
		}
		var n int64
		err := s.commit(ctx, func(t *tx) (err error) {
			n, err = t.exec(`DELETE FROM `+st.table+` WHERE `+st.key+` IN (`+st.rows+`)`, before, sweepStep)
			return err
		})
		if err != nil {
			return deleted, err
		}
		deleted += n
	}
	return deleted, nil
}

// purgeSessions deletes sessions that ended before, following the log: it says
// which they are, so that they need no index that an ending would have to write.
func (s *Store) purgeSessions(ctx context.Context, before int64) (deleted int64, err error) {
	var purged, settled, last, together int64
	err = s.read.QueryRowContext(ctx, `SELECT h.purged, h.settled, COALESCE(max(e.seq), 0), COALESCE(min(CASE WHEN e.generation > 0 THEN e.seq END), 0) FROM log_head h
		LEFT JOIN (SELECT seq, at, generation FROM events WHERE seq > (SELECT purged FROM log_head WHERE id = 1) ORDER BY seq LIMIT $2) AS e
		ON e.at < $1 WHERE h.id = 1 GROUP BY h.purged, h.settled`, before, sweepStep).Scan(&purged, &settled, &last, &together)
	switch {
	case err != nil:
		return 0, unavailable("look for old sessions", err)
	case last == 0, together == purged+1 && together > settled:
		return 0, nil // (the rows of those that ended together are not written yet)
	case together == purged+1:
		last = together
	case together > 0:
		last = together - 1
	}
	err = s.commit(ctx, func(t *tx) (err error) {
		if last == together {
			deleted, err = t.exec(`DELETE FROM sessions WHERE (account_id, id) IN (SELECT s.account_id, s.id FROM events e JOIN sessions s ON s.account_id = e.account_id
				WHERE e.seq = $1 AND s.ended_at < $2 LIMIT $3)`, together, before, sweepStep)
		} else {
			deleted, err = t.exec(`DELETE FROM sessions WHERE (account_id, id) IN (SELECT account_id, session_id FROM events
				WHERE seq > $1 AND seq <= $2 AND scope = 'session' AND app_session_id IS NULL) AND ended_at < $3`, purged, last, before)
		}
		if err != nil || last == together && deleted == sweepStep {
			return err
		}
		_, err = t.exec(`UPDATE log_head SET purged = greatest(purged, $1) WHERE id = 1`, last)
		return err
	})
	return deleted, err
}

// Audit returns the account's audit entries, newest first. An ending's is its
// event; the others tell after which event they were made.
func (s *Store) Audit(ctx context.Context, account exeunt.AccountID, limit int) ([]exeunt.AuditEntry, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT at, account_id, action, session_id, by_kind, by_account, by_session, by_label, by_address, detail FROM (
		SELECT * FROM (SELECT seq, id, at, account_id, action, session_id, by_kind, by_account, by_session, by_label, by_address, detail
			FROM audit WHERE account_id = $1 ORDER BY at DESC, id DESC LIMIT $2) AS others
		UNION ALL
		SELECT * FROM (SELECT seq, 0, at, account_id, 'end', session_id, by_kind, by_account, by_session, by_label, by_address, scope || ' ' || reason
			FROM events WHERE account_id = $1 AND by_address IS NOT NULL ORDER BY at DESC, seq DESC LIMIT $2) AS endings
		) AS entries ORDER BY at DESC, seq DESC, id DESC LIMIT $2`, account.Bytes(), limit)
	return collect(rows, err, "audit", func(r rowScanner) (e exeunt.AuditEntry, err error) {
		var when int64
		var address string
		err = r.Scan(&when, &e.Account, &e.Action, &e.Session, &e.By.Kind, &e.By.Account, &e.By.Session, &e.By.Label, &address, &e.Detail)
		e.At = at(when)
		e.By.Address, _ = netip.ParseAddr(address) // "" is the zero address
		return e, err
	})
}

// Events returns the events after a number, in order.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]exeunt.Event, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+eventColumns+` FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	return collect(rows, err, "events", scanEvent)
}

const eventColumns = `seq, at, account_id, scope, session_id, app_session_id, generation, version, reason, by_kind, by_account, by_session, by_label`

func scanEvent(r rowScanner) (e exeunt.Event, err error) {
	var when int64
	err = r.Scan(&e.Seq, &when, &e.Account, &e.Scope, &e.Session, &e.AppSession, &e.Generation, &e.Version, &e.Reason, &e.By.Kind, &e.By.Account, &e.By.Session, &e.By.Label)
	e.At = at(when)
	return e, err
}
