package store

import (
	"context"
	"errors"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
)

// Invite is a single-use link that creates an account, or sets the password of an existing one. Whoever uses it
// cannot change the fields that are filled in. One without a handle is for the first account: there is one of these
// at a time, valid only while there is no account.
type Invite struct {
	Handle, Name, Email string
	EmailConfirmed      bool
	Expires             time.Time
	// Account is the one whose password the link sets; zero when it makes one.
	Account exeunt.AccountID
}

// AddInvite stores an invite under the hash of its token and deletes any other for the same handle or e-mail
// address. replaced reports whether one of those was still valid.
func (s *Store) AddInvite(
	ctx context.Context, hash exeunt.TokenHash, v Invite, now time.Time,
) (replaced bool, err error) {
	return committed(ctx, s, func(t *tx) (replaced bool, err error) {
		err = t.row(`SELECT EXISTS (SELECT 1 FROM invites WHERE `+sameInvite+` AND expires > $3)`,
			v.Handle, names.Key(v.Email), ms(now)).Scan(&replaced)
		if err != nil {
			return false, err
		}
		if _, err := t.exec(`DELETE FROM invites WHERE `+sameInvite, v.Handle, names.Key(v.Email)); err != nil {
			return false, err
		}
		return replaced, t.insertInvite(hash, v)
	})
}

// sameInvite selects the unused invites for handle $1 or e-mail address $2.
const sameInvite = `spent_at IS NULL AND account_id IS NULL AND (handle = $1 OR $2 <> '' AND email_key = $2)`

func (t *tx) insertInvite(hash exeunt.TokenHash, v Invite) error {
	_, err := t.exec(`INSERT INTO invites (hash, handle, name, email, email_key, email_confirmed, expires, account_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		hash[:], v.Handle, v.Name, v.Email, names.Key(v.Email), flag(v.EmailConfirmed), ms(v.Expires), v.Account.Bytes())
	return err
}

// AddReset stores a link that sets a new password of v.Account and deletes any older one. Outcomes: nil;
// ErrNotFound; ErrDisabled; ErrDeleting; ErrUnavailable, ErrNotConfirmed.
func (s *Store) AddReset(ctx context.Context, hash exeunt.TokenHash, v Invite, by exeunt.Actor, now time.Time) error {
	var refused error
	err := s.commit(ctx, func(t *tx) error {
		refused = nil
		var status exeunt.AccountStatus
		ok, err := found(t.row(`SELECT status FROM accounts WHERE id = $1`, v.Account.Bytes()).Scan(&status))
		switch {
		case err != nil:
			return err
		case !ok:
			refused = exeunt.ErrNotFound
			return nil
		case status == exeunt.AccountDeleting, status == exeunt.AccountDeleted:
			refused = exeunt.ErrDeleting
			return nil
		case status != exeunt.AccountActive:
			refused = exeunt.ErrDisabled
			return nil
		}
		if err := t.dropResets(v.Account); err != nil {
			return err
		}
		if err := t.insertInvite(hash, v); err != nil {
			return err
		}
		return t.audit(exeunt.AuditEntry{At: now, Account: v.Account, Action: exeunt.AuditResetLink, By: by})
	})
	return errors.Join(err, refused)
}

// ResetRequest is that somebody has asked by mail for a link that sets a new password. There may be no such account, and
// then everything is done all the same but what could be seen.
type ResetRequest struct {
	Form   string // the key of the form: sent twice, it is one request
	Hash   exeunt.TokenHash
	Invite Invite // its account is an ID that nobody has if there is no account
	Email  string // to which the mail goes
	Mail   NewMail
	By     exeunt.Actor
}

// AskReset stores the link and queues the mail if the account is active or about to be deleted and has confirmed the
// address, and if both are within their limits. Nothing shows whether it did: neither the answer nor which statements
// run, and there is a commit in any case (OWASP ASVS 5.0, 6.3.8). Links that were asked for before stay: otherwise
// anybody could keep somebody from using theirs. again reports that the form was sent before. Outcomes: nil;
// ErrUnavailable, ErrNotConfirmed.
func (s *Store) AskReset(ctx context.Context, r ResetRequest, now time.Time) (again bool, err error) {
	return committed(ctx, s, func(t *tx) (again bool, err error) {
		n, err := t.exec(`INSERT INTO outcomes (actor, key, request, seq, ended, at) VALUES ($1, $2, 'forgot', 0, 0, $3)
			ON CONFLICT (actor, key) DO NOTHING`, formsActor, formHash(r.Form), ms(now))
		if err != nil || n == 0 {
			return n == 0, err
		}
		var may bool
		if err := t.row(`SELECT count(*) > 0 FROM accounts WHERE id = $1 AND status IN ('active', 'deleting')
			AND email_confirmed = 1 AND email_key = $2`, r.Invite.Account.Bytes(), names.Key(r.Email)).Scan(&may); err != nil {
			return false, err
		}
		queued, err := t.queueMail(r.Mail, now)
		if err != nil {
			return false, err
		}
		may = may && queued
		if _, err := t.exec(`DELETE FROM mails WHERE id = $1 AND $2 = 0`, r.Mail.ID.Bytes(), flag(may)); err != nil {
			return false, err
		}
		if _, err := t.exec(`INSERT INTO invites (hash, handle, name, email, email_key, email_confirmed, expires, account_id)
			SELECT $1, handle, '', '', '', 0, $2, id FROM accounts WHERE id = $3 AND $4 = 1`, r.Hash[:], ms(r.Invite.Expires),
			r.Invite.Account.Bytes(), flag(may)); err != nil {
			return false, err
		}
		_, err = t.exec(`INSERT INTO audit (seq, account_id, at, action, by_kind, by_label, by_address, detail)
			SELECT $1, id, $2, $3, $4, '', $5, '' FROM accounts WHERE id = $6 AND $7 = 1`, t.seq, ms(now),
			exeunt.AuditResetAsked, r.By.Kind, addressText(r.By.Address), r.Invite.Account.Bytes(), flag(may))
		return false, err
	})
}

// dropResets deletes the account's unused links for a new password: a newer link or another password replaces them.
func (t *tx) dropResets(id exeunt.AccountID) error {
	_, err := t.exec(`DELETE FROM invites WHERE account_id = $1 AND spent_at IS NULL`, id.Bytes())
	return err
}

// dropUnfinished deletes all with which somebody could finish what they have begun: the account's unused links, its
// challenges, and the codes of its sessions. Otherwise enabling a disabled account would revive them. Whatever else is
// stored of somebody who has not finished proving who they are must go here too.
func (t *tx) dropUnfinished(id exeunt.AccountID) error {
	if _, err := t.exec(`DELETE FROM links WHERE account_id = $1`, id.Bytes()); err != nil {
		return err
	}
	return t.dropBegun(id)
}

// dropBegun is dropUnfinished without the links of mails, of which some undo what somebody else has done.
func (t *tx) dropBegun(id exeunt.AccountID) error {
	if err := t.dropResets(id); err != nil {
		return err
	}
	if err := t.dropPending(id); err != nil {
		return err
	}
	// Challenges of a passkey are stored because they were answered.
	if _, err := t.exec(`DELETE FROM challenges WHERE account_id = $1 AND purpose <> 'passkey'`, id.Bytes()); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM codes WHERE account_id = $1 AND spent_at IS NULL`, id.Bytes())
	return err
}

