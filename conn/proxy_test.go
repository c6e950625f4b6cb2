package conn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// v2 builds a header of version 2.
func v2(command, kind byte, body ...string) []byte {
	b := append([]byte(startProxyV2), command, kind, 0, 0)
	for _, part := range body {
		b = append(b, part...)
	}
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-16))
	return b
}

func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

// summed sets the checksum that a header has among its TLVs.
func summed(header []byte) []byte {
	at := bytes.Index(header, []byte(tlv(3, "\x00\x00\x00\x00"))) + 3
	binary.BigEndian.PutUint32(header[at:], crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli)))
	return header
}

// spoilt has its last byte changed.
func spoilt(b []byte) []byte {
	b[len(b)-1] ^= 1
	return b
}

const (
	tcp4 = "\xcb\x00\x71\x07" + "\xc0\x00\x02\x01" + "\x9c\x40" + "\x01\xbb"
	tcp6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x9c\x40\x01\xbb"
	sum4 = "\x03\x00\x04\x00\x00\x00\x00"
)

var longest1 = "PROXY UNKNOWN " + strings.Repeat("f", mostProxyV1-16) + "\r\n"

var proxyHeaders = []struct {
	name   string
	in     string
	client string // "": the socket's
	err    error
}{
	{"v1", "PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n", "203.0.113.7:40000", nil},
	{"v1, port 0", "PROXY TCP4 203.0.113.7 192.0.2.1 0 65535\r\n", "203.0.113.7:0", nil},
	{"v1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n", "[2001:db8::7]:40000", nil},
	{"v1, mapped", "PROXY TCP6 ::ffff:203.0.113.7 ::1 40000 443\r\n", "203.0.113.7:40000", nil},
	{"v1, longest IPv6", "PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", nil},
	{"v1, no address", "PROXY TCP4 0.0.0.0 192.0.2.1 1 1\r\n", "", nil},
	{"v1, unknown", "PROXY UNKNOWN\r\n", "", nil},
	{"v1, unknown and more", "PROXY UNKNOWN 203.0.113.7 what ever\r\n", "", nil},
	{"v1, longest", longest1, "", nil},
	{"v1, too long", "PROXY UNKNOWN " + strings.Repeat("f", mostProxyV1-15) + "\r\n", "", errLongProxy},
	{"v1, without end", "PROXY TCP4 " + strings.Repeat("1", 200), "", errLongProxy},
	{"v1, bare LF", "PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\n", "", errProxy},
	{"v1, nothing", "PROXY \r\n", "", errProxy},
	{"v1, LF alone", "PROXY \n", "", errProxy},
	{"v1, lower case", "proxy TCP4 203.0.113.7 192.0.2.1 40000 443\r\n", "", errNoProxy},
	{"v1, UDP", "PROXY UDP4 203.0.113.7 192.0.2.1 40000 443\r\n", "", errProxy},
	{"v1, other family", "PROXY TCP6 203.0.113.7 192.0.2.1 40000 443\r\n", "", errProxy},
	{"v1, mixed families", "PROXY TCP4 203.0.113.7 ::1 40000 443\r\n", "", errProxy},
	{"v1, two spaces", "PROXY TCP4  203.0.113.7 192.0.2.1 40000 443\r\n", "", errProxy},
	{"v1, too few", "PROXY TCP4 203.0.113.7 192.0.2.1 40000\r\n", "", errProxy},
	{"v1, too many", "PROXY TCP4 203.0.113.7 192.0.2.1 40000 443 1\r\n", "", errProxy},
	{"v1, space at the end", "PROXY TCP4 203.0.113.7 192.0.2.1 40000 443 \r\n", "", errProxy},
	{"v1, port too high", "PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n", "", errProxy},
	{"v1, port with a zero", "PROXY TCP4 203.0.113.7 192.0.2.1 0443 443\r\n", "", errProxy},
	{"v1, octal", "PROXY TCP4 203.0.113.07 192.0.2.1 40000 443\r\n", "", errProxy},
	{"v1, zone", "PROXY TCP6 fe80::1%eth0 ::1 40000 443\r\n", "", errProxy},

	{"v2", string(v2(0x21, 0x11, tcp4)), "203.0.113.7:40000", nil},
	{"v2, IPv6", string(v2(0x21, 0x21, tcp6)), "[2001:db8::7]:40000", nil},
	{"v2, mapped", string(v2(0x21, 0x21, strings.Repeat("\x00", 10)+"\xff\xff\xcb\x00\x71\x07", tcp6[16:])), "203.0.113.7:40000", nil},
	{"v2, no address", string(v2(0x21, 0x21, strings.Repeat("\x00", 36))), "", nil},
	{"v2, Unix", string(v2(0x21, 0x31, strings.Repeat("/", 216))), "", nil},
	{"v2, datagrams", string(v2(0x21, 0x12, tcp4)), "", nil},
	{"v2, unspecified protocol", string(v2(0x21, 0x10, tcp4)), "", nil},
	{"v2, unspecified", string(v2(0x21, 0x00)), "", nil},
	{"v2, unspecified with something", string(v2(0x21, 0x00, "\xff\xff\xff")), "", nil},
	{"v2, local", string(v2(0x20, 0x00)), "", nil},
	{"v2, local with an address", string(v2(0x20, 0x11, tcp4)), "", nil},
	{"v2, local with anything", string(v2(0x20, 0xff, "\xff\xff\xff")), "", nil},
	{"v2, TLVs", string(v2(0x21, 0x11, tcp4, tlv(4, ""), tlv(0xea, "\x01vpce-1"), tlv(0x20, "\x01\x00\x00\x00\x00"))), "203.0.113.7:40000", nil},
	{"v2, longest", string(v2(0x21, 0x11, tcp4, tlv(4, strings.Repeat("x", mostProxyV2-12-3)))), "203.0.113.7:40000", nil},
	{"v2, too long", string(v2(0x21, 0x11, tcp4, tlv(4, strings.Repeat("x", mostProxyV2-12-2)))), "", errLongProxy},
	{"v2, local and too long", string(v2(0x20, 0, strings.Repeat("x", mostProxyV2+1))), "", errLongProxy},
	{"v2, longest that there is", startProxyV2 + "\x21\x11\xff\xff", "", errLongProxy},
	{"v2, checksum", string(summed(v2(0x21, 0x11, tcp4, tlv(4, "ab"), sum4, tlv(4, "c")))), "203.0.113.7:40000", nil},
	{"v2, checksum, Unix", string(summed(v2(0x21, 0x31, strings.Repeat("/", 216), sum4))), "", nil},
	{"v2, wrong checksum", string(spoilt(summed(v2(0x21, 0x11, tcp4, sum4)))), "", errProxySum},
	{"v2, checksum of another", string(spoilt(summed(v2(0x21, 0x21, tcp6, sum4, tlv(4, "c"))))), "", errProxySum},
	{"v2, short checksum", string(v2(0x21, 0x11, tcp4, tlv(3, "abc"))), "", errProxy},
	{"v2, two checksums", string(summed(v2(0x21, 0x11, tcp4, sum4, tlv(3, "abcd")))), "", errProxySum},
	{"v2, cut TLV", string(v2(0x21, 0x11, tcp4, "\x04\x00")), "", errProxy},
	{"v2, TLV beyond the end", string(v2(0x21, 0x11, tcp4, "\x04\x00\x02x")), "", errProxy},
	{"v2, TLV far beyond the end", string(v2(0x21, 0x11, tcp4, "\x04\xff\xffx")), "", errProxy},
	{"v2, address cut", string(v2(0x21, 0x11, tcp4[:11])), "", errProxy},
	{"v2, IPv6 cut", string(v2(0x21, 0x21, tcp4)), "", errProxy},
	{"v2, Unix cut", string(v2(0x21, 0x31, tcp6)), "", errProxy},
	{"v2, other version", string(v2(0x31, 0x11, tcp4)), "", errProxy},
	{"v2, version 1", string(v2(0x11, 0x11, tcp4)), "", errProxy},
	{"v2, other command", string(v2(0x22, 0x11, tcp4)), "", errProxy},
	{"v2, other family", string(v2(0x21, 0x41, tcp4)), "", errProxy},
	{"v2, other protocol", string(v2(0x21, 0x13, tcp4)), "", errProxy},

	{"a request", "GET /ws HTTP/1.1\r\n", "", errNoProxy},
	{"an empty line and a request", "\r\nGET /ws HTTP/1.1\r\n", "", errNoProxy},
	{"TLS", "\x16\x03\x01\x02\x00", "", errNoProxy},
	{"another word", "PROXIES\r\n", "", errNoProxy},
	{"spoilt signature", "\r\n\r\n\x00\r\nQUIT\r\x21\x11", "", errNoProxy},
}

