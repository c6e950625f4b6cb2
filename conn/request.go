package conn

import "bytes"

// Request is the client's opening handshake as far as it concerns whoever
// decides on it. All slices alias the bytes given to Upgrade and are valid as
// long as those are.
type Request struct {
	Method   []byte
	Path     []byte // as sent, not unescaped
	Query    []byte // what follows '?', nil without
	Host     []byte // with port, if one was sent
	Origin   []byte // nil if there was none
	Protocol []byte // the subprotocol accepted, nil if none

	fields []byte // the field lines, each with its CRLF
	seen   seen
	key    []byte
}

// Header returns the value of the first field of that name, in whatever case,
// without surrounding white space; nil if there is none.
func (r *Request) Header(name string) []byte {
	for fields := r.fields; len(fields) > 0; {
		var line []byte
		line, fields = cutLine(fields)
		if colon := bytes.IndexByte(line, ':'); colon >= 0 && equalFold(line[:colon], name) {
			return trim(line[colon+1:])
		}
	}
	return nil
}

// HeaderEnd returns the length of the request at the front of in, up to and
// including its blank line; 0 if that has not come yet, or never will because a
// line does not end in CRLF. Its cost is that of a search for line ends.
func HeaderEnd(in []byte) int {
	end, _ := headerEnd(in)
	return end
}

// headerEnd looks for the blank line and, until there, for a line end that is
// not CRLF. Some servers take a bare LF for one and some do not, which is what
// request smuggling is made of.
func headerEnd(in []byte) (end int, bare bool) {
	for start := 0; ; {
		n := bytes.IndexByte(in[start:], '\n')
		switch {
		case n < 0:
			return 0, false
		case n == 0 || in[start+n-1] != '\r':
			return 0, true
		case n == 1 && start > 0:
			return start + 2, false
		}
		start += n + 1
	}
}

// cutLine splits off the first line, without its CRLF, which headerEnd has
// found to be there.
func cutLine(b []byte) (line, rest []byte) {
	n := bytes.IndexByte(b, '\n')
	return b[:n-1], b[n+1:]
}

// parseLine reads the request line (RFC 9112, 3). Only the origin form of a
// target is a path of ours.
func (r *Request) parseLine(line []byte) *HTTPError {
	method, rest, ok1 := bytes.Cut(line, space)
	target, version, ok2 := bytes.Cut(rest, space)
	switch {
	case !ok1 || !ok2 || !isToken(method):
		return errRequestLine
	case string(version) != "HTTP/1.1":
		return versionError(method, version)
	case len(target) == 0 || target[0] != '/' || !allIn(target, charTarget):
		return errTarget
	}
	path, query, found := bytes.Cut(target, question)
	if !escapesWell(path) {
		return errTarget
	}
	if !found {
		query = nil
	}
	r.Method, r.Path, r.Query = method, path, query
	return nil
}

var (
	space    = []byte{' '}
	question = []byte{'?'}
)

// versionError tells what is HTTP, but of another version, from what is not;
// the preface of HTTP/2 is not (RFC 9113, 3.4).
func versionError(method, v []byte) *HTTPError {
	if len(v) == len("HTTP/1.1") && string(v[:5]) == "HTTP/" &&
		isDigit(v[5]) && v[6] == '.' && isDigit(v[7]) && string(method) != "PRI" {
		return errVersion
	}
	return errRequestLine
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

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
