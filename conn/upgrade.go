package conn

import "bytes"

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
//
// Expect: 100-continue is ignored, since a handshake has no content to go on
// with; one that announces content gets its final status at once, and any other
// expectation 417 (RFC 9110, 10.1.1).
//
// The Upgrader of gobwas/ws is not used underneath. It lets bare line feeds,
// repeated fields, folded lines and bodies pass, so all of the request would be
// parsed before it, and then a second time by rules of its own, at twice the
// cost. The tests hold the two together instead: what is upgraded here is
// upgraded there, with the same response (lists in Upgrade excepted).
type Upgrader struct {
	// MaxHeader limits the request, in bytes up to and including its blank
	// line, empty lines in front of it included. 0 is DefaultMaxHeader. Beyond
	// it: 431, or 414 if not even the request line is whole.
	MaxHeader int
	// Route says whether there is an endpoint at a path, which comes as it was
	// sent, without query: SamePath compares it. nil is yes to all of them.
	// Otherwise: 404.
	Route func(path []byte) bool
	// Hosts lists whom a request may be for, as CanonicalHost returns it:
	// "example.com" (any port), "example.com:8066" or "*.example.com" (any depth
	// below, not itself). Case does not matter. Empty allows all. Otherwise: 403.
	Hosts []string
	// Origins lists which pages may connect, as CanonicalOrigin returns it:
	// "https://example.com", "https://*.example.com", a pattern as in Hosts for
	// any scheme, "null". Clients that are no browsers send no Origin and are
	// not concerned. Empty allows all. Otherwise: 403.
	Origins []string
	// Protocols lists the subprotocols to agree to. The first one of the
	// client's that is on it is taken; with an empty list, the client's first.
	// A client that asks for none of them is upgraded without one, and has to
	// leave by itself if it minds.
	Protocols []string
	// TokenProtocol, if not empty, is how subprotocols begin that carry a secret
	// (Request.ProtocolToken): they are never agreed to, and so never sent back.
	TokenProtocol string
	// Accept has the last say about a handshake that is fine otherwise; nil is
	// yes. An *HTTPError is answered as it is, any other error is 403 with a
	// fixed text. r is valid during the call only.
	Accept func(r *Request) error
	// Date appends the time, in the form of HTTP, for the Date field of refusals
	// (RFC 9110, 6.6.1). They have none if it is nil: there is no clock here.
	Date func(out []byte) []byte
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
		return 0, u.Refuse(in, out, bad), bad
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
	begin := emptyLines(in)
	line, bad := firstLine(in[begin:])
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
		return n, r.parseFields(in[begin+len(line)+2 : n-2])
	case len(in) == most && line == nil && bytes.IndexByte(in[begin:], ' ') > 0:
		return 0, errLongTarget
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
	if len(in) == 1 && in[0] == '\r' {
		return nil, nil // half an empty line
	}
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
