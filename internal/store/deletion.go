package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// HandleSum is a keyed hash of a handle, so that a deleted account's can be kept from others without being stored.
type HandleSum [32]byte

// Deletion is what a Change needs that begins an account's deletion.
type Deletion struct {
	After time.Time // when it is deleted
	// Handle is that of the account, which nobody may take until Reserved.
	Handle   HandleSum
	Reserved time.Time
}

// reserveHandle keeps the handle from others after the account is gone. As long as it is there, it has its handle.
func (t *tx) reserveHandle(d Deletion) error {
	_, err := t.exec(`INSERT INTO past_handles (sum, until) VALUES ($1, $2)
		ON CONFLICT (sum) DO UPDATE SET until = excluded.until`, d.Handle[:], ms(d.Reserved))
	return err
}

// PastHandle reports whether an account had the handle that was deleted not long ago.
func (s *Store) PastHandle(ctx context.Context, handle HandleSum, now time.Time) (past bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM past_handles WHERE sum = $1 AND until > $2)`,
		handle[:], ms(now)).Scan(&past)
	return past, unavailable("past handles", err)
}

// Keep is an account that is kept, although its deletion was asked for.
type Keep struct {
	Account exeunt.AccountID
	Handle  HandleSum
	// Challenge is what somebody has proved who they are by; the zero hash: it is an operator who keeps the account.
	Challenge exeunt.TokenHash
	Mails     []NewMail
}

// KeepAccount stops an account's deletion. With a challenge, the same again finds it kept: already. Outcomes: nil;
// ErrNotFound; ErrChallengeOver; ErrDeleting, when it is being deleted; ErrUnavailable, ErrNotConfirmed.
func (s *Store) KeepAccount(ctx context.Context, k Keep, by exeunt.Actor, now time.Time) (already bool, err error) {
	err = s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		already = false
		var status exeunt.AccountStatus
		var deleting bool
		ok, err := found(t.row(`SELECT status, delete_after IS NOT NULL FROM accounts WHERE id = $1`, k.Account.Bytes()).
			Scan(&status, &deleting))
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return exeunt.ErrNotFound, nil
		case status == exeunt.AccountDeleted:
			return exeunt.ErrDeleting, nil
		}
		if k.Challenge != (exeunt.TokenHash{}) {
			n, err := t.exec(`UPDATE challenges SET answer = $1 WHERE hash = $2 AND account_id = $3 AND purpose = $4
				AND expires > $5 AND (generation, credential_version) =
					(SELECT generation, credential_version FROM accounts WHERE id = $3)`, []byte{1}, k.Challenge[:],
				k.Account.Bytes(), ChallengeKeep, ms(now))
			if err != nil || n == 0 {
				return exeunt.ErrChallengeOver, err
			}
		}
		if already = !deleting; already {
			return nil, nil
		}
		if _, err := t.exec(`UPDATE accounts SET delete_after = NULL,
			status = CASE WHEN status = 'deleting' THEN 'active' ELSE status END WHERE id = $1`, k.Account.Bytes()); err != nil {
			return nil, err
		}
		if _, err := t.exec(`DELETE FROM past_handles WHERE sum = $1`, k.Handle[:]); err != nil {
			return nil, err
		}
		for _, m := range k.Mails {
			if _, err := t.queueMail(m, now); err != nil {
				return nil, err
			}
		}
		return nil, t.audit(exeunt.AuditEntry{At: now, Account: k.Account, Action: exeunt.AuditKept, By: by})
	})
	return already, err
}

// owned says of each table with rows of an account how to find those, at most $2 by their keys, and how to delete them.
// Tables come before those that they refer to. The account's own row goes last, by deleteAccount. What is logged of it
// stays with its IDs, see logged. Of the other tables a test knows why they have nothing of it.
var owned = []struct {
	table, find string
	drop        *manyRows
}{
	{"app_sessions", `SELECT token_hash FROM app_sessions WHERE account_id = $1 LIMIT $2`,
		dropBy("app_sessions", "token_hash")},
	{"renewals", `SELECT hash FROM renewals WHERE account_id = $1 LIMIT $2`, dropBy("renewals", "hash")},
	{"sessions", `SELECT id FROM sessions WHERE account_id = $1 LIMIT $2`, dropBy("sessions", "id")},
	{"codes", `SELECT hash FROM codes WHERE account_id = $1 LIMIT $2`, dropBy("codes", "hash")},
	{"device_codes", `SELECT user_code FROM device_codes WHERE account_id = $1 LIMIT $2`,
		dropBy("device_codes", "user_code")},
	{"consents", `SELECT account_id, client_id FROM consents WHERE account_id = $1 LIMIT $2`,
		dropByTwo("consents", "account_id", "client_id")},
	{"factors", `SELECT account_id, id FROM factors WHERE account_id = $1 LIMIT $2`,
		dropByTwo("factors", "account_id", "id")},
	{"recovery_codes", `SELECT account_id, number FROM recovery_codes WHERE account_id = $1 LIMIT $2`,
		dropByTwo("recovery_codes", "account_id", "number")},
	{"challenges", `SELECT hash FROM challenges WHERE account_id = $1 LIMIT $2`, dropBy("challenges", "hash")},
	{"securings", `SELECT account_id FROM securings WHERE account_id = $1 LIMIT $2`, dropBy("securings", "account_id")},
	{"reviews", `SELECT account_id FROM reviews WHERE account_id = $1 LIMIT $2`, dropBy("reviews", "account_id")},
	{"pictures", `SELECT account_id FROM pictures WHERE account_id = $1 LIMIT $2`, dropBy("pictures", "account_id")},
	{"devices", `SELECT account_id, hash FROM devices WHERE account_id = $1 LIMIT $2`,
		dropByTwo("devices", "account_id", "hash")},
	{"notices", `SELECT account_id, id FROM notices WHERE account_id = $1 LIMIT $2`, dropByTwo("notices", "account_id", "id")},
	{"links", `SELECT hash FROM links WHERE account_id = $1 LIMIT $2`, dropBy("links", "hash")},
	{"invites", `SELECT hash FROM invites WHERE account_id = $1 LIMIT $2`, dropBy("invites", "hash")},
	{"deliveries", `SELECT account_id, session_id, client_id FROM deliveries WHERE account_id = $1 LIMIT $2`,
		forManyBetween(" OR ", `DELETE FROM deliveries WHERE `, `account_id = ? AND session_id = ? AND client_id = ?`, ``)},
	{"messages", `SELECT webhook, id FROM messages WHERE account_id = $1 LIMIT $2`, dropByTwo("messages", "webhook", "id")},
	{"mails", `SELECT id FROM mails WHERE account_id = $1 LIMIT $2`, dropBy("mails", "id")},
}

func dropByTwo(table, first, second string) *manyRows {
	return forManyBetween(" OR ", `DELETE FROM `+table+` WHERE `, first+` = ? AND `+second+` = ?`, ``)
}

// logged are the tables in which IDs of a deleted account stay, with the statements that take out what names people,
// devices and places. What operators are called stays: it is not the account's.
var logged = []struct{ table, find, blank string }{
	{"audit", `SELECT at, seq, id FROM audit WHERE account_id = $1 AND at >= $2 AND (at, seq, id) > ($2, $3, $4)
		ORDER BY at, seq, id LIMIT $5`,
		`UPDATE audit SET by_label = CASE WHEN by_kind = 'operator' THEN by_label ELSE '' END, by_address = '', detail = ''
		WHERE account_id = $1 AND at >= $2 AND at <= $3 AND (by_label <> '' OR by_address <> '' OR detail <> '')`},
	{"events", `SELECT at, seq, 0 FROM events WHERE account_id = $1 AND at >= $2 AND (at, seq, 0) > ($2, $3, $4)
		ORDER BY at, seq LIMIT $5`,
		`UPDATE events SET by_label = CASE WHEN by_kind = 'operator' THEN by_label ELSE '' END, by_address = ''
		WHERE account_id = $1 AND at >= $2 AND at <= $3 AND (by_label <> '' OR by_address <> '')`},
}

// unreadLog is how long nodes have to read the event of a deletion before the account's earlier events are changed: a
// node compares the last event that it has read with the one in the database.
const unreadLog = time.Minute

// Erasure is how far the deletion of one account has got in a round of maintenance. A crash loses nothing: the next
// round begins again, and finds less.
type Erasure struct {
	account     exeunt.AccountID
	table       int   // of owned, then of logged
	at, seq, id int64 // in a logged table: the last row that was looked at
}

// DeleteDue does one bounded step of deleting the accounts whose time has come, but none of which apps must still be
// told. more is false when none is left.
func (s *Store) DeleteDue(ctx context.Context, e *Erasure, now time.Time) (more bool, err error) {
	switch {
	case e.account.IsZero():
		return s.beginErasure(ctx, e, now)
	case e.table < len(owned):
		return true, s.eraseOwned(ctx, e)
	case e.table < len(owned)+len(logged):
		return true, s.blankLogged(ctx, e)
	}
	account := e.account
	*e = Erasure{}
	return true, s.deleteAccount(ctx, account, now)
}

// beginErasure looks for the next account. Before anything else of it goes, it becomes one that nobody can keep, and the
// log says so; a minute later it is due again.
func (s *Store) beginErasure(ctx context.Context, e *Erasure, now time.Time) (more bool, err error) {
	var id exeunt.AccountID
	var status exeunt.AccountStatus
	ok, err := found(s.read.QueryRowContext(ctx, `SELECT a.id, a.status FROM accounts a WHERE a.delete_after <= $1
		AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.account_id = a.id AND d.finished IS NULL)
		AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.account_id = a.id AND m.finished IS NULL)
		AND NOT EXISTS (SELECT 1 FROM events v WHERE v.account_id = a.id AND v.kind <> 'account_deleted'
			AND v.at >= `+unreadSince+` AND v.seq > `+readUpTo+`)
		ORDER BY a.delete_after LIMIT 1`, ms(now)).Scan(&id, &status))
	switch {
	case !ok || err != nil:
		return false, unavailable("accounts to delete", err)
	case status == exeunt.AccountDeleted:
		e.account = id
		return true, nil
	}
	return true, s.commit(ctx, func(t *tx) error {
		// Links by which accounts were made have no account, and go by what they say.
		for _, q := range []string{
			`DELETE FROM invites WHERE handle = (SELECT handle FROM accounts WHERE id = $1)`,
			`DELETE FROM invites WHERE spent_at IS NOT NULL AND email_key <> ''
				AND email_key = (SELECT email_key FROM accounts WHERE id = $1)`,
		} {
			if _, err := t.exec(q, id.Bytes()); err != nil {
				return err
			}
		}
		n, err := t.exec(`UPDATE accounts SET status = 'deleted', delete_after = $2, name = '', email = '', email_key = '', language = '',
			email_confirmed = 0, password_hash = NULL, password_set = NULL WHERE id = $1 AND delete_after <= $3
			AND status <> 'deleted'`, id.Bytes(), ms(now.Add(unreadLog)), ms(now))
		if err != nil || n == 0 {
			return err
		}
		return t.appendEvents([]exeunt.Event{{At: now, Kind: exeunt.EventAccountDeleted,
			Target: exeunt.Target{Account: id}, Reason: exeunt.ReasonDeleted, By: exeunt.System()}})
	})
}

func (s *Store) eraseOwned(ctx context.Context, e *Erasure) error {
	of := owned[e.table]
	rows, err := s.read.QueryContext(ctx, of.find, e.account.Bytes(), maintenanceStep)
	keys, err := collect(rows, err, "rows of a deleted account in "+of.table, of.drop.scan)
	if err == nil && len(keys) > 0 {
		err = s.commit(ctx, func(t *tx) error {
			return of.drop.exec(t, len(keys), func(to []any, row int) []any { return append(to, keys[row]...) })
		})
	}
	if err == nil && len(keys) < maintenanceStep {
		e.table++
	}
	return err
}

func (s *Store) blankLogged(ctx context.Context, e *Erasure) error {
	of, n := logged[e.table-len(owned)], 0
	from := e.at
	rows, err := s.read.QueryContext(ctx, of.find, e.account.Bytes(), e.at, e.seq, e.id, maintenanceStep)
	if _, err = collect(rows, err, "what is logged in "+of.table, func(r rowScanner) (struct{}, error) {
		n++
		return struct{}{}, r.Scan(&e.at, &e.seq, &e.id)
	}); err != nil {
		return err
	}
	if n > 0 {
		if err := s.commit(ctx, func(t *tx) error {
			_, err := t.exec(of.blank, e.account.Bytes(), from, e.at)
			return err
		}); err != nil {
			return err
		}
	}
	if n < maintenanceStep {
		e.table, e.at, e.seq, e.id = e.table+1, 0, 0, 0
	}
	return nil
}

// deleteAccount deletes the account's row, with its few groups. If something of the account was written meanwhile, the
// engine refuses, and the next round deletes it.
func (s *Store) deleteAccount(ctx context.Context, id exeunt.AccountID, now time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		for _, q := range []string{
			`UPDATE group_sizes SET members = members - 1 WHERE name IN
				(SELECT name FROM account_groups WHERE account_id = $1)`,
			`DELETE FROM group_sizes WHERE members <= 0 AND name IN
				(SELECT name FROM account_groups WHERE account_id = $1)`,
			`DELETE FROM account_groups WHERE account_id = $1`,
			`DELETE FROM accounts WHERE id = $1 AND status = 'deleted'`,
		} {
			if _, err := t.exec(q, id.Bytes()); err != nil {
				return err
			}
		}
		return t.audit(exeunt.AuditEntry{At: now, Account: id, Action: exeunt.AuditDeleted, By: exeunt.System()})
	})
}
