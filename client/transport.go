package client

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// NewTransport returns an HTTP transport that connects *.localhost names to this
// machine. RFC 6761 section 6.3 wants resolvers to do that; browsers do, Go does
// not.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if isLocalName(r.URL.Hostname()) {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil || !isLocalName(host) {
				return dialer.DialContext(ctx, network, address)
			}
			conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			if err == nil {
				return conn, nil
			}
			if six, err6 := dialer.DialContext(ctx, network, net.JoinHostPort("::1", port)); err6 == nil {
				return six, nil
			}
			return nil, err
		},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    5 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func isLocalName(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// SameHost reports whether the Host of a request is that of an origin, as in
// https://id.example.com. Some proxies write the scheme's default port, which means the
// same (RFC 9110 section 4.2.3).
func SameHost(host, origin string) bool {
	scheme, own, _ := strings.Cut(origin, "://")
	if strings.EqualFold(host, own) {
		return true
	}
	port := map[string]string{"http": ":80", "https": ":443"}[scheme]
	named, ok := strings.CutSuffix(host, port)
	hasPort := strings.LastIndexByte(own, ':') > strings.LastIndexByte(own, ']')
	return ok && port != "" && !hasPort && strings.EqualFold(named, own)
}

// StaysHere reports whether requests to the host never leave this machine.
func StaysHere(host string) bool {
	if isLocalName(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
