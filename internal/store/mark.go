package store

import (
	"context"
	"crypto/rand"
	"time"
)

// LeaveMark leaves a new name in the database. Whatever was read from it before
// belongs to every history that has the name: an older database that is put
// back, and goes on otherwise, has not.
func (s *Store) LeaveMark(ctx context.Context, now time.Time) (mark []byte, err error) {
	mark = make([]byte, 16)
	rand.Read(mark)
	return mark, s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO marks (id, at) VALUES ($1, $2)`, mark, ms(now))
		return err
	})
}

// HasMark reports whether a name was left in this history. Names are kept for a
// little longer than events.
func (s *Store) HasMark(ctx context.Context, mark []byte) (has bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM marks WHERE id = $1)`, mark).Scan(&has)
	return has, unavailable("mark", err)
}
