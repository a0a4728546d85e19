package store

import (
	"context"
	"errors"
	"time"

	"github.com/exeunt/exeunt"
)

// ErrStillGood says that time has not run out for a session after all: the
// database knows of later activity.
var ErrStillGood = errors.New("the session has not run out")

// Ending is the recorded outcome of a revocation.
type Ending struct {
	Seq   int64 // number of its event; 0 if there was nothing left to end
	At    time.Time
	Ended int64 // sessions ended by it; an app session counts as one
	// Already: it, or the same request under the same key, was recorded before.
	Already bool
}

// Change is what happens to an account in the same transaction as an ending.
type Change struct {
	PasswordHash string               // "" leaves it; needs CredentialVersion
	Credential   int64                // the version the new password is based on
	Status       exeunt.AccountStatus // "" leaves it
	// Link is the one-time link by which the password is set, spent with it.
	Link *exeunt.TokenHash
}

// End records a revocation: it marks the session or raises the account's
// generation and appends the event, which is the audit entry too, all or nothing.
// What might happen:
//   - nil: recorded, or found recorded already (Ending.Already).
//   - ErrNotFound: no such account, session or app session.
//   - ErrSignedOut: the person's own session has ended meanwhile.
//   - ErrSignInAgain: with a new password, somebody else changed it first.
//   - ErrInviteSpent: the link for the new password cannot be used.
//   - ErrStillGood: with ReasonIdle or ReasonAbsolute, it has not run out.
//   - ErrKeyReused: the key was used for another request. Not when a session
//     ends itself: see endsItself.
//   - ErrUnavailable, ErrNotConfirmed: as commit says.
func (s *Store) End(ctx context.Context, by exeunt.Actor, rev exeunt.Revocation, change Change, now time.Time) (Ending, error) {
	if endsItself(by, rev) {
		rev.Key = ""
	}
	e := &ending{by: by, rev: rev, change: change, now: now}
	m := &member{run: e.record, done: make(chan error, 1)}
	if e.simple() {
		m.end = e
	}
	if err := s.submit(ctx, m); err != nil {
		return Ending{}, err
	}
	return e.out, e.refused
}

// ending is a wish to end something, and what became of it.
type ending struct {
	by     exeunt.Actor
	rev    exeunt.Revocation
	change Change
	now    time.Time

	out     Ending
	refused error
}

