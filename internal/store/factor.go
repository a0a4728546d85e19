package store

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
)

// Use is the use of a factor or recovery code by somebody who proves who they are.
type Use struct {
	Challenge Challenge // with the proof that it leads to; zero for somebody who is signed in
	Answer    []byte
	By        exeunt.Actor // for the factor's "last used"; its label is what the browser or app is called
}

// UseFactor takes a code of an authenticator app, or an answer of a passkey: it moves the factor's counter, and answers
// the challenge with it. Outcomes: nil; ErrCodeUsed when that counter or a later one was taken before, unless a passkey
// counts nothing; ErrChallengeOver when the challenge was answered meanwhile; ErrUnavailable,
// ErrNotConfirmed. data replaces what is stored of a passkey, unless nil.
func (s *Store) UseFactor(
	ctx context.Context, f exeunt.Factor, counter int64, data []byte, u Use, now time.Time,
) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		var last int64
		var there, answered bool
		err = t.row(`SELECT counter, EXISTS (SELECT 1 FROM challenges WHERE hash = $3 AND expires > $4),
			EXISTS (SELECT 1 FROM challenges WHERE hash = $3 AND answer IS NOT NULL) FROM factors
			WHERE account_id = $1 AND id = $2`, f.Account.Bytes(), f.ID.Bytes(), u.Challenge.Hash[:], ms(now)).
			Scan(&last, &there, &answered)
		open := !answered && (there || u.Challenge.Hash == (exeunt.TokenHash{}) || u.Challenge.Purpose == ChallengePasskey)
		taken := counter <= last && (f.Kind == exeunt.FactorTOTP || counter > 0 || last > 0) // WebAuthn Level 3, 7.2 step 22
		switch ok, err := found(err); {
		case err != nil:
			return nil, err
		case !ok:
			return exeunt.ErrCodeUsed, nil
		case !open:
			return exeunt.ErrChallengeOver, nil
		case taken:
			return exeunt.ErrCodeUsed, nil
		}
		if ok, err := t.answerChallenge(u.Challenge, u.Answer, now); err != nil || !ok {
			return exeunt.ErrChallengeOver, err
		}
		_, err = t.exec(`UPDATE factors SET counter = $1, data = COALESCE($2, data), used = $3, used_label = $4,
			used_address = $5 WHERE account_id = $6 AND id = $7`, counter, nullBytes(data), ms(now), u.By.Label,
			addressText(u.By.Address), f.Account.Bytes(), f.ID.Bytes())
		return nil, err
	})
}

// UseRecoveryCode spends a recovery code and answers the challenge with it. Outcomes: nil; ErrCodeUsed;
// ErrChallengeOver; ErrUnavailable, ErrNotConfirmed.
func (s *Store) UseRecoveryCode(
	ctx context.Context, account exeunt.AccountID, number int, hash string, u Use, now time.Time,
) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		ok, err := t.answerChallenge(u.Challenge, u.Answer, now)
		if err != nil || !ok {
			return exeunt.ErrChallengeOver, err
		}
		n, err := t.exec(`UPDATE recovery_codes SET spent_at = $1 WHERE account_id = $2 AND number = $3 AND hash = $4
			AND spent_at IS NULL`, ms(now), account.Bytes(), number, hash)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return exeunt.ErrCodeUsed, t.reopen(u.Challenge)
		}
		return nil, t.audit(exeunt.AuditEntry{At: now, Account: account, Action: exeunt.AuditRecoveryCode, By: u.By,
			Session: u.By.Session})
	})
}

// reopen undoes answerChallenge, in the same transaction.
func (t *tx) reopen(c Challenge) error {
	if c.Hash == (exeunt.TokenHash{}) {
		return nil
	}
	_, err := t.exec(`UPDATE challenges SET answer = NULL, failures = $1 WHERE hash = $2`, c.Failures+1, c.Hash[:])
	return err
}

func nullBytes(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// Factors returns the factors of an account, oldest first, and how many recovery codes it has.
func (s *Store) Factors(
	ctx context.Context, account exeunt.AccountID,
) (list []exeunt.Factor, codes exeunt.RecoveryCodes, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+factorColumns+` FROM factors WHERE account_id = $1
		ORDER BY created, id LIMIT $2`, account.Bytes(), exeunt.MaxFactors)
	list, err = collect(rows, err, "factors", func(r rowScanner) (exeunt.Factor, error) { return scanFactor(r) })
	if err != nil {
		return nil, codes, err
	}
	var made sql.NullInt64
	err = s.read.QueryRowContext(ctx, `SELECT max(made), count(*), COALESCE(sum(CASE WHEN spent_at IS NULL THEN 1 ELSE 0 END), 0)
		FROM recovery_codes WHERE account_id = $1`, account.Bytes()).Scan(&made, &codes.Total, &codes.Left)
	if made.Valid {
		codes.Made = at(made.Int64)
	}
	return list, codes, unavailable("recovery codes", err)
}