// spendReset spends a link for a new password of the account. It returns false when the link is not valid.
func (t *tx) spendReset(hash exeunt.TokenHash, id exeunt.AccountID, now time.Time) (bool, error) {
	n, err := t.exec(`UPDATE invites SET spent_at = $1 WHERE hash = $2 AND account_id = $3 AND spent_at IS NULL
		AND expires > $1 AND EXISTS (SELECT 1 FROM accounts WHERE id = $3 AND status IN ('active', 'deleting'))`,
		ms(now), hash[:], id.Bytes())
	return n == 1, err
}

const inviteColumns = `handle, name, email, email_confirmed, expires, account_id`

func scanInvite(row rowScanner) (v Invite, err error) {
	var expires int64
	err = row.Scan(&v.Handle, &v.Name, &v.Email, &v.EmailConfirmed, &expires, &v.Account)
	v.Expires = at(expires)
	return v, err
}

// usableInvite selects the invites that are valid at $1.
const usableInvite = `spent_at IS NULL AND expires > $1 AND (handle <> '' OR NOT EXISTS (SELECT 1 FROM accounts))`

// Invite returns a valid invite without spending it, or ErrInviteSpent.
func (s *Store) Invite(ctx context.Context, hash exeunt.TokenHash, now time.Time) (Invite, error) {
	v, err := scanInvite(s.read.QueryRowContext(ctx,
		`SELECT `+inviteColumns+` FROM invites WHERE `+usableInvite+` AND hash = $2`, ms(now), hash[:]))
	ok, err := found(err)
	if err == nil && !ok {
		return v, exeunt.ErrInviteSpent
	}
	return v, unavailable("invite", err)
}

// ResetBy returns the handle of the account whose password a used link has set, or ErrNotFound.
func (s *Store) ResetBy(ctx context.Context, hash exeunt.TokenHash) (handle string, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT a.handle FROM invites i JOIN accounts a ON a.id = i.account_id
		WHERE i.hash = $1 AND i.spent_at IS NOT NULL`, hash[:]).Scan(&handle)
	return handle, notFound("link", err)
}

// Invites returns the valid invites, those that expire first before the others.
func (s *Store) Invites(ctx context.Context, now time.Time) ([]Invite, error) {
	rows, err := s.read.QueryContext(ctx,
		`SELECT `+inviteColumns+` FROM invites WHERE `+usableInvite+` ORDER BY expires, handle`, ms(now))
	return collect(rows, err, "invites", scanInvite)
}

// DropInvites deletes the valid links for a handle, and returns how many there were.
func (s *Store) DropInvites(ctx context.Context, handle string, now time.Time) (n int64, err error) {
	return committed(ctx, s, func(t *tx) (int64, error) {
		return t.exec(`DELETE FROM invites WHERE handle = $1 AND handle <> '' AND spent_at IS NULL AND expires > $2`,
			handle, ms(now))
	})
}
