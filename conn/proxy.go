package conn

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): what
// a proxy says in front of a connection that it passes on. It says so once, and
// before anything else.
//
//	v1  PROXY TCP4 203.0.113.7 192.0.2.1 40000 443 CRLF
//	v2  12 bytes signature │ 4 bits version, 4 bits command │ 4 bits family, 4 bits protocol │
//	    u16 length of what follows │ source, destination, their ports │ TLVs: u8 type, u16 length, value

const (
	// mostProxyV1 is the longest line of version 1 that there can be, in bytes,
	// CRLF included (2.1).
	mostProxyV1 = 107
	// mostProxyV2 is how many bytes of addresses and TLVs a header of version 2 may
	// have behind its first 16: what every sender can send in one segment (2.2).
	mostProxyV2 = 536

	startProxyV1 = "PROXY "
	startProxyV2 = "\r\n\r\n\x00\r\nQUIT\n"
	fixedProxyV2 = len(startProxyV2) + 4
)

var (
	errNoProxy   = badRequest("a PROXY protocol header has to come first here")
	errProxy     = badRequest("malformed PROXY protocol header")
	errLongProxy = badRequest("PROXY protocol header too long")
	errProxySum  = badRequest("the checksum of the PROXY protocol header is wrong")
)

// ProxyHeader looks for a PROXY protocol header at the front of in, which is all
// that was received so far and is not changed.
//
//   - n and err are zero: it is not whole yet, more bytes are needed. At most 552
//     ever are.
//   - err is nil: it has n bytes. client is where the connection comes from; the
//     zero AddrPort if the header does not tell, and the socket's address is what
//     there is: the proxy speaks for itself (LOCAL), or its client came neither
//     over TCP/IPv4 nor over TCP/IPv6.
//   - otherwise err is an *HTTPError, shared between connections: there is none,
//     or not one that can be understood.
//
// It allocates nothing.
func ProxyHeader(in []byte) (n int, client netip.AddrPort, err error) {
	var bad *HTTPError
	switch {
	case begins(in, startProxyV1):
		n, client, bad = proxyV1(in)
	case begins(in, startProxyV2):
		n, client, bad = proxyV2(in)
	default:
		bad = errNoProxy
	}
	if bad != nil {
		return 0, netip.AddrPort{}, bad
	}
	if client.Addr().IsUnspecified() {
		client = netip.AddrPort{}
	}
	return n, client, nil
}

// begins reports whether in is the beginning of something that starts so.
func begins(in []byte, start string) bool {
	k := min(len(in), len(start))
	return string(in[:k]) == start[:k]
}

// proxyV1 reads a header of version 1 (2.1).
func proxyV1(in []byte) (n int, client netip.AddrPort, bad *HTTPError) {
	in = in[:min(len(in), mostProxyV1)]
	n = bytes.IndexByte(in, '\n') + 1
	switch {
	case n == 0 && len(in) == mostProxyV1:
		return 0, client, errLongProxy
	case n == 0:
		return 0, client, nil
	case n <= len(startProxyV1) || in[n-2] != '\r':
		return 0, client, errProxy
	}
	family, rest, _ := bytes.Cut(in[len(startProxyV1):n-2], space)
	if string(family) == "UNKNOWN" { // whatever follows
		return n, client, nil
	}
	source, rest, _ := bytes.Cut(rest, space)
	destination, rest, _ := bytes.Cut(rest, space)
	sourcePort, destinationPort, _ := bytes.Cut(rest, space)
	a, ok1 := parseIP(source)
	b, ok2 := parseIP(destination)
	p, ok3 := parsePort(sourcePort)
	_, ok4 := parsePort(destinationPort)
	v4, v6 := string(family) == "TCP4" && a.Is4() && b.Is4(), string(family) == "TCP6" && a.Is6() && b.Is6()
	if !ok1 || !ok2 || !ok3 || !ok4 || !v4 && !v6 {
		return 0, client, errProxy
	}
	return n, netip.AddrPortFrom(a.Unmap(), p), nil
}

// What a header of version 2 can say (2.2).
const (
	proxyLocal  = 0x20 // version and command
	proxyProxy  = 0x21
	proxyTCP4   = 0x11 // family and protocol
	proxyTCP6   = 0x21
	proxyCRC32C = 0x03 // type of a TLV
)

// proxyAddresses is how many bytes of addresses each family has: unspecified,
// IPv4, IPv6, Unix.
var proxyAddresses = [...]int{0, 4 + 4 + 2 + 2, 16 + 16 + 2 + 2, 108 + 108}

// proxyV2 reads a header of version 2 (2.2).
func proxyV2(in []byte) (n int, client netip.AddrPort, bad *HTTPError) {
	if len(in) < fixedProxyV2 {
		return 0, client, nil
	}
	command, kind := in[12], in[13]
	n = fixedProxyV2 + int(binary.BigEndian.Uint16(in[14:]))
	family, protocol := int(kind>>4), kind&0xf
	switch {
	case command != proxyLocal && command != proxyProxy:
		return 0, client, errProxy
	case n > fixedProxyV2+mostProxyV2:
		return 0, client, errLongProxy
	case command == proxyProxy && (family >= len(proxyAddresses) || protocol > 2):
		return 0, client, errProxy
	case len(in) < n:
		return 0, client, nil
	case command == proxyLocal || family == 0: // the rest is to be ignored, whatever it is
		return n, client, nil
	}
	header := in[:n]
	tlvs := fixedProxyV2 + proxyAddresses[family]
	if tlvs > n {
		return 0, client, errProxy
	}
	if bad := checkTLVs(header, tlvs); bad != nil {
		return 0, client, bad
	}
	at := header[fixedProxyV2:]
	switch kind {
	case proxyTCP4:
		client = netip.AddrPortFrom(netip.AddrFrom4([4]byte(at)), binary.BigEndian.Uint16(at[8:]))
	case proxyTCP6:
		client = netip.AddrPortFrom(netip.AddrFrom16([16]byte(at)).Unmap(), binary.BigEndian.Uint16(at[32:]))
	}
	return n, client, nil
}

// checkTLVs goes through the TLVs of a header, which begin at that byte. None
// of them concerns us, but the checksum has to be right if there is one.
func checkTLVs(header []byte, at int) *HTTPError {
	for at < len(header) {
		if len(header)-at < 3 {
			return errProxy
		}
		value := at + 3
		end := value + int(binary.BigEndian.Uint16(header[at+1:]))
		switch {
		case end > len(header):
			return errProxy
		case header[at] == proxyCRC32C && end-value != 4:
			return errProxy
		case header[at] == proxyCRC32C && binary.BigEndian.Uint32(header[value:]) != proxySum(header, value):
			return errProxySum
		}
		at = end
	}
	return nil
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	fourZeros  [4]byte
)

// proxySum is the checksum of a header, as which its own four bytes at that
// place count as zero (2.2.3).
func proxySum(header []byte, at int) uint32 {
	sum := crc32.Update(0, castagnoli, header[:at])
	sum = crc32.Update(sum, castagnoli, fourZeros[:])
	return crc32.Update(sum, castagnoli, header[at+4:])
}
