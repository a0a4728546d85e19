package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
)

// ErrStillGood says that the session has not timed out after all: the database knows of later activity.
var ErrStillGood = errors.New("the session has not timed out")

// Ending is the recorded outcome of a revocation.
type Ending struct {
	Seq   int64 // number of its event; 0 if there was nothing left to end
	At    time.Time
	Ended int64 // sessions ended by it; an app session counts as one
	Apps  int64 // with ScopeSession: app sessions that ended with the session
	// Already: this, or the same request with the same key, was recorded before.
	Already bool
	// Unmailed is how many mails that come with it were not queued, because the account or address had too many lately.
	Unmailed int
}

// Change is what happens to an account in the same transaction as an ending.
type Change struct {
	PasswordHash string               // "" leaves it; needs CredentialVersion
	Credential   int64                // the version the new password is based on
	Status       exeunt.AccountStatus // "" leaves it
	// Factors is what happens to its factors; nil leaves them. It needs Credential, too.
	Factors *FactorChange
	// Deletion begins the account's; nil does not. With Credential, it is refused if that has changed.
	Deletion *Deletion
	// Secure begins to secure the account: what its owner is to look at is noted, and what anybody has begun is dropped,
	// but not the links of mails that undo something.
	Secure bool
	// Link is the one-time link that sets the password; it is spent in the same transaction.
	Link *exeunt.TokenHash
	// NotMe: a sign-in was somebody else's. Nothing that is under way with the account's password or factors survives.
	NotMe *NotMe
	// Undo puts back an address that the account had before; nil leaves it.
	Undo *Undo
	// Mails tell of it. They are queued in the same transaction.
	Mails []NewMail
}

// IsZero reports whether nothing happens beside the ending.
func (c Change) IsZero() bool {
	return c.PasswordHash == "" && c.Status == "" && c.Factors == nil && c.Deletion == nil && !c.Secure && c.Link == nil &&
		c.Undo == nil && c.NotMe == nil && len(c.Mails) == 0
}

// proved reports whether the change is refused unless the person has proved who they are with the present password.
func (c Change) proved() bool { return c.PasswordHash != "" || c.Factors != nil }

// End records a revocation: in one transaction it marks the session or raises the account's generation and appends
// the event, which is the audit entry too. Outcomes:
//   - nil: recorded, or found recorded already (Ending.Already).
//   - ErrNotFound: no such account, session or app session.
//   - ErrSignedOut: the person's own session has ended meanwhile.
//   - ErrRenewed: with a Renewal, the session has another token by now.
//   - ErrSignInAgain: with a new password, somebody else changed it first; with a deletion, the account changed since the
//     proof.
//   - ErrInviteSpent: the link for the new password was used or has expired.
//   - ErrAnswered, ErrNotAsked, ErrInviteSpent: with NotMe, as for AnswerMe.
//   - ErrLinkSpent, ErrEmailTaken: of an undo, its link is of no use any more, or another account has the address.
//   - ErrStillGood: with ReasonIdle or ReasonAbsolute, it has not timed out; with ReasonClosed, it was used since, or its
//     time has not come.
//   - ErrKeyReused: the key was used for another request. Not when a session ends itself: see endsItself.
//   - ErrUnavailable, ErrNotConfirmed: as commit says.
func (s *Store) End(
	ctx context.Context, by exeunt.Actor, rev exeunt.Revocation, change Change, now time.Time,
) (Ending, error) {
	e := newEnding(by, rev, change, now)
	if err := s.submit(ctx, &member{end: e, done: make(chan error, 1)}); err != nil {
		return Ending{}, err
	}
	return e.out, e.refused
}

// ending is a request to end something, and its outcome.
type ending struct {
	by     exeunt.Actor
	rev    exeunt.Revocation
	change Change
	now    time.Time

	out        Ending
	refused    error
	generation int64 // the account's new one, if many end
	profile    int64 // its new profile's version, if an address was put back
	repeated   bool  // its key has an outcome already
}

func newEnding(by exeunt.Actor, rev exeunt.Revocation, change Change, now time.Time) *ending {
	if endsItself(by, rev) {
		rev.Key = ""
	}
	return &ending{by: by, rev: rev, change: change, now: now}
}