const factorColumns = `account_id, id, kind, name, created, used, used_label, used_address, credential, counter`

func scanFactor(row rowScanner, more ...any) (f exeunt.Factor, err error) {
	var created, used int64
	var address string
	dest := []any{&f.Account, &f.ID, &f.Kind, &f.Name, &created, &used, &f.UsedLabel, &address, &f.Credential, &f.Counter}
	err = row.Scan(append(dest, more...)...)
	f.Created, f.Used = at(created), at(used)
	f.UsedAddress, _ = netip.ParseAddr(address) // "" is none
	return f, err
}

// FactorData returns what is stored of a factor's secret: see the table. ErrNotFound.
func (s *Store) FactorData(ctx context.Context, f exeunt.Factor) (data []byte, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT data FROM factors WHERE account_id = $1 AND id = $2`, f.Account.Bytes(),
		f.ID.Bytes()).Scan(&data)
	return data, notFound("factor", err)
}

// RecoveryHash returns the hash of a recovery code that was not used, "" when there is none of that number.
func (s *Store) RecoveryHash(ctx context.Context, account exeunt.AccountID, number int) (hash string, err error) {
	_, err = found(s.read.QueryRowContext(ctx, `SELECT hash FROM recovery_codes WHERE account_id = $1 AND number = $2
		AND spent_at IS NULL`, account.Bytes(), number).Scan(&hash))
	return hash, unavailable("recovery code", err)
}

// Passkey returns the passkey with that ID, and what is stored of it; ErrNotFound.
func (s *Store) Passkey(ctx context.Context, credential []byte) (f exeunt.Factor, data []byte, err error) {
	f, err = scanFactor(s.read.QueryRowContext(ctx, `SELECT `+factorColumns+`, data FROM factors WHERE credential = $1`,
		credential), &data)
	return f, data, notFound("passkey", err)
}

// OfferPasskey reports whether an account may be offered its first passkey: it has none, and has not declined.
func (s *Store) OfferPasskey(ctx context.Context, account exeunt.AccountID) (offer bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT passkey_declined = 0 AND NOT EXISTS (SELECT 1 FROM factors
		WHERE account_id = $1 AND kind = 'passkey') FROM accounts WHERE id = $1`, account.Bytes()).Scan(&offer)
	return offer, notFound("account", err)
}

