// Package config reads the configuration of a node: built-in values, then a
// TOML file, then EXEUNT_* variables, then flags; a later source overrides an earlier one.
//
// It owns the names of the settings and which values are valid. It opens only the
// files that the configuration names.
package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/exeunt/exeunt"
)

// Config is a validated configuration. Printing it shows no secret.
type Config struct {
	Addr            string        `koanf:"addr"`             // where to listen, host:port
	URL             string        `koanf:"url"`              // how browsers reach us: an origin
	Data            string        `koanf:"data"`             // the data folder
	Database        Secret        `koanf:"database"`         // URL; "" is a file in the data folder
	MaxStaleness    time.Duration `koanf:"max_staleness"`    // of memory, on a shared database
	MaxTokens       int           `koanf:"max_tokens"`       // how many are cached in memory; 0 is no limit
	MaxSessions     int           `koanf:"max_sessions"`     // live ones of an account; 0 is no limit
	MaxConnections  int           `koanf:"max_connections"`  // at the same time
	SignUp          SignUp        `koanf:"sign_up"`          // open or closed
	ReservedHandles []string      `koanf:"reserved_handles"` // that strangers cannot take
	TLS             TLS           `koanf:"tls"`              // certificates, when we terminate TLS
	TrustedProxies  []string      `koanf:"trusted_proxies"`  // that terminate TLS: addresses or prefixes
	OfflineSignOut  bool          `koanf:"offline_sign_out"` // browsers lock and complete it later
	GateAnyClient   bool          `koanf:"gate_any_client"`  // the gate takes any app's token where no client is named
	Policy          Policy        `koanf:"policy"`
	Kiosk           Kiosk         `koanf:"kiosk"` // computers that are always shared
	Retention       Retention     `koanf:"retention"`
	Clients         []Client      `koanf:"clients"`
	Sites           []Site        `koanf:"sites"`
	Connectors      []Connector   `koanf:"connectors"`
	Webhooks        []Webhook     `koanf:"webhooks"`
	MasterKey       Secret        `koanf:"master_key"` // base64; "" is a file in the data folder
	SMTP            SMTP          `koanf:"smtp"`       // the server that takes our mails; none without a host
	Places          Places        `koanf:"places"`     // about where addresses are; unknown without a file
	Log             Log           `koanf:"log"`

	// Development allows plain HTTP, but only for a loopback address under
	// .localhost. No file, variable or flag sets it.
	Development bool `koanf:"-"`
}

// SignUp says whether strangers may make accounts.
type SignUp string

// The values of SignUp.
const (
	SignUpOpen   SignUp = "open"
	SignUpClosed SignUp = "closed"
)

// Policy holds the timeouts by kind of session, and what sign-ins need.
type Policy struct {
	Kept           Limits             `koanf:"kept"`
	Shared         Limits             `koanf:"shared"`
	App            Limits             `koanf:"app"`
	Fresh          time.Duration      `koanf:"fresh"`
	ConfirmEndings bool               `koanf:"confirm_endings"` // ending other sessions needs a fresh proof, too
	Accounts       int                `koanf:"accounts_per_browser"`
	ConfirmSwitch  bool               `koanf:"confirm_switch"` // changing between them needs a fresh proof
	Review         time.Duration      `koanf:"review"`         // after which people are reminded to look through their sessions
	Factor         exeunt.Requirement `koanf:"factor"`
	Preset         exeunt.Preset      `koanf:"preset"` // what is not set is as strict as this needs
	Groups         []GroupPolicy      `koanf:"groups"`
}

// Kiosk says which computers are always shared, and how long a session there lives.
type Kiosk struct {
	Addresses []string      `koanf:"addresses"` // addresses or prefixes
	Idle      time.Duration `koanf:"idle"`
	Absolute  time.Duration `koanf:"absolute"`
}

// GroupPolicy is a stricter policy for a group.
type GroupPolicy struct {
	Name        string             `koanf:"name"`
	Idle        time.Duration      `koanf:"idle"`
	Absolute    time.Duration      `koanf:"absolute"`
	MaxSessions int                `koanf:"max_sessions"`
	Factor      exeunt.Requirement `koanf:"factor"`
}

