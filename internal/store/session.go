package store

import (
	"context"
	"database/sql"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
)

// NewSession is a session to be started from a proof.
type NewSession struct {
	Session  exeunt.Session // Generation is taken from the proof
	Hash     exeunt.TokenHash
	Proof    exeunt.Proof
	Replaces exeunt.SessionID // the live session of the same browser, if any
	By       exeunt.Actor
	Due      time.Time // when maintenance looks at it at the latest; zero: when it may time out
	Most     int       // how many live sessions the account may have then; 0: any number
	// Policy has groups that make the session's limits, and Most, stricter when the account is in them.
	Policy exeunt.Policy
	Form   string // key of the form that it is started by; "" when it has none
	// Renews, unless zero, is a renewal of the token that the browser has presented. If Replaces still has that token,
	// is the account's and of the same kind, it goes on with the new one, and none is started.
	Renews exeunt.Renewal
	// Language is that of the pages on which somebody signs in, "" when it is not known.
	Language string
	Recognised
	// GoesOn: only that; if the session has ended meanwhile, none is started.
	GoesOn bool
}

// Started says what StartSession did.
type Started struct {
	Seq     int64            // position of the insertion in the log
	Session exeunt.SessionID // the new one, or the one that the same form has started before
	Hash    exeunt.TokenHash // of its token
	Already bool             // the form had started it before
	At      time.Time        // when the form started or renewed it
	Expires time.Time
	Idle    time.Duration
}

// StartSession inserts a session if the account is unchanged since the proof, and in the same transaction ends the
// session it replaces, and the account's oldest if there are too many. A form that has started a session of that kind
// starts no second one while the first is live, for FormLife. Outcomes: nil; ErrRenewed, when the token to renew has
// been renewed already; ErrSignInAgain, when the account's generation, password or status has changed since the proof;
// ErrUnavailable, ErrNotConfirmed.
func (s *Store) StartSession(ctx context.Context, n NewSession) (Started, error) {
	var out Started
	var refused error
	err := s.commit(ctx, func(t *tx) (err error) {
		v := &n.Session
		if err := t.limitByGroups(v.Account, &n); err != nil {
			return err
		}
		out, refused = Started{Seq: t.seq, Session: v.ID, Hash: n.Hash, At: v.Started, Expires: v.ExpiresAt, Idle: v.Idle}, nil
		if out.Already, err = t.startedBefore(n, &out); err != nil {
			return err
		}
		if out.Already {
			if n.Replaces == out.Session {
				return nil
			}
			return t.replace(n)
		}
		if n.Proof.Repeated {
			var over bool
			if over, err = t.formUsed(n); over || err != nil {
				refused = exeunt.ErrSignInAgain // what it has started is over
				return err
			}
		}
		if !n.Renews.IsZero() {
			var done bool
			if done, refused, err = t.goOn(n, &out); done || refused != nil || err != nil {
				return err
			}
			if n.GoesOn {
				refused = exeunt.ErrSignInAgain
				return nil
			}
		}
		inserted, err := t.exec(`INSERT INTO sessions (account_id, id, token_hash, kind, label, user_agent, address,
			methods, proved_at, started, seen, idle, expires, due, generation)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, generation FROM accounts
			WHERE id = $1 AND generation = $14 AND credential_version = $15 AND status = 'active'`,
			v.Account.Bytes(), v.ID.Bytes(), n.Hash[:], v.Kind, v.Label, v.UserAgent, addressText(v.Address),
			v.Methods.String(), ms(v.Proved), ms(v.Started), v.Idle.Milliseconds(), ms(v.ExpiresAt), n.due(),
			n.Proof.Generation, n.Proof.CredentialVersion)
		if err != nil {
			return err
		}
		if inserted == 0 {
			refused = exeunt.ErrSignInAgain
			return nil
		}
		// What no surface has recognised, as the demo's first sessions, says nothing of how the account is used.
		if _, err := t.exec(`UPDATE accounts SET live_sessions = live_sessions + 1,
			signed_in = CASE WHEN $2 = 1 THEN 1 ELSE signed_in END,
			language = CASE WHEN language_chosen = 1 OR $3 = '' THEN language ELSE $3 END WHERE id = $1`,
			v.Account.Bytes(), flag(n.Arrival != (Arrival{})), n.Language); err != nil {
			return err
		}
		if err := t.replace(n); err != nil {
			return err
		}
		if err := t.endOldestSessions(n); err != nil {
			return err
		}
		if n.Form != "" {
			err := t.remember(sessionsActor(v.Account), formHash(n.Form), signInText(n.Hash), v.ID.Bytes(), v.Started)
			if err != nil {
				return err
			}
		}
		out.Seq = t.seq
		return t.tellOfStart(n)
	})
	if err != nil {
		return Started{}, err
	}
	return out, refused
}

