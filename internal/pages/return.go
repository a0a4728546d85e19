package pages

import (
	"slices"
	"strings"

	"github.com/exeunt/exeunt/internal/web"
)

// returnPath is web.LocalPath for the redirect after signing in. Pages that make no sense
// then are replaced by the front page.
func returnPath(s string) string {
	to := web.LocalPath(s)
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
