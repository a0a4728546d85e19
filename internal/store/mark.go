package store

import (
	"context"
	"crypto/rand"
	"time"
)

// LeaveMark stores a new random mark in the database. Every history that has the mark has also what was read before
// it. An older database that is restored does not have it.
func (s *Store) LeaveMark(ctx context.Context, now time.Time) (mark []byte, err error) {
	mark = make([]byte, 16)
	rand.Read(mark)
	return mark, s.commit(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO marks (id, at) VALUES ($1, $2)`, mark, ms(now))
		return err
	})
}

// HasMark reports whether this history has a mark. Marks are stored a little longer than events.
func (s *Store) HasMark(ctx context.Context, mark []byte) (has bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM marks WHERE id = $1)`, mark).Scan(&has)
	return has, unavailable("mark", err)
}
