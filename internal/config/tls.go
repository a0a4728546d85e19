package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// TLS says how this node terminates TLS, if it does: with files, with certificates that it gets by ACME, or both.
type TLS struct {
	Cert       string `koanf:"cert"` // files of a certificate chain and its key
	Key        string `koanf:"key"`
	ACME       string `koanf:"acme"`        // true, or the URL of a directory
	ACMEEmail  string `koanf:"acme_email"`  // whom the CA may tell of problems
	ACMECA     string `koanf:"acme_ca"`     // a file: by whom the directory proves who it is; "": the system's
	HTTPListen string `koanf:"http_listen"` // host:port of what sends browsers to https; "": none
}

// LetsEncrypt is the directory that tls.acme = true names.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Directory returns the URL of the directory of the CA that is asked for certificates, or "" if none is.
func (t TLS) Directory() string {
	on, err := strconv.ParseBool(t.ACME) // a boolean of the file comes as 0 or 1
	switch {
	case err != nil:
		return t.ACME
	case on:
		return LetsEncrypt
	}
	return ""
}

// Terminates reports whether browsers and proxies reach this node by TLS.
func (t TLS) Terminates() bool { return t.Cert != "" || t.Directory() != "" }

// validateTLS returns what is wrong with tls, and with the certificates of sites. host is that of url.
func (c *Config) validateTLS(host string) error {
	t, directory := c.TLS, c.TLS.Directory()
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("only one of tls.cert and tls.key is set: set both")
	}
	if !t.Terminates() && len(c.TrustedProxies) == 0 {
		return errors.New("TLS is not set up: set tls.cert and tls.key, or name the proxy that terminates TLS in trusted_proxies, " +
			"or set tls.acme to have certificates made")
	}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if u, err := url.Parse(directory); directory != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		fail("invalid tls.acme %q: use true for Let's Encrypt, or the https:// address of another CA's directory", t.ACME)
	}
	if directory == "" && (t.ACMEEmail != "" || t.ACMECA != "") {
		fail("tls.acme_email or tls.acme_ca is set, but tls.acme is not: set it to true or to a directory, or leave them out")
	}
	if a, err := mail.ParseAddress(t.ACMEEmail); t.ACMEEmail != "" && (err != nil || a.Address != t.ACMEEmail) {
		fail("invalid tls.acme_email %q: use a plain address, like hostmaster@example.com", t.ACMEEmail)
	}
	if directory != "" && t.Cert == "" && !isPublicName(host) {
		fail("tls.acme needs a host with a dot in its name in url, and no address: %q has none", host)
	}
	if t.HTTPListen != "" {
		if _, _, err := net.SplitHostPort(t.HTTPListen); err != nil || t.HTTPListen == c.Addr {
			fail("invalid tls.http_listen %q: use host:port, as in :80, and not addr", t.HTTPListen)
		}
		if !t.Terminates() {
			fail("tls.http_listen is set, but this node does not terminate TLS: the proxy that does has its own")
		}
	}
	for i := range c.Sites {
		if err := c.validateSiteTLS(&c.Sites[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateSiteTLS(s *Site) error {
	switch {
	case (s.Cert == "") != (s.Key == ""):
		return fmt.Errorf("site %s: only one of cert and key is set: set both", s.Host)
	case s.Cert != "" && (s.Upstream == "" || !c.TLS.Terminates()):
		return fmt.Errorf("site %s has a certificate, but another program terminates its TLS: leave out cert and key, or set upstream, "+
			"and tls.cert or tls.acme", s.Host)
	case c.TLS.Directory() != "" && c.TLS.Cert == "" && s.Upstream != "" && s.Cert == "" && !isPublicName(s.hostName()):
		return fmt.Errorf("site %s: tls.acme needs a host with a dot in its name: choose another one, or set cert and key", s.Host)
	}
	return nil
}

// isPublicName reports whether a CA may be asked for a host's certificate.
func isPublicName(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && strings.Contains(strings.Trim(host, "."), ".")
}
