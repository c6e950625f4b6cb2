package conn

import "bytes"

// seen says which fields a request had, and what was found in them.
type seen uint16

const (
	seenHost seen = 1 << iota
	seenUpgrade
	seenConnection
	seenVersion
	seenVersion13
	seenKey
	seenOrigin
	seenProtocol
	seenBody
	seenExpectation // other than 100-continue
	seenBadExtensions
)

func (s seen) all(f seen) bool { return s&f == f }

// parseFields reads the field lines (RFC 9112, 5). Which fields there are is
// noted; whether that is enough is decided by the caller.
func (r *Request) parseFields(fields []byte) *HTTPError {
	r.fields = fields
	for len(fields) > 0 {
		var line []byte
		line, fields = cutLine(fields)
		colon := bytes.IndexByte(line, ':')
		// A folded line has a blank for its first character, which no name has.
		if colon < 0 || !isToken(line[:colon]) || !isValue(line[colon+1:]) {
			return errField
		}
		if bad := r.field(line[:colon], trim(line[colon+1:])); bad != nil {
			return bad
		}
	}
	return nil
}

// field notes one field. The length of a name comes first: it tells nearly all
// of the fields apart that browsers send.
func (r *Request) field(name, value []byte) *HTTPError {
	switch len(name) {
	case len("Host"):
		if equalFold(name, "Host") {
			return r.once(seenHost, &r.Host, value)
		}
	case len("Origin"):
		return r.field6(name, value)
	case len("Upgrade"):
		if equalFold(name, "Upgrade") && hasToken(value, "websocket") {
			r.seen |= seenUpgrade
		}
	case len("Connection"):
		if equalFold(name, "Connection") && hasToken(value, "upgrade") {
			r.seen |= seenConnection
		}
	case len("Content-Length"):
		if equalFold(name, "Content-Length") && string(value) != "0" {
			r.seen |= seenBody
		}
	case len("Sec-WebSocket-Key"):
		return r.field17(name, value)
	case len("Sec-WebSocket-Protocol"):
		if equalFold(name, protocolField) {
			r.seen |= seenProtocol
		}
	case len("Sec-WebSocket-Extensions"):
		if equalFold(name, "Sec-WebSocket-Extensions") && !isExtensions(value) {
			r.seen |= seenBadExtensions
		}
	case len("Sec-WebSocket-Version"):
		if equalFold(name, "Sec-WebSocket-Version") {
			return r.version(value)
		}
	}
	return nil
}

// field6 is for the two names of 6 letters.
func (r *Request) field6(name, value []byte) *HTTPError {
	switch {
	case equalFold(name, "Origin"):
		return r.once(seenOrigin, &r.Origin, value)
	case equalFold(name, "Expect") && !continues(value):
		r.seen |= seenExpectation
	}
	return nil
}

// continues reports whether nothing is expected but 100-continue.
func continues(list []byte) bool {
	for len(list) > 0 {
		var item []byte
		if item, list = cutItem(list); len(item) > 0 && !equalFold(item, "100-continue") {
			return false
		}
	}
	return true
}

// field17 is for the two names of 17 letters.
func (r *Request) field17(name, value []byte) *HTTPError {
	switch {
	case equalFold(name, "Sec-WebSocket-Key"):
		return r.once(seenKey, &r.key, value)
	case equalFold(name, "Transfer-Encoding"):
		r.seen |= seenBody
	}
	return nil
}

func (r *Request) version(value []byte) *HTTPError {
	if r.seen.all(seenVersion) {
		return errTwice
	}
	r.seen |= seenVersion
	if string(value) == "13" {
		r.seen |= seenVersion13
	}
	return nil
}

// once keeps the value of a field that must not come twice.
func (r *Request) once(f seen, to *[]byte, value []byte) *HTTPError {
	if r.seen.all(f) {
		return errTwice
	}
	r.seen |= f
	*to = value
	return nil
}

// hasToken looks for a token in a comma-separated list.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		var item []byte
		item, list = cutItem(list)
		if equalFold(item, token) {
			return true
		}
	}
	return false
}

// cutItem splits off the first item of a comma-separated list.
func cutItem(list []byte) (item, rest []byte) {
	n := bytes.IndexByte(list, ',')
	if n < 0 {
		return trim(list), nil
	}
	return trim(list[:n]), list[n+1:]
}