// tellOfStart records how a session was started.
func (t *tx) tellOfStart(n NewSession) error {
	v := &n.Session
	if err := t.audit(exeunt.AuditEntry{At: v.Started, Account: v.Account, Action: exeunt.AuditSignIn, Session: v.ID,
		By: n.By, Detail: string(v.Kind) + " " + v.Methods.String()}); err != nil {
		return err
	}
	if err := t.tellWebhooks(v, ""); err != nil {
		return err
	}
	if err := t.rememberArrival(n, v.Started); err != nil || n.Notice == nil {
		return err
	}
	return t.addNotice(n, v.Started)
}

// limitByGroups makes the limits of a session that starts as strict as those of the account's groups.
func (t *tx) limitByGroups(account exeunt.AccountID, n *NewSession) error {
	if len(n.Policy.Groups) == 0 {
		return nil
	}
	var groups groupScan
	if err := t.row(`SELECT `+groupNames+` WHERE account_id = $1`, account.Bytes()).Scan(&groups); err != nil {
		return err
	}
	p, v := n.Policy.Of(groups), &n.Session
	limits := p.For(v.Kind)
	v.Idle, v.ExpiresAt, n.Most = limits.Idle, v.Started.Add(limits.Absolute), p.MaxSessions
	return nil
}

// FormLife is for how long a form that is sent again gets the session that it has started, with the same token. Later
// it is another sign-in.
const FormLife = 5 * time.Minute

// signInText is the request of a form that has made a token: that of its session until it is renewed.
func signInText(h exeunt.TokenHash) string { return "sign_in " + h.String() }

// startedBefore looks for the live session that the same form has started or renewed, and whose token it has made.
func (t *tx) startedBefore(n NewSession, out *Started) (bool, error) {
	if n.Form == "" {
		return false, nil
	}
	var hash []byte
	var id exeunt.SessionID
	var request string
	var made, expires, idle int64
	ok, err := found(t.row(`SELECT s.id, s.token_hash, s.expires, s.idle, o.at, o.request FROM outcomes o
		JOIN sessions s ON s.account_id = $3 AND s.id = o.made JOIN accounts a ON a.id = s.account_id
		WHERE o.actor = $1 AND o.key = $2 AND o.at > $8 AND s.kind = $4 AND s.ended_at IS NULL
		AND s.generation >= a.generation AND s.seen + s.idle > $5 AND s.expires > $5
		AND a.generation = $6 AND a.credential_version = $7 AND a.status = 'active'`,
		sessionsActor(n.Session.Account), formHash(n.Form), n.Session.Account.Bytes(), n.Session.Kind,
		ms(n.Session.Started), n.Proof.Generation, n.Proof.CredentialVersion, ms(n.Session.Started.Add(-FormLife))).
		Scan(&id, &hash, &expires, &idle, &made, &request))
	if !ok || err != nil {
		return false, err
	}
	var current exeunt.TokenHash
	if copy(current[:], hash); request != signInText(current) {
		return false, nil // it has been renewed since
	}
	out.Session, out.Hash, out.At, out.Expires, out.Idle = id, current, at(made), at(expires), time.Duration(idle)*time.Millisecond
	return true, nil
}

// formUsed reports whether the form has started a session before, which need not be live. Without a key nobody knows.
func (t *tx) formUsed(n NewSession) (used bool, err error) {
	if n.Form == "" {
		return true, nil
	}
	err = t.row(`SELECT EXISTS (SELECT 1 FROM outcomes WHERE actor = $1 AND key = $2)`,
		sessionsActor(n.Session.Account), formHash(n.Form)).Scan(&used)
	return used, err
}

