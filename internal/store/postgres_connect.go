package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// hosts splits a configuration into one for each of its servers.
func hosts(c *pgx.ConnConfig) (out []*pgx.ConnConfig) {
	all := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, f := range all {
		// The same server comes twice when it may be spoken to with TLS or without.
		if n := len(out); n > 0 && out[n-1].Host == f.Host && out[n-1].Port == f.Port {
			out[n-1].Fallbacks = append(out[n-1].Fallbacks, f)
			continue
		}
		one := c.Copy()
		one.Host, one.Port, one.TLSConfig, one.Fallbacks = f.Host, f.Port, f.TLSConfig, nil
		out = append(out, one)
	}
	return out
}

// first has all servers asked at once and takes the first that can be used. One
// that is gone does not always refuse: a lost machine is silent, and asked
// before the others it would use up the time that there is for all of them.
func first[C any](ctx context.Context, n int, connect func(context.Context, int) (C, error), hangUp func(C)) (c C, err error) {
	if n == 1 {
		return connect(ctx, 0)
	}
	type attempt struct {
		conn C
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	attempts := make(chan attempt, n)
	for i := range n {
		go func() {
			conn, err := connect(ctx, i)
			attempts <- attempt{conn, err}
		}()
	}
	var errs []error
	for tried := 1; tried <= n; tried++ {
		a := <-attempts
		if a.err != nil {
			errs = append(errs, a.err)
			continue
		}
		go func() {
			for range n - tried {
				if late := <-attempts; late.err == nil {
					hangUp(late.conn)
				}
			}
		}()
		return a.conn, nil
	}
	return c, errors.Join(errs...)
}

// dial connects to whichever server of a configuration is the primary.
func dial(ctx context.Context, c *pgx.ConnConfig) (*pgx.Conn, error) {
	each := hosts(c)
	return first(ctx, len(each), func(ctx context.Context, i int) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, each[i]) },
		func(c *pgx.Conn) { c.Close(context.Background()) })
}

// anyHost is dial for a pool.
type anyHost []driver.Connector

func openDB(c *pgx.ConnConfig, opts ...stdlib.OptionOpenDB) *sql.DB {
	var each anyHost
	for _, one := range hosts(c) {
		each = append(each, stdlib.GetConnector(*one, opts...))
	}
	return sql.OpenDB(each)
}

// Connect opens a connection (driver.Connector).
func (a anyHost) Connect(ctx context.Context) (driver.Conn, error) {
	return first(ctx, len(a), func(ctx context.Context, i int) (driver.Conn, error) { return a[i].Connect(ctx) }, func(c driver.Conn) { c.Close() })
}

// Driver is of no use here (driver.Connector).
func (a anyHost) Driver() driver.Driver { return a[0].Driver() }
