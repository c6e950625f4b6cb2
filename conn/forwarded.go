package conn

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
)

// Networks are ranges of addresses, in any order.
type Networks []netip.Prefix

// Contain reports whether the address, IPv4 not mapped into IPv6, is in one of
// them.
func (n Networks) Contain(a netip.Addr) bool {
	for _, p := range n {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ParseNetwork reads a range of addresses, as 192.0.2.0/24, or an address, which
// is a range of one. An error says what is wrong, and what would be right.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, errors.New("want a network, as in 192.0.2.0/24 or 2001:db8::/32, or an address")
	case p.Addr().Is4In6():
		return p, errors.New("write an IPv4 network in its own form, as in 192.0.2.0/24")
	case p != p.Masked():
		return p, fmt.Errorf("it has bits behind its length: write %v, or %v", p.Masked(), p.Addr())
	}
	return p, nil
}

const forwardedFor = "X-Forwarded-For"

// ForwardedFor goes through the addresses of all X-Forwarded-For fields from
// right to left, against the way of the request: each proxy has added the one it
// got the request from at the right. The first address that is not trusted is the
// client's. What is left of it may be anybody's invention.
//
// found is false if there is none: then client is the leftmost of the trusted
// ones, as far as they can be read, and the zero AddrPort if there is not one.
// The port is 0 unless a proxy told it. It allocates nothing.
func (r *Request) ForwardedFor(trusted Networks) (client netip.AddrPort, found bool) {
	for fields := r.fields; len(fields) > 0; {
		begin := bytes.LastIndexByte(fields[:len(fields)-2], '\n') + 1
		line := fields[begin : len(fields)-2]
		fields = fields[:begin]
		list, ok := fieldValue(line, forwardedFor)
		if !ok {
			continue
		}
		for len(list) > 0 {
			comma := bytes.LastIndexByte(list, ',')
			item := trim(list[comma+1:])
			list = list[:max(comma, 0)]
			if len(item) == 0 {
				continue
			}
			a, ok := parseForwarded(item)
			if !ok {
				return client, false // and what is left of it says nothing
			}
			if client = a; !trusted.Contain(a.Addr()) {
				return client, true
			}
		}
	}
	return client, false
}

// parseForwarded reads an address as proxies write them: 192.0.2.1,
// 192.0.2.1:4000, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:4000.
func parseForwarded(b []byte) (client netip.AddrPort, ok bool) {
	host, port := b, []byte(nil)
	switch end := bytes.IndexByte(b, ']'); {
	case b[0] == '[' && end > 0:
		host, port = b[1:end], b[end+1:]
		if bytes.IndexByte(host, ':') < 0 {
			return client, false
		}
	case bytes.Count(b, colon) == 1:
		at := bytes.IndexByte(b, ':')
		host, port = b[:at], b[at:]
	}
	a, ok := parseIP(host)
	if !ok || a.IsUnspecified() {
		return client, false
	}
	if len(port) == 0 {
		return netip.AddrPortFrom(a.Unmap(), 0), true
	}
	p, ok := parsePort(port[1:])
	return netip.AddrPortFrom(a.Unmap(), p), ok && port[0] == ':'
}

var colon = []byte{':'}
