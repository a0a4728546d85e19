package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// tightenStep is how many sessions are looked at between two transactions, and
// so how many at most one of them changes: sign-outs wait behind each.
const tightenStep = 512

// tellEvery is how often a long pass says how far it is.
const tellEvery = 5 * time.Second

// What a session's kind may have now.
const (
	mayIdle = `CASE kind WHEN 'kept' THEN CAST($1 AS BIGINT) WHEN 'shared' THEN CAST($3 AS BIGINT) ELSE CAST($5 AS BIGINT) END`
	mayLast = `CASE kind WHEN 'kept' THEN CAST($2 AS BIGINT) WHEN 'shared' THEN CAST($4 AS BIGINT) ELSE CAST($6 AS BIGINT) END`
)

const lax = `ended_at IS NULL AND (idle > ` + mayIdle + ` OR expires > started + ` + mayLast + `)`

// tooLax are those of the next sessions after a key that have longer limits
// than they may. The next ones are found first, with a limit, so that they are
// read in the order of the index whatever the planner thinks of its columns.
const tooLax = `SELECT account_id, id FROM (SELECT account_id, id, kind, ended_at, idle, started, expires FROM sessions WHERE (account_id, id) > ($7, $8) ORDER BY account_id, id LIMIT $9) AS step
	WHERE ` + lax

// Tighten shortens the limits of live sessions to the policy's. So a policy
// that has become stricter applies to sessions that are there already, and one
// that has become laxer only to new ones. It goes through all sessions in the
// order of their keys and in many transactions: other nodes go on meanwhile,
// and one that was broken off is begun again.
func (s *Store) Tighten(ctx context.Context, p exeunt.Policy) error {
	var limits []any
	for _, k := range []exeunt.SessionKind{exeunt.KindKept, exeunt.KindShared, exeunt.KindApp} {
		limits = append(limits, p.For(k).Idle.Milliseconds(), p.For(k).Absolute.Milliseconds())
	}
	// Mostly there are none, which reading the table as it lies tells soonest. It
	// may take longer than a reader's patience.
	var any bool
	if err := s.read.DB.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sessions WHERE `+lax+`)`, limits...).Scan(&any); err != nil || !any {
		return unavailable("look for sessions with longer limits", err)
	}
	account, id := []byte{}, []byte{} // before any ID
	var looked, changed int64
	told := time.Now()
	for more := true; more; looked += tightenStep {
		args := append(limits[:len(limits):len(limits)], account, id, tightenStep)
		if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (`+tooLax+`)`, args...).Scan(&any); err != nil {
			return unavailable("look for sessions with longer limits", err)
		}
		var nextAccount, nextID []byte
		var err error
		more, err = found(s.read.QueryRowContext(ctx, `SELECT account_id, id FROM sessions WHERE (account_id, id) > ($1, $2) ORDER BY account_id, id LIMIT 1 OFFSET $3`,
			account, id, tightenStep-1).Scan(&nextAccount, &nextID))
		if err != nil {
			return unavailable("look for the next sessions", err)
		}
		if any {
			var n int64
			err := s.commit(ctx, func(t *tx) (err error) {
				n, err = t.exec(`UPDATE sessions SET idle = least(idle, `+mayIdle+`), expires = least(expires, started + `+mayLast+`),
					due = least(due, seen + least(idle, `+mayIdle+`), expires, started + `+mayLast+`) WHERE (account_id, id) IN (`+tooLax+`)`, args...)
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
