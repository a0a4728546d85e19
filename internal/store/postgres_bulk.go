package store

import (
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/exeunt/exeunt"
)

// The subqueries are scalar on purpose: joins would let the planner, which knows
// nothing of the wishes, read all sessions of an account for each, or all
// outcomes.
//
// It is the second statement of its transaction: the first takes the lock of
// the log's head, and this one's snapshot is taken under it.
const bulkEnd = `WITH wish AS (
	SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::text[], $8::text[], $9::bigint[], $10::text[], $11::text[], $12::text[])
		WITH ORDINALITY AS w(account, session, reason, by_kind, by_account, by_session, by_label, by_address, now, actor, key, request, ord)
), ended AS (
	UPDATE sessions s SET ended_at = CASE w.reason WHEN 'idle' THEN s.seen + s.idle WHEN 'absolute' THEN s.expires ELSE w.now END,
		ended_reason = w.reason, ended_by = w.by_kind, ended_by_session = w.by_session, ended_by_label = CASE WHEN s.id = w.by_session THEN s.label ELSE w.by_label END
	FROM wish w
	WHERE s.account_id = w.account AND s.id = w.session AND s.ended_at IS NULL
	AND s.generation >= (SELECT a.generation FROM accounts a WHERE a.id = s.account_id)
	AND (w.reason <> 'idle' OR s.seen + s.idle <= w.now) AND (w.reason <> 'absolute' OR s.expires <= w.now)
	AND (w.key = '' OR (SELECT count(*) FROM outcomes o WHERE o.actor = w.actor AND o.key = w.key) = 0)
	RETURNING w.ord, s.ended_by_label AS label
), done AS (
	SELECT w.*, e.label, (SELECT h.seq FROM log_head h WHERE h.id = 1) + row_number() OVER (ORDER BY w.ord) AS seq FROM ended e JOIN wish w ON w.ord = e.ord
), logged AS (
	INSERT INTO events (seq, at, kind, account_id, scope, session_id, client_id, generation, version, reason, by_kind, by_account, by_session, by_label, by_address)
	SELECT seq, now, 'ended', account, 'session', session, '', 0, 0, reason, by_kind, by_account, by_session, label, by_address FROM done
), remembered AS (
	INSERT INTO outcomes (actor, key, request, seq, ended, at) SELECT actor, key, request, seq, 1, now FROM done WHERE key <> ''
), counted AS (
	UPDATE accounts a SET live_sessions = live_sessions - c.n FROM (SELECT account, count(*) AS n FROM done GROUP BY account) c WHERE a.id = c.account
), numbered AS (
	UPDATE log_head SET touched = touched + 1, seq = seq + (SELECT count(*) FROM done) WHERE id = 1
)
SELECT ord, seq, label FROM done ORDER BY seq`

// lockHead takes the lock that every transaction takes first. bulkEnd then
// touches the row, also when it ends nothing.
const lockHead = `SELECT seq FROM log_head WHERE id = 1 FOR UPDATE`

// endAlone sends the whole transaction at once, so that the lock of the log's head
// is held for no longer than the server works: with a round trip between the
// statements, other nodes would wait for this one to be scheduled.
func (e *postgresEngine) endAlone(t *tx, list []*ending, before func() error) error {
	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	t.events = make([]exeunt.Event, 0, len(list))
	if err := t.reach(); err != nil {
		return fmt.Errorf("%w: %w", driver.ErrBadConn, err) // nothing was sent
	}
	return t.conn.Raw(func(c any) error { return t.endOn(c.(*stdlib.Conn).Conn(), list) })
}

// reach makes sure of a connection to the server that counts, and one that has
// not been closed at the other end: what is sent on such a one has an unknown
// outcome.
func (t *tx) reach() (err error) {
	t.follow()
	if t.conn != nil && t.conn.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().PgConn().CheckConn() }) != nil {
		t.drop()
	}
	if t.conn == nil {
		t.conn, err = t.engine.connect(t.ctx)
	}
	return err
}

func (t *tx) endOn(c *pgx.Conn, list []*ending) error {
	b := &pgx.Batch{}
	b.Queue(`BEGIN`)
	b.Queue(lockHead)
	b.Queue(bulkEnd, bulkArgs(list)...)
	b.Queue(`COMMIT`)
	answers := c.SendBatch(t.ctx, b)
	for range 2 {
		if _, err := answers.Exec(); err != nil {
			answers.Close()
			return err
		}
	}
	if err := t.readEnds(answers, list); err != nil {
		answers.Close()
		return err
	}
	if _, err := answers.Exec(); err != nil {
		answers.Close()
		return err
	}
	return answers.Close()
}

func bulkArgs(list []*ending) []any {
	n := len(list)
	account, session, byAccount, bySession := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	reason, byKind, label, address := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	actor, key, request, now := make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	for i, e := range list {
		account[i], session[i], byAccount[i], bySession[i] = e.rev.Account.Bytes(), e.rev.Session.Bytes(), e.by.Account.Bytes(), e.by.Session.Bytes()
		reason[i], byKind[i], label[i], address[i] = string(e.rev.Reason), string(e.by.Kind), plainText(e.by.Label), addressText(e.by.Address)
		actor[i], key[i], now[i] = e.actorKey(), plainText(e.rev.Key), ms(e.now)
		if e.rev.Key != "" {
			request[i] = requestText(e.rev)
		}
	}
	return []any{account, session, reason, byKind, byAccount, bySession, label, address, now, actor, key, request}
}

// readEnds fills in what has been ended.
func (t *tx) readEnds(answers pgx.BatchResults, list []*ending) error {
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var ord, seq int64
		var label string
		if err := rows.Scan(&ord, &seq, &label); err != nil {
			return err
		}
		e := list[ord-1]
		e.by.Label = label
		e.out = Ending{Seq: seq, At: e.now, Ended: 1}
		t.events = append(t.events, exeunt.Event{Seq: seq, At: at(ms(e.now)), Kind: exeunt.EventEnded, Target: e.rev.Target, Reason: e.rev.Reason, By: e.by})
	}
	return rows.Err()
}

func (*postgresEngine) saveActivity(t *tx, list []exeunt.Activity) error {
	var sessions, apps activity
	for _, a := range list {
		if a.App.IsZero() {
			sessions.add(a.Account.Bytes(), a.Session.Bytes(), ms(a.Seen))
		} else {
			apps.add(a.Account.Bytes(), a.App.Bytes(), ms(a.Seen))
		}
	}
	const given = ` FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) AS g(account, id, seen) WHERE account_id = g.account AND x.id = g.id AND ended_at IS NULL`
	if _, err := t.exec(`UPDATE sessions x SET seen = greatest(x.seen, g.seen), due = CASE WHEN x.due < g.seen + `+lookAhead+` THEN least(greatest(x.seen, g.seen) + x.idle, x.expires) ELSE x.due END`+given, sessions.args()...); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE app_sessions x SET seen = greatest(x.seen, g.seen)`+given, apps.args()...)
	return err
}

type activity struct {
	account, id [][]byte
	seen        []int64
}

func (a *activity) add(account, id []byte, seen int64) {
	a.account, a.id, a.seen = append(a.account, account), append(a.id, id), append(a.seen, seen)
}

func (a *activity) args() []any { return []any{a.account, a.id, a.seen} }