// goOn gives the session that the browser has another token, because somebody has signed in again (OWASP ASVS 5.0,
// 7.2.4). Its app sessions go on, too. Its limits become as strict as those of a session that starts now: the account's
// groups may have changed. done is false when there is no such session any more.
func (t *tx) goOn(n NewSession, out *Started) (done bool, refused, err error) {
	v, account, now := n.Session, n.Session.Account.Bytes(), ms(n.Session.Started)
	var expires, idle int64
	var label string
	done, err = found(t.row(`UPDATE sessions SET token_hash = $1, proved_at = $2, methods = $3,
		seen = CASE WHEN seen < $4 THEN $4 ELSE seen END, idle = least(idle, CAST($11 AS BIGINT)),
		expires = least(expires, started + CAST($12 AS BIGINT)),
		due = least(due, $4 + CAST($11 AS BIGINT), expires, started + CAST($12 AS BIGINT))
		WHERE account_id = $5 AND id = $6 AND token_hash = $7 AND kind = $8 AND ended_at IS NULL
		AND generation >= (SELECT a.generation FROM accounts a WHERE a.id = $5 AND a.generation = $9
			AND a.credential_version = $10 AND a.status = 'active') RETURNING expires, idle, label`,
		n.Renews.To[:], ms(v.Proved), v.Methods.String(), now, account, n.Replaces.Bytes(), n.Renews.From[:], v.Kind,
		n.Proof.Generation, n.Proof.CredentialVersion, v.Idle.Milliseconds(), v.ExpiresAt.Sub(v.Started).Milliseconds()).
		Scan(&expires, &idle, &label))
	if err != nil {
		return false, nil, err
	}
	if !done {
		var before bool
		err = t.row(`SELECT EXISTS (SELECT 1 FROM renewals WHERE hash = $1)`, n.Renews.From[:]).Scan(&before)
		if before {
			refused = exeunt.ErrRenewed
		}
		return false, refused, err
	}
	if _, err := t.exec(`INSERT INTO renewals (hash, account_id, session_id, at) VALUES ($1, $2, $3, $4)`,
		n.Renews.From[:], account, n.Replaces.Bytes(), now); err != nil {
		return false, nil, err
	}
	if n.Form != "" {
		if err := t.remember(sessionsActor(v.Account), formHash(n.Form), signInText(n.Renews.To), n.Replaces.Bytes(),
			v.Started); err != nil {
			return false, nil, err
		}
	}
	if err := t.rememberArrival(n, v.Started); err != nil {
		return false, nil, err
	}
	by := n.By
	by.Session, by.Label = n.Replaces, label
	err = t.appendEvents([]exeunt.Event{{At: v.Started, Kind: exeunt.EventRenewed, By: by, Reason: exeunt.ReasonRenewed,
		Target: exeunt.Target{Account: v.Account, Session: n.Replaces}}})
	out.Session, out.Hash, out.Expires, out.Idle, out.Seq = n.Replaces, n.Renews.To, at(expires), time.Duration(idle)*time.Millisecond, t.seq
	return true, nil, err
}

// due is when maintenance looks at it first.
func (n *NewSession) due() int64 {
	due := min(ms(n.Session.Started)+n.Session.Idle.Milliseconds(), ms(n.Session.ExpiresAt))
	if !n.Due.IsZero() {
		due = min(due, ms(n.Due))
	}
	return due
}

// replace ends the session that the new one replaces. It may belong to another account, and may have ended already.
func (t *tx) replace(n NewSession) error {
	if n.Replaces.IsZero() {
		return nil
	}
	var account exeunt.AccountID
	ok, err := found(t.row(`SELECT account_id FROM sessions WHERE id = $1`, n.Replaces.Bytes()).Scan(&account))
	if !ok || err != nil {
		return err
	}
	rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeSession, Session: n.Replaces},
		Reason: exeunt.ReasonReplaced}
	by := exeunt.System()
	by.Label = n.Session.Label
	return t.end(newEnding(by, rev, Change{}, n.Session.Started))
}

const (
	// lookBack bounds how many sessions one sign-in looks at to find the oldest live ones.
	lookBack = 256
	// endOldestStep bounds how many one sign-in ends: there are more only if they are older than the limit.
	endOldestStep = 16
)