// record does it by itself; see endings for many at once.
func (e *ending) record(t *tx) (err error) {
	e.out, e.refused = Ending{}, nil
	known, err := e.known(t)
	if err != nil || known || e.refused != nil {
		return err
	}
	e.out, e.refused, err = t.end(e.by, e.rev, e.change, e.now)
	if err != nil || e.refused != nil || e.rev.Key == "" {
		return err
	}
	_, err = t.exec(`INSERT INTO outcomes (actor, key, request, seq, ended, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		e.by.Key(), e.rev.Key, requestText(e.rev), e.out.Seq, e.out.Ended, ms(e.now))
	return err
}

// known looks for the outcome of an earlier request with the same key.
func (e *ending) known(t *tx) (bool, error) {
	if e.rev.Key == "" {
		return false, nil
	}
	var request string
	var atMS int64
	ok, err := found(t.row(`SELECT request, seq, ended, at FROM outcomes WHERE actor = $1 AND key = $2`, e.by.Key(), e.rev.Key).
		Scan(&request, &e.out.Seq, &e.out.Ended, &atMS))
	if !ok || err != nil {
		return false, err
	}
	if request != requestText(e.rev) {
		e.out, e.refused = Ending{}, exeunt.ErrKeyReused
		return false, nil
	}
	e.out.At, e.out.Already = at(atMS), true
	return true, nil
}

// endsItself reports whether it is the actor's own session that ends. Then its
// idempotency key is not looked at: who repeats the request is told by the event
// what became of it, for anything else the actor is too late, and to sign out is
// never refused.
func endsItself(by exeunt.Actor, rev exeunt.Revocation) bool {
	return by.Kind == exeunt.ActorPerson && by.Session == rev.Session && by.App.IsZero() && rev.Scope == exeunt.ScopeSession && rev.AppSession.IsZero()
}

func requestText(r exeunt.Revocation) string {
	return string(r.Scope) + " " + r.Account.String() + " " + r.Session.String() + " " + r.AppSession.String()
}

// end is called for every ending there is, whatever its cause.
func (t *tx) end(by exeunt.Actor, rev exeunt.Revocation, change Change, now time.Time) (out Ending, refused, err error) {
	label, ok, err := t.mayStillAct(by, rev.Session)
	if err != nil || !ok {
		return out, exeunt.ErrSignedOut, err
	}
	if by.Kind == exeunt.ActorPerson {
		by.Label = label
	}
	if change.Link != nil {
		// Before anything is changed: a refusal commits.
		if ok, err := t.spendReset(*change.Link, rev.Account, now); err != nil || !ok {
			return out, exeunt.ErrInviteSpent, err
		}
	}
	var generation int64
	switch {
	case rev.Scope == exeunt.ScopeSession && !rev.AppSession.IsZero():
		out, refused, err = t.endApp(&by, rev, now)
	case rev.Scope == exeunt.ScopeSession:
		out, refused, err = t.endSession(&by, rev, now)
	default:
		out, generation, refused, err = t.endMany(&by, rev, change, now)
	}
	if err != nil || refused != nil || out.Already {
		return out, refused, err
	}
	if change.PasswordHash != "" {
		if err := t.dropResets(rev.Account); err != nil {
			return out, nil, err
		}
	}
	out.Seq, err = t.applogEvent(exeunt.Event{At: now, Kind: exeunt.EventEnded, Target: rev.Target, Reason: rev.Reason, By: by, Generation: generation})
	return out, nil, err
}

// mayStillAct reports whether a person's own session has not ended by the time
// their wish is carried out: a request that was on its way when they were
// signed out must do nothing. Signing out itself may be repeated. It returns
// that session's label, by which lists and the audit name it; of the target
// itself, whoever changes its row reads it there.
func (t *tx) mayStillAct(by exeunt.Actor, target exeunt.SessionID) (label string, ok bool, err error) {
	if by.Kind != exeunt.ActorPerson || by.Session == target {
		return "", true, nil
	}
	ok, err = found(t.row(`SELECT s.label FROM sessions s JOIN accounts a ON a.id = s.account_id
		WHERE s.account_id = $1 AND s.id = $2 AND s.ended_at IS NULL AND s.generation >= a.generation`, by.Account.Bytes(), by.Session.Bytes()).Scan(&label))
	return label, ok, err
}

// endSession ends one session. If it is the actor's own, it puts its label in.
func (t *tx) endSession(by *exeunt.Actor, rev exeunt.Revocation, now time.Time) (out Ending, refused, err error) {
	out.At = now
	// Time alone ends a session only if the activity that has reached the
	// database agrees; whoever asks has flushed what it knows beforehand.
	// The row tells the moment from which the session was of no use, which was
	// its limit, not when somebody noticed; the event tells when it was recorded.
	ended, err := found(t.row(`UPDATE sessions SET ended_at = CASE $2 WHEN 'idle' THEN seen + idle WHEN 'absolute' THEN expires ELSE $1 END, ended_reason = $2, ended_by = $3, ended_by_session = $4,
		ended_by_label = CASE WHEN id = $4 THEN label ELSE $5 END
		WHERE account_id = $6 AND id = $7 AND ended_at IS NULL
		AND generation >= (SELECT generation FROM accounts WHERE accounts.id = $6)
		AND ($2 <> 'idle' OR seen + idle <= $1) AND ($2 <> 'absolute' OR expires <= $1) RETURNING ended_by_label`,
		ms(now), rev.Reason, by.Kind, by.Session.Bytes(), by.Label, rev.Account.Bytes(), rev.Session.Bytes()).Scan(&by.Label))
	if err != nil {
		return out, nil, err
	}
	if ended {
		out.Ended = 1
		_, err = t.exec(`UPDATE accounts SET live_sessions = live_sessions - 1 WHERE id = $1`, rev.Account.Bytes())
		return out, nil, err
	}
	var live bool
	var seq, when int64
	ok, err := found(t.row(`SELECT s.ended_at IS NULL AND s.generation >= a.generation, COALESCE(e.seq, 0), COALESCE(e.at, 0)
		FROM sessions s JOIN accounts a ON a.id = s.account_id LEFT JOIN events e ON e.account_id = s.account_id AND e.at = s.ended_at AND e.kind = 'ended'
		AND e.scope = 'session' AND e.session_id = s.id AND e.app_session_id IS NULL AND e.by_session = s.id
		WHERE s.account_id = $1 AND s.id = $2`, rev.Account.Bytes(), rev.Session.Bytes()).Scan(&live, &seq, &when))
	switch {
	case err != nil:
		return out, nil, err
	case !ok:
		return out, exeunt.ErrNotFound, nil
	case live:
		return out, ErrStillGood, nil
	case seq > 0 && endsItself(*by, rev):
		return Ending{Seq: seq, At: at(when), Ended: 1, Already: true}, nil, nil
	}
	out.Already = true
	return out, nil, nil
}

func (t *tx) endApp(by *exeunt.Actor, rev exeunt.Revocation, now time.Time) (out Ending, refused, err error) {
	out.At = now
	ended, err := found(t.row(`UPDATE app_sessions SET ended_at = $1, ended_reason = $2, ended_by = $3, ended_by_session = $4,
		ended_by_label = CASE WHEN session_id = $4 THEN (SELECT label FROM sessions WHERE account_id = $6 AND sessions.id = $4) ELSE $5 END
		WHERE account_id = $6 AND id = $7 AND session_id = $8 AND ended_at IS NULL RETURNING ended_by_label`,
		ms(now), rev.Reason, by.Kind, by.Session.Bytes(), by.Label, rev.Account.Bytes(), rev.AppSession.Bytes(), rev.Session.Bytes()).Scan(&by.Label))
	if err != nil {
		return out, nil, err
	}
	if ended {
		out.Ended = 1
		return out, nil, nil
	}
	var there int
	ok, err := found(t.row(`SELECT 1 FROM app_sessions WHERE account_id = $1 AND id = $2 AND session_id = $3`,
		rev.Account.Bytes(), rev.AppSession.Bytes(), rev.Session.Bytes()).Scan(&there))
	if err == nil && !ok {
		refused = exeunt.ErrNotFound
	}
	out.Already = ok
	return out, refused, err
}

// endMany raises the account's generation: one row changes, however many
// sessions there are. Their own rows are written later, by SettleEnded.
func (t *tx) endMany(by *exeunt.Actor, rev exeunt.Revocation, change Change, now time.Time) (out Ending, generation int64, refused, err error) {
	out.At = now
	kept := int64(0)
	if rev.Scope == exeunt.ScopeOthers {
		label := ""
		ok, err := found(t.row(`UPDATE sessions SET generation = (SELECT generation + 1 FROM accounts WHERE accounts.id = $1)
			WHERE account_id = $1 AND id = $2 AND ended_at IS NULL
			AND generation >= (SELECT generation FROM accounts WHERE accounts.id = $1)
			AND ($3 = '' OR EXISTS (SELECT 1 FROM accounts WHERE accounts.id = $1 AND credential_version = $4)) RETURNING label`,
			rev.Account.Bytes(), rev.Session.Bytes(), change.PasswordHash, change.Credential).Scan(&label))
		if err != nil {
			return out, 0, nil, err
		}
		if !ok {
			refused, err = t.whyNotKept(rev)
			return out, 0, refused, err
		}
		if kept = 1; by.Session == rev.Session {
			by.Label = label
		}
	}
	ok, err := found(t.row(`UPDATE accounts SET generation = generation + 1, last_ended = live_sessions - $2, live_sessions = $2,
		status = CASE WHEN $3 = '' THEN status ELSE $3 END,
		password_hash = CASE WHEN $4 = '' THEN password_hash ELSE $4 END,
		password_set = CASE WHEN $4 = '' THEN password_set ELSE $6 END,
		credential_version = CASE WHEN $4 = '' THEN credential_version ELSE credential_version + 1 END
		WHERE id = $1 AND ($4 = '' OR credential_version = $5) RETURNING generation, last_ended`,
		rev.Account.Bytes(), kept, change.Status, change.PasswordHash, change.Credential, ms(now)).Scan(&generation, &out.Ended))
	if err == nil && !ok {
		refused = exeunt.ErrNotFound
	}
	return out, generation, refused, err
}

func (t *tx) whyNotKept(rev exeunt.Revocation) (refused, err error) {
	var live bool
	ok, err := found(t.row(`SELECT s.ended_at IS NULL AND s.generation >= a.generation FROM sessions s JOIN accounts a ON a.id = s.account_id
		WHERE s.account_id = $1 AND s.id = $2`, rev.Account.Bytes(), rev.Session.Bytes()).Scan(&live))
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return exeunt.ErrNotFound, nil
	case live:
		return exeunt.ErrSignInAgain, nil
	}
	return exeunt.ErrSignedOut, nil
}

// appendEvent gives an event the next number and records it.
func (t *tx) applogEvent(e exeunt.Event) (int64, error) {
	e.Seq, e.At = t.seq+1, at(ms(e.At))
	_, err := t.exec(`INSERT INTO events (`+eventColumns+`, by_address) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		append(eventValues(&e), addressText(e.By.Address))...)
	if err != nil {
		return 0, err
	}
	t.seq = e.Seq
	t.events = append(t.events, e)
	return e.Seq, nil
}

func (t *tx) audit(e exeunt.AuditEntry) error {
	_, err := t.exec(`INSERT INTO audit (seq, account_id, at, action, session_id, by_kind, by_account, by_session, by_label, by_address, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		t.seq, e.Account.Bytes(), ms(e.At), e.Action, e.Session.Bytes(), e.By.Kind, e.By.Account.Bytes(), e.By.Session.Bytes(), e.By.Label, addressText(e.By.Address), e.Detail)
	return err
}
