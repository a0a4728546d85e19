package store

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/exeunt/exeunt"
)

// hasToken reports whether a session's token is the one with that hash.
func (t *tx) hasToken(of exeunt.Target, h exeunt.TokenHash) (bool, error) {
	var current []byte
	ok, err := found(t.row(`SELECT token_hash FROM sessions WHERE account_id = $1 AND id = $2`,
		of.Account.Bytes(), of.Session.Bytes()).Scan(&current))
	return ok && subtle.ConstantTimeCompare(current, h[:]) == 1, err
}

// whyNotCurrent is why an ending with a renewal is refused whose actor's token is not the session's.
func (t *tx) whyNotCurrent(rev exeunt.Revocation) (refused, err error) {
	if refused, err = t.whyNotKept(rev); refused == exeunt.ErrSignInAgain {
		refused = exeunt.ErrRenewed // the session is live
	}
	return refused, err
}

// renew gives the session that an ending leaves alone another token, and ends its app sessions with the codes for more
// of them: whoever had copied the old token may have begun any of these. The request is activity: nothing is lost with
// what memory had of it.
func (t *tx) renew(e *ending) error {
	of, r := e.rev.Target, e.rev.Renewal
	if err := t.endAppsOf(e); err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM codes WHERE account_id = $1 AND session_id = $2 AND spent_at IS NULL`,
		of.Account.Bytes(), of.Session.Bytes()); err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO renewals (hash, account_id, session_id, at) VALUES ($1, $2, $3, $4)`,
		r.From[:], of.Account.Bytes(), of.Session.Bytes(), ms(e.now)); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE sessions SET token_hash = $1, seen = CASE WHEN seen < $2 THEN $2 ELSE seen END
		WHERE account_id = $3 AND id = $4`, r.To[:], ms(e.now), of.Account.Bytes(), of.Session.Bytes())
	return err
}

// endAppsOf ends the live app sessions of the session that an ending leaves alone: a few of each client. The event of
// the renewal tells of all of them.
func (t *tx) endAppsOf(e *ending) error {
	of, why := e.rev.Target, e.rev.Reason
	if why == exeunt.ReasonSignedOut {
		why = exeunt.ReasonRenewed // nobody has signed out of the app itself
	}
	rows, err := t.rows(`SELECT id FROM app_sessions WHERE account_id = $1 AND session_id = $2 AND ended_at IS NULL`,
		of.Account.Bytes(), of.Session.Bytes())
	if err != nil {
		return err
	}
	defer rows.Close()
	var apps []exeunt.AppSessionID
	for rows.Next() {
		var id exeunt.AppSessionID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		apps = append(apps, id)
	}
	err = rows.Err()
	for i := 0; i < len(apps) && err == nil; i++ {
		of.Scope, of.AppSession = exeunt.ScopeSession, apps[i]
		err = t.endApp(newEnding(e.by, exeunt.Revocation{Target: of, Reason: why}, Change{}, e.now))
	}
	return err
}

// Renewed says that a token was replaced by another one of the same session.
type Renewed struct {
	Account exeunt.AccountID
	Session exeunt.SessionID
	At      time.Time
	To      exeunt.TokenHash // the session's token now
}

// Renewed returns what became of a token that is no session's any more, or ErrNotFound.
func (s *Store) Renewed(ctx context.Context, from exeunt.TokenHash) (r Renewed, err error) {
	var when int64
	var to []byte
	err = s.read.QueryRowContext(ctx, `SELECT r.account_id, r.session_id, r.at, s.token_hash FROM renewals r
		JOIN sessions s ON s.account_id = r.account_id AND s.id = r.session_id WHERE r.hash = $1`, from[:]).
		Scan(&r.Account, &r.Session, &when, &to)
	r.At = at(when)
	copy(r.To[:], to)
	return r, notFound("token", err)
}

// LastRenewal returns when a session last got another token, the zero time if it never did of late.
func (s *Store) LastRenewal(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID,
) (time.Time, error) {
	var when int64
	err := s.read.QueryRowContext(ctx, `SELECT COALESCE(max(at), 0) FROM renewals WHERE account_id = $1
		AND session_id = $2`, account.Bytes(), session.Bytes()).Scan(&when)
	if when == 0 || err != nil {
		return time.Time{}, unavailable("renewal", err)
	}
	return at(when), nil
}
