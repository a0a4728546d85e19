package web

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/exeunt/exeunt/client"
)

// Peers decides which peers may connect to this node without TLS, and which may say
// what the client's address is.
type Peers struct {
	// Trusted are the proxies that terminate TLS. Empty if this node does.
	Trusted []netip.Prefix
}

// Address returns the address the request came from: the peer's, or if the peer is a
// trusted proxy, the last one that proxies have written that is no trusted proxy. It is
// the zero Addr when it is unknown, and never a trusted proxy's own: whoever bans an
// address that guesses passwords would ban everybody.
func (p Peers) Address(r *http.Request) netip.Addr {
	peer := remoteAddr(r)
	if !p.Trusts(peer) {
		return peer
	}
	for hop := range hops(r.Header) {
		a, err := hopAddr(hop)
		if err != nil {
			break // nothing before an invalid hop can be trusted
		}
		if !p.Trusts(a) {
			return a
		}
	}
	return netip.Addr{}
}

// Plain reports whether a trusted proxy says that the request reached it without TLS. A
// proxy that says nothing is believed to take nothing else than TLS, because to name it
// as trusted is to say that it terminates TLS.
func (p Peers) Plain(r *http.Request) bool {
	if len(p.Trusted) == 0 || !p.Trusts(remoteAddr(r)) {
		return false
	}
	said := scheme(r.Header)
	return said != "" && !strings.EqualFold(said, "https") && !strings.EqualFold(said, "wss")
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

// Trusts reports whether an address is a trusted proxy's.
func (p Peers) Trusts(a netip.Addr) bool {
	for _, t := range p.Trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// Only refuses requests without TLS that do not come through a trusted proxy, because
// their cookies and passwords would be sent unencrypted. It logs each refused address
// once: one may be the proxy that is missing in the configuration.
func (p Peers) Only(log *slog.Logger, next http.Handler) http.Handler {
	var refused once[netip.Addr]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer := remoteAddr(r); r.TLS == nil && !p.Trusts(peer) {
			if refused.first(peer) {
				log.Warn("refused a request without TLS that did not come through a trusted proxy; "+
					"if this is the proxy, add it to trusted_proxies", "address", peer)
			}
			http.Error(w, "This address answers only through its own proxy.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// WarnOfSilent logs each trusted proxy once that does not say where requests come from:
// everybody's address is then unknown, and all share its limits.
func (p Peers) WarnOfSilent(log *slog.Logger, next http.Handler) http.Handler {
	var silent once[netip.Addr]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer := remoteAddr(r); p.Trusts(peer) && !anyHop(r.Header) && silent.first(peer) {
			log.Warn("a trusted proxy does not say which address requests come from, so everybody's is unknown, and "+
				"all share its limits; have it set X-Forwarded-For", "proxy", peer)
		}
		next.ServeHTTP(w, r)
	})
}

// OnlyHost answers 421 (RFC 9110 section 15.5.20) to requests for another host than
// our origin's, so that a page of another name that resolves to this address cannot act
// as our own (DNS rebinding). It logs each other host once: the proxy may change the
// name. home says whether somebody on this machine is told our address, as in
// development.
func OnlyHost(log *slog.Logger, origin string, home bool, next http.Handler) http.Handler {
	var refused once[string]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client.SameHost(r.Host, origin) {
			next.ServeHTTP(w, r)
			return
		}
		if host := r.Host[:min(len(r.Host), longestHost)]; refused.first(host) {
			log.Warn("refused a request for another host than this site's; if a proxy changes the name, have it pass "+
				"the Host header on", "host", host, "url", origin)
		}
		text := "There is no such site at this address. Check the address."
		if home && remoteAddr(r).IsLoopback() {
			text = "This site answers only at " + origin + "/ and under no other name, because browsers store its " +
				"cookies by name. Open that address."
		}
		http.Error(w, text, http.StatusMisdirectedRequest)
	})
}

const longestHost = 255 // RFC 1035 section 2.3.4

// once remembers what has been logged, up to maxNoted of it: strangers choose it.
type once[K comparable] struct {
	mu   sync.Mutex
	seen map[K]bool
}

const maxNoted = 100

func (o *once[K]) first(k K) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[k] || len(o.seen) >= maxNoted {
		return false
	}
	if o.seen == nil {
		o.seen = map[K]bool{}
	}
	o.seen[k] = true
	return true
}

// Forwarded returns the address that a trusted proxy says the request came from, and the zero Addr for a request that
// no trusted proxy forwarded: its peer may be an app's server, which speaks for somebody else.
func (p Peers) Forwarded(r *http.Request) netip.Addr {
	if !p.Trusts(remoteAddr(r)) {
		return netip.Addr{}
	}
	return p.Address(r)
}
