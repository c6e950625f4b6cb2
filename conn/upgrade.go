package conn

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
)

// DefaultMaxHeader is the length of a request that is allowed, in bytes up to
// and including its blank line, where nothing else is configured.
const DefaultMaxHeader = 8 << 10

// Upgrader answers the opening handshake on the server's side (RFC 6455, 4.2).
// The zero value upgrades every well-formed handshake. It may be used from any
// number of goroutines, as long as nobody changes it any more.
//
// It is stricter than HTTP asks for where servers and proxies are known to
// disagree on where a request ends or whom it is for. Extensions are declined
// by not naming any.
type Upgrader struct {
	// MaxHeader limits the request, in bytes up to and including its blank
	// line. 0 is DefaultMaxHeader. Beyond it: 431.
	MaxHeader int
	// Route says whether there is an endpoint at a path, which comes as it was
	// sent, without query. nil is yes to all of them. Otherwise: 404.
	Route func(path []byte) bool
	// Hosts lists whom a request may be for: "example.com" (any port),
	// "example.com:8066" or "*.example.com" (any depth below, not itself).
	// Case does not matter. Empty allows all. Otherwise: 403.
	Hosts []string
	// Origins lists which pages may connect: "https://example.com" or a
	// pattern as in Hosts, for any scheme. Clients that are no browsers send
	// no Origin and are not concerned. Empty allows all. Otherwise: 403.
	Origins []string
	// Protocols lists the subprotocols to agree to. The first one of the
	// client's that is on it is taken; with an empty list, the client's first.
	// A client that asks for none of them is upgraded without one, and has to
	// leave by itself if it minds.
	Protocols []string
	// Accept has the last say about a handshake that is fine otherwise; nil is
	// yes. An *HTTPError is answered as it is, any other error is 403 with a
	// fixed text. r is valid during the call only.
	Accept func(r *Request) error
}

// The answers to requests that are not to be upgraded.
var (
	errRequestLine = badRequest("malformed request line")
	errTarget      = badRequest("malformed request target")
	errBareLF      = badRequest("line does not end in CRLF")
	errField       = badRequest("malformed header field")
	errTwice       = badRequest("header field sent twice")
	errHost        = badRequest("missing or malformed Host")
	errBody        = badRequest("a handshake has no body")
	errConnection  = badRequest("Connection does not list Upgrade")
	errKey         = badRequest("missing or malformed Sec-WebSocket-Key")
	errProtocols   = badRequest("malformed Sec-WebSocket-Protocol")

	errVersion   = &HTTPError{Status: http.StatusHTTPVersionNotSupported, Reason: "only HTTP/1.1 is spoken here"}
	errTooLong   = &HTTPError{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "request header too large"}
	errMethod    = &HTTPError{Status: http.StatusMethodNotAllowed, Reason: "only GET is allowed"}
	errRoute     = &HTTPError{Status: http.StatusNotFound, Reason: "not found"}
	errNoUpgrade = &HTTPError{Status: http.StatusUpgradeRequired, Reason: "this is a WebSocket endpoint, version 13"}
	errWrongHost = &HTTPError{Status: http.StatusForbidden, Reason: "host not allowed"}
	errOrigin    = &HTTPError{Status: http.StatusForbidden, Reason: "origin not allowed"}
	errRefused   = &HTTPError{Status: http.StatusForbidden, Reason: "not allowed"}
)

func badRequest(reason string) *HTTPError {
	return &HTTPError{Status: http.StatusBadRequest, Reason: reason}
}

// Upgrade looks for a request at the front of in, which is all that was
// received so far and is not changed.
//
//   - n and err are zero: it is not whole yet, more bytes are needed.
//   - err is nil: the response is appended to out, in[n:] are frames already.
//   - otherwise err is an *HTTPError, shared between connections, and its
//     response is appended to out. n is 0; the connection is to be closed.
//
// What can never become a handshake is refused without waiting for its end.
// r is the caller's and can be used again; it is filled in as far as the
// request was understood. Upgrade itself does not allocate, beyond growing out.
func (u *Upgrader) Upgrade(in, out []byte, r *Request) (n int, newOut []byte, err error) {
	*r = Request{}
	n, bad := u.read(in, r)
	if bad == nil && n > 0 {
		bad = u.check(r)
	}
	switch {
	case bad != nil:
		return 0, AppendHTTPError(out, bad), bad
	case n == 0:
		return 0, out, nil
	}
	return n, appendSwitching(out, r), nil
}

