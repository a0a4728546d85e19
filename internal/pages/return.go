package pages

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// maxReturn leaves room for an app's request with the longest state.
const maxReturn = 4096

// localPath returns the address to come back to if it is a path of this site,
// and "/" for anything else. What browsers and Go could read differently
// (backslashes, double slashes, dot segments, bytes outside printable ASCII)
// is refused, not repaired: a return address that leads elsewhere would make
// our sign-in page vouch for it.
func localPath(s string) string {
	if len(s) > maxReturn || !strings.HasPrefix(s, "/") {
		return "/"
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '\\' {
			return "/"
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" || !plainPath(u.Path) || !plainPath(u.EscapedPath()) {
		return "/"
	}
	u.Fragment, u.RawFragment = "", ""
	// Written out anew it may have grown, up to threefold.
	if out := u.RequestURI(); len(out) <= maxReturn {
		return out
	}
	return "/"
}

func plainPath(p string) bool {
	for i := range len(p) {
		if p[i] < ' ' || p[i] == 0x7f || p[i] == '\\' {
			return false
		}
	}
	return p == "/" || strings.HasPrefix(p, "/") && path.Clean(p) == strings.TrimSuffix(p, "/")
}

// returnPath is localPath for after signing in: where it makes no sense to come
// back to, it is the front page.
func returnPath(s string) string {
	to := localPath(s)
	switch path, _, _ := strings.Cut(to, "?"); {
	case slices.Contains(nowhere, path):
		return "/"
	case isOneTimeLink(path), strings.HasPrefix(path, "/session/"), strings.HasPrefix(path, "/assets/"):
		return "/"
	}
	return to
}

// isOneTimeLink reports whether a path holds the secret of a one-time link.
func isOneTimeLink(path string) bool {
	return strings.HasPrefix(path, "/setup/") || strings.HasPrefix(path, "/reset/")
}

// nowhere are the pages around signing in and out, and what is no page.
var nowhere = []string{"/signin", "/signup", "/signout", "/signed-out", "/ended", "/menu", "/idle.css"}
