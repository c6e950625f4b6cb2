package conn

import (
	"bytes"
	"net/netip"
)

// parseIP reads an IPv4 or IPv6 address as netip.ParseAddr does, but for zones,
// which it does not take: an address from elsewhere means nothing on a link
// here. netip takes a string, and making one allocates for each newcomer behind
// a proxy; a fuzz test holds the two together.
func parseIP(b []byte) (a netip.Addr, ok bool) {
	if bytes.IndexByte(b, ':') >= 0 {
		v6, ok := parseIPv6(b)
		return netip.AddrFrom16(v6), ok
	}
	v4, ok := parseIPv4(b)
	return netip.AddrFrom4(v4), ok
}

// parseIPv4 reads four numbers of one to three digits, without leading zeros,
// which some take for octal.
func parseIPv4(b []byte) (a [4]byte, ok bool) {
	for i := range a {
		n, value := 0, 0
		for n < len(b) && n < 3 && isDigit(b[n]) {
			value = 10*value + int(b[n]-'0')
			n++
		}
		if n == 0 || value > 255 || n > 1 && b[0] == '0' {
			return a, false
		}
		a[i], b = byte(value), b[n:]
		if i == len(a)-1 {
			break
		}
		if len(b) == 0 || b[0] != '.' {
			return a, false
		}
		b = b[1:]
	}
	return a, len(b) == 0
}

// parseIPv6 reads up to eight groups of hexadecimal digits, of which "::" stands
// for at least one; the last two may be an IPv4 address (RFC 4291, 2.2).
func parseIPv6(b []byte) (a [16]byte, ok bool) {
	at, gap := 0, -1 // bytes of a that are there, and where "::" was
	if bytes.HasPrefix(b, doubleColon) {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 && at < len(a) {
		n, value := hexGroup(b)
		if n < len(b) && b[n] == '.' { // the rest is IPv4
			v4, ok := parseIPv4(b)
			if !ok || at > len(a)-4 || gap < 0 && at != len(a)-4 {
				return a, false
			}
			at, b = at+copy(a[at:], v4[:]), nil
			break
		}
		if n == 0 {
			return a, false
		}
		a[at], a[at+1] = byte(value>>8), byte(value)
		at, b = at+2, b[n:]
		switch {
		case len(b) == 0:
		case bytes.HasPrefix(b, doubleColon) && gap < 0:
			gap, b = at, b[2:]
		case b[0] == ':' && len(b) > 1:
			b = b[1:]
		default:
			return a, false
		}
	}
	if len(b) > 0 || gap < 0 && at < len(a) || gap >= 0 && at == len(a) {
		return a, false
	}
	if gap >= 0 { // what is behind it moves to the end
		moved := copy(a[len(a)-(at-gap):], a[gap:at])
		clear(a[gap : len(a)-moved])
	}
	return a, true
}

var doubleColon = []byte("::")

// hexGroup reads up to four hexadecimal digits.
func hexGroup(b []byte) (n int, value uint16) {
	for ; n < len(b) && n < 4; n++ {
		c := lower(b[n])
		switch {
		case isDigit(c):
			value = value<<4 | uint16(c-'0')
		case 'a' <= c && c <= 'f':
			value = value<<4 | uint16(c-'a'+10)
		default:
			return n, value
		}
	}
	return n, value
}

// parsePort reads a port in its one decimal form.
func parsePort(b []byte) (port uint16, ok bool) {
	n := 0
	for _, c := range b {
		if !isDigit(c) || len(b) > 5 {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	if len(b) == 0 || n > 1<<16-1 || len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	return uint16(n), true
}