// endsItself reports whether the actor's own session ends. Then its idempotency key is ignored, because signing out
// is never refused: a repetition finds the outcome by the event.
func endsItself(by exeunt.Actor, rev exeunt.Revocation) bool {
	return by.Kind == exeunt.ActorPerson && by.Session == rev.Session && by.App.IsZero() &&
		rev.Scope == exeunt.ScopeSession && rev.AppSession.IsZero()
}

// actorKey identifies the owner of the idempotency key, "" without a key.
func (e *ending) actorKey() string {
	if e.rev.Key == "" {
		return ""
	}
	return e.by.Key()
}

// requestText is what a key's outcome is compared by. The reason is in it because an ending that comes with a new
// password is another request than one without.
func requestText(r exeunt.Revocation) string {
	return string(r.Scope) + " " + r.Account.String() + " " + r.Session.String() + " " + r.AppSession.String() + " " +
		string(r.Reason)
}

// end carries out every ending, whatever its cause, one or many. It fills in the outcome of each, or why it was
// refused.
func (t *tx) end(list ...*ending) error {
	for len(list) > 0 {
		var turn []*ending
		turn, list = independent(list)
		if err := t.endTurn(turn); err != nil {
			return err
		}
	}
	return nil
}

// independent takes from the list the endings that do not affect one another: no session, account or idempotency key
// comes twice, and no actor's session is among those to end. The rest follows in order, once these have their
// outcome.
func independent(list []*ending) (turn, rest []*ending) {
	type key struct{ actor, key string }
	sessions, keys := map[exeunt.SessionID]bool{}, map[key]bool{}
	accounts, whole := map[exeunt.AccountID]bool{}, map[exeunt.AccountID]bool{}
	for _, e := range list {
		k := key{e.actorKey(), plainText(e.rev.Key)}
		many := e.rev.Scope != exeunt.ScopeSession
		taken := whole[e.rev.Account] || many && accounts[e.rev.Account] || k.key != "" && keys[k] ||
			sessions[e.rev.Session] || !e.by.Session.IsZero() && sessions[e.by.Session]
		if taken {
			rest = append(rest, e)
		} else {
			turn = append(turn, e)
		}
		accounts[e.rev.Account], keys[k] = true, true
		if many {
			whole[e.rev.Account] = true
		}
		sessions[e.rev.Session] = true
		if !e.by.Session.IsZero() {
			sessions[e.by.Session] = true
		}
	}
	return turn, rest
}

func (t *tx) endTurn(turn []*ending) error {
	var single []*ending
	for _, e := range turn {
		e.out, e.refused, e.generation, e.profile, e.repeated = Ending{At: e.now}, nil, 0, 0, false
		if err := t.mayBegin(e); err != nil {
			return err
		}
		var err error
		switch {
		case e.repeated || e.refused != nil:
		case e.rev.Scope != exeunt.ScopeSession:
			err = t.endMany(e)
		case !e.rev.AppSession.IsZero():
			err = t.endApp(e)
		default:
			single = append(single, e)
		}
		if err != nil {
			return err
		}
	}
	if err := t.endEach(single); err != nil {
		return err
	}
	return t.record(turn)
}

// mayBegin checks what may refuse an ending before anything is changed: the transaction of a refusal commits.
func (t *tx) mayBegin(e *ending) error {
	if err := t.lookForOutcome(e); err != nil || e.repeated || e.refused != nil {
		return err
	}
	if r := e.rev.Renewal; !r.IsZero() {
		current, err := t.hasToken(e.rev.Target, r.From)
		if err != nil {
			return err
		}
		if !current {
			e.refused, err = t.whyNotCurrent(e.rev)
			return err
		}
	}
	label, ok, err := t.mayStillAct(e.by, e.rev.Session)
	if err != nil {
		return err
	}
	if !ok {
		e.refused = exeunt.ErrSignedOut
		return nil
	}
	if e.by.Kind == exeunt.ActorPerson {
		e.by.Label = label
	}
	if e.change.NotMe != nil {
		_, e.refused, err = t.mayAnswer(e.change.NotMe.Answering, exeunt.NoticeNotMe, e.now)
		return err
	}
	if e.change.Undo != nil {
		e.refused, err = t.mayUndo(e.rev.Account, e.change.Undo, e.now)
		return err
	}
	if e.change.Link == nil {
		return nil
	}
	if ok, err = t.spendReset(*e.change.Link, e.rev.Account, e.now); err == nil && !ok {
		e.refused = exeunt.ErrInviteSpent
	}
	return err
}

