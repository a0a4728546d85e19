package store

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// GiveUpAfter is for how long an app is told of an end before that is given up.
const GiveUpAfter = 72 * time.Hour

// LogCursor is how far the log has been worked off: all events up to Seq, and of the next one the participations up to
// Within.
type LogCursor struct {
	Seq    int64
	Within Participation
	Holder []byte    // the node that moves it
	Held   time.Time // until when no other node may
}

// Participation is that a session has been used in a client.
type Participation struct {
	Session exeunt.SessionID
	Client  exeunt.ClientID
}

// Used is a participation with the registration of the client that it was in.
type Used struct {
	Participation
	Registration int64
	// Earlier: the session had ended before the event, which ended every one of the account.
	Earlier bool
}

// text is nothing for the zero Participation.
func (p Participation) text() string {
	if p == (Participation{}) {
		return ""
	}
	return p.Session.String() + " " + string(p.Client)
}

func parseParticipation(text string) (p Participation, err error) {
	if text == "" {
		return p, nil
	}
	session, client, _ := strings.Cut(text, " ")
	p.Client = exeunt.ClientID(client)
	p.Session, err = exeunt.ParseSessionID(session)
	return p, err
}

// LogCursor returns how far the deliveries are recorded. Where no other process writes, nobody holds it.
func (s *Store) LogCursor(ctx context.Context) (c LogCursor, err error) {
	var within string
	var held int64
	err = s.read.QueryRowContext(ctx, `SELECT seq, within, holder, held FROM cursors WHERE name = 'deliveries'`).
		Scan(&c.Seq, &within, &c.Holder, &held)
	if err == nil {
		c.Within, err = parseParticipation(within)
	}
	if c.Held = at(held); s.traits.sole {
		c.Held = time.Time{}
	}
	return c, unavailable("cursor", err)
}

// Participations returns in which clients the sessions have been used that an event ended: of a bounded number, after a
// place, with the place to go on from and whether there may be more. An app session that has ended by itself does not
// count: that has an event of its own. Of such an event it is the client, unless the session has another app session
// there. Of a renewal it is the clients whose app sessions ended with the old token. Of an end of the whole account, it is
// also in what the sessions have been used that had ended before, as far as that is stored.
func (s *Store) Participations(
	ctx context.Context, e *exeunt.Event, after Participation,
) (list []Used, next Participation, more bool, err error) {
	var q string
	var args []any
	switch {
	case e.Kind == exeunt.EventRenewed:
		// COALESCE keeps an engine from reading all that the session ever had: few end in the same millisecond.
		q, args = `SELECT p.session_id, p.client_id, p.registration, 2 FROM app_sessions p WHERE p.ended_at = $1
			AND COALESCE(p.account_id, $2) = $2 AND COALESCE(p.session_id, $3) = $3 AND p.client_id > $4
			ORDER BY p.client_id LIMIT $5`,
			[]any{ms(e.At), e.Account.Bytes(), e.Session.Bytes(), after.Client, maintenanceStep}
	case !e.AppSession.IsZero():
		q, args = `SELECT p.session_id, p.client_id, p.registration, 2 FROM app_sessions p WHERE p.account_id = $1 AND p.id = $2
			AND NOT EXISTS (SELECT 1 FROM app_sessions o WHERE o.account_id = p.account_id
				AND o.session_id = p.session_id AND o.client_id = p.client_id
				AND o.registration = p.registration AND o.ended_at IS NULL)`,
			[]any{e.Account.Bytes(), e.AppSession.Bytes()}
	case e.Scope == exeunt.ScopeSession:
		q, args = `SELECT p.session_id, p.client_id, p.registration, 2 FROM app_sessions p WHERE p.account_id = $1
			AND p.session_id = $2 AND p.client_id > $3 AND p.ended_at IS NULL ORDER BY p.client_id LIMIT $4`,
			[]any{e.Account.Bytes(), e.Session.Bytes(), after.Client, maintenanceStep}
	default:
		// The event ended the sessions of the generation before its own that had not ended before.
		q, args = `SELECT p.session_id, p.client_id, p.registration, COALESCE((SELECT CASE
				WHEN s.generation = $4 AND (s.ended_at IS NULL OR s.ended_at = $5
					AND NOT EXISTS (SELECT 1 FROM events o WHERE o.account_id = s.account_id AND o.at = $5
						AND o.session_id = s.id AND o.kind = 'ended' AND o.scope = 'session' AND o.app_session_id IS NULL)) THEN 2
				WHEN s.generation <= $4 THEN 1 ELSE 0 END
				FROM sessions s WHERE s.account_id = p.account_id AND s.id = p.session_id), 0)
			FROM app_sessions p WHERE p.account_id = $1 AND (p.session_id, p.client_id) > ($2, $3)
			AND p.ended_at IS NULL ORDER BY p.session_id, p.client_id LIMIT $6`,
			[]any{e.Account.Bytes(), present(after.Session), after.Client, e.Generation - 1, ms(e.At), maintenanceStep}
	}
	type participation struct {
		Used
		ended int // 2: by the event, 1: before it
	}
	rows, err := s.read.QueryContext(ctx, q, args...)
	read, err := collect(rows, err, "participations", func(r rowScanner) (p participation, err error) {
		err = r.Scan(&p.Session, &p.Client, &p.Registration, &p.ended)
		return p, err
	})
	for _, p := range read {
		p.Earlier = p.ended == 1 && e.Scope == exeunt.ScopeAccount
		if next = p.Participation; (p.ended == 2 || p.Earlier) && (len(list) == 0 || list[len(list)-1] != p.Used) {
			list = append(list, p.Used)
		}
	}
	return list, next, len(read) == maintenanceStep, err
}

