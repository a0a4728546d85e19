package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// tightenStep is how many sessions are looked at between two transactions, and so how many one of them changes at
// most: sign-outs wait behind each.
const tightenStep = 512

// tellEvery is how often a long run logs its progress.
const tellEvery = 5 * time.Second

// The limits that the policy has for a session's kind.
const (
	maxIdle = `CASE kind WHEN 'kept' THEN CAST($1 AS BIGINT) WHEN 'shared' THEN CAST($3 AS BIGINT)
		ELSE CAST($5 AS BIGINT) END`
	maxAbsolute = `CASE kind WHEN 'kept' THEN CAST($2 AS BIGINT) WHEN 'shared' THEN CAST($4 AS BIGINT)
		ELSE CAST($6 AS BIGINT) END`
)

// overLimit selects live sessions with longer limits than the policy's, of the accounts in a group or, without one, of
// all.
const overLimit = `ended_at IS NULL AND (CAST($7 AS TEXT) = '' OR account_id IN (SELECT account_id FROM account_groups
	WHERE name = $7)) AND (idle > ` + maxIdle + ` OR expires > started + ` + maxAbsolute + `)`

// nextOverLimit selects, from the next sessions after a key, those with longer limits than the policy's. The
// subquery with a limit makes the database read them in the order of the index, whatever the planner thinks of its
// columns.
const nextOverLimit = `SELECT account_id, id FROM (SELECT account_id, id, kind, ended_at, idle, started, expires
	FROM sessions WHERE (account_id, id) > ($8, $9) ORDER BY account_id, id LIMIT $10) AS step WHERE ` + overLimit

// Tighten shortens the limits of live sessions to the policy's. So a stricter policy applies to existing sessions,
// and a laxer one only to new ones. It goes through all sessions in the order of their keys and in many
// transactions: other nodes work on meanwhile, and a run that was interrupted starts again from the beginning.
func (s *Store) Tighten(ctx context.Context, p exeunt.Policy) error {
	if err := s.tighten(ctx, p.Of(nil), ""); err != nil {
		return err
	}
	for _, g := range p.Groups {
		if err := s.tighten(ctx, p.Of([]string{g.Name}), g.Name); err != nil {
			return err
		}
	}
	return nil
}

// tighten applies a policy to the accounts in a group; "" is every account.
func (s *Store) tighten(ctx context.Context, p exeunt.Policy, group string) error {
	var limits []any
	for _, k := range []exeunt.SessionKind{exeunt.KindKept, exeunt.KindShared, exeunt.KindApp} {
		limits = append(limits, p.For(k).Idle.Milliseconds(), p.For(k).Absolute.Milliseconds())
	}
	limits = append(limits, group)
	// Mostly there are none, which a scan of the table finds out fastest. It may take longer than a reader's
	// patience.
	var any bool
	if err := s.read.DB.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sessions WHERE `+overLimit+`)`, limits...).
		Scan(&any); err != nil || !any {
		return unavailable("look for sessions with longer limits", err)
	}
	account, id := []byte{}, []byte{} // before any ID
	var looked, changed int64
	told := time.Now()
	for more := true; more; looked += tightenStep {
		args := append(limits[:len(limits):len(limits)], account, id, tightenStep)
		if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (`+nextOverLimit+`)`, args...).Scan(&any); err != nil {
			return unavailable("look for sessions with longer limits", err)
		}
		var nextAccount, nextID []byte
		var err error
		more, err = found(s.read.QueryRowContext(ctx, `SELECT account_id, id FROM sessions
			WHERE (account_id, id) > ($1, $2) ORDER BY account_id, id LIMIT 1 OFFSET $3`,
			account, id, tightenStep-1).Scan(&nextAccount, &nextID))
		if err != nil {
			return unavailable("look for the next sessions", err)
		}
		if any {
			var n int64
			err := s.commit(ctx, func(t *tx) (err error) {
				n, err = t.exec(`UPDATE sessions SET
					idle = least(idle, `+maxIdle+`), expires = least(expires, started + `+maxAbsolute+`),
					due = least(due, seen + least(idle, `+maxIdle+`), expires, started + `+maxAbsolute+`)
					WHERE (account_id, id) IN (`+nextOverLimit+`)`, args...)
				return err
			})
			if err != nil {
				return err
			}
			changed += n
		}
		account, id = nextAccount, nextID
		if time.Since(told) > tellEvery {
			told = time.Now()
			s.opt.Log.Info("applying the policy to existing sessions", "looked_at", looked, "shortened", changed)
		}
	}
	return nil
}