// lookForOutcome looks for the outcome of an earlier request with the same key.
func (t *tx) lookForOutcome(e *ending) error {
	if e.rev.Key == "" {
		return nil
	}
	var request string
	var out Ending
	var when int64
	ok, err := found(t.row(`SELECT request, seq, ended, at FROM outcomes WHERE actor = $1 AND key = $2`,
		e.by.Key(), e.rev.Key).Scan(&request, &out.Seq, &out.Ended, &when))
	switch {
	case err != nil || !ok:
		return err
	case request != requestText(e.rev):
		e.refused = exeunt.ErrKeyReused
	default:
		out.At, out.Already = at(when), true
		e.out, e.repeated = out, true
	}
	return nil
}

// mayStillAct reports whether a person's own session is still live: a request that was on its way when they were
// signed out must do nothing. Signing out itself may be repeated. It returns that session's label, for lists and the
// audit; the label of the target itself is read when its row is changed.
func (t *tx) mayStillAct(by exeunt.Actor, target exeunt.SessionID) (label string, ok bool, err error) {
	if by.Kind != exeunt.ActorPerson || by.Session == target {
		return "", true, nil
	}
	ok, err = found(t.row(`SELECT s.label FROM sessions s JOIN accounts a ON a.id = s.account_id
		WHERE s.account_id = $1 AND s.id = $2 AND s.ended_at IS NULL AND s.generation >= a.generation`,
		by.Account.Bytes(), by.Session.Bytes()).Scan(&label))
	return label, ok, err
}

// sessionEnd is what is written into the row of a session that ends.
type sessionEnd struct {
	account   exeunt.AccountID
	session   exeunt.SessionID
	at        int64
	reason    exeunt.Reason
	by        exeunt.ActorKind
	bySession exeunt.SessionID
	byLabel   string
	together  bool // its account's generation ended it already, with others
}

// endRows is the one statement that ends sessions. A timeout ends a session only if the stored activity agrees;
// callers save the activity they know of first. The row has the moment of the timeout; the event has the moment at
// which it was recorded.
var endRows = forMany(`WITH w (account, session, at, reason, by_kind, by_session, by_label, together) AS (VALUES `,
	`(CAST(? AS BLOB), CAST(? AS BLOB), CAST(? AS INTEGER), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BLOB),
		CAST(? AS TEXT), CAST(? AS INTEGER))`, `)
	UPDATE sessions SET
		ended_at = CASE w.reason WHEN 'idle' THEN seen + idle WHEN 'absolute' THEN expires ELSE w.at END,
		ended_reason = w.reason, ended_by = w.by_kind, ended_by_session = w.by_session,
		ended_by_label = CASE WHEN sessions.id = w.by_session THEN label ELSE w.by_label END
	FROM w WHERE account_id = w.account AND sessions.id = w.session AND ended_at IS NULL
		AND (w.together = 1 OR sessions.generation >= 
			(SELECT accounts.generation FROM accounts WHERE accounts.id = w.account))
		AND (w.reason <> 'idle' OR seen + idle <= w.at)
		AND (w.reason <> 'absolute' OR expires <= w.at)
		AND (w.reason <> 'closed' OR closing > 0 AND seen <= closing AND closing + `+closingGrace+` <= w.at)
	RETURNING sessions.id, ended_by_label,
	(SELECT count(*) FROM app_sessions WHERE app_sessions.account_id = sessions.account_id
		AND app_sessions.session_id = sessions.id AND app_sessions.ended_at IS NULL)`)