// present is an ID in a column that is never NULL; the zero ID sorts first.
func present(id exeunt.SessionID) []byte {
	raw := id.Raw()
	return raw[:]
}

var leaseText = strconv.FormatInt(AttemptLease.Milliseconds(), 10)

var owedRows = forMany(`INSERT INTO deliveries (account_id, session_id, client_id, seq, at, state, attempts, due,
	give_up, error, finished) VALUES `, `(?, ?, ?, ?, ?, 'pending', 0, ?, ?, '', NULL)`, `
	ON CONFLICT (account_id, session_id, client_id) DO UPDATE SET seq = excluded.seq, at = excluded.at, state = 'pending',
		attempts = 0, give_up = excluded.give_up, error = '', finished = NULL,
		due = CASE WHEN deliveries.finished IS NULL AND deliveries.attempts > 0
			THEN least(greatest(deliveries.due, excluded.due), excluded.due + `+leaseText+`) ELSE excluded.due END
	WHERE excluded.seq > deliveries.seq`)

// AttemptLease is for how long no other node makes an attempt that one has claimed.
const AttemptLease = 20 * time.Second

// RecordOwed records deliveries and messages that are owed, and moves the cursor, in one transaction. It does nothing if
// the cursor is not where it is expected, or another node moves it: then moved is false. If the app is just being told of
// an earlier end of the same session, it is told of this one once that attempt is over.
func (s *Store) RecordOwed(
	ctx context.Context, from, to LogCursor, list []exeunt.Delivery, messages []exeunt.Message, now time.Time,
) (moved bool, err error) {
	list = newestOfEach(list)
	heldUpTo := ms(now)
	if s.traits.sole { // the holder was this process's predecessor
		heldUpTo = math.MaxInt64
	}
	return committed(ctx, s, func(t *tx) (moved bool, err error) {
		n, err := t.exec(`UPDATE cursors SET seq = $1, within = $2, holder = $3, held = $4 WHERE name = 'deliveries'
			AND seq = $5 AND within = $6 AND (holder = $3 OR held <= $7)`,
			to.Seq, to.Within.text(), to.Holder, ms(to.Held), from.Seq, from.Within.text(), heldUpTo)
		if moved = n == 1; err != nil || !moved {
			return moved, err
		}
		if err := t.addMessages(messages, now); err != nil {
			return false, err
		}
		return true, owedRows.exec(t, len(list), func(to []any, row int) []any {
			d := &list[row]
			return append(to, d.Account.Bytes(), present(d.Session), d.Client, d.Seq, ms(d.At), ms(now),
				ms(now.Add(GiveUpAfter)))
		})
	})
}

