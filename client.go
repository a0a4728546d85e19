package exeunt

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Client is an app that relies on the authority for its sessions.
type Client struct {
	ID ClientID
	// Registration differs each time that a client of that ID is registered. What belongs to an earlier one is of no use.
	Registration int64
	Name         string   // shown to people
	HomeURL      string   // its front page; "" is the origin of its first redirect address
	RedirectURIs []string // where a code may be sent; compared exactly
	// Keys are the hashes of its secrets: none for a public client, two while a new one replaces the old one.
	Keys []TokenHash

	Auth   ClientAuth // how it proves who it is; "" is ClientSecretBasic
	NoPKCE bool       // it sends no code_challenge; never for a public client
	// Algorithm signs its ID and logout tokens: RS256, ES256 or EdDSA; "" is RS256.
	Algorithm string
	// TokenLife is how long its ID tokens, and its access tokens that can be refreshed, are valid; 0 is
	// DefaultTokenLife.
	TokenLife time.Duration
	// FirstParty: it belongs to whoever runs the authority, so people are not asked before it learns who they are.
	FirstParty bool
	// DeviceGrant: it may ask for a code that people type in elsewhere (RFC 8628). Whoever talks somebody into typing one
	// gets into their account, so only apps on devices without a browser have it.
	DeviceGrant bool
	Groups      []string // who may sign in to it; empty: everybody
	// RequireFactor: a password alone does not lead to it.
	RequireFactor bool
	// Checked: it asks the authority about each request, at the gate, by introspection or by following the log. It may
	// do the latter only then, because the log tells when any session ends.
	Checked bool

	PostLogoutURIs []string // where a browser may be sent after a sign-out that the app asked for; compared exactly
	// SignOutAlone: a sign-out that the app asks for ends only the app's own session, if nothing else is chosen.
	SignOutAlone bool
	// BackchannelURI is where logout tokens are posted to; "" if it takes none.
	BackchannelURI string
	// BackchannelAccount: a logout token ends everything that the person has in the app, whatever session it names. So
	// it is sent one only when all of the account's sessions end.
	BackchannelAccount bool
	SignOutURL         string // where people sign out of the app itself; shown when it cannot be told
	// Connector ends what somebody has in the app by its API for administrators; nil if nothing does. The configuration
	// file has it, also that of a client which an operator registered.
	Connector *Connector
	// MayRevoke: it may end every session of anybody, as identity systems and tools against incidents do.
	MayRevoke bool
	Site      *Site // its requests are decided here; nil: it signs people in itself
}

// ClientAuth is how a client authenticates at the token endpoint, by the names of OpenID Connect Core section 9.
type ClientAuth string

const (
	ClientSecretBasic ClientAuth = "client_secret_basic"
	ClientSecretPost  ClientAuth = "client_secret_post"
	// ClientPublic: it has no secret, because it runs on people's devices. It gets sessions of its own.
	ClientPublic ClientAuth = "none"
)

// DefaultTokenLife is short, since it is how long an app that asks for new tokens can outlive a sign-out.
const DefaultTokenLife = 5 * time.Minute

const (
	minTokenLife = 30 * time.Second
	maxTokenLife = 24 * time.Hour
	maxAddresses = 32
	maxAddress   = 512
)

// Algorithms are those that can sign a client's tokens. The first is the default, which every client must know (OpenID
// Connect Core section 15.1).
var Algorithms = []string{"RS256", "ES256", "EdDSA"}

var clientShape = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// Validate returns an error for the first invalid field.
func (c Client) Validate() error {
	if !clientShape.MatchString(string(c.ID)) {
		return fmt.Errorf("client id %q: use 1 to 40 of a-z, 0-9 and -, starting with a letter", c.ID)
	}
	if c.Name == "" || len(c.Name) > 100 {
		return fmt.Errorf("client %s: invalid name %q: use 1 to 100 characters", c.ID, c.Name)
	}
	for _, check := range []func() error{c.validateAuth, c.validateTokens, c.validateAddresses, c.validateSite,
		c.validateConnector} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c Client) validateAuth() error {
	switch c.AuthMethod() {
	case ClientSite:
		if c.Site == nil || len(c.Keys) > 0 || c.NoPKCE || c.DeviceGrant {
			return fmt.Errorf("client %s: auth %q is for sites, which have no secret", c.ID, ClientSite)
		}
	case ClientSecretBasic, ClientSecretPost:
		if len(c.Keys) == 0 {
			return fmt.Errorf("client %s has no secret: give it one, or set its auth to %q if it runs on people's devices",
				c.ID, ClientPublic)
		}
	case ClientPublic:
		switch {
		case len(c.Keys) > 0:
			return fmt.Errorf("client %s has auth %q and a secret: remove one of them", c.ID, ClientPublic)
		case c.NoPKCE:
			// RFC 9700 section 2.1.1
			return fmt.Errorf("client %s has no secret, so its codes must be protected by PKCE: remove no_pkce", c.ID)
		case c.Checked:
			return fmt.Errorf("client %s is checked, which needs a secret: set its auth to %q or %q", c.ID,
				ClientSecretBasic, ClientSecretPost)
		}
	default:
		return fmt.Errorf("client %s: invalid auth %q: use %s, %s or %s", c.ID, c.Auth, ClientSecretBasic,
			ClientSecretPost, ClientPublic)
	}
	return nil
}

