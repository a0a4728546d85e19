package client

import (
	"net/http"
	"strings"
)

// IsActivity reports whether a request shows that a person is at work. It is the one
// rule for every surface: the gate, the API, pages and apps. The header
// Exeunt-Activity, yes or no, decides. Without it a navigation, which a form's post is
// too, and a program's call with a bearer token are activity. Whatever a script sends
// is not, whether it reads or posts, because it may be polling: a script says yes for
// what a person did. Event streams and a browser's prefetching are not either. It
// allocates nothing.
func IsActivity(h http.Header) bool {
	switch first(h, HeaderActivity) {
	case "yes":
		return true
	case "no":
		return false
	}
	if first(h, "Sec-Purpose") != "" { // a prefetch
		return false
	}
	if mode := first(h, "Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	// Programs and old browsers send no mode. A browser that opens a page or sends a
	// form accepts HTML.
	return first(h, "Authorization") != "" || strings.Contains(first(h, "Accept"), "text/html")
}

// first is Header.Get for a name in its canonical form.
func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// SafeMethod reports whether a request with the method asks for no change (RFC 9110
// section 9.2.1).
func SafeMethod(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
}
