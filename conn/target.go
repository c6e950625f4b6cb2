package conn

import "bytes"

// parseTarget reads a path with or without a query (origin form) or, as proxies
// send it, a whole URI (absolute form), whose authority then counts instead of
// the Host field (RFC 9112, 3.2.1 and 3.2.2).
func (r *Request) parseTarget(target []byte) *HTTPError {
	if !allIn(target, charTarget) {
		return errTarget
	}
	if len(target) == 0 || target[0] != '/' {
		if r.authority, target = cutAuthority(target); r.authority == nil {
			return errTarget
		}
	}
	path, query, found := bytes.Cut(target, question)
	if !found {
		query = nil
	}
	if len(path) == 0 { // of a URI, where it means the same (RFC 9110, 4.2.3)
		path = root
	}
	if path[0] != '/' || !escapesWell(path) {
		return errTarget
	}
	r.Path, r.Query = path, query
	return nil
}

var root = []byte{'/'}

// schemes are those of a WebSocket endpoint's URI, as RFC 6455, 3 has them and
// as HTTP has. Where TLS ended, only the proxy in front knows.
var schemes = [...]string{"http://", "https://", "ws://", "wss://"}

// cutAuthority splits an absolute URI behind its authority, which is nil if it
// is no URI of ours. User information is an error (RFC 9110, 4.2.4).
func cutAuthority(uri []byte) (authority, rest []byte) {
	for _, s := range schemes {
		if len(uri) < len(s) || !equalFold(uri[:len(s)], s) {
			continue
		}
		uri = uri[len(s):]
		n := bytes.IndexAny(uri, "/?")
		if n < 0 {
			n = len(uri)
		}
		if isAuthority(uri[:n]) {
			return uri[:n], uri[n:]
		}
		break
	}
	return nil, nil
}

// isAuthority reports whether b is a name or address, with or without a port
// (RFC 9110, 7.2).
func isAuthority(b []byte) bool {
	name, port := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		n := bytes.IndexByte(b, ']')
		if n < 2 || !allIn(b[1:n], charAddress) {
			return false
		}
		name, port = nil, b[n+1:]
	} else if n := bytes.IndexByte(b, ':'); n >= 0 {
		name, port = b[:n], b[n:]
	}
	if len(port) > 0 && (port[0] != ':' || !allIn(port[1:], charDigit)) {
		return false
	}
	return b != nil && (name == nil || len(name) > 0) && allIn(name, charName)
}

// settleHost decides which host the request is for. The Host field has to be there
// and to be well-formed, even if the target says it (RFC 9112, 3.2).
func (r *Request) settleHost() *HTTPError {
	switch {
	case !r.seen.all(seenHost):
		return errHost
	case r.authority == nil:
		if !isAuthority(r.Host) {
			return errHost
		}
	default:
		if len(r.Host) > 0 && !isAuthority(r.Host) {
			return errHost
		}
		r.Host = r.authority
	}
	return nil
}

// escapesWell reports whether each % is followed by two hexadecimal digits.
func escapesWell(path []byte) bool {
	for {
		n := bytes.IndexByte(path, '%')
		if n < 0 {
			return true
		}
		if len(path) < n+3 || !isHex(path[n+1]) || !isHex(path[n+2]) {
			return false
		}
		path = path[n+3:]
	}
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
}
