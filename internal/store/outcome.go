package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/exeunt/exeunt"
)

// HasOutcome reports whether the actor has used the key before, so that End would record nothing. The answer need
// not be durable yet; End waits for that.
func (s *Store) HasOutcome(ctx context.Context, by exeunt.Actor, key string) (has bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM outcomes WHERE actor = $1 AND key = $2)`,
		by.Key(), key).Scan(&has)
	return has, unavailable("outcome", err)
}

// Outcome returns what the actor's earlier request for the same with the same key did, and false when there was none.
// ErrKeyReused when the key was used for something else.
func (s *Store) Outcome(
	ctx context.Context, by exeunt.Actor, rev exeunt.Revocation,
) (out Ending, known bool, err error) {
	var when int64
	var request string
	known, err = found(s.read.QueryRowContext(ctx, `SELECT request, seq, ended, at FROM outcomes
		WHERE actor = $1 AND key = $2`, by.Key(), plainText(rev.Key)).Scan(&request, &out.Seq, &out.Ended, &when))
	if known && request != requestText(rev) {
		return Ending{}, false, exeunt.ErrKeyReused
	}
	out.At, out.Already = at(when), true
	return out, known, unavailable("outcome", err)
}

// OwnSignOut returns the sign-out that the session itself asked for and that ended it at that time: its scope, and how
// much ended. It returns ErrNotFound when the session ended otherwise.
func (s *Store) OwnSignOut(ctx context.Context, v exeunt.Session) (scope exeunt.Scope, out Ending, err error) {
	if v.End == nil {
		return "", Ending{}, exeunt.ErrNotFound
	}
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: v.Account, Session: v.ID}
	err = s.read.QueryRowContext(ctx, `SELECT e.scope, e.seq,
		COALESCE((SELECT o.ended FROM outcomes o WHERE o.actor = $4 AND o.seq = e.seq), 1),
		(SELECT count(*) FROM app_sessions p WHERE p.account_id = $1 AND p.session_id = $3 AND p.ended_at IS NULL)
		FROM events e WHERE e.account_id = $1 AND e.at = $2 AND e.by_session = $3 AND e.kind = 'ended'
		AND e.reason IN ('signed_out', 'not_me') AND (e.scope = 'account' OR e.scope = 'session' AND e.session_id = $3
			AND e.app_session_id IS NULL)`,
		v.Account.Bytes(), ms(v.End.At), v.ID.Bytes(), by.Key()).Scan(&scope, &out.Seq, &out.Ended, &out.Apps)
	out.At, out.Already = v.End.At, true
	return scope, out, notFound("sign-out", err)
}

// A form that signs somebody up or in has a key too, and what it made is its outcome: sent twice, it makes one account
// and one session. The actors are not signed in yet, so whoever asks must have proved by the password that they are
// the one. The table has only the key's hash, because the session's token is made from it.
const formsActor = "form"

func formHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// sessionsActor is the owner of the keys of an account's sign-in forms: a key of one account finds nothing of
// another.
func sessionsActor(id exeunt.AccountID) string { return formsActor + ":" + id.String() }

// remember stores what a form made. A form that is used again after its session has ended makes another.
func (t *tx) remember(actor, key, request string, id []byte, now time.Time) error {
	_, err := t.exec(`INSERT INTO outcomes (actor, key, request, seq, ended, at, made) VALUES ($1, $2, $3, 0, 0, $4, $5)
		ON CONFLICT (actor, key) DO UPDATE SET made = excluded.made, at = excluded.at, request = excluded.request`,
		actor, key, request, ms(now), id)
	return err
}

// Origin is what an account is made by.
type Origin struct {
	Link *exeunt.TokenHash // a one-time link, which is spent
	Form string            // the key of a form that may be sent twice
}

// key is the key of the origin's outcome, "" when none is remembered.
func (o *Origin) key() string {
	switch {
	case o == nil:
		return ""
	case o.Link != nil:
		return o.Link.String()
	case o.Form != "":
		return formHash(o.Form)
	}
	return ""
}

// MadeBy returns the account that was made by a link or a form, or ErrNotFound.
func (s *Store) MadeBy(ctx context.Context, o Origin) (exeunt.Account, error) {
	a, err := scanAccount(s.read.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM accounts
		WHERE id = (SELECT made FROM outcomes WHERE actor = $1 AND key = $2)`, formsActor, o.key()))
	return a, notFound("account", err)
}