// policyOf returns the settings of a policy.
func policyOf(p exeunt.Policy) Policy {
	limits := func(l exeunt.Limits) Limits { return Limits{Idle: l.Idle, Absolute: l.Absolute} }
	return Policy{Kept: limits(p.Kept), Shared: limits(p.Shared), App: limits(p.App), Fresh: p.Fresh, Review: p.Review, Factor: p.Factor,
		Preset: p.Preset, Accounts: p.Accounts}
}

// Limits are the timeouts of one kind.
type Limits struct {
	Idle     time.Duration `koanf:"idle"`
	Absolute time.Duration `koanf:"absolute"`
	Warning  time.Duration `koanf:"warning"` // 0: derived from idle
}

// Retention says how long ended sessions and audit entries are stored.
type Retention struct {
	Ended time.Duration `koanf:"ended"`
	Audit time.Duration `koanf:"audit"`
}

// Client is an app that relies on us.
type Client struct {
	ID           string   `koanf:"id"`
	Name         string   `koanf:"name"`
	HomeURL      string   `koanf:"home_url"`
	RedirectURIs []string `koanf:"redirect_uris"`
	// KeySHA256 is the SHA-256 of its secret key in hex, as "exeunt clients
	// new-key" prints it; a list of two while one key takes over from another.
	KeySHA256 []string `koanf:"key_sha256"`

	Auth               string        `koanf:"auth"`
	NoPKCE             bool          `koanf:"no_pkce"`
	Algorithm          string        `koanf:"algorithm"`
	TokenLife          time.Duration `koanf:"token_life"`
	FirstParty         bool          `koanf:"first_party"`
	DeviceGrant        bool          `koanf:"device_grant"`
	Groups             []string      `koanf:"groups"`
	RequireFactor      bool          `koanf:"require_factor"`
	Checked            bool          `koanf:"checked"`
	PostLogoutURIs     []string      `koanf:"post_logout_uris"`
	SignOutAlone       bool          `koanf:"sign_out_alone"`
	BackchannelURI     string        `koanf:"backchannel_uri"`
	BackchannelAccount bool          `koanf:"backchannel_account"`
	SignOutURL         string        `koanf:"sign_out_url"`
	MayRevoke          bool          `koanf:"may_revoke"`
}

// keys returns the hashes of the client's keys.
func (c *Client) keys() (out []exeunt.TokenHash, err error) {
	for _, text := range c.KeySHA256 {
		var h exeunt.TokenHash
		b, err := hex.DecodeString(text)
		if err != nil || copy(h[:], b) != len(h) || len(b) != len(h) {
			return nil, fmt.Errorf("client %s: invalid key_sha256: use the 64 hexadecimal digits that "+
				"`exeunt clients new-key` prints, not the key itself", c.ID)
		}
		out = append(out, h)
	}
	return out, nil
}

// Places names a file that says about where network addresses are, in the format of MaxMind DB.
type Places struct {
	File string `koanf:"file"`
}

// SMTP says which server takes our mails, and whom they are from.
type SMTP struct {
	Host     string  `koanf:"host"`
	Port     int     `koanf:"port"` // 0: the usual one of TLS
	TLS      SMTPTLS `koanf:"tls"`
	User     string  `koanf:"user"` // "": without signing in
	Password Secret  `koanf:"password"`
	From     string  `koanf:"from"`      // an address
	FromName string  `koanf:"from_name"` // "": the host of url
}

// SMTPTLS says how the way to the mail server is encrypted.
type SMTPTLS string

// The values of SMTPTLS.
const (
	SMTPStartTLS SMTPTLS = "starttls"
	SMTPOverTLS  SMTPTLS = "tls"
	SMTPPlain    SMTPTLS = "none" // on this machine only
)

// Enabled reports whether mails can be sent.
func (s *SMTP) Enabled() bool { return s.Host != "" }

// PortOrUsual is the port, or the one that servers usually have for that TLS.
func (s *SMTP) PortOrUsual() int {
	switch {
	case s.Port != 0:
		return s.Port
	case s.TLS == SMTPOverTLS:
		return 465 // RFC 8314 section 3.3
	case s.TLS == SMTPPlain:
		return 25
	}
	return 587
}