// endOldestSessions ends the account's oldest live sessions beyond the limit. No session that started before the
// account's oldest_live is live, so those that have ended are looked at once, and not by every sign-in. If lookBack
// are not enough, the next sign-in goes on from there.
func (t *tx) endOldestSessions(n NewSession) error {
	account := n.Session.Account
	var live, oldest int64
	if n.Most == 0 {
		return nil
	}
	if err := t.row(`SELECT live_sessions, oldest_live FROM accounts WHERE id = $1`, account.Bytes()).
		Scan(&live, &oldest); err != nil || live <= int64(n.Most) {
		return err
	}
	over, from, err := t.oldestSessions(n, oldest, int(min(live-int64(n.Most), endOldestStep)))
	if err != nil {
		return err
	}
	by := exeunt.System()
	by.Label = n.Session.Label
	for _, id := range over {
		rev := exeunt.Revocation{Target: exeunt.Target{Account: account, Scope: exeunt.ScopeSession, Session: id},
			Reason: exeunt.ReasonTooMany}
		if err := t.end(newEnding(by, rev, Change{}, n.Session.Started)); err != nil {
			return err
		}
	}
	_, err = t.exec(`UPDATE accounts SET oldest_live = $2 WHERE id = $1`, account.Bytes(), from)
	return err
}

// oldestSessions returns the oldest live sessions of the account that started at oldest or later, at most most of
// them and without the new one, and from when on to look the next time.
func (t *tx) oldestSessions(n NewSession, oldest int64, most int) (over []exeunt.SessionID, from int64, err error) {
	rows, err := t.rows(`SELECT s.id, s.started, s.ended_at IS NULL AND s.generation >= a.generation
		FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.account_id = $1 AND s.started >= $2
		ORDER BY s.started, s.id LIMIT $3`, n.Session.Account.Bytes(), oldest, lookBack)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	from = oldest
	seen := 0
	for ; rows.Next() && len(over) < most; seen++ {
		var id exeunt.SessionID
		var live bool
		if err := rows.Scan(&id, &from, &live); err != nil {
			return nil, 0, err
		}
		if live && id != n.Session.ID {
			over = append(over, id)
		}
	}
	if seen == lookBack && from == oldest {
		from++ // all of them began in one millisecond
	}
	return over, from, rows.Err()
}

// sessionColumns are what scanSession reads from sessionTables. activeColumns and activeTables are enough for sessions
// that have not ended.
const (
	sessionItself = `s.id, s.account_id, a.handle, ` + sessionRow
	sessionRow    = `s.kind, s.label, s.user_agent, s.address, s.last_address, s.methods, s.proved_at,
	s.started, s.seen, s.idle, s.expires, s.generation, `
	activeColumns  = sessionItself + `NULL, NULL, NULL, NULL, NULL`
	sessionColumns = sessionItself + `COALESCE(s.ended_at, e.at), COALESCE(s.ended_reason, e.reason),
		COALESCE(s.ended_by, e.by_kind),
	CASE WHEN s.ended_at IS NULL THEN e.by_session ELSE s.ended_by_session END, COALESCE(s.ended_by_label, e.by_label)`
)

const activeTables = ` FROM sessions s JOIN accounts a ON a.id = s.account_id`

// sessionTables joins each session with its account. A session that was ended together with others and whose row is
// not written yet is joined with the event that ended it: the account's first with a higher generation.
const sessionTables = activeTables + `
	LEFT JOIN events e ON s.ended_at IS NULL AND s.generation < a.generation AND e.seq =
		(SELECT x.seq FROM events x WHERE x.account_id = s.account_id AND x.generation > s.generation
			AND x.generation > 0 ORDER BY x.generation LIMIT 1)`

func scanSession(row rowScanner, more ...any) (s exeunt.Session, err error) {
	var proved, started, seen, idle, expires int64
	var address, last, methods string
	var end endScan
	dest := []any{&s.ID, &s.Account, &s.Handle, &s.Kind, &s.Label, &s.UserAgent, &address, &last, &methods, &proved, &started,
		&seen, &idle, &expires, &s.Generation, &end.at, &end.reason, &end.by, &end.session, &end.label}
	err = row.Scan(append(dest, more...)...)
	s.Address, _ = netip.ParseAddr(address) // "" is the zero address
	if s.LastAddress = s.Address; last != "" {
		s.LastAddress, _ = netip.ParseAddr(last)
	}
	s.Methods, s.Proved = exeunt.ParseMethods(methods), at(proved)
	s.Started, s.Seen, s.ExpiresAt = at(started), at(seen), at(expires)
	s.Idle = time.Duration(idle) * time.Millisecond
	s.End = end.ended()
	return s, err
}

