package conn

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// People write hosts, origins and paths in more ways than one, and browsers
// send each in a single one. The functions of this file turn what was written
// into what is sent, once, so that a handshake only compares. What no request
// can match is an error, which says what would be right.

// CanonicalHost returns a pattern for Upgrader.Hosts: a name or address, with a
// port if it is for that one alone, or *.parent for all names below; "*" is all
// hosts. Letters become small, an internationalised name the ASCII that is sent
// (RFC 5891), an IPv6 address its shortest form (RFC 5952).
func CanonicalHost(pattern string) (string, error) {
	if pattern == "*" {
		return pattern, nil
	}
	if _, bare, found := strings.Cut(pattern, "://"); found {
		return "", fmt.Errorf("a Host header has no scheme: write %s", beforePath(bare))
	}
	name, port, err := canonicalAuthority(pattern)
	return name + port, err
}

// CanonicalOrigin returns a pattern for Upgrader.Origins (RFC 6454, section
// 6.2): "https://example.org", with a port unless it is the scheme's own;
// "https://*.example.org" for the origins of all names below, "https://*" for
// all of a scheme; a pattern as of CanonicalHost for any scheme; "null", and "*"
// for all origins, null included. A slash behind it is left out, the rest is as
// in CanonicalHost.
func CanonicalOrigin(pattern string) (string, error) {
	if pattern == "*" || pattern == "file://" {
		return pattern, nil
	}
	if strings.EqualFold(pattern, "null") {
		return "null", nil
	}
	scheme, rest, found := strings.Cut(pattern, "://")
	if !found {
		name, port, err := canonicalAuthority(strings.TrimSuffix(pattern, "/"))
		return name + port, err
	}
	scheme = strings.ToLower(scheme)
	if err := checkScheme(scheme); err != nil {
		return "", err
	}
	rest = strings.TrimSuffix(rest, "/")
	if bare := beforePath(rest); bare != rest {
		return "", fmt.Errorf("an origin ends behind its host and port: write %s://%s", scheme, bare)
	}
	name, port, err := canonicalAuthority(rest)
	if port == defaultPort(scheme) {
		port = ""
	}
	return scheme + "://" + name + port, err
}

// beforePath is an authority without a path, query or fragment behind it.
func beforePath(text string) string {
	if n := strings.IndexAny(text, "/?#"); n >= 0 {
		return text[:n]
	}
	return text
}

func checkScheme(scheme string) error {
	if scheme == "ws" || scheme == "wss" {
		return errors.New("an origin is where a page came from, not where it connects to: write http:// or https://")
	}
	for i, c := range []byte(scheme) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return fmt.Errorf("%q is no scheme: write https://", scheme)
		}
	}
	if scheme == "" {
		return errors.New("there is no scheme: write https://")
	}
	return nil
}

// canonicalAuthority returns the two parts of a host with or without a port;
// the port keeps its colon.
func canonicalAuthority(text string) (name, port string, err error) {
	if bare := beforePath(text); bare != text {
		return "", "", fmt.Errorf("a host has no path: write %s", bare)
	}
	if strings.Contains(text, "@") {
		return "", "", errors.New("a host has no user before it")
	}
	if strings.Count(text, ":") > 1 && !strings.HasPrefix(text, "[") {
		return "", "", errors.New("write an IPv6 address in brackets, as in [::1]:8066")
	}
	at := portAt(text)
	name, port = text[:at], text[at:]
	if port != "" {
		n, err := strconv.ParseUint(port[1:], 10, 16)
		if err != nil || n == 0 {
			return "", "", fmt.Errorf("%q is no port: write a number from 1 to 65535 behind the colon", port[1:])
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	if name == "*" {
		return name, port, nil
	}
	parent, wild := strings.CutPrefix(name, "*.")
	name, err = canonicalName(parent)
	switch {
	case err != nil:
		return "", "", err
	case wild && isAddress(name):
		return "", "", errors.New("an address has no names below it")
	case wild:
		name = "*." + name
	}
	return name, port, nil
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil
}

// canonicalName is a name or address as a browser sends it.
func canonicalName(name string) (string, error) {
	if strings.HasPrefix(name, "[") {
		return canonicalIPv6(name)
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(name)
			if err != nil {
				return "", fmt.Errorf("%q is no name: %w", name, err)
			}
			name = ascii
			break
		}
	}
	name = strings.ToLower(name)
	if strings.Contains(name, "*") {
		return "", errors.New("* stands for whole labels in front, as in *.example.org, or alone")
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInLabel) {
			return "", fmt.Errorf("%q is no host: write a name, as in example.org, or an address", name)
		}
	}
	// A browser takes a name that ends in a number for an IPv4 address.
	if a, err := netip.ParseAddr(name); isNumber(labels[len(labels)-1]) && (err != nil || !a.Is4()) {
		return "", fmt.Errorf("%q is no IPv4 address: write its four numbers, as in 192.0.2.1", name)
	}
	return name, nil
}

func notInLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func isNumber(label string) bool {
	_, err := strconv.ParseUint(label, 0, 64)
	return err == nil || !strings.ContainsFunc(label, func(r rune) bool { return r < '0' || r > '9' })
}

func canonicalIPv6(name string) (string, error) {
	inner, found := strings.CutSuffix(name[1:], "]")
	a, err := netip.ParseAddr(inner)
	if !found || err != nil || !a.Is6() || a.Zone() != "" {
		return "", fmt.Errorf("%q is no IPv6 address: write it as in [2001:db8::1]", name)
	}
	if b := a.As16(); a.Is4In6() { // browsers write these in hexadecimal to the end
		return fmt.Sprintf("[::ffff:%x:%x]", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15])), nil
	}
	return "[" + a.String() + "]", nil
}

// CheckProtocol says why a name cannot be that of a subprotocol, which is a
// token (RFC 6455, section 4.1, and RFC 9110, section 5.6.2); nil if it can.
func CheckProtocol(name string) error {
	switch {
	case name == "*":
		return errors.New("to take any subprotocol, give none")
	case !isToken([]byte(name)):
		return errors.New("a subprotocol has ASCII letters, digits and !#$%&'*+-.^_`|~ alone")
	}
	return nil
}