func TestProxyHeader(t *testing.T) {
	for _, c := range proxyHeaders {
		in := []byte(strings.ReplaceAll(c.in, "f...f", "ffff:ffff:ffff:ffff:ffff:ffff"))
		t.Run(c.name, func(t *testing.T) {
			n, client, err := ProxyHeader(in)
			want := netip.AddrPort{}
			if c.client != "" {
				want = netip.MustParseAddrPort(c.client)
			}
			length := len(in)
			if c.err != nil {
				length = 0
			}
			if n != length || client != want || !errors.Is(err, c.err) {
				t.Errorf("%d of %d bytes, %v, %v; want %v, %v", n, len(in), client, err, want, c.err)
			}
			checkProxyCuts(t, in)
			if n > 0 { // what is behind it is not its own
				if n, again, err := ProxyHeader(append(bytes.Clone(in), in...)); n != len(in) || again != client || err != nil {
					t.Errorf("twice: %d bytes, %v, %v", n, again, err)
				}
			}
		})
	}
}

// checkProxyCuts wants every beginning of in to get the answer of the whole, or
// none yet, and none to be waited for beyond the bounds.
func checkProxyCuts(t *testing.T, in []byte) {
	t.Helper()
	n, client, err := ProxyHeader(in)
	for cut := range in {
		m, a, e := ProxyHeader(in[:cut])
		if (m != 0 || e != nil) && (m != n || a != client || e != err) {
			t.Fatalf("after %d bytes: %d, %v, %v; whole: %d, %v, %v", cut, m, a, e, n, client, err)
		}
		if m > cut {
			t.Fatalf("a header of %d bytes in %d", m, cut)
		}
		if m == 0 && e == nil && cut >= fixedProxyV2+mostProxyV2 {
			t.Fatalf("no answer after %d bytes", cut)
		}
	}
}

