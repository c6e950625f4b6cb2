package conn

import "bytes"

// SamePath reports whether a path of a request means the canonical one: escapes
// of what need not be escaped, and those in small digits, are equivalent (RFC
// 3986, 6.2.2). In the canonical form neither occurs.
func SamePath(canonical string, path []byte) bool {
	if string(path) == canonical {
		return true
	}
	if bytes.IndexByte(path, '%') < 0 && allIn(path, charPath) {
		return false
	}
	for len(path) > 0 {
		var unit [3]byte
		var n int
		n, path = cutUnit(&unit, path)
		if len(canonical) < n || canonical[:n] != string(unit[:n]) {
			return false
		}
		canonical = canonical[n:]
	}
	return canonical == ""
}

// cutUnit writes the canonical form of the first character of a path, whose
// escapes are whole, and returns its length and what follows.
func cutUnit(unit *[3]byte, path []byte) (n int, rest []byte) {
	c, n := path[0], 1
	if c == '%' {
		c, n = unhex(path[1])<<4|unhex(path[2]), 3
	}
	rest = path[n:]
	if chars[c]&charName != 0 || n == 1 && chars[c]&charPath != 0 {
		unit[0] = c
		return 1, rest
	}
	const digits = "0123456789ABCDEF"
	*unit = [3]byte{'%', digits[c>>4], digits[c&15]}
	return 3, rest
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
