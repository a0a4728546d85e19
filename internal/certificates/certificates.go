// Package certificates has what a node terminates TLS with: files, which are read again when they change, and
// certificates that it gets from a CA by ACME (RFC 8555) and renews.
//
// It owns which certificate a handshake gets, and where those of ACME are kept. Which hosts are served it is told.
package certificates

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/exeunt/exeunt"
)

// Config says what there is. Host, Sites and Log are needed.
type Config struct {
	Host  string // the node's own, without a port
	Files Files  // for that, and for whatever else the certificate is valid for; zero if there are none
	// Sites returns those whose proxy the node is, by the names of their hosts. It is called once handshakes begin.
	Sites     func() map[string]exeunt.Client
	SiteFiles map[string]Files // by the names of their hosts
	ACME      *ACME            // nil: no certificate is asked for
	Log       *slog.Logger
}

// Certificates are those of one node.
type Certificates struct {
	host   string
	own    *pair
	ofSite map[string]*pair
	sites  func() map[string]exeunt.Client
	acme   *issuer
	log    *slog.Logger
}

// Open reads the files. It asks no CA yet, and creates nothing.
func Open(c Config) (*Certificates, error) {
	out := &Certificates{host: strings.ToLower(c.Host), ofSite: map[string]*pair{}, sites: c.Sites, log: c.Log}
	var err error
	if c.Files != (Files{}) {
		if out.own, err = openPair(c.Files, c.Log); err != nil {
			return nil, fmt.Errorf("tls.cert and tls.key: %w", err)
		}
	}
	for name, files := range c.SiteFiles {
		if out.ofSite[name], err = openPair(files, c.Log); err != nil {
			return nil, fmt.Errorf("cert and key of the site %s: %w", name, err)
		}
	}
	if c.ACME != nil {
		if out.acme, err = newIssuer(*c.ACME, out.serves, c.Log); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// TLS returns the configuration of the node's listener.
func (c *Certificates) TLS() *tls.Config {
	out := &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if c.acme != nil {
		out.NextProtos = append(out.NextProtos, acme.ALPNProto) // RFC 8737
	}
	return out
}

// Plain answers what a CA asks without TLS (RFC 8555 section 8.3), and leaves the rest to next. Call it before Keep.
func (c *Certificates) Plain(next http.Handler) http.Handler {
	if c.acme == nil {
		return next
	}
	return c.acme.manager.HTTPHandler(next)
}

// serves reports whether a host is this node's: its own, or a site's whose proxy it is.
func (c *Certificates) serves(name string) bool {
	_, site := c.sites()[name]
	return site || name == c.host
}

// get returns the certificate for a handshake, and none, which is the alert unrecognized_name, for other hosts than ours:
// a CA must not be asked for whatever strangers say. Files are an exception, for they have only one answer.
func (c *Certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if files := c.files(name); files != nil {
		return files.get(), nil
	}
	if name == "" { // whoever connects by the address, to see whether the node is alive
		name = c.host
	}
	if c.acme == nil || !c.serves(name) {
		return nil, nil
	}
	return c.acme.answer(hello, name)
}

// files returns the files for a host, or nil if ACME is for it.
func (c *Certificates) files(name string) *pair {
	if of, ok := c.ofSite[name]; ok {
		return of
	}
	if c.own != nil && (c.acme == nil || name == "" || c.own.get().Leaf.VerifyHostname(name) == nil) {
		return c.own
	}
	return nil
}

// lookEveryMinute is how often Keep looks for what is missing.
const lookEveryMinute = time.Minute

// Keep has a certificate ready for each host before somebody opens it, and says when one is missing or runs out, until
// ctx is done. It must run while the listener serves: the CA asks there.
func (c *Certificates) Keep(ctx context.Context) {
	for name := range c.sites() {
		if files := c.files(name); files != nil && files.get().Leaf.VerifyHostname(name) != nil {
			c.log.Warn("browsers will refuse a site, since its certificate is not valid for its host; "+
				"give the site its own cert and key, or set tls.acme", "host", name)
		}
	}
	if c.acme == nil {
		return
	}
	look := time.NewTicker(lookEveryMinute)
	defer look.Stop()
	for {
		names := []string{c.host}
		for name := range c.sites() {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if c.files(name) == nil {
				c.acme.look(ctx, name)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// Close has ACME ask and write nothing any more.
func (c *Certificates) Close() {
	if c.acme != nil {
		c.acme.stop()
	}
}