// Log says what is written to standard error.
type Log struct {
	Level  string `koanf:"level"`  // debug, info, warn or error
	Format string `koanf:"format"` // text or json
}

// Secret is a text that is masked when it is printed.
type Secret string

// String masks the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(set)"
}

// GoString masks the secret.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText masks the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Default is the configuration before anything is set.
func Default() Config {
	const day = 24 * time.Hour
	return Config{
		Addr: "127.0.0.1:8443", SignUp: SignUpClosed, OfflineSignOut: true, MaxStaleness: 2 * time.Second, MaxSessions: 1000,
		MaxConnections:  4096,
		ReservedHandles: strings.Fields(usuallyReserved),
		Policy:          policyOf(exeunt.DefaultPolicy()),
		Kiosk:           Kiosk{Idle: 5 * time.Minute, Absolute: time.Hour},
		Retention:       Retention{Ended: 90 * day, Audit: 365 * day},
		SMTP:            SMTP{TLS: SMTPStartTLS},
		Log:             Log{Level: "info", Format: "text"},
	}
}

// usuallyReserved are handles that look like those of the people who run the site, and the mailbox names of RFC 2142.
const usuallyReserved = `abuse account accounts admin administrator api billing contact exeunt ftp guest help helpdesk
	host hostmaster info legal login mail mailerdaemon marketing me moderator news nobody noreply null official
	operator owner password payment postmaster privacy register root sales security settings signin signout signup
	staff status sudo superuser support sysadmin system team test usenet uucp verify webmaster www`

// Reserved returns the handles that strangers cannot take: those that are configured, the names in the host's, and the
// host's own and those of its domains: example.com reads like whoever runs it.
func (c *Config) Reserved() []string {
	out := slices.Clone(c.ReservedHandles)
	u, err := url.Parse(c.URL)
	if err != nil {
		return out
	}
	labels := strings.Split(u.Hostname(), ".")
	for i := range labels[:max(1, len(labels)-1)] {
		out = append(out, labels[i], strings.Join(labels[i:], "."))
	}
	return out
}

// SessionPolicy returns the policy.
func (c *Config) SessionPolicy() exeunt.Policy {
	p := exeunt.Policy{Kept: c.Policy.Kept.limits(), Shared: c.Policy.Shared.limits(), App: c.Policy.App.limits(),
		MaxSessions: c.MaxSessions, Fresh: c.Policy.Fresh, ConfirmEndings: c.Policy.ConfirmEndings, Review: c.Policy.Review, Factor: c.Policy.Factor, Preset: c.Policy.Preset,
		Accounts: c.Policy.Accounts, ConfirmSwitch: c.Policy.ConfirmSwitch}
	for _, g := range c.Policy.Groups {
		p.Groups = append(p.Groups, exeunt.GroupPolicy(g))
	}
	return p
}

// limits fills in the warning: two minutes before the end, or the last fifth of a
// short timeout.
func (l Limits) limits() exeunt.Limits {
	if l.Warning == 0 {
		l.Warning = min(2*time.Minute, l.Idle/5)
	}
	return exeunt.Limits(l)
}

// RegisteredClients returns the clients, the sites among them.
func (c *Config) RegisteredClients() []exeunt.Client {
	var out []exeunt.Client
	for _, cl := range c.Clients {
		keys, _ := cl.keys() // validated
		out = append(out, exeunt.Client{
			ID: exeunt.ClientID(cl.ID), Name: cl.Name, HomeURL: cl.HomeURL, RedirectURIs: cl.RedirectURIs, Keys: keys,
			Auth: exeunt.ClientAuth(cl.Auth), NoPKCE: cl.NoPKCE, Algorithm: cl.Algorithm, TokenLife: cl.TokenLife,
			FirstParty: cl.FirstParty, Groups: cl.Groups, Checked: cl.Checked, PostLogoutURIs: cl.PostLogoutURIs,
			SignOutAlone: cl.SignOutAlone, BackchannelURI: cl.BackchannelURI, BackchannelAccount: cl.BackchannelAccount,
			SignOutURL: cl.SignOutURL, DeviceGrant: cl.DeviceGrant, RequireFactor: cl.RequireFactor, MayRevoke: cl.MayRevoke,
		})
	}
	for i := range c.Sites {
		if site, err := c.Sites[i].registered(!c.Secure()); err == nil { // validated
			out = append(out, site)
		}
	}
	return out
}