func (c Client) validateConnector() error {
	switch {
	case c.MayRevoke && len(c.Keys) == 0:
		return fmt.Errorf("client %s may revoke, which needs a secret: set its auth to %q or %q", c.ID, ClientSecretBasic,
			ClientSecretPost)
	case c.Connector == nil:
		return nil
	case c.BackchannelURI != "":
		return fmt.Errorf("client %s has a connector and a backchannel_uri: remove one of them", c.ID)
	}
	return c.Connector.Validate()
}

func (c Client) validateSite() error {
	switch {
	case c.Site == nil:
		return nil
	case c.AuthMethod() != ClientSite || !c.Checked:
		return fmt.Errorf("client %s is a site, whose auth is %q and which is checked", c.ID, ClientSite)
	case !slices.Equal(c.RedirectURIs, []string{c.Site.Callback()}):
		return fmt.Errorf("client %s is a site, whose only redirect address is %s", c.ID, c.Site.Callback())
	}
	return c.Site.validate()
}

func (c Client) validateTokens() error {
	if !slices.Contains(Algorithms, c.Alg()) {
		return fmt.Errorf("client %s: invalid algorithm %q: use %s", c.ID, c.Algorithm, strings.Join(Algorithms, ", "))
	}
	if life := c.LifeOfTokens(); life < minTokenLife || life > maxTokenLife {
		return fmt.Errorf("client %s: invalid token_life %s: use %s to %s", c.ID, life, minTokenLife, maxTokenLife)
	}
	for _, name := range c.Groups {
		if !ValidGroup(name) {
			return fmt.Errorf("client %s: invalid group %q, which nobody can be in: %w", c.ID, name, ErrGroupName)
		}
	}
	return nil
}

func (c Client) validateAddresses() error {
	if len(c.RedirectURIs) == 0 && !c.DeviceGrant && !c.MayRevoke {
		return fmt.Errorf("client %s has no redirect_uris: name the address that signs people in to it", c.ID)
	}
	if len(c.RedirectURIs) > maxAddresses || len(c.PostLogoutURIs) > maxAddresses {
		return fmt.Errorf("client %s has more than %d addresses of a kind", c.ID, maxAddresses)
	}
	for _, raw := range c.RedirectURIs {
		if err := c.validateRedirect("redirect address", raw); err != nil {
			return err
		}
	}
	for _, raw := range c.PostLogoutURIs {
		if err := c.validateRedirect("address for after a sign-out", raw); err != nil {
			return err
		}
	}
	for _, raw := range []string{c.HomeURL, c.SignOutURL, c.BackchannelURI} {
		if u, err := url.Parse(raw); raw != "" && (err != nil || !webAddress(u, raw)) {
			return fmt.Errorf("client %s: invalid address %q: use http or https, without user and fragment", c.ID, raw)
		}
	}
	if c.Home() == "" {
		return fmt.Errorf("client %s has no home_url: name the address of its front page", c.ID)
	}
	return nil
}

func webAddress(u *url.URL, raw string) bool {
	return u.IsAbs() && u.Host != "" && u.Fragment == "" && !strings.Contains(raw, "#") && u.User == nil &&
		(u.Scheme == "https" || u.Scheme == "http") && len(raw) <= maxAddress
}

