package store

import (
	"context"

	"github.com/exeunt/exeunt"
)

// HasOutcome reports whether the actor has used the key before, so that End would record nothing. The answer need
// not be durable yet; End waits for that.
func (s *Store) HasOutcome(ctx context.Context, by exeunt.Actor, key string) (has bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM outcomes WHERE actor = $1 AND key = $2)`,
		by.Key(), key).Scan(&has)
	return has, unavailable("outcome", err)
}
