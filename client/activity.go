package client

import (
	"net/http"
	"strings"
)

// IsActivity reports whether a request shows that a person is at work. What the
// sender says in Exeunt-Activity counts. Without it a navigation, a form post and
// a call with a bearer token are activity; what a page polls, streams or fetches
// by itself is not, nor what a browser fetches ahead. It allocates nothing.
func IsActivity(method string, h http.Header) bool {
	switch first(h, HeaderActivity) {
	case "yes":
		return true
	case "no":
		return false
	}
	if first(h, "Sec-Purpose") != "" { // fetched ahead
		return false
	}
	mode := first(h, "Sec-Fetch-Mode")
	if mode == "navigate" || !SafeMethod(method) {
		return true
	}
	// Without a mode it is a program, or an old browser, which asks for a page by
	// naming HTML.
	return mode == "" && (first(h, "Authorization") != "" || strings.Contains(first(h, "Accept"), "text/html"))
}

// first is Header.Get for a name that is already in its canonical form.
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