// DeclinePasskey records that an account is not to be offered a passkey again.
func (s *Store) DeclinePasskey(ctx context.Context, account exeunt.AccountID) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE accounts SET passkey_declined = 1 WHERE id = $1 AND passkey_declined = 0`, account.Bytes())
		return err
	})
}

// NewFactor is a factor with what is stored of its secret: see the table.
type NewFactor struct {
	exeunt.Factor
	Data []byte
}

// String leaves the secret out.
func (n NewFactor) String() string { return "store.NewFactor(" + n.ID.String() + ")" }

// GoString is String, for %#v.
func (n NewFactor) GoString() string { return n.String() }

// ErrFactorAdded says that the very factor was added before: the form was sent twice.
var ErrFactorAdded = errors.New("the factor has been added already")

// FactorChange is what happens to an account's factors.
type FactorChange struct {
	Add    *NewFactor
	Remove exeunt.FactorID
	// RemoveAll removes every factor, with the recovery codes.
	RemoveAll bool
	// Codes are the hashes of recovery codes that replace the earlier ones, by their numbers; nil leaves those.
	Codes []string
}

// ChangeFactors changes the factors of somebody's own account and ends nothing; End does both. token is what they have
// presented, and credential the version that they have proved, which changes with the factors: a sign-in that is under
// way must begin again. Outcomes: nil; ErrSignedOut; ErrRenewed; ErrSignInAgain; ErrManyFactors; ErrPasskeyTaken;
// ErrNotFound, when the factor to remove is not there; ErrUnavailable, ErrNotConfirmed.
func (s *Store) ChangeFactors(
	ctx context.Context, by exeunt.Actor, token exeunt.TokenHash, credential int64, c FactorChange, now time.Time,
	mails ...NewMail,
) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		label, ok, err := t.mayStillAct(by, exeunt.SessionID{})
		if err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		by.Label = label
		if refused, err = t.mustBeCurrent(by, token, credential); refused != nil || err != nil {
			return refused, err
		}
		if refused, err = t.changeFactors(by.Account, c, by, now); refused != nil || err != nil {
			return refused, err
		}
		if _, err := t.exec(`UPDATE accounts SET credential_version = credential_version + 1 WHERE id = $1`,
			by.Account.Bytes()); err != nil {
			return nil, err
		}
		for _, m := range mails {
			if _, err := t.queueMail(m, now); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// RenameFactor gives a factor another name; ErrNotFound when there is none.
func (s *Store) RenameFactor(ctx context.Context, by exeunt.Actor, id exeunt.FactorID, name string, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		label, ok, err := t.mayStillAct(by, exeunt.SessionID{})
		if err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		by.Label = label
		var before string
		ok, err = found(t.row(`SELECT name FROM factors WHERE account_id = $1 AND id = $2`, by.Account.Bytes(), id.Bytes()).
			Scan(&before))
		switch {
		case err != nil || before == name && ok:
			return nil, err
		case !ok:
			return exeunt.ErrNotFound, nil
		}
		if _, err := t.exec(`UPDATE factors SET name = $1 WHERE account_id = $2 AND id = $3`, name, by.Account.Bytes(),
			id.Bytes()); err != nil {
			return nil, err
		}
		return nil, t.audit(exeunt.AuditEntry{At: now, Account: by.Account, Action: exeunt.AuditFactorRenamed,
			Session: by.Session, By: by, Detail: before + " → " + name})
	})
}

// changeFactors checks everything before it changes anything: the transaction of a refusal commits.
func (t *tx) changeFactors(
	account exeunt.AccountID, c FactorChange, by exeunt.Actor, now time.Time,
) (refused, err error) {
	if refused, err = t.whyNoFactor(account, c); refused != nil || err != nil {
		return refused, err
	}
	note := func(what exeunt.AuditAction, detail string) error {
		return t.audit(exeunt.AuditEntry{At: now, Account: account, Action: what, Session: by.Session, By: by,
			Detail: detail})
	}
	if f := c.Add; f != nil {
		if _, err := t.exec(`INSERT INTO factors (account_id, id, kind, name, data, credential, counter, created, used,
			used_label, used_address) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '', '')`, account.Bytes(), f.ID.Bytes(),
			f.Kind, f.Name, f.Data, nullBytes(f.Credential), f.Counter, ms(now)); err != nil {
			return nil, err
		}
		if err := note(exeunt.AuditFactorAdded, string(f.Kind)+" "+f.Name); err != nil {
			return nil, err
		}
	}
	if !c.Remove.IsZero() || c.RemoveAll {
		removed, err := t.removeFactors(account, c)
		if err != nil {
			return nil, err
		}
		for _, what := range removed {
			if err := note(exeunt.AuditFactorRemoved, what); err != nil {
				return nil, err
			}
		}
		// Codes instead of a factor that nobody has are of no use, and would be forgotten in a drawer.
		if _, err := t.exec(`DELETE FROM recovery_codes WHERE account_id = $1
			AND NOT EXISTS (SELECT 1 FROM factors WHERE account_id = $1)`, account.Bytes()); err != nil {
			return nil, err
		}
	}
	if c.Codes == nil {
		return nil, nil
	}
	if _, err := t.exec(`DELETE FROM recovery_codes WHERE account_id = $1`, account.Bytes()); err != nil {
		return nil, err
	}
	for number, hash := range c.Codes {
		if _, err := t.exec(`INSERT INTO recovery_codes (account_id, number, hash, made) VALUES ($1, $2, $3, $4)`,
			account.Bytes(), number, hash, ms(now)); err != nil {
			return nil, err
		}
	}
	return nil, note(exeunt.AuditRecoveryCodes, "")
}

// removeFactors returns the kind and name of each factor that it has removed.
func (t *tx) removeFactors(account exeunt.AccountID, c FactorChange) (removed []string, err error) {
	rows, err := t.rows(`DELETE FROM factors WHERE account_id = $1 AND ($2 = 1 OR id = $3) RETURNING kind, name`,
		account.Bytes(), flag(c.RemoveAll), c.Remove.Bytes())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			return nil, err
		}
		removed = append(removed, kind+" "+name)
	}
	return removed, rows.Err()
}

func (t *tx) whyNoFactor(account exeunt.AccountID, c FactorChange) (refused, err error) {
	var count int
	var there, taken, added bool
	var credential, id []byte
	if c.Add != nil {
		credential, id = c.Add.Credential, c.Add.ID.Bytes()
	}
	err = t.row(`SELECT (SELECT count(*) FROM factors WHERE account_id = $1),
		EXISTS (SELECT 1 FROM factors WHERE account_id = $1 AND id = $2),
		EXISTS (SELECT 1 FROM factors WHERE credential = $3),
		EXISTS (SELECT 1 FROM factors WHERE account_id = $1 AND id = $4)`, account.Bytes(), c.Remove.Bytes(),
		nullBytes(credential), nullBytes(id)).Scan(&count, &there, &taken, &added)
	switch {
	case err != nil:
	case added:
		refused = ErrFactorAdded
	case c.Add != nil && count >= exeunt.MaxFactors:
		refused = exeunt.ErrManyFactors
	case taken:
		refused = exeunt.ErrPasskeyTaken
	case !c.Remove.IsZero() && !there, c.RemoveAll && count == 0:
		refused = exeunt.ErrNotFound
	}
	return refused, err
}
