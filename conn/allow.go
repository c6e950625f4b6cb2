package conn

import (
	"bytes"
	"strings"
)

// hostAllowed reports whether one of the patterns describes host, which may
// have a port. A pattern without a port allows all of them.
func hostAllowed(patterns []string, host []byte) bool {
	bare := host[:len(host)-len(portOf(host))]
	for _, p := range patterns {
		h := bare
		if len(portOf([]byte(p))) > 0 {
			h = host
		}
		if hostMatches(p, h) {
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

// portOf returns the port of an authority, with its colon. The colons of an
// IPv6 address are inside brackets.
func portOf(host []byte) []byte {
	colon := bytes.LastIndexByte(host, ':')
	if colon < 0 || colon < bytes.LastIndexByte(host, ']') {
		return nil
	}
	return host[colon:]
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
	_, host, found := bytes.Cut(origin, []byte("://"))
	return found && hostAllowed(patterns, host)
}
