package dispatch

import (
	"encoding/binary"
	"math/bits"
)

// The functions here walk over JSON (RFC 8259) that starts at b[i] and return the index behind it, or
// bad. They allocate nothing, and accept nothing that encoding/json refuses.
const bad = -1

// maxNesting is how deep values may nest, as in encoding/json.
const maxNesting = 10000

// space skips white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// value skips one value of any type, of at most so many levels of objects and arrays.
func value(b []byte, i, levels int) int {
	switch at(b, i) {
	case '"':
		return quoted(b, i)
	case '{', '[':
		return nested(b, i, levels)
	}
	return scalar(b, i)
}

// scalar skips a value that is no object and no array.
func scalar(b []byte, i int) int {
	switch c := at(b, i); {
	case c == '"':
		return quoted(b, i)
	case c == '-' || '0' <= c && c <= '9':
		return number(b, i)
	case c == 't':
		return literal(b, i, "true")
	case c == 'f':
		return literal(b, i, "false")
	case c == 'n':
		return literal(b, i, "null")
	}
	return bad
}

// nested skips an object or array. It does not recur: the depth is the client's choice, and the stack
// that of a loop's worker.
func nested(b []byte, i, levels int) int {
	var few [64]byte
	ends := few[:0] // what each level that is open ends with
	for {
		more := false
		if c := at(b, i); c == '{' || c == '[' {
			if len(ends) == levels {
				return bad
			}
			end := c + 2 // in ASCII
			ends = append(ends, end)
			i, more = enter(b, i, end)
		} else {
			i, more = step(b, scalar(b, i), ends[len(ends)-1])
		}
		for !more {
			if ends = ends[:len(ends)-1]; i == bad || len(ends) == 0 {
				return i
			}
			i, more = step(b, i, ends[len(ends)-1])
		}
		if ends[len(ends)-1] == '}' {
			if _, i = member(b, i); i == bad {
				return bad
			}
		}
	}
}

// enter goes into the object or array at b[i]: to its first member or element, or, if it has none,
// behind its end.
func enter(b []byte, i int, end byte) (next int, more bool) {
	if i = space(b, i+1); at(b, i) == end {
		return i + 1, false
	}
	return i, true
}

// step goes from the index behind a member or element to the next one, or behind the end. It is bad if
// neither comes, or i was.
func step(b []byte, i int, end byte) (next int, more bool) {
	if i == bad {
		return bad, false
	}
	i = space(b, i)
	switch at(b, i) {
	case ',':
		return space(b, i+1), true
	case end:
		return i + 1, false
	}
	return bad, false
}

// member takes a key and its colon. It returns what is between the key's quotes, and the index of the
// value.
func member(b []byte, i int) (key []byte, next int) {
	if at(b, i) != '"' {
		return nil, bad
	}
	end := plain(b, i+1) + 1
	if at(b, end-1) != '"' {
		if end = quoted(b, i); end == bad {
			return nil, bad
		}
	}
	key = b[i+1 : end-1]
	if i = space(b, end); at(b, i) != ':' {
		return nil, bad
	}
	return key, space(b, i+1)
}

// at returns b[i], and 0, which is no JSON, where there is nothing.
func at(b []byte, i int) byte {
	if uint(i) < uint(len(b)) {
		return b[i]
	}
	return 0
}

// quoted skips a string, quotes included. Bytes that are no UTF-8 pass, as they do in encoding/json.
func quoted(b []byte, i int) int {
	i++
	for {
		i = plain(b, i)
		if i >= len(b) {
			return bad
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = escape(b, i); i == bad {
				return bad
			}
		case c < ' ':
			return bad
		default:
			i++
		}
	}
}

// escape skips one escape sequence of a string.
func escape(b []byte, i int) int {
	if i+1 >= len(b) {
		return bad
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 > len(b) {
			return bad
		}
		for _, c := range b[i+2 : i+6] {
			if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f') {
				return bad
			}
		}
		return i + 6
	}
	return bad
}

// plain returns the index of the first byte from i on that is not an ordinary character of an ASCII
// string: a quote, a backslash, a control character or a byte of 0x80 and above; or len(b).
//
// It looks at eight bytes at a time. The high bit of each byte of stop says that the byte stops the
// walk; a borrow from a byte that stops can only mark bytes above it, and the lowest is what counts.
func plain(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^'"'*ones, w^'\\'*ones
		stop := (w | (w - ' '*ones) | (quote - ones) | (slash - ones)) & highs
		if stop != 0 {
			return i + bits.TrailingZeros64(stop)>>3
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] < 0x80 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

func number(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	default:
		if i = digits(b, i); i == bad {
			return bad
		}
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i == bad {
			return bad
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digits(b, i)
	}
	return i
}

// digits skips one digit or more.
func digits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return bad
	}
	return i
}

func literal(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return bad
	}
	return i + len(word)
}
