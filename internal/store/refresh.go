package store

import (
	"context"
	"fmt"
	"time"

	"github.com/exeunt/exeunt"
)

// RefreshGrace is how long after a refresh the same refresh token brings the same successor once more. Answers get
// lost, and without it that would sign people out.
const RefreshGrace = 30 * time.Second

// Refresh is a client's request to replace an app session's token, by the count that its refresh token has.
type Refresh struct {
	Account exeunt.AccountID
	App     exeunt.AppSessionID
	Client  exeunt.ClientID
	Count   int64
	Hash    exeunt.TokenHash // of the next token
	Expires time.Time        // of the next token
}

// Refreshed says what a refresh did.
type Refreshed struct {
	Again   bool             // another request with the same refresh token has been carried out a moment ago
	Hash    exeunt.TokenHash // of the token that counts now
	Expires time.Time
}

// usableApp is the condition under which an app session's client may refresh its token. The idle timeout is not part
// of it: memory knows of later activity than the store does.
const usableApp = `p.account_id = $1 AND p.id = $2 AND p.client_id = $3 AND p.ended_at IS NULL AND p.token_expires > 0
	AND ` + registered + `
	AND EXISTS (SELECT 1 FROM sessions s JOIN accounts a ON a.id = s.account_id
		WHERE s.account_id = p.account_id AND s.id = p.session_id AND s.ended_at IS NULL AND s.expires > $4
		AND s.generation >= a.generation)`

// MayRefresh returns the usable app session that a refresh is about, or ErrNotFound.
func (s *Store) MayRefresh(ctx context.Context, r Refresh, now time.Time) (exeunt.AppSession, error) {
	var a appScan
	err := s.read.QueryRowContext(ctx, `SELECT `+appColumns+` FROM app_sessions p WHERE `+usableApp,
		r.Account.Bytes(), r.App.Bytes(), r.Client, ms(now)).Scan(a.dest()...)
	return a.value(), notFound("app session", err)
}

// RefreshApp replaces the token of an app session. A refresh token has one successor: it counts the refreshes, and only
// the present count can add one. The one before may be presented again within RefreshGrace and brings the same
// successor; anything older is a sign that a token was stolen, and ends the app session (RFC 9700 section 4.14.2).
// Outcomes: nil; ErrCodeSpent when the refresh token is of no use; ErrUnavailable, ErrNotConfirmed.
func (s *Store) RefreshApp(ctx context.Context, r Refresh, now time.Time) (Refreshed, error) {
	var out Refreshed
	var refused error
	err := s.commit(ctx, func(t *tx) error {
		out, refused = Refreshed{Hash: r.Hash, Expires: r.Expires}, nil
		n, err := t.exec(`UPDATE app_sessions AS p SET refreshes = refreshes + 1, refreshed = $4, token_hash = $5,
				token_expires = $6 WHERE refreshes = $7 AND `+usableApp,
			r.Account.Bytes(), r.App.Bytes(), r.Client, ms(now), r.Hash[:], ms(r.Expires), r.Count)
		if err != nil || n > 0 {
			return err
		}
		var count, refreshed, expires int64
		var hash []byte
		ok, err := found(t.row(`SELECT refreshes, refreshed, token_hash, token_expires FROM app_sessions p WHERE `+usableApp,
			r.Account.Bytes(), r.App.Bytes(), r.Client, ms(now)).Scan(&count, &refreshed, &hash, &expires))
		switch {
		case err != nil:
			return err
		case !ok || r.Count > count:
			refused = exeunt.ErrCodeSpent
			return nil
		case r.Count == count-1 && now.Sub(at(refreshed)) < RefreshGrace:
			out.Again, out.Expires = true, at(expires)
			copy(out.Hash[:], hash)
			return nil
		}
		refused = exeunt.ErrCodeSpent
		return t.endStolen(r.Account, r.App, exeunt.ReasonRefreshReused, now)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Refreshed{}, fmt.Errorf("refresh of app session %s: %w", r.App, err)
	}
	return out, nil
}
