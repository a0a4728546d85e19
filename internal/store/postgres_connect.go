package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

var errUnreadable = errors.New("invalid URL: use postgres://USER:PASSWORD@HOST/NAME. In a name or password write " +
	"%40 for @, %3A for : and %2F for /. sslmode and sslrootcert must have values that libpq accepts, " +
	"and the files that they name must exist")

// name is the database's address without its password.
func (e *postgresEngine) name() string {
	var at []string
	for _, one := range hosts(e.config) {
		at = append(at, net.JoinHostPort(one.Host, strconv.Itoa(int(one.Port))))
	}
	return "postgres://" + e.config.User + "@" + strings.Join(at, ",") + "/" + e.config.Database
}

// mustVerifyServer refuses a remote server that does not prove its identity. Somebody on the way could impersonate
// it, read the password, and declare any token to be a live session (OWASP ASVS 5.0, 12.3.2; libpq's "prefer" falls
// back to no TLS at all). If the network is trusted, the URL must say so.
func mustVerifyServer(c *pgx.ConnConfig, opt Options) error {
	for _, one := range hosts(c) {
		if strings.LastIndexByte(one.Host, '@') > 0 {
			return errUnreadable // a password that has an @
		}
		if isLocal(one.Host) {
			continue
		}
		for _, way := range append([]*pgconn.FallbackConfig{{TLSConfig: one.TLSConfig}}, one.Fallbacks...) {
			if verified(way.TLSConfig) {
				continue
			}
			mode := sslMode(opt.URL)
			if mode != "disable" && mode != "require" {
				return fmt.Errorf("host %s would not have to prove that it is the database: somebody on the way could "+
					"read the password and invent sessions. Put sslmode=verify-full in the URL, and sslrootcert=FILE "+
					"if your own authority signed its certificate; on a network that you trust, use sslmode=disable", one.Host)
			}
			opt.Log.Warn("the database's server does not have to prove its identity", "host", one.Host, "sslmode", mode,
				"better", "sslmode=verify-full")
			break
		}
	}
	return nil
}

// sslMode returns the mode that the URL or environment sets, "" for none. (pgx has only what follows from it.)
func sslMode(rawURL string) string {
	if u, err := url.Parse(rawURL); err == nil && u.Query().Has("sslmode") {
		return u.Query().Get("sslmode")
	}
	if m := sslModeIn.FindStringSubmatch(rawURL); m != nil { // several hosts
		return m[1]
	}
	return os.Getenv("PGSSLMODE")
}

var sslModeIn = regexp.MustCompile(`[?&]sslmode=([a-z-]+)`)

// isLocal reports whether a host is this machine: a socket or a loopback address.
func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" ||
		err == nil && ip.IsLoopback()
}

// verified reports whether TLS checks the server's certificate: pgx does so by a function with sslmode=verify-ca.
func verified(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil)
}

// hosts splits a configuration into one for each of its servers.
func hosts(c *pgx.ConnConfig) (out []*pgx.ConnConfig) {
	all := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, f := range all {
		// The same server is listed twice when it may be spoken to with TLS or without.
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

// first asks all servers at once and takes the first that answers. A lost machine does not refuse but is silent, and
// asked before the others it would use up all of the time.
func first[C any](
	ctx context.Context, n int, connect func(context.Context, int) (C, error), hangUp func(C),
) (c C, err error) {
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
	return first(ctx, len(each), func(ctx context.Context, i int) (*pgx.Conn,
		error) {
		return pgx.ConnectConfig(ctx, each[i])
	}, func(c *pgx.Conn) { c.Close(context.Background()) })
}

// anyHost is dial for a connection pool.
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
	return first(ctx, len(a), func(ctx context.Context, i int) (driver.Conn, error) { return a[i].Connect(ctx) },
		func(c driver.Conn) { c.Close() })
}

// Driver is not used (driver.Connector).
func (a anyHost) Driver() driver.Driver { return a[0].Driver() }
