package client

import (
	"net/http"
	"strings"
)

// IsActivity reports whether a request shows that a person is at work. The header
// Exeunt-Activity decides. Without it a navigation, a form post and a call with a
// bearer token are activity; polling, event streams, fetches by script and a
// browser's prefetching are not. It allocates nothing.
func IsActivity(method string, h http.Header) bool {
	switch first(h, HeaderActivity) {
	case "yes":
		return true
	case "no":
		return false
	}
	if first(h, "Sec-Purpose") != "" { // a prefetch
		return false
	}
	mode := first(h, "Sec-Fetch-Mode")
	if mode == "navigate" || !SafeMethod(method) {
		return true
	}
	// Programs and old browsers send no mode; a browser that opens a page accepts HTML.
	return mode == "" && (first(h, "Authorization") != "" || strings.Contains(first(h, "Accept"), "text/html"))
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
