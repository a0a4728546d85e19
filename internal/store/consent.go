package store

import (
	"context"
	"errors"
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
	c, err := scanConsent(s.read.QueryRowContext(ctx, `SELECT `+consentColumns+` FROM consents p
		WHERE account_id = $1 AND client_id = $2 AND `+registered, account.Bytes(), client))
	return c, notFound("consent", err)
}

// Consents returns what the account has allowed clients that are registered still, in the order of the clients' IDs, at most limit.
func (s *Store) Consents(ctx context.Context, account exeunt.AccountID, limit int) ([]Consent, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+consentColumns+` FROM consents p WHERE account_id = $1
		AND `+registered+` ORDER BY client_id LIMIT $2`, account.Bytes(), limit)
	return collect(rows, err, "consents", scanConsent)
}

// Allow records that a person allows a client, as it is registered, these scopes, besides earlier ones. What is allowed
// already changes nothing.
func (s *Store) Allow(
	ctx context.Context, by exeunt.Actor, c exeunt.Client, scopes exeunt.Scopes, now time.Time,
) error {
	return s.commit(ctx, func(t *tx) error {
		var before exeunt.Scopes
		ok, err := found(t.row(`SELECT scopes FROM consents WHERE account_id = $1 AND client_id = $2 AND registration = $3`,
			by.Account.Bytes(), c.ID, c.Registration).Scan(&before))
		if err != nil || ok && before.Cover(scopes) {
			return err
		}
		if _, err := t.exec(`INSERT INTO consents (account_id, client_id, registration, scopes, at)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account_id, client_id) DO UPDATE SET
				registration = excluded.registration, scopes = excluded.scopes, at = excluded.at
			WHERE consents.registration <= excluded.registration`,
			by.Account.Bytes(), c.ID, c.Registration, before.With(scopes), ms(now)); err != nil {
			return err
		}
		return t.audit(exeunt.AuditEntry{At: now, Account: by.Account, Action: exeunt.AuditAllowed, By: by,
			Detail: string(c.ID) + " " + string(scopes)})
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
// person wants to be asked before the app gets another one. What was before the client was registered does not count.
func (s *Store) LeftApp(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID, client exeunt.ClientID,
) (left bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT COALESCE((SELECT CASE WHEN `+registered+` THEN p.ended_reason END
		FROM app_sessions p WHERE account_id = $1 AND session_id = $2 AND client_id = $3
		ORDER BY started DESC LIMIT 1), '') = $4`,
		account.Bytes(), session.Bytes(), client, exeunt.ReasonSignedOut).Scan(&left)
	return left, unavailable("app sessions", err)
}

// AppUse is an app session with the session that it is in.
type AppUse struct {
	exeunt.AppSession
	Label string // of the session
	Kind  exeunt.SessionKind
}

// Target is what ends with the app session: an app on a person's device has a session of its own, which ends with it.
func (u AppUse) Target() exeunt.Target {
	t := exeunt.Target{Account: u.Account, Scope: exeunt.ScopeSession, Session: u.Session}
	if u.Kind != exeunt.KindApp {
		t.AppSession = u.ID
	}
	return t
}

// AppFilter says which app sessions of an account are read: at most Limit.
type AppFilter struct {
	Account exeunt.AccountID
	Client  exeunt.ClientID  // "": of all clients
	After   exeunt.ClientID  // with all clients: of those whose ID sorts after it
	Session exeunt.SessionID // zero: of all sessions
	Limit   int
}

// AppUses returns the account's app sessions on registered clients, in the order of the clients' IDs and newest first,
// that have not ended by themselves and whose sessions have not ended.
func (s *Store) AppUses(ctx context.Context, f AppFilter) ([]AppUse, error) {
	in, args := ``, []any{f.Account.Bytes(), f.Client, f.After, f.Limit}
	if !f.Session.IsZero() {
		in, args = ` AND p.session_id = $5`, append(args, f.Session.Bytes())
	}
	rows, err := s.read.QueryContext(ctx, appUsesFrom+in+appUsesOrder, args...)
	return collect(rows, err, "app sessions", scanAppUse)
}

// appUses goes one client after the other, by an index that leaves out what has ended: an account may have ended any
// number.
const (
	appUsesFrom = `SELECT ` + appColumns + `, s.label, s.kind FROM clients k CROSS JOIN app_sessions p
		JOIN sessions s ON s.account_id = p.account_id AND s.id = p.session_id JOIN accounts a ON a.id = p.account_id
		WHERE (k.id = $2 OR $2 = '') AND k.id > $3 AND p.client_id = k.id AND p.registration = k.registration
		AND p.account_id = $1 AND p.ended_at IS NULL
		AND s.ended_at IS NULL AND s.generation >= a.generation`
	appUsesOrder = `
		ORDER BY p.client_id, p.started DESC LIMIT $4`
	appUses = appUsesFrom + appUsesOrder
)

func scanAppUse(r rowScanner) (u AppUse, err error) {
	var a appScan
	err = r.Scan(append(a.dest(), &u.Label, &u.Kind)...)
	u.AppSession = a.value()
	return u, err
}

// EndApps ends app sessions that AppUses has returned, in one transaction, and the sessions that apps on a person's
// device have of their own. The same request with the same key gets the first one's answer again. Ending.Ended counts
// those that had not ended before. The errors are those of End.
func (s *Store) EndApps(
	ctx context.Context, by exeunt.Actor, list []exeunt.Revocation, what, key string, now time.Time,
) (Ending, error) {
	var out Ending
	var refused error
	err := s.commit(ctx, func(t *tx) error {
		out, refused = Ending{At: now}, nil
		var request string
		var when int64
		known, err := found(t.row(`SELECT request, ended, at FROM outcomes WHERE actor = $1 AND key = $2`, by.Key(), key).
			Scan(&request, &out.Ended, &when))
		switch {
		case err != nil:
			return err
		case known && request != what:
			refused = exeunt.ErrKeyReused
			return nil
		case known:
			out.At, out.Already = at(when), true
			return nil
		}
		endings := make([]*ending, len(list))
		for i, rev := range list {
			endings[i] = newEnding(by, rev, Change{}, now)
		}
		if err := t.end(endings...); err != nil {
			return err
		}
		for _, e := range endings {
			switch {
			case e.refused == nil:
				out.Ended += e.out.Ended
			case !errors.Is(e.refused, exeunt.ErrNotFound):
				refused = e.refused // nothing was ended by this actor, who has been signed out
				return nil
			}
		}
		if out.Ended == 0 || key == "" { // a repetition finds the same
			return nil
		}
		_, err = t.exec(`INSERT INTO outcomes (actor, key, request, seq, ended, at) VALUES ($1, $2, $3, 0, $4, $5)`,
			by.Key(), key, what, out.Ended, ms(now))
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Ending{}, err
	}
	return out, nil
}
