package web

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

// Only what a trusted proxy forwarded is a person's address: an app's server that asks by itself has its own.
func TestForwarded(t *testing.T) {
	p := Peers{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"127.0.0.1:1", "203.0.113.9", "203.0.113.9"},
		{"127.0.0.1:1", "192.0.2.1, 203.0.113.9", "203.0.113.9"},
		{"127.0.0.1:1", "", ""},
		{"127.0.0.1:1", "garbage", ""},
		{"198.51.100.7:1", "203.0.113.9", ""},
		{"198.51.100.7:1", "", ""},
	} {
		r := httptest.NewRequest("GET", "/gate", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		got := ""
		if a := p.Forwarded(r); a.IsValid() {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
