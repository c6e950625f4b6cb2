package dispatch

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// ValidText says whether the strings of raw, which is valid JSON, hold characters only: UTF-8, and no
// escape that is half of a surrogate pair (RFC 8259, section 8.2). encoding/json puts U+FFFD for what is
// none, so that different names become one.
func ValidText(raw []byte) bool {
	return utf8.Valid(raw) && !(bytes.Contains(raw, []byte(`\u`)) && halfSurrogate(raw))
}

// halfSurrogate looks for \uD800 to \uDFFF that is not one of a pair.
func halfSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if r := unit(raw, i); !utf16.IsSurrogate(r) {
			i++ // what is escaped, were it a backslash
		} else if utf16.DecodeRune(r, unit(raw, i+6)) == utf8.RuneError {
			return true
		} else {
			i += 11
		}
	}
	return false
}

// unit returns what \uXXXX at raw[i] stands for; 0 if there is none.
func unit(raw []byte, i int) (r rune) {
	if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
		return 0
	}
	for _, c := range raw[i+2 : i+6] {
		switch r <<= 4; {
		case c <= '9':
			r |= rune(c - '0')
		default:
			r |= rune(c | 0x20 - 'a' + 10)
		}
	}
	return r
}

// decoded returns what the inside of a JSON string stands for: itself, or a copy.
func decoded(raw []byte) []byte {
	if plain(raw, 0) == len(raw) || bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return raw
	}
	return appendText(nil, raw)
}

// appendText appends what the inside of a JSON string stands for. As encoding/json does, it puts U+FFFD
// for what is no character.
func appendText(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if end := plain(raw, i); end > i {
			dst, i = append(dst, raw[i:end]...), end
			continue
		}
		r, size := rune(0), 2
		switch c := raw[i]; {
		case c >= utf8.RuneSelf:
			r, size = utf8.DecodeRune(raw[i:])
		case raw[i+1] == 'u':
			if r, size = unit(raw, i), 6; utf16.IsSurrogate(r) {
				if r = utf16.DecodeRune(r, unit(raw, i+6)); r != utf8.RuneError {
					size = 12
				}
			}
		default:
			r = unescaped[raw[i+1]]
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst
}

// unescaped is what a letter behind a backslash stands for.
var unescaped = [256]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
