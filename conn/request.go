package conn

import "bytes"

// Request is the client's opening handshake as far as it concerns whoever
// decides on it. All slices alias the bytes given to Upgrade and are valid as
// long as those are.
type Request struct {
	Method   []byte
	Path     []byte // as sent, not unescaped: see SamePath
	Query    []byte // what follows '?', nil without
	Host     []byte // with port, if one was sent; the target's, if that names one
	Origin   []byte // nil if there was none
	Protocol []byte // the subprotocol accepted, nil if none

	fields    []byte // the field lines, each with its CRLF
	seen      seen
	key       []byte
	authority []byte // of a target in absolute form, else nil
}

// Header returns the value of the first field of that name, in whatever case,
// without surrounding white space; nil if there is none.
func (r *Request) Header(name string) []byte {
	value, _, _ := nextField(r.fields, name)
	return trim(value)
}

// nextField looks for the next field of that name, in whatever case. value has still
// its white space; rest is the lines behind.
func nextField(fields []byte, name string) (value, rest []byte, ok bool) {
	for len(fields) > 0 {
		var line []byte
		line, fields = cutLine(fields)
		if value, ok = fieldValue(line, name); ok {
			return value, fields, true
		}
	}
	return nil, nil, false
}

// fieldValue is the value in a line, if it is of a field of that name.
func fieldValue(line []byte, name string) (value []byte, ok bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !equalFold(line[:len(name)], name) {
		return nil, false
	}
	return line[len(name)+1:], true
}

// HeaderEnd returns the length of the request at the front of in, up to and
// including its blank line; 0 if that has not come yet, or never will because a
// line does not end in CRLF. Its cost is that of a search for line ends.
func HeaderEnd(in []byte) int {
	end, _ := headerEnd(in)
	return end
}

// headerEnd looks for the blank line behind the first line that is not empty
// and, until there, for a line end that is not CRLF. Some servers take a bare LF
// for one and some do not, which is what request smuggling is made of.
func headerEnd(in []byte) (end int, bare bool) {
	begun := false
	for start := 0; ; {
		n := bytes.IndexByte(in[start:], '\n')
		switch {
		case n < 0:
			return 0, false
		case n == 0 || in[start+n-1] != '\r':
			return 0, true
		case n > 1:
			begun = true
		case begun:
			return start + 2, false
		}
		start += n + 1
	}
}

// emptyLines is the length of the empty lines in front of a request, which are
// not part of it (RFC 9112, 2.2).
func emptyLines(in []byte) (n int) {
	for len(in)-n >= 2 && in[n] == '\r' && in[n+1] == '\n' {
		n += 2
	}
	return n
}

// cutLine splits off the first line, without its CRLF, which headerEnd has
// found to be there.
func cutLine(b []byte) (line, rest []byte) {
	n := bytes.IndexByte(b, '\n')
	return b[:n-1], b[n+1:]
}

// parseLine reads the request line (RFC 9112, 3).
func (r *Request) parseLine(line []byte) *HTTPError {
	method, rest, ok1 := bytes.Cut(line, space)
	target, version, ok2 := bytes.Cut(rest, space)
	switch {
	case !ok1 || !ok2 || !isToken(method):
		return errRequestLine
	case !isSpoken(version):
		return versionError(method, version)
	}
	r.Method = method
	return r.parseTarget(target)
}

var (
	space    = []byte{' '}
	question = []byte{'?'}
)

// isSpoken reports whether that is HTTP/1.1, or a later 1.x, which has to be
// read in the same way (RFC 9110, 6.2).
func isSpoken(version []byte) bool {
	return len(version) == len("HTTP/1.1") && string(version[:7]) == "HTTP/1." && '1' <= version[7] && version[7] <= '9'
}

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
