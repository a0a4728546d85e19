package presets_test

import (
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/presets"
)

func behind(host, app string) presets.Proxied {
	site := &exeunt.Site{Host: host}
	return presets.Proxied{Site: exeunt.Client{ID: "wiki", Site: site}, App: app}
}

// A proxy listens where browsers look for the site.
func TestAProxyListensAtTheSitesPort(t *testing.T) {
	for proxy, line := range map[string]string{
		"nginx": "listen [::]:8443 ssl", "haproxy": "bind :::8443 v4v6 ssl", "envoy": "port_value: 8443, ipv4_compat",
		"caddy": "wiki.example.com:8443 {",
	} {
		for host, want := range map[string]string{"wiki.example.com:8443": line, "wiki.example.com": strings.ReplaceAll(
			strings.ReplaceAll(line, ".com:8443", ".com"), "8443", "443")} {
			text, err := presets.ProxyConfig(proxy, "http://127.0.0.1:8443", []presets.Proxied{behind(host, "http://127.0.0.1:8081")})
			if err != nil || !strings.Contains(text, want) {
				t.Errorf("%s, %s: there is no %q, %v", proxy, host, want, err)
			}
		}
	}
}

// Sites at several ports are all reached, or refused.
func TestAProxyAtSeveralPorts(t *testing.T) {
	both := []presets.Proxied{behind("wiki.example.com", "http://127.0.0.1:8081"), behind("notes.example.com:8443", "http://127.0.0.1:8082")}
	text, err := presets.ProxyConfig("haproxy", "http://127.0.0.1:8000", both)
	if err != nil || !strings.Contains(text, "bind :::443 ") || !strings.Contains(text, "bind :::8443 ") {
		t.Errorf("haproxy: %v", err)
	}
	if _, err := presets.ProxyConfig("envoy", "http://127.0.0.1:8000", both); err == nil {
		t.Error("envoy: one of them is not reached")
	}
}

// Where a configuration has no TLS to an app, none is promised.
func TestAProxyWithoutTLSToApps(t *testing.T) {
	for proxy, good := range map[string]bool{"nginx": true, "caddy": true, "traefik": true, "haproxy": false, "envoy": false} {
		for _, c := range []struct{ exeunt, app string }{{"https://127.0.0.1:8443", "http://127.0.0.1:8081"},
			{"http://127.0.0.1:8443", "https://10.0.0.2"}} {
			_, err := presets.ProxyConfig(proxy, c.exeunt, []presets.Proxied{behind("wiki.example.com", c.app)})
			if (err == nil) != good {
				t.Errorf("%s, %+v: %v", proxy, c, err)
			}
		}
	}
}
