package store

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
)

// Invite is a single-use link that creates an account. What is filled in
// cannot be chosen by whoever uses it. One without a handle is for the first
// account: there is one such at a time, good only while there is no account.
type Invite struct {
	Handle, Name, Email string
	EmailConfirmed      bool
	Expires             time.Time
}

// AddInvite stores an invite under the hash of its token.
func (s *Store) AddInvite(ctx context.Context, hash exeunt.TokenHash, v Invite) error {
	return s.commit(ctx, func(t *tx) error {
		if v.Handle == "" {
			if _, err := t.exec(`DELETE FROM invites WHERE handle = '' AND spent_at IS NULL`); err != nil {
				return err
			}
		}
		_, err := t.exec(`INSERT INTO invites (hash, handle, name, email, email_confirmed, expires) VALUES ($1, $2, $3, $4, $5, $6)`,
			hash[:], v.Handle, v.Name, v.Email, flag(v.EmailConfirmed), ms(v.Expires))
		return err
	})
}

// Invite returns an invite that can still be used, or ErrInviteSpent. Looking
// spends nothing.
func (s *Store) Invite(ctx context.Context, hash exeunt.TokenHash, now time.Time) (v Invite, err error) {
	var expires int64
	ok, err := found(s.read.QueryRowContext(ctx, `SELECT handle, name, email, email_confirmed, expires FROM invites WHERE hash = $1 AND spent_at IS NULL AND expires > $2
		AND (handle <> '' OR NOT EXISTS (SELECT 1 FROM accounts))`,
		hash[:], ms(now)).Scan(&v.Handle, &v.Name, &v.Email, &v.EmailConfirmed, &expires))
	v.Expires = at(expires)
	if err == nil && !ok {
		return v, exeunt.ErrInviteSpent
	}
	return v, unavailable("invite", err)
}

// SealedKey is a key as the database keeps it: useless without the master key.
type SealedKey struct {
	Purpose string
	Sealed  []byte
	Created time.Time
}

// Keys returns the sealed keys of a purpose, newest first.
func (s *Store) Keys(ctx context.Context, purpose string) ([]SealedKey, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT purpose, sealed, created FROM sealed_keys WHERE purpose = $1 ORDER BY created DESC, id DESC`, purpose)
	return collect(rows, err, "keys", func(r rowScanner) (k SealedKey, err error) {
		var created int64
		err = r.Scan(&k.Purpose, &k.Sealed, &created)
		k.Created = at(created)
		return k, err
	})
}

// AddKey stores a sealed key and deletes those of its purpose created before
// the given time. It does nothing if there is a newer one already than the
// newest that the caller knows: another node was first.
func (s *Store) AddKey(ctx context.Context, k SealedKey, newest, deleteBefore time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		if _, err := t.exec(`INSERT INTO sealed_keys (purpose, sealed, created)
			SELECT CAST($1 AS TEXT), $2, $3 WHERE NOT EXISTS (SELECT 1 FROM sealed_keys WHERE purpose = $1 AND created > $4)`,
			k.Purpose, k.Sealed, ms(k.Created), ms(newest)); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM sealed_keys WHERE purpose = $1 AND created < $2`, k.Purpose, ms(deleteBefore))
		return err
	})
}
