package conn

// isExtensions reports whether value is a list of extensions (RFC 6455, 9.1).
// None is spoken here, but a malformed offer is no handshake. White space may
// stand between any two parts, and items of a list be empty.
func isExtensions(value []byte) bool {
	for value = trim(value); len(value) > 0; {
		if value[0] != ',' {
			var ok bool
			if value, ok = cutExtension(value); !ok {
				return false
			}
		}
		if len(value) > 0 {
			value = trim(value[1:]) // the comma
		}
	}
	return true
}

// cutExtension takes one extension off the front, up to its comma or the end.
func cutExtension(b []byte) (rest []byte, ok bool) {
	b, ok = cutToken(b)
	for ok && len(b) > 0 && b[0] == ';' {
		b, ok = cutToken(trim(b[1:]))
		if ok && len(b) > 0 && b[0] == '=' {
			b, ok = cutArgument(trim(b[1:]))
		}
	}
	return b, ok && (len(b) == 0 || b[0] == ',')
}

// cutArgument takes a token off the front, in quotes or not. One in quotes may
// have its characters escaped (RFC 9110, 5.6.4).
func cutArgument(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return cutToken(b)
	}
	for b = b[1:]; len(b) > 0; b = b[1:] {
		if b[0] == '"' {
			return trim(b[1:]), ok
		}
		if b[0] == '\\' && len(b) > 1 {
			b = b[1:]
		}
		if ok = chars[b[0]]&charToken != 0; !ok {
			break
		}
	}
	return b, false
}

// cutToken takes a token, and white space behind it, off the front.
func cutToken(b []byte) (rest []byte, ok bool) {
	n := 0
	for n < len(b) && chars[b[n]]&charToken != 0 {
		n++
	}
	return trim(b[n:]), n > 0
}