// endSessions writes ends into the rows of sessions. For each session that it ended it calls ended, with the label
// for the event and the number of app sessions that ended with it.
func (t *tx) endSessions(list []sessionEnd, ended func(id exeunt.SessionID, byLabel string, apps int64)) error {
	return endRows.each(len(list), func(to []any, row int) []any {
		e := &list[row]
		return append(to, e.account.Bytes(), e.session.Bytes(), e.at, e.reason, e.by, e.bySession.Bytes(), e.byLabel,
			flag(e.together))
	}, func(q string, args []any) error {
		rows, err := t.rows(q, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id exeunt.SessionID
			var label string
			var apps int64
			if err := rows.Scan(&id, &label, &apps); err != nil {
				return err
			}
			if ended != nil {
				ended(id, label, apps)
			}
		}
		return rows.Err()
	})
}

// endEach ends one session for each request.
func (t *tx) endEach(list []*ending) error {
	ends, of := make([]sessionEnd, len(list)), make(map[exeunt.SessionID]*ending, len(list))
	for i, e := range list {
		ends[i] = sessionEnd{account: e.rev.Account, session: e.rev.Session, at: ms(e.now), reason: e.rev.Reason,
			by: e.by.Kind, bySession: e.by.Session, byLabel: e.by.Label}
		of[e.rev.Session] = e
	}
	count := map[exeunt.AccountID]int64{}
	err := t.endSessions(ends, func(id exeunt.SessionID, byLabel string, apps int64) {
		e := of[id]
		e.by.Label, e.out.Ended, e.out.Apps = byLabel, 1, apps
		count[e.rev.Account]++
	})
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.out.Ended == 0 {
			if err := t.whyNotEnded(e); err != nil {
				return err
			}
		}
	}
	accounts := slices.SortedFunc(maps.Keys(count),
		func(a, b exeunt.AccountID) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	return countRows.exec(t, len(accounts), func(to []any, row int) []any {
		return append(to, accounts[row].Bytes(), count[accounts[row]])
	})
}

var countRows = forMany(`WITH w (account, n) AS (VALUES `, `(CAST(? AS BLOB), CAST(? AS INTEGER))`, `)
	UPDATE accounts SET live_sessions = live_sessions - w.n, ended_sessions = ended_sessions + w.n
	FROM w WHERE id = w.account`)

// whyNotEnded finds out why a session could not be ended: it has ended before, does not exist, or has not timed out.
// A repeated sign-out of one's own session returns the event of the first.
func (t *tx) whyNotEnded(e *ending) error {
	var live bool
	var seq, when, apps int64
	ok, err := found(t.row(`SELECT s.ended_at IS NULL AND s.generation >= a.generation,
		COALESCE(e.seq, 0), COALESCE(e.at, 0), (SELECT count(*) FROM app_sessions p
			WHERE p.account_id = s.account_id AND p.session_id = s.id AND p.ended_at IS NULL) FROM sessions s JOIN accounts a ON a.id = s.account_id
		LEFT JOIN events e ON e.account_id = s.account_id AND e.at = s.ended_at AND e.kind = 'ended'
			AND e.scope = 'session' AND e.session_id = s.id AND e.app_session_id IS NULL AND e.by_session = s.id
		WHERE s.account_id = $1 AND s.id = $2`, e.rev.Account.Bytes(), e.rev.Session.Bytes()).Scan(&live, &seq, &when, &apps))
	switch {
	case err != nil:
		return err
	case !ok:
		e.refused = exeunt.ErrNotFound
	case live:
		e.refused = ErrStillGood
	case seq > 0 && endsItself(e.by, e.rev):
		e.out = Ending{Seq: seq, At: at(when), Ended: 1, Apps: apps, Already: true}
	default:
		e.out.Already = true
	}
	return nil
}