type endScan struct {
	at                sql.NullInt64
	reason, by, label sql.NullString
	session           exeunt.SessionID
}

func (e *endScan) ended() *exeunt.Ended {
	if !e.at.Valid {
		return nil
	}
	return &exeunt.Ended{At: at(e.at.Int64), Reason: exeunt.Reason(e.reason.String), By: exeunt.ActorKind(e.by.String),
		BySession: e.session, ByLabel: e.label.String}
}

// Session returns one session of the account with its app sessions. It returns ErrNotFound also for another
// account's session.
func (s *Store) Session(ctx context.Context, account exeunt.AccountID, id exeunt.SessionID) (exeunt.Session, error) {
	v, err := scanSession(s.read.QueryRowContext(ctx,
		`SELECT `+sessionColumns+sessionTables+` WHERE s.account_id = $1 AND s.id = $2`, account.Bytes(), id.Bytes()))
	if err != nil {
		return v, notFound("session", err)
	}
	list := []exeunt.Session{v}
	err = s.addApps(ctx, list)
	return list[0], err
}

// AccountOf returns the account of a session, or ErrNotFound.
func (s *Store) AccountOf(ctx context.Context, id exeunt.SessionID) (a exeunt.AccountID, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT account_id FROM sessions WHERE id = $1`, id.Bytes()).Scan(&a)
	return a, notFound("session", err)
}

// Count returns how many accounts there are and how many sessions have not ended.
func (s *Store) Count(ctx context.Context) (accounts, sessions int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*), COALESCE(sum(live_sessions), 0) FROM accounts`).
		Scan(&accounts, &sessions)
	return accounts, sessions, unavailable("count", err)
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

const loadColumns = `a.generation, a.profile_version, a.name, CASE WHEN a.email_confirmed = 1 THEN a.email ELSE '' END,
	a.display, (SELECT ` + groupNames + ` WHERE account_id = a.id),
	COALESCE((SELECT pictures.name FROM pictures WHERE account_id = a.id), ''), s.token_hash,
	(SELECT seq FROM log_head WHERE id = 1), `

const loadSession = `SELECT ` + loadColumns + sessionColumns + sessionTables + ` WHERE s.token_hash = $1`

// Load returns the session or app session of the token with that hash, with the position in the log of the snapshot
// it was read from, or ErrNotFound.
func (s *Store) Load(ctx context.Context, use exeunt.TokenUse, hash exeunt.TokenHash) (exeunt.Snapshot, error) {
	var sn exeunt.Snapshot
	var tokenHash []byte
	dest := []any{&sn.AccountGeneration, &sn.Profile.Version, &sn.Profile.Name, &sn.Profile.Email, &sn.Profile.Display,
		(*groupScan)(&sn.Profile.Groups), &sn.Profile.Picture, &tokenHash, &sn.Seq}
	var err error
	if use.OfApp() {
		err = s.loadApp(ctx, hash, &sn, dest)
	} else {
		sn.Session, err = scanSession(prefixed{s.load.QueryRowContext(ctx, hash[:]), dest})
	}
	sn.Profile.Handle = sn.Session.Handle
	copy(sn.Hash[:], tokenHash)
	return sn, notFound("token", err)
}

// prefixed scans its own columns before those of another scanner.
type prefixed struct {
	row   rowScanner
	first []any
}

func (p prefixed) Scan(dest ...any) error {
	return p.row.Scan(append(append([]any{}, p.first...), dest...)...)
}

// AgeProof makes a session's last proof of who its owner is as old as before, unless it is older.
func (s *Store) AgeProof(ctx context.Context, of exeunt.Target, before time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE sessions SET proved_at = $1 WHERE account_id = $2 AND id = $3 AND ended_at IS NULL
			AND proved_at > $1`, ms(before), of.Account.Bytes(), of.Session.Bytes())
		return err
	})
}
