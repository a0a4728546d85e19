package store

import (
	"context"
	"time"
)

// SealedKey is a key as the database stores it: useless without the master key.
type SealedKey struct {
	Purpose string
	Sealed  []byte
	Created time.Time
}

// Keys returns the sealed keys of a purpose, newest first.
func (s *Store) Keys(ctx context.Context, purpose string) ([]SealedKey, error) {
	rows, err := s.read.QueryContext(ctx,
		`SELECT purpose, sealed, created FROM sealed_keys WHERE purpose = $1 ORDER BY created DESC, id DESC`, purpose)
	return collect(rows, err, "keys", func(r rowScanner) (k SealedKey, err error) {
		var created int64
		err = r.Scan(&k.Purpose, &k.Sealed, &created)
		k.Created = at(created)
		return k, err
	})
}

// AddKey stores a sealed key and deletes those of its purpose created before deleteBefore. It stores nothing if the
// database has a key newer than newest: another node was first.
func (s *Store) AddKey(ctx context.Context, k SealedKey, newest, deleteBefore time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		if _, err := t.exec(`INSERT INTO sealed_keys (purpose, sealed, created)
			SELECT CAST($1 AS TEXT), $2, $3
			WHERE NOT EXISTS (SELECT 1 FROM sealed_keys WHERE purpose = $1 AND created > $4)`,
			k.Purpose, k.Sealed, ms(k.Created), ms(newest)); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM sealed_keys WHERE purpose = $1 AND created < $2`, k.Purpose, ms(deleteBefore))
		return err
	})
}

// AnyKey reports whether the database holds any sealed key.
func (s *Store) AnyKey(ctx context.Context) (any bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sealed_keys)`).Scan(&any)
	return any, unavailable("keys", err)
}

// DropKeys deletes every sealed key.
func (s *Store) DropKeys(ctx context.Context) error {
	return s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM sealed_keys`)
		return err
	})
}
