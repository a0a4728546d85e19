package web

import (
	"net/url"
	"path"
	"strings"
)

// MaxReturn leaves room for an app's request with the longest state.
const MaxReturn = 4096

// LocalPath returns s if it is a path of this site, and "/" for anything else. Whatever
// browsers and Go could read differently (backslashes, double slashes, dot segments,
// bytes outside printable ASCII) is refused rather than repaired: otherwise a link
// could lead people through our sign-in page to another site.
func LocalPath(s string) string {
	if len(s) > MaxReturn || !strings.HasPrefix(s, "/") {
		return "/"
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '\\' {
			return "/"
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" || !plainPath(u.Path) ||
		!plainPath(u.EscapedPath()) {
		return "/"
	}
	u.Fragment, u.RawFragment = "", ""
	// Escaping may have made it longer, up to threefold.
	if out := u.RequestURI(); len(out) <= MaxReturn {
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
