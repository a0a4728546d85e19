package web

import (
	"net/http"
	"strings"
)

// SecurityHeaders are those of every answer of a surface (OWASP ASVS 5.0, 3.4). Pages that send a form to another origin
// replace the policy with FormPolicy.
func SecurityHeaders(tls bool) http.Header {
	h := http.Header{}
	h.Set("Content-Security-Policy", FormPolicy())
	h.Set("X-Content-Type-Options", "nosniff")
	// Other sites must not learn which page somebody came from, least of all the
	// address of a one-time link. no-referrer would also make the Origin header of our
	// own form posts "null", and a browser without fetch metadata sends nothing else
	// that shows where they come from.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if tls {
		h.Set("Strict-Transport-Security", "max-age=63072000")
	}
	return h
}

// Secure sets the headers of every answer of a surface.
func Secure(tls bool, next http.Handler) http.Handler {
	headers := SecurityHeaders(tls)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range headers {
			w.Header()[name] = values[:1:1]
		}
		next.ServeHTTP(w, r)
	})
}

// FormPolicy is the content security policy, with other origins that a form's answer
// may redirect to (Chromium applies form-action to redirects too).
func FormPolicy(origins ...string) string {
	actions := strings.Join(append([]string{"'self'"}, origins...), " ")
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; worker-src 'self'; " +
		"form-action " + actions + "; frame-ancestors 'none'; base-uri 'none'"
}

// NoStore keeps an answer out of every cache (OWASP ASVS 5.0, 14.3.2).
func NoStore(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }
