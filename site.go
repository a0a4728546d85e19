package exeunt

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Site is an app on a host of its own whose every request is decided here: by a proxy in front of it that asks, or by
// this program, if it is that proxy itself. The app need not know of that; it reads who is signed in from headers.
type Site struct {
	Host string // with a port, if it is not the scheme's own
	// Upstream is where requests are sent when this program is the proxy; "" if another one is.
	Upstream string
	// Plain: the host is reached without TLS, which only a host of this machine may be.
	Plain bool
	// Idle ends the site's own session after so long without use, if that is shorter than the browser's; 0: it is not.
	Idle time.Duration
	// Fresh is how old somebody's proof may be; 0: any age.
	Fresh time.Duration
	// Open are paths that need no sign-in: one that ends in / is the beginning of many.
	Open []string
	// Preflight: what browsers ask before a script of another site may call (CORS) needs no sign-in.
	Preflight bool
	// SignOut are the app's own addresses for signing out: whoever opens one signs out here as well.
	SignOut []string
	// Cookies are those of the app that are not visible everywhere on the host, and that nobody else may be left with.
	Cookies []SiteCookie
	// Tokens let programs in.
	Tokens []ServiceToken
}

// SiteCookie is a cookie that an app sets below a path.
type SiteCookie struct{ Name, Path string }

// ServiceToken lets a program in that is no person.
type ServiceToken struct {
	User string // what the app is told in Remote-User
	Hash TokenHash
}

// SitePrefix is where every site has its own pages for signing in and out. The app never gets a request below it.
const SitePrefix = "/.exeunt/"

// ClientSite is the ClientAuth of a site: this program exchanges its codes itself, and nobody else can.
const ClientSite ClientAuth = "site"

const (
	maxSitePaths  = 64
	maxSiteTokens = 16
	maxSitePath   = 256
	// maxSiteAddress leaves room in the state of an app's request.
	maxSiteAddress = 2000
)

var siteHost = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:[0-9]{1,5})?$`)

// Origin is the site's origin.
func (s *Site) Origin() string {
	if s.Plain {
		return "http://" + s.Host
	}
	return "https://" + s.Host
}

// HostName is the host without its port.
func (s *Site) HostName() string {
	name, _, _ := strings.Cut(s.Host, ":")
	return name
}

// Callback is where a browser brings the site's code.
func (s *Site) Callback() string { return s.Origin() + SitePrefix + "callback" }

// SignedOut is where a browser comes back to after it signed out.
func (s *Site) SignedOut() string { return s.Origin() + SitePrefix + "signed-out" }

// At is an address of the site, for a path with a query that somebody may have made up; the front page for what is none.
// Because the origin stands before it, no path leads to another site, whatever browsers make of it.
func (s *Site) At(to string) string {
	if !strings.HasPrefix(to, "/") || len(to) > maxSiteAddress ||
		strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' || r == '\\' }) {
		to = "/"
	}
	return s.Origin() + to
}

// IsOpen reports whether a path needs no sign-in. A path that servers may read in two ways never is.
func (s *Site) IsOpen(p string) bool { return s.listed(s.Open, p) }

// SignsOut reports whether a path is the app's own address for signing out.
func (s *Site) SignsOut(p string) bool { return s.listed(s.SignOut, p) }

func (s *Site) listed(list []string, p string) bool {
	if strings.ContainsAny(p, "\\;%\x00") || path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/" {
		return false
	}
	return slices.ContainsFunc(list, func(of string) bool {
		return p == of || strings.HasSuffix(of, "/") && strings.HasPrefix(p, of)
	})
}

// ServiceOf returns the service token that this is.
func (s *Site) ServiceOf(given Token) (ServiceToken, bool) {
	if given.Use() != UseClient { // what is no token has a hash, too
		return ServiceToken{}, false
	}
	h := given.Hash()
	i := slices.IndexFunc(s.Tokens, func(t ServiceToken) bool { return t.Hash == h })
	if i < 0 {
		return ServiceToken{}, false
	}
	return s.Tokens[i], true
}

func (s *Site) validate() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("site %s: %s", s.Host, fmt.Sprintf(format, args...))
	}
	host, _, _ := strings.Cut(s.Host, ":")
	_, isAddress := netip.ParseAddr(host)
	switch {
	case !siteHost.MatchString(s.Host) || len(host) > 253 || isAddress == nil:
		return fail("invalid host: use a name like wiki.example.com, in small letters, without scheme and path")
	case s.Plain && !isLoopback(host):
		return fail("plain is for hosts of this machine only, such as wiki.localhost: elsewhere cookies would be sent unencrypted")
	case s.Idle != 0 && s.Idle < time.Second || s.Fresh != 0 && s.Fresh < time.Second:
		return fail("idle is %v and fresh %v; the shortest is 1s, and 0 is no limit", s.Idle, s.Fresh)
	case len(s.Open) > maxSitePaths || len(s.SignOut) > maxSitePaths || len(s.Tokens) > maxSiteTokens:
		return fail("more than %d paths of a kind, or %d service tokens", maxSitePaths, maxSiteTokens)
	}
	if u, err := url.Parse(s.Upstream); s.Upstream != "" && (err != nil || !webAddress(u, s.Upstream) || u.RawQuery != "" ||
		strings.Trim(u.Path, "/") != "") {
		return fail("invalid upstream %q: use http://HOST:PORT or https://HOST:PORT", s.Upstream)
	}
	for _, p := range slices.Concat(s.Open, s.SignOut) {
		if len(p) > maxSitePath || !strings.HasPrefix(p, "/") || !s.listed([]string{p}, p) || strings.HasPrefix(p, SitePrefix) {
			return fail("invalid path %q: use one like /health, or /public/ for all below it", p)
		}
	}
	if slices.Contains(s.SignOut, "/") {
		return fail("a sign-out address / would be every page")
	}
	for _, t := range s.Tokens {
		if t.User == "" || len(t.User) > 63 || strings.ContainsFunc(t.User, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fail("invalid user %q of a service token: use 1 to 63 characters without spaces", t.User)
		}
		if t.Hash == (Token{}).Hash() {
			return fail("the hash of the service token of %s is that of nothing: use what `exeunt clients new-key` prints", t.User)
		}
	}
	return nil
}
