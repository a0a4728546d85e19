package web

import (
	"net/http"
	"strings"

	"github.com/exeunt/exeunt"
)

// MaxHeader is how long the headers of a request may be together. A browser stores at
// most 180 cookies of 4 kB for a site and its siblings, which is less.
const MaxHeader = http.DefaultMaxHeaderBytes

// BoundHeaders answers requests with more than MaxHeader of headers with
// exeunt.ErrHeaders, and takes cookies that are not ours out of all requests, so that
// what a sibling site has set costs one reading and not one for each cookie of ours.
func BoundHeaders(answer func(w http.ResponseWriter, r *http.Request, err error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := len(r.RequestURI)
		for name, lines := range r.Header {
			for _, line := range lines {
				size += len(name) + len(line) + len(": \r\n")
			}
		}
		keepOwnCookies(r.Header)
		if size > MaxHeader {
			answer(w, r, exeunt.ErrHeaders)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Limits on our own cookies, far above what a browser sends of them.
const (
	maxOwn     = 50
	longestOwn = 8 << 10
)

func keepOwnCookies(h http.Header) {
	lines, ok := h["Cookie"]
	if !ok {
		return
	}
	var own []string
	for _, line := range lines {
		for line != "" && len(own) < maxOwn {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if pair = strings.Trim(pair, " \t"); strings.HasPrefix(pair, cookiePrefix) && len(pair) <= longestOwn {
				own = append(own, pair)
			}
		}
	}
	if len(own) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(own, "; ")}
}
