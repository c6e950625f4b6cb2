package conn

import "bytes"

// Where a request may carry a token. Each of these returns the token of one place,
// nil if there is none, and whether it is the only one there: of two that differ,
// every reader could take another. The slices alias the request.

// Bearer is the token of the Authorization field (RFC 6750, 2.1). A field of
// another scheme has none.
func (r *Request) Bearer() (token []byte, single bool) {
	const name, scheme = "Authorization", "Bearer"
	n := 0
	value, fields, ok := nextField(r.fields, name)
	for ; ok; value, fields, ok = nextField(fields, name) {
		n++
		value = trim(value)
		if len(value) > len(scheme) && value[len(scheme)] == ' ' && equalFold(value[:len(scheme)], scheme) {
			token = bytes.TrimLeft(value[len(scheme):], " ")
		}
	}
	return token, n <= 1
}

// ProtocolToken is what follows prefix in a subprotocol that the client offers.
func (r *Request) ProtocolToken(prefix string) (token []byte, single bool) {
	n := 0
	list, fields, ok := nextField(r.fields, protocolField)
	for ; ok; list, fields, ok = nextField(fields, protocolField) {
		for list != nil {
			var item []byte
			item, list = cutItem(list)
			if bytes.HasPrefix(item, []byte(prefix)) {
				n++
				token = item[len(prefix):]
			}
		}
	}
	return token, n <= 1
}

// QueryValue is the value of a parameter of the query, as it was sent: escapes in it,
// or in names, are not looked into.
func (r *Request) QueryValue(name string) (value []byte, single bool) {
	n := 0
	for query := r.Query; len(query) > 0; {
		var pair []byte
		pair, query, _ = bytes.Cut(query, ampersand)
		if key, v, ok := bytes.Cut(pair, equals); ok && string(key) == name {
			n++
			value = v
		}
	}
	return value, n <= 1
}

var ampersand, equals = []byte{'&'}, []byte{'='}