// read parses the request once it is whole. The checks follow the order of the
// bytes, so that the answer does not depend on how many of them came at once.
func (u *Upgrader) read(in []byte, r *Request) (n int, bad *HTTPError) {
	most := u.MaxHeader
	if most <= 0 {
		most = DefaultMaxHeader
	}
	in = in[:min(len(in), most)]
	line, bad := firstLine(in)
	if bad != nil {
		return 0, bad
	}
	if line != nil {
		if bad := r.parseLine(line); bad != nil {
			return 0, bad
		}
	}
	n, bare := headerEnd(in)
	switch {
	case bare:
		return 0, errBareLF
	case n > 0:
		return n, r.parseFields(in[len(line)+2 : n-2])
	case len(in) == most:
		return 0, errTooLong
	}
	return 0, nil
}

// longestMethod is more than any method of HTTP has, in bytes.
const longestMethod = 24

// firstLine returns the request line without its CRLF, nil if it is not there
// yet. A start that is no method is an error at once: TLS and other protocols
// shall not wait for the handshake's deadline.
func firstLine(in []byte) (line []byte, bad *HTTPError) {
	for i, c := range in {
		if c == ' ' && i > 0 {
			break
		}
		if i == longestMethod || chars[c]&charToken == 0 {
			return nil, errRequestLine
		}
	}
	n := bytes.IndexByte(in, '\n')
	switch {
	case n < 0:
		return nil, nil
	case in[n-1] != '\r':
		return nil, errBareLF
	}
	return in[:n-1], nil
}

// check decides whether a well-formed request is a handshake, and a welcome
// one (RFC 6455, 4.2.1 and 4.2.2).
func (u *Upgrader) check(r *Request) *HTTPError {
	switch {
	case string(r.Method) != http.MethodGet:
		return errMethod
	case len(r.Host) == 0 || !allIn(r.Host, charHost):
		return errHost
	case r.seen.all(seenBody):
		return errBody
	case u.Route != nil && !u.Route(r.Path):
		return errRoute
	case len(u.Hosts) > 0 && !hostAllowed(u.Hosts, r.Host):
		return errWrongHost
	case !r.seen.all(seenUpgrade):
		return errNoUpgrade
	case !r.seen.all(seenConnection):
		return errConnection
	case !r.seen.all(seenVersion13):
		return errNoUpgrade
	case !isKey(r.key):
		return errKey
	case !originAllowed(u.Origins, r.Origin):
		return errOrigin
	}
	if bad := u.choose(r); bad != nil {
		return bad
	}
	return u.accept(r)
}

func (u *Upgrader) accept(r *Request) *HTTPError {
	if u.Accept == nil {
		return nil
	}
	err := u.Accept(r)
	if err == nil {
		return nil
	}
	if bad, ok := err.(*HTTPError); ok {
		return bad
	}
	return errRefused
}

// choose settles on a subprotocol. All of the client's lists are checked, also
// behind the one that was taken.
func (u *Upgrader) choose(r *Request) *HTTPError {
	for fields := r.fields; len(fields) > 0; {
		var line []byte
		line, fields = cutLine(fields)
		const name = "Sec-WebSocket-Protocol"
		if len(line) <= len(name) || line[len(name)] != ':' || !equalFold(line[:len(name)], name) {
			continue
		}
		for list := line[len(name)+1:]; list != nil; {
			var item []byte
			item, list = cutItem(list)
			if len(item) > 0 && !isToken(item) {
				return errProtocols
			}
			if len(item) > 0 && r.Protocol == nil && u.speaks(item) {
				r.Protocol = item
			}
		}
	}
	return nil
}

// speaks compares as it is: subprotocol names have a case (RFC 6455, 11.5).
func (u *Upgrader) speaks(protocol []byte) bool {
	for _, p := range u.Protocols {
		if p == string(protocol) {
			return true
		}
	}
	return len(u.Protocols) == 0
}

// isKey reports whether key is base64 of 16 bytes.
func isKey(key []byte) bool {
	return len(key) == keySize && string(key[22:]) == "==" && allIn(key[:22], charBase64)
}

const (
	keySize = 24
	keySalt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, 1.3
)

// appendAccept appends the proof that key was read by a WebSocket endpoint.
func appendAccept(out, key []byte) []byte {
	var salted [keySize + len(keySalt)]byte
	copy(salted[:], key)
	copy(salted[keySize:], keySalt)
	sum := sha1.Sum(salted[:])
	return base64.StdEncoding.AppendEncode(out, sum[:])
}

func appendSwitching(out []byte, r *Request) []byte {
	out = append(out, "HTTP/1.1 101 Switching Protocols\r\n"+
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	out = appendAccept(out, r.key)
	if r.Protocol != nil {
		out = append(out, "\r\nSec-WebSocket-Protocol: "...)
		out = append(out, r.Protocol...)
	}
	return append(out, "\r\n\r\n"...)
}
