package dispatch

import (
	"encoding/binary"
	"math/bits"
)

// The functions here walk over JSON (RFC 8259) that starts at b[i] and return the index behind it, or
// bad. They allocate nothing, and accept nothing that encoding/json refuses.
const bad = -1

// maxDepth is how deep values may nest before the fast path leaves them to encoding/json, whose own
// bound is 10,000. It bounds the recursion below, which runs on the stack of a loop's worker.
const maxDepth = 32

// space skips white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// value skips one value of any type.
func value(b []byte, i, depth int) int {
	if i >= len(b) {
		return bad
	}
	switch c := b[i]; {
	case c == '"':
		return quoted(b, i)
	case c == '{':
		return object(b, i, depth)
	case c == '[':
		return array(b, i, depth)
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

func object(b []byte, i, depth int) int {
	if depth == 0 {
		return bad
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return bad
		}
		if i = quoted(b, i); i == bad {
			return bad
		}
		if i = space(b, i); i >= len(b) || b[i] != ':' {
			return bad
		}
		if i = value(b, space(b, i+1), depth-1); i == bad {
			return bad
		}
		if i = space(b, i); i >= len(b) {
			return bad
		}
		if b[i] == '}' {
			return i + 1
		}
		if b[i] != ',' {
			return bad
		}
		i = space(b, i+1)
	}
}

func array(b []byte, i, depth int) int {
	if depth == 0 {
		return bad
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = value(b, i, depth-1); i == bad {
			return bad
		}
		if i = space(b, i); i >= len(b) {
			return bad
		}
		if b[i] == ']' {
			return i + 1
		}
		if b[i] != ',' {
			return bad
		}
		i = space(b, i+1)
	}
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
