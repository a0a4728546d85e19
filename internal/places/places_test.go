package places

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// value is what a file has of a network: texts, numbers and maps of them.
type value any

// encode writes a value (MaxMind DB File Format Specification 2.0, Data Section). It is small: no text has 285 bytes.
func encode(out *bytes.Buffer, v value) {
	size := func(kind, n int) {
		switch {
		case n >= 29:
			out.Write([]byte{byte(kind<<5 | 29), byte(n - 29)})
		default:
			out.WriteByte(byte(kind<<5 | n))
		}
	}
	switch v := v.(type) {
	case string:
		size(2, len(v))
		out.WriteString(v)
	case uint16:
		size(5, 2)
		binary.Write(out, binary.BigEndian, v)
	case uint32:
		size(6, 4)
		binary.Write(out, binary.BigEndian, v)
	case uint64:
		out.Write([]byte{8, 2}) // extended: kind 9
		binary.Write(out, binary.BigEndian, v)
	case []string:
		out.Write([]byte{byte(len(v)), 4}) // extended: kind 11
		for _, one := range v {
			encode(out, one)
		}
	case map[string]value:
		size(7, len(v))
		for name, one := range v {
			encode(out, name)
			encode(out, one)
		}
	default:
		panic(v)
	}
}

// file writes a file of networks: a binary tree of their bits, then their values.
func file(t testing.TB, path, kind string, networks map[string]value) {
	t.Helper()
	const none = -1
	type node [2]int // of another node, or -2 and below: of a value
	nodes := []node{{none, none}}
	var data bytes.Buffer
	for text, v := range networks {
		p := netip.MustParsePrefix(text)
		bits := p.Bits()
		raw := p.Addr().As16()
		if p.Addr().Is4() { // IPv4 is at ::/96
			raw, bits = [16]byte{}, bits+96
			four := p.Addr().As4()
			copy(raw[12:], four[:])
		}
		at := 0
		for i := range bits {
			bit := raw[i/8] >> (7 - i%8) & 1
			if i == bits-1 {
				nodes[at][bit] = -2 - data.Len()
				break
			}
			if nodes[at][bit] < 0 {
				nodes = append(nodes, node{none, none})
				nodes[at][bit] = len(nodes) - 1
			}
			at = nodes[at][bit]
		}
		encode(&data, v)
	}
	var out bytes.Buffer
	for _, n := range nodes {
		for _, to := range n {
			switch {
			case to == none:
				to = len(nodes)
			case to < none:
				to = len(nodes) + 16 + (-2 - to)
			}
			binary.Write(&out, binary.BigEndian, uint32(to))
		}
	}
	out.Write(make([]byte, 16))
	out.Write(data.Bytes())
	out.WriteString("\xab\xcd\xefMaxMind.com")
	encode(&out, map[string]value{"node_count": uint32(len(nodes)), "record_size": uint16(32), "ip_version": uint16(6),
		"database_type": kind, "languages": []string{"en"}, "binary_format_major_version": uint16(2),
		"binary_format_minor_version": uint16(0), "build_epoch": uint64(1), "description": map[string]value{"en": "a test"}})
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(en string) value {
	return map[string]value{"names": map[string]value{"en": en, "de": "anders"}}
}

// The shapes that files have, and what is said of each.
func TestPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "places.mmdb")
	file(t, path, "Mixed", map[string]value{
		"203.0.113.0/24":  map[string]value{"city": names("Lisbon"), "country": names("Portugal")},
		"198.51.100.0/24": map[string]value{"country": map[string]value{"iso_code": "DE"}},
		"192.0.2.0/25":    map[string]value{"country_code": "BR"},
		"192.0.2.128/25":  map[string]value{"city": "Recife", "country_code": "BR", "state1": "Pernambuco"},
		"2001:db8::/32":   map[string]value{"autonomous_system_number": uint32(64500), "autonomous_system_organization": "Example Net"},
		"2001:db9::/32":   map[string]value{"city": strings.Repeat("ü", 100)},
		"10.0.0.0/8":      map[string]value{"country_code": "not a code", "city": uint32(7)},
	})
	p, err := Open(path, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"203.0.113.9": "Lisbon, Portugal", "::ffff:203.0.113.9": "Lisbon, Portugal", "198.51.100.1": "Germany",
		"192.0.2.1": "Brazil", "192.0.2.200": "Recife, Brazil", "2001:db8:1::1": "the network of Example Net",
		"2001:db9::1": strings.Repeat("ü", maxName-1) + "…", "10.1.1.1": "", "172.16.0.1": "", "fe80::1%eth0": "",
	} {
		if got := p.Of(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
	var none *Places
	if none.Of(netip.MustParseAddr("203.0.113.9")) != "" || p.Of(netip.Addr{}) != "" {
		t.Error("something is said of nothing")
	}
}

// A changed file is read again; a broken one is an error at the start, and later leaves the old one.
func TestTheFileChanges(t *testing.T) {
	path, now, log := filepath.Join(t.TempDir(), "places.mmdb"), time.Now(), &bytes.Buffer{}
	where := netip.MustParseAddr("203.0.113.9")
	open := func() (*Places, error) {
		return Open(path, func() time.Time { return now }, slog.New(slog.NewTextHandler(log, nil)))
	}
	if _, err := open(); err == nil {
		t.Error("a file that is not there is taken")
	}
	put := func(city string) {
		file(t, path, "City", map[string]value{"203.0.113.0/24": map[string]value{"city": city}})
		if city == "" {
			if err := os.Truncate(path, 100); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(2 * lookEvery)
		if err := os.Chtimes(path, now, now); err != nil {
			t.Fatal(err)
		}
	}
	put("")
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "places.mmdb is not a whole file") {
		t.Errorf("a broken file at the start: %v", err)
	}
	put("Lisbon")
	p, err := open()
	if err != nil {
		t.Fatal(err)
	}
	put("Porto")
	if got := p.Of(where); got != "Porto" {
		t.Errorf("after a change: %q", got)
	}
	put("")
	for range 3 {
		if got := p.Of(where); got != "Porto" {
			t.Errorf("after a broken file: %q", got)
		}
		now = now.Add(2 * lookEvery)
	}
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("%d lines about the broken file: %s", n, log)
	}
}

// The small file that other tests use: 203.0.113.0/24 and 127.0.0.0/8 are in Lisbon.
func TestTheSmallFile(t *testing.T) {
	p, err := Open("testdata/small.mmdb", time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"203.0.113.9", "127.0.0.1"} {
		if got := p.Of(netip.MustParseAddr(a)); got != "Lisbon, Portugal" {
			t.Errorf("%s is %q", a, got)
		}
	}
}