func (t *tx) endApp(e *ending) error {
	ended, err := found(t.row(`UPDATE app_sessions SET ended_at = $1, ended_reason = $2,
		ended_by = $3, ended_by_session = $4,
		ended_by_label = CASE WHEN session_id = $4
			THEN (SELECT label FROM sessions WHERE account_id = $6 AND sessions.id = $4) ELSE $5 END
		WHERE account_id = $6 AND id = $7 AND session_id = $8 AND ended_at IS NULL
		RETURNING ended_by_label`,
		ms(e.now), e.rev.Reason, e.by.Kind, e.by.Session.Bytes(), e.by.Label, e.rev.Account.Bytes(),
		e.rev.AppSession.Bytes(), e.rev.Session.Bytes()).Scan(&e.by.Label))
	if err != nil {
		return err
	}
	if ended {
		e.out.Ended = 1
		return nil
	}
	var there int
	ok, err := found(t.row(`SELECT 1 FROM app_sessions WHERE account_id = $1 AND id = $2 AND session_id = $3`,
		e.rev.Account.Bytes(), e.rev.AppSession.Bytes(), e.rev.Session.Bytes()).Scan(&there))
	if err == nil && !ok {
		e.refused = exeunt.ErrNotFound
	}
	e.out.Already = ok
	return err
}

// endMany raises the account's generation: one row changes, however many sessions there are. WriteEnds writes their
// own rows later.
func (t *tx) endMany(e *ending) error {
	kept, rev, change := int64(0), e.rev, e.change
	if change.Factors != nil { // before anything is changed: the transaction of a refusal commits
		var err error
		if e.refused, err = t.whyNoFactor(rev.Account, *change.Factors); e.refused != nil || err != nil {
			return err
		}
	}
	if rev.Scope == exeunt.ScopeOthers {
		label := ""
		ok, err := found(t.row(`UPDATE sessions
			SET generation = (SELECT generation + 1 FROM accounts WHERE accounts.id = $1)
			WHERE account_id = $1 AND id = $2 AND ended_at IS NULL
			AND generation >= (SELECT generation FROM accounts WHERE accounts.id = $1)
			AND ($3 = 0 OR EXISTS (SELECT 1 FROM accounts WHERE accounts.id = $1 AND credential_version = $4))
			RETURNING label`,
			rev.Account.Bytes(), rev.Session.Bytes(), flag(change.proved()), change.Credential).Scan(&label))
		if err != nil {
			return err
		}
		if !ok {
			e.refused, err = t.whyNotKept(rev)
			return err
		}
		if kept = 1; e.by.Session == rev.Session {
			e.by.Label = label
		}
	}
	var after sql.NullInt64
	if change.Deletion != nil {
		after = sql.NullInt64{Int64: ms(change.Deletion.After), Valid: true}
		change.Status = exeunt.AccountDeleting
	}
	ok, err := found(t.row(`UPDATE accounts SET generation = generation + 1,
		last_ended = live_sessions - $2, ended_sessions = ended_sessions + live_sessions - $2, live_sessions = $2,
		status = CASE WHEN $3 = '' OR $3 = 'deleting' AND status = 'disabled' THEN status ELSE $3 END,
		delete_after = COALESCE($8, delete_after),
		password_hash = CASE WHEN $4 = '' THEN password_hash ELSE $4 END,
		password_set = CASE WHEN $4 = '' THEN password_set ELSE $6 END,
		credential_version = credential_version + $9
		WHERE id = $1 AND status <> 'deleted' AND ($5 = 0 AND $7 = 0 OR credential_version = $5) RETURNING generation, last_ended`,
		rev.Account.Bytes(), kept, change.Status, change.PasswordHash, change.Credential, ms(e.now),
		flag(change.proved()), after, flag(change.proved() || change.NotMe != nil)).Scan(&e.generation, &e.out.Ended))
	switch {
	case err != nil:
		return err
	case !ok:
		if e.refused = exeunt.ErrNotFound; change.Deletion != nil {
			e.refused = exeunt.ErrSignInAgain
		}
		return nil
	case change.PasswordHash != "":
		if err = t.dropResets(rev.Account); err == nil {
			err = t.dropPending(rev.Account)
		}
	case change.Undo != nil:
		e.profile, err = t.undo(rev.Account, change.Undo)
	case change.NotMe != nil:
		err = t.disown(*change.NotMe, rev.Account, e.now)
	case change.Deletion != nil, change.Secure: // neither asks whether it is the owner
		err = t.dropBegun(rev.Account)
	case change.Status != "":
		err = t.dropUnfinished(rev.Account)
	}
	if err == nil && change.Secure {
		err = t.beginSecuring(e)
	}
	if err == nil && change.Deletion != nil {
		err = t.reserveHandle(*change.Deletion)
	}
	if err == nil && change.Factors != nil {
		e.refused, err = t.changeFactors(rev.Account, *change.Factors, e.by, e.now)
	}
	if err != nil {
		return err
	}
	if rev.Renewal.IsZero() {
		return nil
	}
	return t.renew(e)
}

