package conn

import "net/http"

// check decides whether a well-formed request is a handshake, and a welcome
// one (RFC 6455, 4.2.1 and 4.2.2).
func (u *Upgrader) check(r *Request) *HTTPError {
	bad := r.settleHost()
	switch {
	case string(r.Method) != http.MethodGet:
		return errMethod
	case bad != nil:
		return bad
	case r.seen.all(seenBody):
		return errBody
	case r.seen.all(seenExpectation):
		return errExpectation
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
	case r.seen.all(seenBadExtensions):
		return errExtensions
	case !originAllowed(u.Origins, r.Origin):
		return errOrigin
	}
	if r.seen.all(seenProtocol) {
		if bad := u.choose(r); bad != nil {
			return bad
		}
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

const protocolField = "Sec-WebSocket-Protocol"

// choose picks a subprotocol. All of the client's lists are checked, also
// behind the one that was taken.
func (u *Upgrader) choose(r *Request) *HTTPError {
	list, fields, ok := nextField(r.fields, protocolField)
	for ; ok; list, fields, ok = nextField(fields, protocolField) {
		for list != nil {
			var item []byte
			item, list = cutItem(list)
			if len(item) > 0 && !isToken(item) {
				return errProtocols
			}
			if len(item) > 0 && r.Protocol == nil && !u.secret(item) && u.speaks(item) {
				r.Protocol = item
			}
		}
	}
	return nil
}

// secret says whether a subprotocol is none, but carries a token, or was meant to in
// other letters.
func (u *Upgrader) secret(protocol []byte) bool {
	n := len(u.TokenProtocol)
	return n > 0 && len(protocol) >= n && equalFold(protocol[:n], u.TokenProtocol)
}

// speaks compares letter by letter: the case of a subprotocol counts (RFC 6455,
// 11.5).
func (u *Upgrader) speaks(protocol []byte) bool {
	for _, p := range u.Protocols {
		if p == string(protocol) {
			return true
		}
	}
	return len(u.Protocols) == 0
}
