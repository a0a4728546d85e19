package exeunt

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Client is an app that relies on the authority for its sessions.
type Client struct {
	ID           ClientID
	Name         string   // shown to people
	HomeURL      string   // where its front page is
	RedirectURIs []string // where a code may be sent; compared exactly
	// Keys are the hashes of its secret keys: none for a client that only signs people in, two while a new key
	// replaces the old one.
	Keys []TokenHash
}

var clientShape = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// Validate returns an error for the first invalid field.
func (c Client) Validate() error {
	if !clientShape.MatchString(string(c.ID)) {
		return fmt.Errorf("client id %q: use 1 to 40 of a-z, 0-9 and -, starting with a letter", c.ID)
	}
	if c.Name == "" {
		return fmt.Errorf("client %s has no name", c.ID)
	}
	if len(c.RedirectURIs) == 0 {
		return fmt.Errorf("client %s has no redirect_uris: name the address that signs people in to it", c.ID)
	}
	if c.HomeURL == "" {
		return fmt.Errorf("client %s has no home_url: name the address of its front page", c.ID)
	}
	for i, raw := range append([]string{c.HomeURL}, c.RedirectURIs...) {
		u, err := url.Parse(raw)
		if err != nil || !u.IsAbs() || u.Host == "" || u.Fragment != "" || u.User != nil ||
			(u.Scheme != "https" && u.Scheme != "http") {
			return fmt.Errorf("client %s: invalid address %q: use http or https, without user and fragment", c.ID, raw)
		}
		// A code must not cross a network in clear (RFC 8252 section 8.3 on loopback addresses).
		if i > 0 && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			return fmt.Errorf("client %s: redirect address %q would send codes unencrypted: use https; plain http works "+
				"on this machine only", c.ID, raw)
		}
	}
	return nil
}

// isLoopback reports whether a host is this machine by its name alone (RFC 6761 section 6.3).
func isLoopback(host string) bool {
	host = strings.ToLower(host)
	a, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && a.Unmap().IsLoopback()
}

// HasKey reports whether the key of that hash is the client's. It takes the same time whichever key it is.
func (c Client) HasKey(h TokenHash) bool {
	found := 0
	for i := range c.Keys {
		found |= subtle.ConstantTimeCompare(c.Keys[i][:], h[:])
	}
	return found == 1
}

// MayRedirectTo reports whether uri is registered. The comparison is exact (RFC 9700 section 2.1).
func (c Client) MayRedirectTo(uri string) bool { return slices.Contains(c.RedirectURIs, uri) }
