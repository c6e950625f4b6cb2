package conn

import "encoding/binary"

// What may stand where in a request (RFC 9110, 5.6.2 and 5.5; RFC 3986).
const (
	charToken   uint8 = 1 << iota // field names, methods, subprotocols
	charValue                     // field values: no control character but tab
	charTarget                    // visible ASCII but '#'
	charName                      // of a host's name; in URIs all that needs no escape
	charAddress                   // an IPv6 address
	charBase64                    // a base64 digit
	charDigit
	charPath // what stands for itself in a path
)

var chars = makeChars()

func makeChars() (t [256]uint8) {
	set := func(class uint8, from, to int) {
		for c := from; c <= to; c++ {
			t[c] |= class
		}
	}
	for _, class := range []uint8{charToken, charName, charBase64, charPath} {
		set(class, '0', '9')
		set(class, 'a', 'z')
		set(class, 'A', 'Z')
	}
	for class, others := range map[uint8]string{
		charToken:   "!#$%&'*+-.^_`|~",
		charName:    "-._~",
		charAddress: "abcdefABCDEF0123456789:.",
		charBase64:  "+/",
		charDigit:   "0123456789",
		charPath:    "/-._~!$&'()*+,;=:@",
	} {
		for _, c := range others {
			t[c] |= class
		}
	}
	set(charValue, 0x20, 0x7e)
	set(charValue, 0x80, 0xff)
	t['\t'] |= charValue
	set(charTarget, 0x21, 0x7e)
	t['#'] &^= charTarget
	return t
}

func allIn(b []byte, class uint8) bool {
	for _, c := range b {
		if chars[c]&class == 0 {
			return false
		}
	}
	return true
}

func isToken(b []byte) bool { return len(b) > 0 && allIn(b, charToken) }

// isValue is allIn for field values, which are most of a request: eight bytes
// at a time, as long as none of them is a control character.
func isValue(b []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&tops != 0 {
			break
		}
	}
	return allIn(b, charValue)
}

// trim cuts the optional white space around a field value.
func trim(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// equalFold compares without regard to the case of ASCII letters.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
