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

// RequestID returns the id that pages, problem documents and the log name a
// request by, or "" outside WithRequestID.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithRequestID gives each request an id. One that a client sends is not
// taken: it could be made to look like another's.
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

// Peers decides who may speak to this node without TLS and whose word about
// the client's address is taken.
type Peers struct {
	// Trusted are the proxies that terminate TLS. Empty when this node does.
	Trusted []netip.Prefix
}

// Address returns the address the request came from: the peer's, or when the
// peer is a trusted proxy the last one in X-Forwarded-For that is not. It is
// the zero Addr when it cannot be told.
func (p Peers) Address(r *http.Request) netip.Addr {
	peer := remoteAddr(r)
	if !p.trusts(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := hopAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // what stands before a hop that lies cannot be believed either
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

// Only refuses requests without TLS that do not come through a trusted proxy:
// their cookies and passwords would travel in the clear. Each address that is
// refused is logged once, up to maxRefused of them: one may be the very proxy
// that the configuration should have named.
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
				log.Warn("refused a request that came without TLS and through no trusted proxy; if this is the proxy, add it to trusted_proxies", "address", peer)
			}
			http.Error(w, "This address answers only through its own proxy. Nothing was done.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const maxRefused = 100

// OnlyHost answers 421 (RFC 9110 section 15.5.20) to requests for another host
// than ours. A page of another name that has been pointed at this address must
// not be able to speak to us as if it were us. home is our address if it may be
// told to somebody on this very machine, as in development; "" tells nobody.
func OnlyHost(host, home string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Host, host) {
			text := "There is no such site at this address. Check the address; nothing was done."
			if home != "" && remoteAddr(r).IsLoopback() {
				text = "This site answers only at " + home + "/ and under no other name, because browsers keep its cookies by name. Open that address; nothing was done."
			}
			http.Error(w, text, http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// SameOrigin refuses requests that another site, or a sibling of this one,
// made a browser send (OWASP ASVS 5.0, 3.5.1). Unlike plain
// http.CrossOriginProtection it also refuses state-changing requests that carry
// neither Sec-Fetch-Site nor Origin, since every browser that can hold our
// cookies sends one of them, and those whose Origin is our host under another
// scheme: a page that came over plain http may be anybody's.
func SameOrigin(s Surface, origin string, next http.Handler) http.Handler {
	return unforged(s, origin, func(r *http.Request) bool {
		return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") == origin
	}, next)
}

// NotCrossOrigin is SameOrigin for calls that carry a bearer token: programs
// that are no browsers send neither header, and a forged request has no token.
func NotCrossOrigin(s Surface, origin string, next http.Handler) http.Handler {
	return unforged(s, origin, func(*http.Request) bool { return true }, next)
}

func unforged(s Surface, origin string, may func(*http.Request) bool, next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	if err := p.AddTrustedOrigin(origin); err != nil {
		s.Log.Error("the public address is no origin", "origin", origin, "err", err)
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
			s.Answer(w, r, fmt.Errorf("%w (it does not name our origin)", exeunt.ErrForged))
			return
		}
		next.ServeHTTP(w, r)
	})
}