// Host returns the host and port of URL.
func (c *Config) Host() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Secure reports whether browsers reach us over TLS.
func (c *Config) Secure() bool { return strings.HasPrefix(c.URL, "https://") }

// Proxies returns the trusted proxies as prefixes.
func (c *Config) Proxies() ([]netip.Prefix, error) {
	return prefixes("trusted_proxies", c.TrustedProxies)
}

// Kiosks returns the computers that are always shared.
func (c *Config) Kiosks() (exeunt.Kiosk, error) {
	k := exeunt.Kiosk{Idle: c.Kiosk.Idle, Absolute: c.Kiosk.Absolute}
	var err error
	switch k.Networks, err = prefixes("kiosk.addresses", c.Kiosk.Addresses); {
	case err != nil:
	case k.Idle < time.Minute:
		err = fmt.Errorf("invalid kiosk.idle %v: use at least 1m", k.Idle)
	case k.Absolute < k.Idle:
		err = fmt.Errorf("invalid kiosk.absolute %v: use at least kiosk.idle, which is %v", k.Absolute, k.Idle)
	}
	return k, err
}

// prefixes reads a setting of addresses and prefixes.
func prefixes(setting string, list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range list {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("invalid %s %q: use an address like 10.0.0.1 or a prefix like 10.0.0.0/8", setting, text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// Validate reports every invalid setting, and says which values are valid.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Data == "" {
		fail("data is not set: name the folder for the database")
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		fail("invalid addr %q: use host:port, as in 127.0.0.1:8443", c.Addr)
	}
	if err := c.validateDatabase(); err != nil {
		errs = append(errs, err)
	}
	if c.MaxConnections < 64 {
		fail("invalid max_connections %d: use at least 64", c.MaxConnections)
	}
	if c.MaxSessions < 0 || c.MaxSessions > 0 && c.MaxSessions < 10 {
		fail("invalid max_sessions %d: use at least 10, or 0 for no limit", c.MaxSessions)
	}
	if c.MaxTokens != 0 && c.MaxTokens < 1000 {
		fail("invalid max_tokens %d: use at least 1000, or 0 for no limit", c.MaxTokens)
	}
	if c.SignUp != SignUpOpen && c.SignUp != SignUpClosed {
		fail("invalid sign_up %q: use open or closed", c.SignUp)
	}
	for _, h := range c.ReservedHandles {
		if _, ok := exeunt.ParseHandle(h); !ok {
			fail("invalid reserved_handles: %q is no handle, so nobody could take it", h)
		}
	}
	if err := c.SessionPolicy().Validate(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.Kiosks(); err != nil {
		errs = append(errs, err)
	}
	if c.Retention.Ended < time.Minute || c.Retention.Audit < time.Minute {
		fail("retention.ended or retention.audit is too short: use at least 1m")
	}
	if c.Retention.Audit < c.Retention.Ended {
		// The event of an ending explains the session's end, and is its audit entry.
		fail("retention.audit (%v) is shorter than retention.ended (%v): "+
			"make it at least as long, since the audit says how sessions ended", c.Retention.Audit, c.Retention.Ended)
	}
	for _, cl := range c.Clients {
		if _, err := cl.keys(); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, c.validateSites()...)
	errs = append(errs, c.validateConnectors()...)
	errs = append(errs, c.validateWebhooks()...)
	seen := map[string]bool{}
	for _, cl := range c.RegisteredClients() {
		if err := cl.Validate(); err != nil {
			errs = append(errs, err)
		}
		if seen[string(cl.ID)] {
			fail("client %s is configured twice: give each client an id of its own", cl.ID)
		}
		seen[string(cl.ID)] = true
	}
	if _, err := c.Proxies(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.validateTransport(), c.validateSMTP(), c.validateLog())...)
}

func (c *Config) validateDatabase() error {
	scheme, _, _ := strings.Cut(string(c.Database), ":")
	switch {
	case c.Database == "":
	case scheme != "postgres" && scheme != "postgresql":
		return errors.New("invalid database: use a URL like postgres://exeunt@db.example.com/exeunt?sslmode=verify-full, " +
			"or leave it out for a file in the data folder")
	case c.MasterKey == "":
		return errors.New("master_key is not set, and nodes on one database must share it: make one with " +
			"`openssl rand -base64 32` in a file of mode 0600, and give its path to each node as EXEUNT_MASTER_KEY_FILE")
	}
	if c.MaxStaleness < 200*time.Millisecond || c.MaxStaleness > time.Minute {
		return fmt.Errorf("invalid max_staleness %v: use 200ms to 1m", c.MaxStaleness)
	}
	return nil
}

// validateTransport refuses to serve without TLS: over plain HTTP browsers silently
// drop Secure cookies, and passwords are not encrypted (OWASP ASVS 5.0, 12.2.1).
func (c *Config) validateTransport() error {
	if c.URL == "" {
		return errors.New("url is not set: name the address that browsers use, like https://id.example.com")
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("invalid url %q: use only scheme and host, like https://id.example.com", c.URL)
	}
	if p := u.Port(); p == "443" && u.Scheme == "https" || p == "80" && u.Scheme == "http" {
		return fmt.Errorf("invalid url %q: leave out :%s, as browsers do", c.URL, p)
	}
	if c.Development {
		host, _, _ := net.SplitHostPort(c.Addr)
		a, err := netip.ParseAddr(host)
		if err == nil && a.IsLoopback() && strings.HasSuffix(u.Hostname(), ".localhost") {
			return nil
		}
		return errors.New("development mode needs a loopback address and a host under .localhost")
	}
	if u.Scheme != "https" {
		return fmt.Errorf("invalid url %q: use https://, since browsers store our cookies only over TLS", c.URL)
	}
	return c.validateTLS(u.Hostname())
}

func (c *Config) validateSMTP() error {
	s := &c.SMTP
	if !s.Enabled() {
		if *s != (SMTP{TLS: s.TLS}) {
			return errors.New("smtp.host is not set, but other settings of smtp are: name the mail server, like " +
				"smtp.example.com, or leave all of them out")
		}
		return nil
	}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if strings.ContainsAny(s.Host, ":/ ") && !strings.Contains(s.Host, "::") {
		fail("invalid smtp.host %q: use only a name or an address, like smtp.example.com, and put the port in smtp.port",
			s.Host)
	}
	if s.Port < 0 || s.Port > 65535 {
		fail("invalid smtp.port %d: use 1 to 65535; servers usually have 587 for starttls and 465 for tls", s.Port)
	}
	switch s.TLS {
	case SMTPStartTLS, SMTPOverTLS:
	case SMTPPlain:
		a, err := netip.ParseAddr(s.Host)
		if !c.Development && s.Host != "localhost" && (err != nil || !a.IsLoopback()) {
			fail("smtp.tls is none, but the mail server %s is not on this machine, so mails with links in them could be read "+
				"on the way: use starttls or tls", s.Host)
		}
	default:
		fail("invalid smtp.tls %q: use starttls, tls or none", s.TLS)
	}
	if (s.User == "") != (s.Password == "") {
		fail("only one of smtp.user and smtp.password is set: set both, or neither if the mail server asks for none")
	}
	if a, err := mail.ParseAddress(s.From); err != nil || a.Address != s.From || !printable(s.From) {
		fail("invalid smtp.from %q: use the plain address that mails come from, like no-reply@example.com", s.From)
	}
	if !printable(s.FromName) {
		fail("invalid smtp.from_name %q: use one line of visible characters", s.FromName)
	}
	return errors.Join(errs...)
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (c *Config) validateLog() error {
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("invalid log.level %q: use debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return fmt.Errorf("invalid log.format %q: use text or json", c.Log.Format)
	}
	return nil
}
