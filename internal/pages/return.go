package pages

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// maxReturn leaves room for an app's request with the longest state.
const maxReturn = 4096

// localPath returns s if it is a path of this site, and "/" for anything else. Whatever
// browsers and Go could read differently (backslashes, double slashes, dot segments,
// bytes outside printable ASCII) is refused rather than repaired: otherwise a link
// could lead people through our sign-in page to another site.
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
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" || !plainPath(u.Path) ||
		!plainPath(u.EscapedPath()) {
		return "/"
	}
	u.Fragment, u.RawFragment = "", ""
	// Escaping may have made it longer, up to threefold.
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

// returnPath is localPath for the redirect after signing in. Pages that make no sense
// then are replaced by the front page.
func returnPath(s string) string {
	to := localPath(s)
	switch path, _, _ := strings.Cut(to, "?"); {
	case slices.Contains(noReturn, path):
		return "/"
	case isOneTimeLink(path), strings.HasPrefix(path, "/session/"), strings.HasPrefix(path, "/assets/"):
		return "/"
	}
	return to
}

// isOneTimeLink reports whether a path holds the secret of a one-time link.
func isOneTimeLink(path string) bool {
	for _, prefix := range []string{"/setup/", "/reset/", "/confirm/", "/undo/", notMePath} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// noReturn are the pages around signing in and out, and addresses that are no pages.
var noReturn = []string{"/signin", "/signup", "/forgot", "/forgot/sent", "/signout", "/end_session", "/signed-out", "/ended", "/menu", "/required", "/idle.css"}
