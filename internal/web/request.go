package web

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"

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

// Peers decides which peers may connect to this node without TLS, and which may say
// what the client's address is.
type Peers struct {
	// Trusted are the proxies that terminate TLS. Empty if this node does.
	Trusted []netip.Prefix
}

// Address returns the address the request came from: the peer's, or if the peer is a
// trusted proxy, the last one in X-Forwarded-For that is no trusted proxy. It is the
// zero Addr when it is unknown.
func (p Peers) Address(r *http.Request) netip.Addr {
	peer := remoteAddr(r)
	if !p.trusts(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := hopAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // nothing before an invalid hop can be trusted
		}
		if a = a.Unmap(); !p.trusts(a) {
			return a
		}
	}
	return peer
}

// hopAddr reads one entry of X-Forwarded-For; some proxies add the port.
func hopAddr(s string) (netip.Addr, error) {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr(), nil
	}
	return netip.ParseAddr(s)
}

func remoteAddr(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

func (p Peers) trusts(a netip.Addr) bool {
	for _, t := range p.Trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// Only refuses requests without TLS that do not come through a trusted proxy, because
// their cookies and passwords would be sent unencrypted. It logs each refused address
// once, up to maxRefused addresses: one may be the proxy that is missing in the
// configuration.
func (p Peers) Only(log *slog.Logger, next http.Handler) http.Handler {
	var mu sync.Mutex
	seen := map[netip.Addr]bool{}
	first := func(a netip.Addr) bool {
		mu.Lock()
		defer mu.Unlock()
		if seen[a] || len(seen) >= maxRefused {
			return false
		}
		seen[a] = true
		return true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer := remoteAddr(r); r.TLS == nil && !p.trusts(peer) {
			if first(peer) {
				log.Warn("refused a request without TLS that did not come through a trusted proxy; "+
					"if this is the proxy, add it to trusted_proxies", "address", peer)
			}
			http.Error(w, "This address answers only through its own proxy.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const maxRefused = 100

// OnlyHost answers 421 (RFC 9110 section 15.5.20) to requests for another host than
// ours, so that a page of another name that resolves to this address cannot act as
// our own (DNS rebinding). home is our address, which is told to somebody on this
// machine, as in development; "" if it is told to nobody.
func OnlyHost(host, home string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Host, host) {
			text := "There is no such site at this address. Check the address."
			if home != "" && remoteAddr(r).IsLoopback() {
				text = "This site answers only at " + home + "/ and under no other name, because browsers store its " +
					"cookies by name. Open that address."
			}
			http.Error(w, text, http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// SameOrigin refuses requests that another site, or a sibling of this one, made a
// browser send (OWASP ASVS 5.0, 3.5.1). Unlike plain http.CrossOriginProtection it
// also refuses state-changing requests with neither Sec-Fetch-Site nor Origin,
// because every browser that stores our cookies sends one of them, and those whose
// Origin is our host under another scheme: anybody may have changed a page that came
// over plain http.
func SameOrigin(s Surface, origin string, next http.Handler) http.Handler {
	return refuseForged(s, origin, func(r *http.Request) bool {
		return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") == origin
	}, next)
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
