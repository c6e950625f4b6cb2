package conn

import (
	"bytes"
	"strings"
)

// hostAllowed reports whether one of the patterns describes host, which may
// have a port. A pattern without a port allows all of them.
func hostAllowed(patterns []string, host []byte) bool {
	at := portAt(host)
	for _, p := range patterns {
		n := portAt(p)
		if portAllowed(p[n:], host[at:]) && hostMatches(p[:n], host[:at]) {
			return true
		}
	}
	return false
}

// hostMatches compares with a name, or with a name's parent written "*.name".
func hostMatches(pattern string, host []byte) bool {
	parent, found := strings.CutPrefix(pattern, "*")
	if !found || !strings.HasPrefix(parent, ".") {
		return equalFold(host, pattern)
	}
	n := len(host) - len(parent)
	return n > 0 && equalFold(host[n:], parent)
}

// portAllowed compares two ports, each with its colon. A Host header leaves out
// the port that is the scheme's own, and which scheme that was, only the proxy
// in front knows.
func portAllowed(pattern string, port []byte) bool {
	if pattern == "" || string(port) == pattern {
		return true
	}
	return len(port) <= 1 && (pattern == ":80" || pattern == ":443")
}

// portAt is where the port of an authority begins, with its colon; the end if
// there is none. The colons of an IPv6 address are inside brackets.
func portAt[T string | []byte](host T) int {
	for i := len(host) - 1; i >= 0 && host[i] != ']'; i-- {
		if host[i] == ':' {
			return i
		}
	}
	return len(host)
}

// defaultPort is what an origin of that scheme leaves out.
func defaultPort[T string | []byte](scheme T) string {
	switch string(scheme) {
	case "http":
		return ":80"
	case "https":
		return ":443"
	}
	return ""
}

// originAllowed reports whether a page of that origin (RFC 6454, 6.2) may
// connect. Who sends no origin is no page.
func originAllowed(patterns []string, origin []byte) bool {
	if len(patterns) == 0 || origin == nil {
		return true
	}
	for _, p := range patterns {
		if equalFold(origin, p) {
			return true
		}
	}
	scheme, host, found := bytes.Cut(origin, schemeEnd)
	if !found || !isAuthority(host) {
		return false
	}
	for _, p := range patterns {
		if originMatches(p, scheme, host) {
			return true
		}
	}
	return false
}

var schemeEnd = []byte("://")

// originMatches compares with a pattern that names a scheme, and then means its
// port, or that is for all schemes, and then for all ports unless it names one.
func originMatches(pattern string, scheme, host []byte) bool {
	wanted, authority, full := strings.Cut(pattern, "://")
	if !full {
		wanted, authority = "", pattern
	}
	if full && !equalFold(scheme, wanted) {
		return false
	}
	at, n := portAt(host), portAt(authority)
	name, port := authority[:n], authority[n:]
	if full && port == "" {
		port = defaultPort(wanted)
	}
	if !portOfOrigin(port, full, scheme, host[at:]) {
		return false
	}
	return full && name == "*" && at > 0 || hostMatches(name, host[:at])
}

// portOfOrigin compares the port of a pattern with that of an origin, which has
// none if it is the scheme's own.
func portOfOrigin(pattern string, full bool, scheme, port []byte) bool {
	switch {
	case pattern == "" && !full:
		return true
	case len(port) <= 1:
		return pattern == defaultPort(scheme)
	}
	return string(port) == pattern
}