// validateRedirect checks where a browser may be sent. A code must not cross a network in clear (RFC 8252 section 8.3 on
// loopback addresses); the app of a public client may have a scheme of its own, which is a domain's name reversed
// (RFC 8252 section 7.1).
func (c Client) validateRedirect(what, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err == nil && webAddress(u, raw) && (u.Scheme == "https" || isLoopback(u.Hostname())):
		return nil
	case err == nil && webAddress(u, raw):
		return fmt.Errorf("client %s: %s %q would send codes unencrypted: use https; plain http works on this machine only",
			c.ID, what, raw)
	case err == nil && c.Public() && strings.Contains(u.Scheme, ".") && !strings.Contains(raw, "#") && len(raw) <= maxAddress:
		return nil
	}
	return fmt.Errorf("client %s: invalid %s %q: use https, without user and fragment; an app with auth %q may have a "+
		"scheme of its own, such as com.example.app:/callback", c.ID, what, raw, ClientPublic)
}

// isLoopback reports whether a host is this machine by its name alone (RFC 6761 section 6.3).
func isLoopback(host string) bool {
	host = strings.ToLower(host)
	a, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && a.Unmap().IsLoopback()
}

// AuthMethod is how the client authenticates.
func (c Client) AuthMethod() ClientAuth { return cmp.Or(c.Auth, ClientSecretBasic) }

// Public reports whether the client has no secret.
func (c Client) Public() bool { return c.AuthMethod() == ClientPublic }

// Alg is the algorithm that signs the client's tokens.
func (c Client) Alg() string { return cmp.Or(c.Algorithm, Algorithms[0]) }

// LifeOfTokens is how long the client's tokens are valid.
func (c Client) LifeOfTokens() time.Duration { return cmp.Or(c.TokenLife, DefaultTokenLife) }

// Home is the address of the client's front page, "" if it has none.
func (c Client) Home() string {
	if c.HomeURL != "" || len(c.RedirectURIs) == 0 {
		return c.HomeURL
	}
	u, err := url.Parse(c.RedirectURIs[0])
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/"
}

// IsTold reports whether the app is told of endings: by logout tokens, or by its API.
func (c Client) IsTold() bool { return c.BackchannelURI != "" || c.Connector != nil }

// OnlyWhole reports whether the app is told only when every session of an account ends.
func (c Client) OnlyWhole() bool {
	if c.Connector != nil {
		return !c.Connector.OnSession
	}
	return c.BackchannelAccount
}

// EndsMore reports whether the end of one session ends everything that the person has in the app.
func (c Client) EndsMore() bool { return c.Connector != nil && c.Connector.OnSession }

// SignOutAt is where people sign out of the app itself, as far as is known.
func (c Client) SignOutAt() string { return cmp.Or(c.SignOutURL, c.Home()) }

// HasKey reports whether the secret of that hash is the client's. It takes the same time whichever it is.
func (c Client) HasKey(h TokenHash) bool {
	found := 0
	for i := range c.Keys {
		found |= subtle.ConstantTimeCompare(c.Keys[i][:], h[:])
	}
	return found == 1
}

// MayRedirectTo reports whether uri is registered. The comparison is exact (RFC 9700 section 2.1), but for the port of
// this machine, which a public client's app takes as it comes (RFC 8252 section 7.3).
func (c Client) MayRedirectTo(uri string) bool { return c.registered(c.RedirectURIs, uri) }

// MayLeadTo reports whether a browser may be sent to uri after a sign-out, by the same comparison.
func (c Client) MayLeadTo(uri string) bool { return c.registered(c.PostLogoutURIs, uri) }

func (c Client) registered(list []string, uri string) bool {
	if slices.Contains(list, uri) {
		return true
	}
	if !c.Public() {
		return false
	}
	bare, ok := withoutPort(uri)
	return ok && slices.ContainsFunc(list, func(of string) bool {
		registered, ok := withoutPort(of)
		return ok && registered == bare
	})
}

// withoutPort returns a plain http address of this machine by its number, without its port.
func withoutPort(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil || len(raw) > maxAddress {
		return "", false
	}
	if a, err := netip.ParseAddr(u.Hostname()); err != nil || !a.IsLoopback() {
		return "", false
	}
	_, rest, _ := strings.Cut(raw, u.Host)
	return u.Hostname() + " " + rest, true
}

// IsNarrower reports whether somebody may have been admitted before who is not admitted now.
func (c Client) IsNarrower(before Client) bool {
	kept := func(group string) bool { return slices.Contains(c.Groups, group) }
	return len(c.Groups) > 0 &&
		(len(before.Groups) == 0 || slices.ContainsFunc(before.Groups, func(g string) bool { return !kept(g) }))
}

// Admits reports whether somebody who is in these groups may sign in to the client.
func (c Client) Admits(groups []string) bool {
	return len(c.Groups) == 0 || slices.ContainsFunc(c.Groups, func(g string) bool { return slices.Contains(groups, g) })
}
