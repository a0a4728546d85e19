package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt/internal/web"
)

// expiring is how long before its end a certificate should have been renewed.
const expiring = 14 * 24 * time.Hour

// hosts are the addresses that browsers use: ours, and each site's.
func (e *examination) hosts() []string {
	out := []string{e.url.Host}
	for i := range e.Config.Sites {
		out = append(out, e.Config.Sites[i].Host)
	}
	return out
}

// certificates looks at what browsers are shown, by the real proxy.
func (e *examination) certificates() {
	if e.url.Scheme != "https" {
		return
	}
	for _, host := range e.hosts() {
		name, port, err := net.SplitHostPort(host)
		if err != nil {
			name, port = host, "443"
		}
		e.certificate("certificate of "+name, name, port)
	}
}

func (e *examination) certificate(check, name, port string) {
	ctx, cancel := e.soon()
	defer cancel()
	dial := e.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(ctx, "tcp", net.JoinHostPort(name, port))
	if err != nil {
		e.fault(check, "See that the name leads to this machine or its proxy, and that it listens.", "nothing answers: %v", err)
		return
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{ServerName: name, RootCAs: e.Roots, MinVersion: tls.VersionTLS12, Time: e.Now})
	var wrongHost x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch err := conn.HandshakeContext(ctx); {
	case errors.As(err, &wrongHost):
		e.fault(check, "Get a certificate for this host, or have the proxy choose the right one.", "browsers refuse it: it is for another host (%v)", err)
		return
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.fault(check, "Renew it, and see why that did not happen by itself.", "browsers refuse it: %v", err)
		return
	case err != nil:
		e.fault(check, "Use a certificate that browsers trust; name your own authority's with --ca.", "browsers refuse it: %v", err)
		return
	}
	state := conn.ConnectionState()
	if end := state.PeerCertificates[0].NotAfter; end.Sub(e.Now()) < expiring {
		e.warn(check, "Renew it, and see why that did not happen by itself.", "it ends on %s", end.Format(time.DateOnly))
		return
	}
	e.ok(check, "%s, valid until %s", tls.VersionName(state.Version), state.PeerCertificates[0].NotAfter.Format(time.DateOnly))
}

// plain sees that what is asked without TLS is sent to TLS, and gets no cookie.
func (e *examination) plain() {
	if e.url.Scheme != "https" || e.url.Port() != "" && e.url.Port() != "443" {
		return
	}
	for _, host := range e.hosts() {
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = host
		}
		check := "http of " + name
		resp, _, err := e.get("http://" + name + "/")
		if err != nil {
			continue // nothing listens there
		}
		const remedy = "Have the proxy redirect everything on port 80 to https, or close the port."
		switch to := resp.Header.Get("Location"); {
		case len(resp.Cookies()) > 0:
			e.fault(check, remedy, "it sets cookies without TLS, which anybody on the way can read")
		case resp.StatusCode < 300 || resp.StatusCode >= 400 || !strings.HasPrefix(to, "https://"):
			e.fault(check, remedy, "it answers %s without TLS, instead of redirecting to https", resp.Status)
		default:
			e.ok(check, "it redirects to https")
		}
	}
}

func (e *examination) get(address string) (*http.Response, string, error) {
	return newBrowser(e).once(http.MethodGet, address, nil)
}

// headers compares what arrives in a browser with what the node sends.
func (e *examination) headers() {
	const check = "headers"
	resp, body, err := e.get(e.Config.URL + "/signin")
	if err != nil {
		e.fault(check, "See that the proxy runs, and that it leads to the node.", "%s does not answer: %v", e.Config.URL, err)
		return
	}
	if resp.StatusCode >= 300 || !strings.Contains(body, `action="/signin"`) {
		remedy := "Have the proxy lead this host to the node."
		switch resp.StatusCode {
		case http.StatusMisdirectedRequest:
			remedy = "Have the proxy pass the Host header that the browser sent."
		case http.StatusForbidden:
			remedy = "Name the proxy's own address in trusted_proxies; the node's log says which one asks."
		}
		e.fault(check, remedy, "%s/signin is not the node's sign-in page: %s", e.Config.URL, resp.Status)
		return
	}
	sound := true
	for name, want := range web.SecurityHeaders(e.url.Scheme == "https") {
		got := resp.Header.Values(name)
		switch {
		case len(got) == 0:
			sound = false
			e.fault(check, "Have the proxy pass the header on; it must not be removed.", "%s does not arrive in browsers", name)
		case !slices.Contains(got, want[0]) || name != "Content-Security-Policy" && len(got) > 1:
			sound = false
			e.fault(check, "Have the proxy pass the node's header on as it is.", "%s arrives as %q, and was sent as %q", name, strings.Join(got, ", "), want[0])
		}
	}
	if got := resp.Header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
		sound = false
		e.fault(check, "Have the proxy neither cache pages nor change Cache-Control.", "Cache-Control arrives as %q: browsers may keep private pages", got)
	}
	if resp.Header.Get("Age") != "" {
		sound = false
		e.fault(check, "Turn the proxy's cache off for this host.", "the page came out of a cache (Age: %s)", resp.Header.Get("Age"))
	}
	if sound {
		e.ok(check, "they arrive as they were sent, by %s", resp.Proto)
	}
}
