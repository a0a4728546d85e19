package web

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"

	"github.com/exeunt/exeunt"
)

type requestIDKey struct{}

// RequestID returns the id of a request in pages, problem documents and the log, or ""
// outside WithRequestID.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithRequestID gives each request an id. It ignores one that a client sends, which
// could imitate another request's.
func WithRequestID(next http.Handler) http.Handler {
	enc := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b [10]byte
		rand.Read(b[:])
		id := enc.EncodeToString(b[:])
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

// Recover answers a panic with the surface's 500 and logs it with its stack.
func (s Surface) Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				s.Log.Error("panic", "request", RequestID(r.Context()), "panic", v, "stack", string(debug.Stack()))
				s.Fail(w, r, http.StatusInternalServerError, fmt.Errorf("panic: %v", v))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// SameOrigin refuses requests that another site, or a sibling of this one, made a
// browser send (OWASP ASVS 5.0, 3.5.1). Unlike plain http.CrossOriginProtection it
// also refuses state-changing requests with neither Sec-Fetch-Site nor Origin,
// because every browser that stores our cookies sends one of them, and those whose
// Origin is our host under another scheme: anybody may have changed a page that came
// over plain http.
//
// The paths of fromApps are posted to by other sites, and do nothing then but lead the browser back with a GET.
func SameOrigin(s Surface, origin string, next http.Handler, fromApps ...string) http.Handler {
	protected := refuseForged(s, origin, func(r *http.Request) bool {
		return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") == origin
	}, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(fromApps, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		protected.ServeHTTP(w, r)
	})
}

// NotCrossOrigin is SameOrigin for calls with a bearer token: programs other than
// browsers send neither header, and a forged request has no token.
func NotCrossOrigin(s Surface, origin string, next http.Handler) http.Handler {
	return refuseForged(s, origin, func(*http.Request) bool { return true }, next)
}

func refuseForged(s Surface, origin string, may func(*http.Request) bool, next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	if err := p.AddTrustedOrigin(origin); err != nil {
		s.Log.Error("invalid public address: use a scheme and a host", "origin", origin, "err", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
			next.ServeHTTP(w, r)
			return
		}
		if err := p.Check(r); err != nil {
			s.Answer(w, r, fmt.Errorf("%w (%w)", exeunt.ErrForged, err))
			return
		}
		if !may(r) {
			s.Answer(w, r, fmt.Errorf("%w (it did not send our origin)", exeunt.ErrForged))
			return
		}
		next.ServeHTTP(w, r)
	})
}
