package fanout

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	postTimeout     = 10 * time.Second // of all of an attempt
	maxAnswerHeader = 16 << 10
)

func newClient() *http.Client {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		// This is the address that is connected to, whatever a name stood for before.
		a, err := netip.ParseAddrPort(address)
		if err != nil || !mayReach(a.Addr()) {
			return errAddress
		}
		return nil
	}}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && below(host, "localhost") {
			address = net.JoinHostPort("127.0.0.1", port) // whatever a name server says of it (RFC 6761 section 6.3)
		}
		return dialer.DialContext(ctx, network, address)
	}
	return &http.Client{
		Timeout: postTimeout,
		// Without a proxy of the environment, which would connect for us to addresses that may not be reached.
		Transport: &http.Transport{
			DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswerHeader,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// below reports whether a host is below a domain.
func below(host, domain string) bool {
	return strings.HasSuffix(strings.TrimSuffix(strings.ToLower(host), "."), "."+domain)
}

var errAddress = errors.New("this address is never reached")

// never are addresses from which clouds give out secrets, to whoever asks from within. Others of the kind are
// link-local.
var never = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"), netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("168.63.129.16"),
}

// embedding are prefixes of IPv6 addresses that lead to an IPv4 address, and at which byte that is (RFC 6052 section
// 2.1, RFC 8215 section 3, RFC 2765 section 2.1, RFC 3056 section 2).
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, {netip.MustParsePrefix("2002::/16"), 2},
}

// mayReach reports whether a token may be sent to an address. Operators register apps on private addresses and on this
// machine.
func mayReach(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, e := range embedding {
		if b := a.As16(); a.Is6() && e.prefix.Contains(a) {
			a = netip.AddrFrom4([4]byte(b[e.at : e.at+4]))
		}
	}
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast():
		return false
	case a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240): // RFC 6890 section 2.2.2: this network, reserved, broadcast
		return false
	}
	for _, n := range never {
		if a == n {
			return false
		}
	}
	return true
}

// answer is what came of a request.
type answer struct {
	confirmed, refused bool
	err                string        // what went wrong otherwise, as a word
	after              time.Duration // for how long to leave it alone, if it says so
}

// post sends a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.5). 400 is a refusal (section 2.8).
func (s *Service) post(ctx context.Context, uri, token string) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri,
		strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return answer{err: "address"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "Exeunt")
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{err: classOf(err)}
	}
	resp.Body.Close() // unread: the status says all
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return answer{confirmed: true}
	case code == http.StatusBadRequest:
		return answer{refused: true, err: "http_400"}
	default:
		return answer{err: "http_" + strconv.Itoa(code)}
	}
}

// classOf names an error without its text, in which there may be addresses.
func classOf(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, errAddress):
		return "address"
	case errors.As(err, &dns):
		return "name"
	case errors.As(err, &certificate):
		return "certificate"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	}
	return "connection"
}