func (t *tx) whyNotKept(rev exeunt.Revocation) (refused, err error) {
	var live bool
	ok, err := found(t.row(`SELECT s.ended_at IS NULL AND s.generation >= a.generation FROM sessions s
		JOIN accounts a ON a.id = s.account_id WHERE s.account_id = $1 AND s.id = $2`,
		rev.Account.Bytes(), rev.Session.Bytes()).Scan(&live))
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

// record appends the events of what has ended, and stores the outcomes by their keys.
func (t *tx) record(turn []*ending) error {
	var ended, keyed []*ending
	var events, more []exeunt.Event
	for _, e := range turn {
		if e.repeated || e.refused != nil {
			continue
		}
		if !e.out.Already {
			ended = append(ended, e)
			events = append(events, exeunt.Event{At: e.now, Kind: exeunt.EventEnded, Target: e.rev.Target,
				Reason: e.rev.Reason, By: e.by, Generation: e.generation, Ended: e.out.Ended})
			if !e.rev.Renewal.IsZero() {
				more = append(more, exeunt.Event{At: e.now, Kind: exeunt.EventRenewed,
					Target: exeunt.Target{Account: e.rev.Account, Session: e.rev.Session}, Reason: e.rev.Reason, By: e.by})
			}
			if e.profile > 0 {
				more = append(more, exeunt.Event{At: e.now, Kind: exeunt.EventProfileChanged,
					Target: exeunt.Target{Account: e.rev.Account}, Reason: exeunt.ReasonEmailChanged, By: e.by, Version: e.profile})
			}
		}
		// A request that changed nothing needs no outcome: a repetition finds the same. Otherwise somebody could fill
		// the table by ending with ever new keys what has ended.
		if e.rev.Key != "" && !e.out.Already {
			keyed = append(keyed, e)
		}
	}
	events = append(events, more...)
	if err := t.appendEvents(events); err != nil {
		return err
	}
	for i, e := range ended {
		e.out.Seq = events[i].Seq
		for _, m := range e.change.Mails {
			queued, err := t.queueMail(m, e.now)
			if err != nil {
				return err
			}
			if !queued {
				e.out.Unmailed++
			}
		}
	}
	return outcomeRows.exec(t, len(keyed), func(to []any, row int) []any {
		e := keyed[row]
		return append(to, e.by.Key(), e.rev.Key, requestText(e.rev), e.out.Seq, e.out.Ended, ms(e.now))
	})
}

var (
	eventRows = forMany(`INSERT INTO events (`+eventColumns+`, by_address, ended) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, ``)
	outcomeRows = forMany(`INSERT INTO outcomes (actor, key, request, seq, ended, at) VALUES `,
		`(?, ?, ?, ?, ?, ?)`, ``)
)

// appendEvents numbers events and records them.
func (t *tx) appendEvents(list []exeunt.Event) error {
	for i := range list {
		t.seq++
		list[i].Seq, list[i].At = t.seq, at(ms(list[i].At))
	}
	t.events = append(t.events, list...)
	return eventRows.exec(t, len(list), func(to []any, row int) []any {
		return append(append(to, eventValues(&list[row])...), addressText(list[row].By.Address), list[row].Ended)
	})
}

func (t *tx) audit(e exeunt.AuditEntry) error {
	_, err := t.exec(`INSERT INTO audit (seq, account_id, at, action, session_id, by_kind, by_account, by_session,
		by_label, by_address, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		t.seq, e.Account.Bytes(), ms(e.At), e.Action, e.Session.Bytes(), e.By.Kind, e.By.Account.Bytes(),
		e.By.Session.Bytes(), e.By.Label, addressText(e.By.Address), e.Detail)
	return err
}
