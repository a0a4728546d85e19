package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// Consent is what a person has allowed an app.
type Consent struct {
	Client exeunt.ClientID
	Scopes exeunt.Scopes
	At     time.Time // when they were last asked
}

const consentColumns = `client_id, scopes, at`

func scanConsent(row rowScanner) (c Consent, err error) {
	var when int64
	err = row.Scan(&c.Client, &c.Scopes, &when)
	c.At = at(when)
	return c, err
}

// Consent returns what the account has allowed a client, or ErrNotFound.
func (s *Store) Consent(ctx context.Context, account exeunt.AccountID, client exeunt.ClientID) (Consent, error) {
	c, err := scanConsent(s.read.QueryRowContext(ctx, `SELECT `+consentColumns+` FROM consents
		WHERE account_id = $1 AND client_id = $2`, account.Bytes(), client))
	return c, notFound("consent", err)
}

// Consents returns what the account has allowed, in the order of the clients' IDs, at most limit.
func (s *Store) Consents(ctx context.Context, account exeunt.AccountID, limit int) ([]Consent, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+consentColumns+` FROM consents WHERE account_id = $1
		ORDER BY client_id LIMIT $2`, account.Bytes(), limit)
	return collect(rows, err, "consents", scanConsent)
}

// Allow records that a person allows an app these scopes, besides earlier ones. What is allowed already changes
// nothing.
func (s *Store) Allow(ctx context.Context, by exeunt.Actor, client exeunt.ClientID, scopes exeunt.Scopes, now time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		var before exeunt.Scopes
		ok, err := found(t.row(`SELECT scopes FROM consents WHERE account_id = $1 AND client_id = $2`, by.Account.Bytes(),
			client).Scan(&before))
		if err != nil || ok && before.Cover(scopes) {
			return err
		}
		if _, err := t.exec(`INSERT INTO consents (account_id, client_id, scopes, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account_id, client_id) DO UPDATE SET scopes = excluded.scopes, at = excluded.at`,
			by.Account.Bytes(), client, before.With(scopes), ms(now)); err != nil {
			return err
		}
		return t.audit(exeunt.AuditEntry{At: now, Account: by.Account, Action: exeunt.AuditAllowed, By: by,
			Detail: string(client) + " " + string(scopes)})
	})
}

// Withdraw forgets what a person has allowed an app. It does not end what the app has now.
func (s *Store) Withdraw(ctx context.Context, by exeunt.Actor, client exeunt.ClientID, now time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM consents WHERE account_id = $1 AND client_id = $2`, by.Account.Bytes(), client)
		if err != nil || n == 0 {
			return err
		}
		return t.audit(exeunt.AuditEntry{At: now, Account: by.Account, Action: exeunt.AuditWithdrawn, By: by,
			Detail: string(client)})
	})
}

// LeftApp reports whether the last app session that the session had on a client was signed out by itself: then the
// person wants to be asked before the app gets another one.
func (s *Store) LeftApp(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID, client exeunt.ClientID,
) (left bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT COALESCE((SELECT ended_reason FROM app_sessions
		WHERE account_id = $1 AND session_id = $2 AND client_id = $3 ORDER BY started DESC LIMIT 1), '') = $4`,
		account.Bytes(), session.Bytes(), client, exeunt.ReasonSignedOut).Scan(&left)
	return left, unavailable("app sessions", err)
}

// AppSessionsOf returns the account's app sessions on a registered client, newest first, that have not ended by
// themselves and whose sessions have not ended; at most limit. An empty client stands for all of them.
func (s *Store) AppSessionsOf(
	ctx context.Context, account exeunt.AccountID, client exeunt.ClientID, limit int,
) ([]exeunt.AppSession, error) {
	// One client after the other, by the index that leaves out what has ended: an account may have ended any number.
	rows, err := s.read.QueryContext(ctx, `SELECT `+appColumns+` FROM clients k CROSS JOIN app_sessions p
		JOIN sessions s ON s.account_id = p.account_id AND s.id = p.session_id JOIN accounts a ON a.id = p.account_id
		WHERE (k.id = $2 OR $2 = '') AND p.client_id = k.id AND p.account_id = $1 AND p.ended_at IS NULL
		AND s.ended_at IS NULL AND s.generation >= a.generation
		ORDER BY p.client_id, p.started DESC LIMIT $3`, account.Bytes(), client, limit)
	return collect(rows, err, "app sessions", func(r rowScanner) (exeunt.AppSession, error) {
		var a appScan
		err := r.Scan(a.dest()...)
		return a.value(), err
	})
}