// newestOfEach leaves one delivery for each client and session: a statement may change a row only once.
func newestOfEach(list []exeunt.Delivery) (out []exeunt.Delivery) {
	type key struct {
		account exeunt.AccountID
		Participation
	}
	place := map[key]int{}
	for _, d := range list {
		k := key{d.Account, Participation{d.Session, d.Client}}
		if i, is := place[k]; is {
			out[i] = d
			continue
		}
		place[k] = len(out)
		out = append(out, d)
	}
	return out
}

// Owing is a client with pending deliveries.
type Owing struct {
	Client exeunt.ClientID
	Due    time.Time // when the first of them is
}

// OwingClients returns the clients with pending deliveries. It reads one entry of an index for each.
func (s *Store) OwingClients(ctx context.Context) ([]Owing, error) {
	rows, err := s.read.QueryContext(ctx, `WITH RECURSIVE c (id) AS (
		SELECT min(client_id) FROM deliveries WHERE finished IS NULL UNION ALL
		SELECT (SELECT min(d.client_id) FROM deliveries d WHERE d.finished IS NULL AND d.client_id > c.id)
			FROM c WHERE c.id IS NOT NULL)
		SELECT c.id, COALESCE((SELECT min(d.due) FROM deliveries d WHERE d.client_id = c.id AND d.finished IS NULL), 0)
		FROM c WHERE c.id IS NOT NULL`)
	return collect(rows, err, "clients with deliveries", func(r rowScanner) (o Owing, err error) {
		var due int64
		err = r.Scan(&o.Client, &due)
		o.Due = at(due)
		return o, err
	})
}

const deliveryColumns = `account_id, session_id, client_id, seq, at, state, attempts, due, give_up, error,
	COALESCE(finished, 0)`

func scanDelivery(r rowScanner) (d exeunt.Delivery, err error) {
	var when, due, giveUp, finished int64
	err = r.Scan(&d.Account, &d.Session, &d.Client, &d.Seq, &when, &d.State, &d.Attempts, &due, &giveUp, &d.Error,
		&finished)
	d.At, d.Due, d.GiveUp, d.Finished = at(when), at(due), at(giveUp), at(finished)
	return d, err
}

// DueDeliveries returns the client's pending deliveries that are due.
func (s *Store) DueDeliveries(
	ctx context.Context, client exeunt.ClientID, now time.Time, limit int,
) ([]exeunt.Delivery, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries
		WHERE client_id = $1 AND finished IS NULL AND due <= $2 ORDER BY due LIMIT $3`, client, ms(now), limit)
	return collect(rows, err, "deliveries", scanDelivery)
}

// claimRows compares due in such a way that the row is looked for by its key, and not among all that are due.
var claimRows = forMany(`WITH w (account, session, client, seq, attempts, was, due) AS (VALUES `,
	`(CAST(? AS BLOB), CAST(? AS BLOB), CAST(? AS TEXT), CAST(? AS INTEGER), CAST(? AS INTEGER), CAST(? AS INTEGER),
		CAST(? AS INTEGER))`, `)
	UPDATE deliveries SET due = w.due, attempts = w.attempts + 1 FROM w
	WHERE account_id = w.account AND session_id = w.session AND client_id = w.client AND deliveries.seq = w.seq
		AND deliveries.attempts = w.attempts AND deliveries.due + 0 = w.was AND finished IS NULL
	RETURNING account_id, session_id, client_id`)

// ClaimDeliveries begins an attempt of each that is still as given, so that no other node makes one meanwhile, and
// returns those.
func (s *Store) ClaimDeliveries(
	ctx context.Context, list []exeunt.Delivery, now time.Time,
) (claimed []exeunt.Delivery, err error) {
	type key struct {
		account exeunt.AccountID
		Participation
	}
	until := now.Add(AttemptLease)
	mine := map[key]bool{}
	err = s.commit(ctx, func(t *tx) error {
		clear(mine)
		return claimRows.each(len(list), func(to []any, row int) []any {
			d := &list[row]
			return append(to, d.Account.Bytes(), present(d.Session), d.Client, d.Seq, d.Attempts, ms(d.Due), ms(until))
		}, func(q string, args []any) error {
			rows, err := t.rows(q, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var k key
				if err := rows.Scan(&k.account, &k.Session, &k.Client); err != nil {
					return err
				}
				mine[k] = true
			}
			return rows.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if mine[key{d.Account, Participation{d.Session, d.Client}}] {
			d.Due, d.Attempts = until, d.Attempts+1
			claimed = append(claimed, d)
		}
	}
	return claimed, nil
}

// RecordAttempt records what came of an attempt that was claimed: the delivery has the new state, error and times. If
// the app must be told of a later end by now, that is due.
func (s *Store) RecordAttempt(ctx context.Context, d exeunt.Delivery, now time.Time) error {
	var finished any
	if d.State != exeunt.DeliveryPending {
		finished = ms(d.Finished)
	}
	return s.commit(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE deliveries SET state = $1, error = $2, due = $3, finished = $4
			WHERE account_id = $5 AND session_id = $6 AND client_id = $7 AND seq = $8 AND attempts = $9
			AND finished IS NULL`, d.State, d.Error, ms(d.Due), finished, d.Account.Bytes(), present(d.Session), d.Client,
			d.Seq, d.Attempts)
		if err != nil || n == 1 {
			return err
		}
		_, err = t.exec(`UPDATE deliveries SET due = $1 WHERE account_id = $2 AND session_id = $3 AND client_id = $4
			AND seq > $5 AND attempts = 0 AND due > $1 AND finished IS NULL`,
			ms(now), d.Account.Bytes(), present(d.Session), d.Client, d.Seq)
		return err
	})
}

