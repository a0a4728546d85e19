package web

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies say in three ways where a request came from. Only one is read, because a
// browser can send the others through a proxy that does not know them: what most
// proxies append to comes first.
const (
	forwardedFor = "X-Forwarded-For"
	forwarded    = "Forwarded" // RFC 7239
	realIP       = "X-Real-Ip"
)

func anyHop(h http.Header) bool {
	return len(h[forwardedFor]) > 0 || len(h[forwarded]) > 0 || len(h[realIP]) > 0
}

// hops returns the addresses as proxies wrote them, the nearest one first.
func hops(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		switch {
		case len(h[forwardedFor]) > 0:
			for _, line := range slices.Backward(h[forwardedFor]) {
				for more := true; more; {
					i := strings.LastIndexByte(line, ',')
					if !yield(line[i+1:]) {
						return
					}
					more, line = i >= 0, line[:max(i, 0)]
				}
			}
		case len(h[forwarded]) > 0:
			for _, line := range slices.Backward(h[forwarded]) {
				for _, element := range slices.Backward(splitQuoted(line, ',')) {
					if !yield(parameter(element, "for")) {
						return
					}
				}
			}
		case len(h[realIP]) > 0:
			yield(h[realIP][len(h[realIP])-1])
		}
	}
}

// scheme returns how the request reached the nearest proxy, or "" if it does not say.
func scheme(h http.Header) string {
	if lines := h["X-Forwarded-Proto"]; len(lines) > 0 {
		last := lines[len(lines)-1]
		return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	}
	if lines := h[forwarded]; len(lines) > 0 {
		elements := splitQuoted(lines[len(lines)-1], ',')
		return parameter(elements[len(elements)-1], "proto")
	}
	return ""
}

// hopAddr reads an address as proxies write it: perhaps with a port, quoted, in
// brackets, or with a zone.
func hopAddr(s string) (a netip.Addr, err error) {
	s = unquote(strings.TrimSpace(s))
	if at, err := netip.ParseAddrPort(s); err == nil {
		a = at.Addr()
	} else if a, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err != nil {
		return a, err
	}
	return a.Unmap().WithZone(""), nil
}

// parameter returns a parameter of an element of Forwarded, or "".
func parameter(element, name string) string {
	for _, pair := range splitQuoted(element, ';') {
		if key, value, ok := strings.Cut(pair, "="); ok && strings.EqualFold(strings.TrimSpace(key), name) {
			return unquote(strings.TrimSpace(value))
		}
	}
	return ""
}

// splitQuoted splits a header's value, but not within quoted strings (RFC 9110 section
// 5.6.4). A value that is longer than proxies write is not split. The last part is empty
// if its quoted string does not end: a client may have begun it, to make the proxy's own
// words a part of its own.
func splitQuoted(s string, at byte) (parts []string) {
	const longest = 8 << 10
	begin, quoted := 0, false
	for i := 0; i < len(s) && len(s) <= longest; i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == at && !quoted:
			parts, begin = append(parts, s[begin:i]), i+1
		}
	}
	if quoted {
		return append(parts, "")
	}
	return append(parts, s[begin:])
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var out strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
