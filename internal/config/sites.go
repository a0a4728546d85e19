package config

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

// Site is an app on a host of its own whose every request is decided here.
type Site struct {
	Host          string        `koanf:"host"`
	ID            string        `koanf:"id"`       // "": made from the host
	Name          string        `koanf:"name"`     // "": the host
	Upstream      string        `koanf:"upstream"` // "": another proxy is in front of it, and asks
	Cert          string        `koanf:"cert"`     // files of its own certificate chain and key, if we terminate its TLS
	Key           string        `koanf:"key"`
	Groups        []string      `koanf:"groups"`
	RequireFactor bool          `koanf:"require_factor"`
	Idle          time.Duration `koanf:"idle"`
	Fresh         time.Duration `koanf:"fresh"`
	Open          []string      `koanf:"open"`
	Preflight     bool          `koanf:"preflight"`
	SignOut       []string      `koanf:"sign_out"`
	Cookies       []string      `koanf:"cookies"` // "NAME /PATH"
	Tokens        []string      `koanf:"tokens"`  // "USER SHA256"
}

var notInID = regexp.MustCompile(`[^a-z0-9]+`)

// id is the client's ID.
func (s *Site) id() string {
	if s.ID != "" {
		return s.ID
	}
	out := strings.Trim(notInID.ReplaceAllString(s.Host, "-"), "-")
	if out != "" && out[0] >= '0' && out[0] <= '9' {
		out = "site-" + out
	}
	return strings.TrimRight(out[:min(len(out), 40)], "-")
}

// hostName is the host without its port.
func (s *Site) hostName() string { return (&exeunt.Site{Host: s.Host}).HostName() }

// registered returns the site as a client. plain: browsers reach it without TLS, as they do the authority.
func (s *Site) registered(plain bool) (exeunt.Client, error) {
	site := &exeunt.Site{Host: s.Host, Upstream: s.Upstream, Plain: plain, Idle: s.Idle, Fresh: s.Fresh, Open: s.Open,
		Preflight: s.Preflight, SignOut: s.SignOut}
	for _, text := range s.Cookies {
		name, path, ok := strings.Cut(text, " ")
		if !ok || name == "" || !strings.HasPrefix(path, "/") || strings.ContainsAny(text, ";,\"\\") {
			return exeunt.Client{}, fmt.Errorf("site %s: invalid cookie %q: use NAME and its path, as in \"session /wiki\"",
				s.Host, text)
		}
		site.Cookies = append(site.Cookies, exeunt.SiteCookie{Name: name, Path: path})
	}
	for _, text := range s.Tokens {
		user, digits, _ := strings.Cut(text, " ")
		t := exeunt.ServiceToken{User: user}
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) != len(t.Hash) {
			return exeunt.Client{}, fmt.Errorf("site %s: invalid service token: use a name and the 64 hexadecimal digits that "+
				"`exeunt clients new-key` prints, not the token itself", s.Host)
		}
		copy(t.Hash[:], b)
		site.Tokens = append(site.Tokens, t)
	}
	return exeunt.Client{
		ID: exeunt.ClientID(s.id()), Name: cmp.Or(s.Name, s.Host), HomeURL: site.Origin() + "/", Auth: exeunt.ClientSite,
		RedirectURIs: []string{site.Callback()}, PostLogoutURIs: []string{site.SignedOut()}, FirstParty: true, Checked: true,
		Groups: s.Groups, RequireFactor: s.RequireFactor, Site: site,
	}, nil
}

// validateSites returns an error for each site that is wrong in itself, or on a host that is taken.
func (c *Config) validateSites() (errs []error) {
	own, _ := url.Parse(c.URL)
	seen := map[string]bool{}
	for i := range c.Sites {
		s := &c.Sites[i]
		if _, err := s.registered(!c.Secure()); err != nil {
			errs = append(errs, err)
		}
		if own != nil && (s.Host == own.Host || s.Host == net.JoinHostPort(own.Hostname(), "443")) {
			errs = append(errs, fmt.Errorf("site %s has the host of url, which is ours: give it another one", s.Host))
		}
		if seen[s.Host] {
			errs = append(errs, fmt.Errorf("site %s is configured twice: put its settings into one table", s.Host))
		}
		seen[s.Host] = true
	}
	return errs
}

// SiteFiles returns the sites that have a certificate of their own, by the names of their hosts.
func (c *Config) SiteFiles() map[string]Site {
	out := map[string]Site{}
	for _, s := range c.Sites {
		if s.Cert != "" {
			out[s.hostName()] = s
		}
	}
	return out
}

// Site returns the site of a host.
func (c *Config) Site(host string) (exeunt.Client, bool) {
	for i := range c.Sites {
		if c.Sites[i].Host == host {
			client, err := c.Sites[i].registered(!c.Secure())
			return client, err == nil
		}
	}
	return exeunt.Client{}, false
}
