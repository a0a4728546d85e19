package store

import (
	"context"

	"github.com/exeunt/exeunt"
)

// HasOutcome reports whether the actor has used the key before, so that End
// would record nothing. That what it reads is safe from the loss of a machine is
// not said: End says so.
func (s *Store) HasOutcome(ctx context.Context, by exeunt.Actor, key string) (has bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM outcomes WHERE actor = $1 AND key = $2)`, by.Key(), key).Scan(&has)
	return has, unavailable("outcome", err)
}
