package store

import (
	"context"
	"database/sql"
	"time"
)

// reader queries the database on connections that cannot write. It gives up on a server that does not answer within
// its patience.
type reader struct {
	*sql.DB
	patience time.Duration // zero: for as long as the caller waits
}

// QueryRowContext is sql.DB's, with a time limit.
func (r reader) QueryRowContext(ctx context.Context, q string, args ...any) rowScanner {
	ctx, cancel := r.limit(ctx)
	return timedRow{r.DB.QueryRowContext(ctx, q, plain(args)...), cancel}
}

// QueryContext is sql.DB's, with a time limit.
func (r reader) QueryContext(ctx context.Context, q string, args ...any) (*timedRows, error) {
	ctx, cancel := r.limit(ctx)
	rows, err := r.DB.QueryContext(ctx, q, plain(args)...)
	if err != nil {
		cancel()
		return nil, err
	}
	return &timedRows{rows, cancel}, nil
}

func (r reader) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.patience == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, r.patience)
}

type timedRow struct {
	*sql.Row
	cancel context.CancelFunc
}

func (r timedRow) Scan(dest ...any) error {
	defer r.cancel()
	return r.Row.Scan(dest...)
}

type timedRows struct {
	*sql.Rows
	cancel context.CancelFunc
}

// collect reads all rows of a query.
func collect[T any](rows *timedRows, err error, what string, scan func(rowScanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, unavailable(what, err)
	}
	defer rows.cancel()
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, unavailable(what, err)
		}
		out = append(out, v)
	}
	return out, unavailable(what, rows.Err())
}
