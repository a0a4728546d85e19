package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
)

// sweepStep bounds how many rows one transaction of the sweeps touches, so
// that a sign-out never waits long behind them.
const sweepStep = 256

// SaveActivity writes last-activity times. What a crash loses of them only
// makes a session end earlier.
func (s *Store) SaveActivity(ctx context.Context, list []live.Activity) error {
	for len(list) > 0 {
		part := list[:min(len(list), sweepStep)]
		list = list[len(part):]
		err := s.commit(ctx, func(t *tx) error {
			for _, a := range part {
				q, id := `UPDATE sessions SET seen = max(seen, $1) WHERE account_id = $2 AND id = $3 AND ended_at IS NULL`, a.Session.Bytes()
				if !a.App.IsZero() {
					q, id = `UPDATE app_sessions SET seen = max(seen, $1) WHERE account_id = $2 AND id = $3 AND ended_at IS NULL`, a.App.Bytes()
				}
				if _, err := t.exec(q, ms(a.Seen), a.Account.Bytes(), id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Overdue returns sessions whose time has run out as far as the database
// knows, at most limit. With an account, only that account's.
func (s *Store) Overdue(ctx context.Context, account exeunt.AccountID, now time.Time, limit int) ([]live.Overdue, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT s.account_id, s.id, CASE WHEN s.expires <= s.seen + s.idle THEN 'absolute' ELSE 'idle' END
		FROM sessions s JOIN accounts a ON a.id = s.account_id
		WHERE s.ended_at IS NULL AND s.generation >= a.generation AND (s.expires <= $1 OR s.seen + s.idle <= $1)
		AND ($2 IS NULL OR s.account_id = $2) LIMIT $3`, ms(now), nullable(account), limit)
	return collect(rows, err, "overdue sessions", func(r *sql.Rows) (o live.Overdue, err error) {
		err = r.Scan(&o.Account, &o.Session, &o.Reason)
		return o, err
	})
}

func nullable(id exeunt.AccountID) any {
	if id.IsZero() {
		return nil
	}
	return id.Bytes()
}

// SettleEnded writes the end into the rows of sessions that were ended
// together, a bounded number at a time, and returns how many it wrote. Until
// then the rows are judged by their generation, so nobody waits for this.
func (s *Store) SettleEnded(ctx context.Context) (n int64, err error) {
	err = s.commit(ctx, func(t *tx) (err error) {
		n, err = t.exec(`UPDATE sessions SET ended_at = e.at, ended_reason = e.reason, ended_by = e.by_kind, ended_by_session = e.by_session, ended_by_label = e.by_label
			FROM events e WHERE e.seq = (SELECT min(x.seq) FROM events x WHERE x.account_id = sessions.account_id AND x.generation > sessions.generation AND x.generation > 0)
			AND sessions.id IN (SELECT s.id FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.ended_at IS NULL AND s.generation < a.generation LIMIT $1)`, sweepStep)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Retention says how long what is over is kept.
type Retention struct {
	Ended time.Duration // ended sessions, and the events that ended them
	Audit time.Duration // audit entries
}

// Purge deletes a bounded number of rows that are older than the retention
// allows, and returns how many.
func (s *Store) Purge(ctx context.Context, r Retention, now time.Time) (n int64, err error) {
	statements := []struct {
		q      string
		before time.Time
	}{
		{`DELETE FROM sessions WHERE (account_id, id) IN (SELECT account_id, id FROM sessions WHERE ended_at IS NOT NULL AND ended_at < $1 LIMIT $2)`, now.Add(-r.Ended)},
		{`DELETE FROM codes WHERE hash IN (SELECT hash FROM codes WHERE expires < $1 LIMIT $2)`, now.Add(-24 * time.Hour)},
		{`DELETE FROM invites WHERE hash IN (SELECT hash FROM invites WHERE expires < $1 LIMIT $2)`, now.Add(-24 * time.Hour)},
		{`DELETE FROM outcomes WHERE (actor, key) IN (SELECT actor, key FROM outcomes WHERE at < $1 LIMIT $2)`, now.Add(-24 * time.Hour)},
		{`DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 LIMIT $2)`, now.Add(-r.Audit)},
		// An event outlives the sessions it explains.
		{`DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE at < $1 AND NOT EXISTS
			(SELECT 1 FROM sessions s WHERE s.account_id = events.account_id AND s.ended_at IS NULL AND s.generation < events.generation) LIMIT $2)`, now.Add(-r.Ended)},
	}
	err = s.commit(ctx, func(t *tx) error {
		n = 0
		for _, st := range statements {
			k, err := t.exec(st.q, ms(st.before), sweepStep)
			if err != nil {
				return err
			}
			n += k
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Audit returns the account's audit entries, newest first.
func (s *Store) Audit(ctx context.Context, account exeunt.AccountID, limit int) ([]exeunt.AuditEntry, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT at, account_id, action, session_id, by_kind, by_account, by_session, by_label, detail
		FROM audit WHERE account_id = $1 ORDER BY at DESC, id DESC LIMIT $2`, account.Bytes(), limit)
	return collect(rows, err, "audit", func(r *sql.Rows) (e exeunt.AuditEntry, err error) {
		var when int64
		err = r.Scan(&when, &e.Account, &e.Action, &e.Session, &e.By.Kind, &e.By.Account, &e.By.Session, &e.By.Label, &e.Detail)
		e.At = at(when)
		return e, err
	})
}

// Events returns the events after a number, in order.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]exeunt.Event, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT seq, at, account_id, scope, session_id, app_session_id, generation, reason, by_kind, by_account, by_session, by_label
		FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	return collect(rows, err, "events", func(r *sql.Rows) (e exeunt.Event, err error) {
		var when int64
		err = r.Scan(&e.Seq, &when, &e.Account, &e.Scope, &e.Session, &e.AppSession, &e.Generation, &e.Reason, &e.By.Kind, &e.By.Account, &e.By.Session, &e.By.Label)
		e.At = at(when)
		return e, err
	})
}