// GiveUpOverdue gives up a bounded number of the client's deliveries that have been pending for too long.
func (s *Store) GiveUpOverdue(ctx context.Context, client exeunt.ClientID, why string, now time.Time) error {
	rows, err := s.read.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries
		WHERE client_id = $1 AND finished IS NULL AND give_up <= $2 ORDER BY give_up LIMIT $3`,
		client, ms(now), maintenanceStep)
	list, err := collect(rows, err, "deliveries", scanDelivery)
	if err != nil || len(list) == 0 {
		return err
	}
	return s.commit(ctx, func(t *tx) error {
		for _, d := range list {
			if _, err := t.exec(`UPDATE deliveries SET state = 'gave_up', finished = $1, error = $2
				WHERE account_id = $3 AND session_id = $4 AND client_id = $5 AND seq = $6 AND attempts = $7 AND due = $8
				AND finished IS NULL`, ms(now), why, d.Account.Bytes(), present(d.Session), d.Client, d.Seq, d.Attempts,
				ms(d.Due)); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxDeliveries bounds how many deliveries of a session are listed.
const maxDeliveries = 500

// Deliveries returns whom the end of a session is told, in the order of their clients: by itself, or with every session
// of the account.
func (s *Store) Deliveries(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID,
) ([]exeunt.Delivery, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries
		WHERE account_id = $1 AND (session_id = $2 OR session_id = $3
			AND at >= (SELECT s.started FROM sessions s WHERE s.account_id = $1 AND s.id = $2))
		ORDER BY client_id, session_id LIMIT $4`,
		account.Bytes(), session.Bytes(), present(exeunt.SessionID{}), maxDeliveries)
	return collect(rows, err, "deliveries", scanDelivery)
}

// DeliveryTotals says how it stands with the pending deliveries of each client that has any.
func (s *Store) DeliveryTotals(ctx context.Context) (out []exeunt.DeliveryTotals, err error) {
	clients, err := s.OwingClients(ctx)
	for _, o := range clients {
		v, giveUp := exeunt.DeliveryTotals{Client: o.Client}, int64(0)
		known, err := found(s.read.QueryRowContext(ctx, `SELECT give_up, error FROM deliveries
			WHERE client_id = $1 AND finished IS NULL ORDER BY give_up LIMIT 1`, o.Client).Scan(&giveUp, &v.Error))
		if err != nil {
			return out, unavailable("deliveries", err)
		}
		if !known {
			continue // told meanwhile
		}
		v.Since = at(giveUp).Add(-GiveUpAfter)
		if err := s.read.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM deliveries
			WHERE client_id = $1 AND finished IS NULL LIMIT %d) AS pending`, maxCounted+1), o.Client).
			Scan(&v.Pending.Count); err != nil {
			return out, unavailable("deliveries", err)
		}
		if v.Pending.Count > maxCounted {
			v.Pending = exeunt.Total{Count: maxCounted, AtLeast: true}
		}
		out = append(out, v)
	}
	return out, err
}
