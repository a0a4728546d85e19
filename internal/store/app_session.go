package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
)

// Code is a single-use code that an app exchanges for an app session.
type Code struct {
	Account exeunt.AccountID
	Session exeunt.SessionID
	Client  exeunt.ClientID
	// Registration is the client's. The code is of no use once it has another.
	Registration int64
	RedirectURI  string
	Challenge    string // PKCE, S256; "" without
	Scopes       exeunt.Scopes
	Nonce        string // of the app's request
	Expires      time.Time
	// Holder is the token that the session must have, unless it is zero: a request with a copied token must not bring
	// a code after that token was replaced.
	Holder exeunt.TokenHash
}

// AddCode stores a code of a session that has not ended; otherwise it returns ErrSignedOut, or ErrRenewed if the
// session has another token than the code's holder. ErrUnknownClient when its client was removed meanwhile.
func (s *Store) AddCode(ctx context.Context, hash exeunt.TokenHash, c Code) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) { return t.addCode(hash, c) })
}

func (t *tx) addCode(hash exeunt.TokenHash, c Code) (refused, err error) {
	if c.Holder != (exeunt.TokenHash{}) {
		current, err := t.hasToken(exeunt.Target{Account: c.Account, Session: c.Session}, c.Holder)
		if err != nil || !current {
			return exeunt.ErrRenewed, err
		}
	}
	var there int
	ok, err := found(t.row(`SELECT 1 FROM clients WHERE id = $1 AND registration = $2`, c.Client, c.Registration).
		Scan(&there))
	if err != nil || !ok {
		return exeunt.ErrUnknownClient, err
	}
	n, err := t.exec(`INSERT INTO codes (hash, account_id, session_id, client_id, redirect_uri, challenge, expires,
				scopes, nonce, registration)
			SELECT $1, s.account_id, s.id, $4, $5, $6, $7, $8, $9, $10 FROM sessions s JOIN accounts a ON a.id = s.account_id
			WHERE s.account_id = $2 AND s.id = $3 AND s.ended_at IS NULL AND s.generation >= a.generation`,
		hash[:], c.Account.Bytes(), c.Session.Bytes(), c.Client, c.RedirectURI, c.Challenge, ms(c.Expires),
		c.Scopes, c.Nonce, c.Registration)
	if err == nil && n == 0 {
		refused = exeunt.ErrSignedOut
	}
	return refused, err
}

// Exchange is an app's request to turn a code into an app session.
type Exchange struct {
	Code        exeunt.TokenHash
	Client      exeunt.ClientID
	RedirectURI string
	Challenge   string // computed from the verifier; "" without
	App         exeunt.AppSessionID
	Hash        exeunt.TokenHash // of the app session's token
	Expires     time.Time        // of the token; zero: with the session
	// Own is the session that an app on a person's device gets, beside the browser's: only ID, Label, UserAgent,
	// Address, Idle and ExpiresAt of it count. nil for any other app.
	Own *NewSession
}

// Granted is what a code stands for.
type Granted struct {
	Account exeunt.AccountID
	Session exeunt.SessionID // the browser's
	Scopes  exeunt.Scopes
	Nonce   string
}