var proxyLine = regexp.MustCompile(`^PROXY (?:(UNKNOWN)(?: [^\n]*)?|TCP([46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r$`)

// twinV1 reads a whole line of version 1 another way.
func twinV1(line string) (client netip.AddrPort, ok bool) {
	m := proxyLine.FindStringSubmatch(line)
	if m == nil {
		return client, false
	}
	if m[1] != "" {
		return client, true
	}
	a, err1 := netip.ParseAddr(m[3])
	b, err2 := netip.ParseAddr(m[4])
	p, err3 := strconv.ParseUint(m[5], 10, 16)
	_, err4 := strconv.ParseUint(m[6], 10, 16)
	if err := errors.Join(err1, err2, err3, err4); err != nil || a.Is4() != (m[2] == "4") || b.Is4() != (m[2] == "4") {
		return client, false
	}
	if a.IsUnspecified() {
		return client, true
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

// twinV2 reads a header of version 2, all of whose bytes are there, another way.
func twinV2(b []byte) (client netip.AddrPort, ok bool) {
	body := bytes.NewBuffer(bytes.Clone(b[16:]))
	command, family, protocol := b[12], b[13]>>4, b[13]&15
	if command == 0x20 {
		return client, true
	}
	if command != 0x21 || family > 3 || protocol > 2 {
		return client, false
	}
	if family == 0 {
		return client, true
	}
	size := map[byte]int{1: 12, 2: 36, 3: 216}[family]
	addresses := body.Next(size)
	if len(addresses) < size {
		return client, false
	}
	for body.Len() > 0 {
		head := body.Next(3)
		if len(head) < 3 {
			return client, false
		}
		length := int(head[1])*256 + int(head[2])
		at := len(b) - body.Len()
		value := body.Next(length)
		if len(value) < length {
			return client, false
		}
		if head[0] == 3 {
			zeroed := bytes.Clone(b)
			if length != 4 {
				return client, false
			}
			copy(zeroed[at:], "\x00\x00\x00\x00")
			if crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(value) {
				return client, false
			}
		}
	}
	if family == 3 || protocol != 1 {
		return client, true
	}
	a, _ := netip.AddrFromSlice(addresses[:size/2-2])
	if a.IsUnspecified() {
		return client, true
	}
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(addresses[size-4:])), true
}

// FuzzProxyHeader wants what the twins make of any bytes, in every cut.
func FuzzProxyHeader(f *testing.F) {
	for _, c := range proxyHeaders {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		checkProxyCuts(t, in)
		n, client, err := ProxyHeader(in)
		if n < 0 || n > len(in) || err != nil && (n != 0 || client.IsValid()) {
			t.Fatalf("%d, %v, %v", n, client, err)
		}
		line, _, ended := strings.Cut(string(in), "\n")
		switch {
		case strings.HasPrefix(line, startProxyV1) && ended && len(line) < mostProxyV1:
			want, ok := twinV1(line)
			if (err == nil) != ok || client != want || ok && n != len(line)+1 {
				t.Fatalf("%q: %d, %v, %v; want %v, %v", line, n, client, err, want, ok)
			}
		case bytes.HasPrefix(in, []byte(startProxyV2)) && len(in) >= 16:
			length := int(in[14])*256 + int(in[15])
			if length > mostProxyV2 || len(in) < 16+length {
				if n != 0 {
					t.Fatalf("%d bytes of %x", n, in)
				}
				return
			}
			want, ok := twinV2(in[:16+length])
			if (err == nil) != ok || client != want || ok && n != 16+length {
				t.Fatalf("%x: %d, %v, %v; want %v, %v", in, n, client, err, want, ok)
			}
		default:
			if n != 0 {
				t.Fatalf("a header in %q", in)
			}
		}
	})
}