// CodeMatters reports whether presenting a code would change anything: either it can be exchanged, or its app
// session has not ended. It returns ErrNotFound for an unknown code.
func (s *Store) CodeMatters(ctx context.Context, x Exchange, now time.Time) (g Granted, matters bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT p.account_id, p.session_id, p.scopes, p.nonce, CASE WHEN p.spent_at IS NULL
			THEN p.expires > $2 AND p.client_id = $3 AND p.redirect_uri = $4 AND p.challenge = $5 AND `+registered+`
			ELSE EXISTS (SELECT 1 FROM app_sessions o WHERE o.account_id = p.account_id AND o.id = p.app_session_id
				AND o.ended_at IS NULL) END
		FROM codes p WHERE p.hash = $1`, x.Code[:], ms(now), x.Client, x.RedirectURI, x.Challenge).
		Scan(&g.Account, &g.Session, &g.Scopes, &g.Nonce, &matters)
	return g, matters, notFound("code", err)
}

// ExchangeCode spends a code and starts the app session, if the code is unspent and bound to the same client,
// address and verifier, the client is registered as it was then, and the session has not ended. Of the session's app sessions on
// that client only the newest MaxAppSessions stay. A second use of a spent code is a sign that it was stolen, so it
// ends the app session of the first use (RFC 9700 section 2.1.1, RFC 6749 section 4.1.2). Outcomes: nil;
// ErrCodeSpent for whatever is wrong with the code; ErrNotAdmitted, which spends it, if the account is in none of the
// client's groups; ErrUnavailable, ErrNotConfirmed.
func (s *Store) ExchangeCode(ctx context.Context, x Exchange, now time.Time) error {
	var refused error
	err := s.commit(ctx, func(t *tx) error {
		refused = nil
		var account exeunt.AccountID
		var session exeunt.SessionID
		var scopes exeunt.Scopes
		var registration int64
		ok, err := found(t.row(`UPDATE codes AS p SET spent_at = $1, app_session_id = $2
			WHERE hash = $3 AND spent_at IS NULL AND expires > $1 AND client_id = $4 AND redirect_uri = $5
			AND challenge = $6
			AND `+registered+`
			AND EXISTS (SELECT 1 FROM sessions s JOIN accounts a ON a.id = s.account_id
				WHERE s.account_id = p.account_id AND s.id = p.session_id AND s.ended_at IS NULL
				AND s.generation >= a.generation)
			RETURNING account_id, session_id, scopes, registration`,
			ms(now), x.App.Bytes(), x.Code[:], x.Client, x.RedirectURI, x.Challenge).
			Scan(&account, &session, &scopes, &registration))
		if err != nil {
			return err
		}
		if !ok {
			refused = exeunt.ErrCodeSpent
			return t.endReused(x, now)
		}
		// In the transaction, because what comes after it ends what people lose with a group.
		admitted, err := t.admits(x.Client, account)
		if err != nil || !admitted {
			refused = exeunt.ErrNotAdmitted
			return err
		}
		by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: account, Session: session}
		if x.Own != nil {
			if err := t.startOwn(account, session, registration, x, now); err != nil {
				return err
			}
			session = x.Own.Session.ID
		}
		if _, err := t.exec(`INSERT INTO app_sessions (account_id, id, session_id, client_id, token_hash, scopes,
				token_expires, refreshes, refreshed, started, seen, registration)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $8, $9)`,
			account.Bytes(), x.App.Bytes(), session.Bytes(), x.Client, x.Hash[:], scopes, expiry(x.Expires),
			ms(now), registration); err != nil {
			return err
		}
		if err := t.endOldest(account, session, x, now); err != nil {
			return err
		}
		return t.audit(exeunt.AuditEntry{At: now, Account: account, Action: exeunt.AuditAppSignIn, Session: session,
			By: by, Detail: string(x.Client)})
	})
	if err == nil {
		err = refused
	}
	return err
}

func expiry(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return ms(t)
}

// startOwn starts the session of an app on a person's device: proved as the browser's session is, and as old as its
// generation, so that what ends all of the account's sessions ends it too.
func (t *tx) startOwn(
	account exeunt.AccountID, browser exeunt.SessionID, registration int64, x Exchange, now time.Time,
) error {
	v := &x.Own.Session
	v.Account, v.Kind, v.Started = account, exeunt.KindApp, now
	if err := t.limitByGroups(account, x.Own); err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO sessions (account_id, id, token_hash, kind, label, user_agent, address, methods,
			proved_at, started, seen, idle, expires, due, generation)
		SELECT account_id, $1, $2, $3, $4, $5, $6, methods, proved_at, $7, $7, $8, $9, $10, generation FROM sessions
		WHERE account_id = $11 AND id = $12`,
		v.ID.Bytes(), x.Own.Hash[:], exeunt.KindApp, v.Label, v.UserAgent, addressText(v.Address), ms(now),
		v.Idle.Milliseconds(), ms(v.ExpiresAt), x.Own.due(), account.Bytes(), browser.Bytes()); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE accounts SET live_sessions = live_sessions + 1 WHERE id = $1`,
		account.Bytes()); err != nil {
		return err
	}
	if err := t.tellWebhooks(v, x.Client); err != nil {
		return err
	}
	if err := t.endOldestSessions(*x.Own); err != nil {
		return err
	}
	return t.endOldestOwn(account, registration, x, now)
}

// endOldestOwn ends the oldest sessions of their own that the client has on the account beyond MaxAppSessions: an app
// that was set up anew does not hold the former ones any more.
func (t *tx) endOldestOwn(account exeunt.AccountID, registration int64, x Exchange, now time.Time) error {
	for range endOldestStep {
		rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeSession},
			Reason: exeunt.ReasonReplaced}
		more, err := found(t.row(`SELECT session_id FROM (SELECT p.session_id, p.started FROM app_sessions p
				WHERE p.account_id = $1 AND p.client_id = $2 AND p.registration = $6 AND p.ended_at IS NULL
				ORDER BY p.started DESC LIMIT $3) AS newest
			JOIN sessions s ON s.account_id = $1 AND s.id = newest.session_id JOIN accounts a ON a.id = $1
			WHERE s.kind = $4 AND s.ended_at IS NULL AND s.generation >= a.generation
			ORDER BY newest.started DESC LIMIT 1 OFFSET $5`,
			account.Bytes(), x.Client, lookBack, exeunt.KindApp, MaxAppSessions-1, registration).Scan(&rev.Session))
		if err != nil || !more {
			return err
		}
		if err := t.end(newEnding(exeunt.System(), rev, Change{}, now)); err != nil {
			return err
		}
	}
	return nil
}

// MaxAppSessions is how many app sessions of one client a session may have at a time. An app has one for each
// browser; the others are sign-ins whose cookie was lost.
const MaxAppSessions = 8

// endOldest ends the client's oldest app sessions beyond MaxAppSessions, the new one included.
func (t *tx) endOldest(account exeunt.AccountID, session exeunt.SessionID, x Exchange, now time.Time) error {
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeSession, Session: session},
		Reason: exeunt.ReasonReplaced}
	for range endOldestStep {
		more, err := found(t.row(`SELECT id FROM app_sessions WHERE account_id = $1 AND session_id = $2
			AND client_id = $3 AND ended_at IS NULL AND id <> $4 ORDER BY started DESC, id LIMIT 1 OFFSET $5`,
			account.Bytes(), session.Bytes(), x.Client, x.App.Bytes(), MaxAppSessions-1).Scan(&rev.AppSession))
		if err != nil || !more {
			return err
		}
		if err := t.end(newEnding(exeunt.System(), rev, Change{}, now)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) endReused(x Exchange, now time.Time) error {
	var account exeunt.AccountID
	var app exeunt.AppSessionID
	ok, err := found(t.row(`SELECT account_id, app_session_id FROM codes
		WHERE hash = $1 AND spent_at IS NOT NULL`, x.Code[:]).Scan(&account, &app))
	if !ok || err != nil {
		return err
	}
	return t.endStolen(account, app, exeunt.ReasonCodeReused, now)
}

// endStolen ends an app session, or the session that an app on a person's device has of its own.
func (t *tx) endStolen(account exeunt.AccountID, app exeunt.AppSessionID, why exeunt.Reason, now time.Time) error {
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeSession, AppSession: app},
		Reason: why}
	var kind exeunt.SessionKind
	ok, err := found(t.row(`SELECT s.id, s.kind FROM app_sessions p JOIN sessions s
		ON s.account_id = p.account_id AND s.id = p.session_id WHERE p.account_id = $1 AND p.id = $2`,
		account.Bytes(), app.Bytes()).Scan(&rev.Session, &kind))
	if !ok || err != nil {
		return err
	}
	if kind == exeunt.KindApp {
		rev.AppSession = exeunt.AppSessionID{}
	}
	return t.end(newEnding(exeunt.System(), rev, Change{}, now))
}

const appColumns = `p.id, p.session_id, p.account_id, p.client_id, p.started, p.seen, p.ended_at, p.ended_reason,
	p.ended_by, p.ended_by_label, p.ended_by_session, p.scopes, p.token_expires, p.refreshes, p.refreshed`

// appScan scans appColumns.
type appScan struct {
	app           exeunt.AppSession
	started, seen int64
	expires       int64
	refreshed     int64
	end           endScan
}

func (a *appScan) dest() []any {
	return []any{&a.app.ID, &a.app.Session, &a.app.Account, &a.app.Client, &a.started, &a.seen,
		&a.end.at, &a.end.reason, &a.end.by, &a.end.label, &a.end.session,
		&a.app.Scopes, &a.expires, &a.app.Refreshes, &a.refreshed}
}

func (a *appScan) value() exeunt.AppSession {
	a.app.Started, a.app.Seen, a.app.End = at(a.started), at(a.seen), a.end.ended()
	if a.expires != 0 {
		a.app.TokenExpires = at(a.expires)
	}
	if a.refreshed != 0 {
		a.app.Refreshed = at(a.refreshed)
	}
	return a.app
}

// MaxApps is how many app sessions are listed with a session. Those that were ended by themselves are not.
const MaxApps = 20

// appRows reads the first app sessions of sessions, by client, and one more than are listed.
var appRows = forManyBetween(" UNION ALL ", ``, fmt.Sprintf(`SELECT * FROM (SELECT `+appColumns+` FROM app_sessions p
	WHERE p.account_id = ? AND p.session_id = ? AND p.ended_at IS NULL AND `+registered+`
	ORDER BY p.client_id, p.started LIMIT %d) AS apps`, MaxApps+1), ``)

// addApps fills in the app sessions of the sessions listed.
func (s *Store) addApps(ctx context.Context, list []exeunt.Session) error {
	of := map[exeunt.SessionID]*exeunt.Session{}
	for i := range list {
		of[list[i].ID] = &list[i]
	}
	err := appRows.each(len(list), func(to []any, row int) []any {
		return append(to, list[row].Account.Bytes(), list[row].ID.Bytes())
	}, func(q string, args []any) error {
		rows, err := s.read.QueryContext(ctx, s.traits.spell(q), args...)
		apps, err := collect(rows, err, "app sessions", func(r rowScanner) (exeunt.AppSession, error) {
			var a appScan
			err := r.Scan(a.dest()...)
			return a.value(), err
		})
		for _, a := range apps {
			parent := of[a.Session]
			parent.Apps = append(parent.Apps, a)
		}
		return err
	})
	for i := range list {
		v := &list[i]
		if v.AppCount = int64(len(v.Apps)); v.AppCount > MaxApps && err == nil {
			v.Apps = v.Apps[:MaxApps]
			err = unavailable("number of app sessions", s.read.QueryRowContext(ctx, `SELECT count(*) FROM app_sessions p
				WHERE account_id = $1 AND session_id = $2 AND ended_at IS NULL AND `+registered, v.Account.Bytes(), v.ID.Bytes()).
				Scan(&v.AppCount))
		}
	}
	return err
}

// AppSession returns one app session of the account, or ErrNotFound.
func (s *Store) AppSession(
	ctx context.Context, account exeunt.AccountID, id exeunt.AppSessionID,
) (exeunt.AppSession, error) {
	var a appScan
	var of appClient
	err := s.read.QueryRowContext(ctx, `SELECT `+appClientColumns+appColumns+` FROM app_sessions p`+appClientTable+`
		WHERE p.account_id = $1 AND p.id = $2`, account.Bytes(), id.Bytes()).Scan(append(of.dest(), a.dest()...)...)
	if err != nil {
		return exeunt.AppSession{}, notFound("app session", err)
	}
	app := a.value()
	return app, s.addRemoval(ctx, &app, of)
}

// appClient is what is read of an app session's client.
type appClient struct {
	registration int64          // the app session's
	settings     sql.NullString // NULL: the client has another registration, or none
}

const (
	appClientColumns = `p.registration, k.settings, `
	appClientTable   = ` LEFT JOIN clients k ON k.id = p.client_id AND k.registration = p.registration`
)

func (c *appClient) dest() []any { return []any{&c.registration, &c.settings} }

// addRemoval gives an app session whose client was removed its end, if its row does not have it yet.
func (s *Store) addRemoval(ctx context.Context, app *exeunt.AppSession, of appClient) error {
	if app.End != nil || of.settings.Valid {
		return nil
	}
	var end endScan
	known, err := found(s.read.QueryRowContext(ctx, `SELECT at, reason, by_kind, by_label, by_session FROM events
		WHERE kind = 'apps_ended' AND client_id = $1 AND seq > $2 AND reason = $3 ORDER BY seq LIMIT 1`,
		app.Client, of.registration, exeunt.ReasonClientRemoved).
		Scan(&end.at, &end.reason, &end.by, &end.label, &end.session))
	if app.End = end.ended(); !known { // it has ended, whatever is known of that
		app.End = &exeunt.Ended{At: app.Seen, Reason: exeunt.ReasonClientRemoved}
	}
	return unavailable("event", err)
}

const loadAppSession = `SELECT ` + loadColumns + appClientColumns + appColumns + `, ` + sessionColumns + sessionTables + `
	JOIN app_sessions p ON p.account_id = s.account_id AND p.session_id = s.id` + appClientTable + ` WHERE p.token_hash = $1`

func (s *Store) loadApp(ctx context.Context, hash exeunt.TokenHash, sn *exeunt.Snapshot, dest []any) error {
	var a appScan
	var of appClient
	var err error
	sn.Session, err = scanSession(prefixed{s.loadOfApp.QueryRowContext(ctx, hash[:]),
		slices.Concat(dest, of.dest(), a.dest())})
	if err != nil {
		return err
	}
	app := a.value()
	sn.App, sn.AppHash = &app, hash
	if of.settings.Valid {
		var c clientSettings
		err = json.Unmarshal([]byte(of.settings.String), &c)
		sn.NotAdmitted = !exeunt.Client{Groups: c.Groups}.Admits(sn.Profile.Groups)
		return err
	}
	return s.addRemoval(ctx, &app, of)
}

// AppSeen returns when an app session was last used, as far as nodes have saved it, or ErrNotFound.
func (s *Store) AppSeen(ctx context.Context, account exeunt.AccountID, app exeunt.AppSessionID) (time.Time, error) {
	var seen int64
	err := s.read.QueryRowContext(ctx, `SELECT seen FROM app_sessions WHERE account_id = $1 AND id = $2`, account.Bytes(),
		app.Bytes()).Scan(&seen)
	return at(seen), notFound("app session", err)
}
